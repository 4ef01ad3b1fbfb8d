//! Times the Gram kernels on one chunk that stays in the cache, so that memory plays no part.
//!
//! Every level is compared with the scalar definition, bit for bit, before it is timed. Prints one
//! line of JSON on the machine and one per case: nanoseconds per element, GB/s of input, and the ratio to scalar code.
//! With `--levels` it only names the levels of this CPU; `--count` is for `bench/instructions.py`, see `count`.

mod count;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use parentage_core::checkpoint::dtype::Dtype;
use parentage_core::gram::{CHUNK, Column, Level, encode};

const RUNS: usize = 41;
/// Runs of scalar code, which is slow.
const SCALAR_RUNS: usize = 5;
/// Dtypes that columns have, in turn.
const CASES: [&[Dtype]; 7] = [
    &[Dtype::Bf16],
    &[Dtype::F16],
    &[Dtype::F32],
    &[Dtype::F8E4m3],
    &[Dtype::Bf16, Dtype::F32],
    &[Dtype::F16, Dtype::Bf16],
    &[Dtype::Bf16, Dtype::F8E4m3],
];

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--levels") {
        for level in Level::available() {
            println!("{}", level.name());
        }
        return Ok(());
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, kernel, dtype, columns, chunks] = &arguments[..]
        && flag == "--count"
    {
        return count::run(kernel, dtype, columns.parse()?, chunks.parse()?);
    }
    if cfg!(debug_assertions) {
        return Err("a debug build has no speed to measure; run with --release".into());
    }
    println!(r#"{{"machine": "{}", "runs": {RUNS}, "elements": {CHUNK}}}"#, machine());
    let scalar = Level::named("scalar")?;
    for dtypes in CASES {
        for (columns, apart) in
            [(2, NEAR), (3, NEAR), (4, NEAR), (6, NEAR), (10, NEAR), (3, FAR), (6, FAR)]
        {
            let bytes = relatives(dtypes, columns, apart);
            let dtypes_in_turn = dtypes.iter().cycle().copied();
            let parts: Vec<_> = (bytes.iter().zip(dtypes_in_turn))
                .map(|(bytes, dtype)| Column { dtype, bytes })
                .collect();
            let names: Vec<_> = dtypes.iter().map(|dtype| dtype.name()).collect();
            let definition = scalar.chunk(&parts, 0, false);
            let mut slowest = None;
            for level in Level::available() {
                if level.chunk(&parts, 0, false) != definition {
                    return Err(format!("{} differs from its definition", level.name()).into());
                }
                let runs = if level.name() == "scalar" { SCALAR_RUNS } else { RUNS };
                let nanoseconds = median(runs, || {
                    black_box(level.chunk(black_box(&parts), 0, false));
                });
                let of_scalar = *slowest.get_or_insert(nanoseconds);
                let input = bytes.iter().map(Vec::len).sum::<usize>() as f64;
                println!(
                    r#"{{"dtype": "{}", "columns": {columns}, "apart": {apart}, "level": "{}", "ns_per_element": {:.3}, "gb_per_s": {:.2}, "times_scalar": {:.1}}}"#,
                    names.join("+"),
                    level.name(),
                    nanoseconds / CHUNK as f64,
                    input / nanoseconds,
                    of_scalar / nanoseconds,
                );
            }
        }
    }
    Ok(())
}

/// The name of the CPU, where the system tells it.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// The median time of a run, in nanoseconds.
fn median(runs: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

/// Relatives of one another that differ in every element by some hundredths of what weights are.
const NEAR: f64 = 0.03;
/// Those that differ as models do that have nothing in common.
const FAR: f64 = 1.4;

/// Columns that differ in every element by noise that is `apart` times as large as what they share. Dtypes are taken
/// in turn.
fn relatives(dtypes: &[Dtype], columns: usize, apart: f64) -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let base: Vec<f64> = (0..CHUNK).map(|_| uniform() * 0.1).collect();
    (0..columns)
        .map(|column| {
            let dtype = dtypes[column % dtypes.len()];
            let width = (dtype.bits() / 8) as usize;
            base.iter()
                .flat_map(|value| {
                    let bits = encode(dtype, value + uniform() * 0.1 * apart).unwrap_or_default();
                    bits.to_le_bytes().into_iter().take(width)
                })
                .collect()
        })
        .collect()
}
