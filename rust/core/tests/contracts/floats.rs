//! The same bits whatever the calling thread has set its floating-point arithmetic to.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "sets the control register as other libraries do")]

use std::arch::asm;

use parentage_core::cells::{self, Query, Spectrum};
use parentage_core::checkpoint::Dtype;
use parentage_core::gram::Level;
use parentage_core::plan::Plan;
use parentage_core::progress::Progress;
use parentage_core::replay::{Inputs, Op, Program, Replay};
use parentage_core::statistics;
use parentage_core::stream::Options;

use super::{columns, words};

fn set_control(word: u32) {
    // SAFETY: loads MXCSR; no reserved bit is set in what the tests pass.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack)) };
}

fn control() -> u32 {
    let mut word = 0_u32;
    // SAFETY: stores MXCSR.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
    word & 0xFFC0
}

/// Everything that a pass over the plan gives, as bits.
fn everything(plan: &Plan, level: Level, threads: usize) -> (Vec<u64>, String, Spectrum) {
    let options = Options { threads, level, ..Options::detect().unwrap() };
    let (child, others) = (plan.extents(0)[plan.columns() - 1].dtype, plan.columns() - 1);
    let ops = vec![
        Op::Column(0),
        Op::Column(1),
        Op::Scalar(0),
        Op::Sub(1, 0),
        Op::Mul(2, 3),
        Op::Add(0, 4),
        Op::Round(5, child),
    ];
    let inputs = Inputs { scalars: vec![0.3], ..Inputs::default() };
    let replay = Replay { program: Program::new(ops, vec![6]).unwrap(), inputs };
    let found = statistics::gram(plan, 0..1, &[replay], &options, &Progress::new()).unwrap();
    let sums = found.gram.iter().chain(&found.energy).chain(&found.bias);
    let query = Query {
        weights: vec![0.0; others],
        axis: 1,
        groups: vec![0],
        windows: vec![(-1.0, 2.0)],
        bins: 64,
        widen: 0.0,
        dtype: None,
    };
    let spectrum = cells::spectrum(plan, 0..1, &query, &options, &Progress::new()).unwrap();
    (
        sums.map(|sum| sum.to_bits()).collect(),
        format!("{:?} {:?} {:?}", found.counts, found.histogram, found.replayed),
        spectrum,
    )
}

/// Subnormal numbers of the dtype and of its products among normal ones.
fn values(dtype: Dtype, seed: u64, count: usize) -> Vec<u8> {
    let bytes = words(seed).take(count).flat_map(|word| match dtype {
        // 2^-126 and about.
        Dtype::F32 => {
            let bits = (word as u32 & 0x807F_FFFF) | ((word >> 40) as u32 % 4) << 23;
            bits.to_le_bytes().to_vec()
        }
        Dtype::Bf16 => {
            let bits = (word as u16 & 0x807F) | ((word >> 40) as u16 % 128) << 7;
            bits.to_le_bytes().to_vec()
        }
        _ => {
            let bits = (word as u16 & 0x83FF) | ((word >> 40) as u16 % 18) << 10;
            bits.to_le_bytes().to_vec()
        }
    });
    bytes.collect()
}

#[test]
fn flushing_and_rounding_of_the_caller_change_no_bit() {
    const STANDARD: u32 = 0x1F80;
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let made: Vec<_> = (1..=3).map(|seed| values(dtype, seed, 70_001)).collect();
        let (_folder, plan) = columns(dtype.name(), (dtype.bits() / 8) as usize, &made);
        for level in Level::available() {
            for threads in [1, 2] {
                let expected = everything(&plan, level, threads);
                // Flush to zero and take subnormal operands for zero; round down, up, towards zero.
                for odd in [0x8040, 0x2000, 0x4000, 0x6000, 0xE040] {
                    set_control(STANDARD | odd);
                    let found = everything(&plan, level, threads);
                    let left = control();
                    set_control(STANDARD);
                    let place = format!("{}, {}, {odd:x}", dtype.name(), level.name());
                    assert!(found == expected, "{place}");
                    assert_eq!(left, STANDARD | odd, "{place}");
                }
            }
        }
    }
}
