//! Checkpoints that a pass is made over: a byte for the base, then the header of a file as for the target
//! `header`, whose data follow from the header. Kernels read tensors at whatever offset and length it says.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use parentage_core::checkpoint::Checkpoint;
use parentage_core::gram::Level;
use parentage_core::plan::Plan;
use parentage_core::progress::Progress;
use parentage_core::statistics::gram;
use parentage_core::stream::Options;

/// Bytes of data at most: enough for several chunks of any dtype.
const MOST: u32 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&twist, rest)) = input.split_first() else { return };
    let Some((data_len, json)) = rest.split_first_chunk::<4>() else { return };
    let data_len = u32::from_le_bytes(*data_len).min(MOST);
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, twist: u8| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.extend(
            (0..data_len).map(|k| (k as u8).wrapping_mul(37) ^ json[k as usize % json.len()]),
        );
        let at = bytes.len() - data_len as usize;
        bytes[at..].iter_mut().step_by(3).for_each(|byte| *byte ^= twist);
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        Checkpoint::open(&path)
    };
    if json.is_empty() {
        return;
    }
    let (Ok(base), Ok(parent), Ok(child)) =
        (write("base", twist), write("parent", twist / 2), write("child", 0))
    else {
        return;
    };
    let checkpoints = [base, parent, child].map(Arc::new);
    let mut elements = Vec::new();
    let mut tensors = Vec::new();
    for (index, tensor) in checkpoints[0].tensors.iter().enumerate().take(64) {
        if tensor.dtype.is_numeric() {
            elements.push(tensor.elements());
            tensors.extend([index as u64; 3]);
        }
    }
    let starts = vec![0; tensors.len()];
    let plan = Plan::new(checkpoints.to_vec(), elements, &tensors, &starts).expect("whole tensors");
    let pass = |level| {
        let options = Options { threads: 1, level, ..Options::detect().expect("a level") };
        gram(&plan, 0..plan.slices(), &[], &options, &Progress::new()).expect("statistics")
    };
    let mut found = Level::available().into_iter().map(|level| {
        let sums = pass(level);
        let bits: Vec<u64> =
            sums.gram.iter().chain(&sums.energy).map(|sum| sum.to_bits()).collect();
        (bits, sums.counts, sums.precision)
    });
    let scalar = found.next().expect("level scalar");
    assert!(found.all(|each| each == scalar), "the same bits at every level");
});
