//! What a pass promises whatever the process, the files and the caller do meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod floats;
mod interrupted;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parentage_core::checkpoint::Checkpoint;
use parentage_core::plan::Plan;
use tempfile::{TempDir, tempdir};

/// The bytes of a safetensors file of tensors `a`, `b`, ..., each of one dimension.
fn file_of(dtype: &str, width: usize, tensors: &[Vec<u8>]) -> Vec<u8> {
    let mut at = 0;
    let entries: Vec<String> = (b'a'..)
        .zip(tensors)
        .map(|(name, bytes)| {
            let (name, begin, count) = (char::from(name), at, bytes.len() / width);
            at += bytes.len();
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":[{count}],"data_offsets":[{begin},{at}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(tensors.concat());
    file
}

/// A checkpoint of one tensor.
fn checkpoint(path: &Path, dtype: &str, width: usize, bytes: &[u8]) -> Arc<Checkpoint> {
    fs::write(path, file_of(dtype, width, &[bytes.to_vec()])).unwrap();
    Arc::new(Checkpoint::open(path).unwrap())
}

/// Every column the whole of its checkpoint's only tensor.
fn plan_of(checkpoints: Vec<Arc<Checkpoint>>) -> Plan {
    let elements = checkpoints[0].tensors[0].elements();
    let zeros = vec![0; checkpoints.len()];
    Plan::new(checkpoints, vec![elements], &zeros, &zeros).unwrap()
}

/// Columns of one dtype, whose files are in the folder.
fn columns(dtype: &str, width: usize, columns: &[Vec<u8>]) -> (TempDir, Plan) {
    let folder = tempdir().unwrap();
    let opened = columns.iter().enumerate().map(|(number, bytes)| {
        checkpoint(&folder.path().join(format!("{number}.safetensors")), dtype, width, bytes)
    });
    let plan = plan_of(opened.collect());
    (folder, plan)
}

/// splitmix64, word by word.
fn words(mut seed: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = seed;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    })
}
