//! The definition of a program's result, one element after the other.

use super::program::{Factors, Op, Program};
use super::{BLOCK, Counts, ulps_bin};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, bf16_bits, decode, encode};

/// Replays one chunk, whose first element is number `start` of block `block` of the slice.
///
/// `columns` are those of the plan, the child last.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the definition that `machine` is tested against")
)]
pub(super) fn replay_chunk(
    program: &Program,
    scalars: &[f32],
    factors: &[Option<Factors>],
    columns: &[Column<'_>],
    start: u64,
    block: usize,
) -> Counts {
    let (child, parents) = columns.split_last().unwrap_or_else(|| unreachable!("columns"));
    let mut counts = Counts::default();
    for k in 0..child.len() {
        let values = element(program, scalars, factors, parents, start, k);
        let results = program.results().iter().map(|&result| values[usize::from(result)]);
        let agrees: Vec<bool> = results.map(|value| equal(child, k, value)).collect();
        let first = values[usize::from(program.results()[0])];
        record(&mut counts, &agrees, child, k, first, start, block);
    }
    counts
}

fn element(
    program: &Program,
    scalars: &[f32],
    factors: &[Option<Factors>],
    parents: &[Column<'_>],
    start: u64,
    k: usize,
) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::new();
    for op in program.ops() {
        let v = |operand: u8| values[usize::from(operand)];
        values.push(match *op {
            Op::Column(column) => decode_f32(&parents[usize::from(column)], k),
            Op::Reversed(column) => {
                let column = &parents[usize::from(column)];
                let first = k / BLOCK * BLOCK;
                let last = (first + BLOCK).min(column.len()) - 1;
                decode_f32(column, first + last - k)
            }
            Op::Scalar(scalar) => scalars[usize::from(scalar)],
            Op::LowRank(factor) => factors[usize::from(factor)]
                .as_ref()
                .map_or(0.0, |factors| factors.element(start + k as u64)),
            Op::Add(a, b) => v(a) + v(b),
            Op::Sub(a, b) => v(a) - v(b),
            Op::Mul(a, b) => v(a) * v(b),
            Op::Div(a, b) => v(a) / v(b),
            Op::Fma(a, b, c) => v(a).mul_add(v(b), v(c)),
            Op::Abs(a) => v(a).abs(),
            Op::Max(a, b) => {
                if v(a) > v(b) {
                    v(a)
                } else {
                    v(b)
                }
            }
            Op::Min(a, b) => {
                if v(a) < v(b) {
                    v(a)
                } else {
                    v(b)
                }
            }
            Op::Greater(a, b) => f32::from(u8::from(v(a) > v(b))),
            Op::GreaterEqual(a, b) => f32::from(u8::from(v(a) >= v(b))),
            Op::Select(a, b, c) => {
                if v(a) != 0.0 {
                    v(b)
                } else {
                    v(c)
                }
            }
            Op::Round(a, dtype) => round(v(a), dtype),
        });
    }
    values
}

/// The element as float32: exact, or rounded once where the dtype is wider.
pub(super) fn decode_f32(column: &Column<'_>, k: usize) -> f32 {
    let width = (column.dtype.bits() / 8) as usize;
    let bytes = &column.bytes[k * width..(k + 1) * width];
    if column.dtype == Dtype::F64 {
        let mut raw = [0; 8];
        raw.copy_from_slice(bytes);
        return f64::from_le_bytes(raw) as f32;
    }
    decode(column.dtype, bytes) as f32
}

/// The nearest number of `dtype`, ties to even.
pub(super) fn round(value: f32, dtype: Dtype) -> f32 {
    let Some(bits) = encode(dtype, f64::from(value)) else {
        return f32::NAN;
    };
    decode_f32(&Column { dtype, bytes: &bits.to_le_bytes()[..(dtype.bits() / 8) as usize] }, 0)
}

/// Whether `value`, rounded to the child's dtype, is what the child stores as element `k`.
pub(super) fn equal(child: &Column<'_>, k: usize, value: f32) -> bool {
    let (Some(ours), theirs) = (encode(child.dtype, f64::from(value)), bits(child, k)) else {
        return false;
    };
    ours == theirs || (value.is_nan() && decode_f32(child, k).is_nan())
}

/// Counts one element, given which results agree with the child.
pub(super) fn record(
    counts: &mut Counts,
    agrees: &[bool],
    child: &Column<'_>,
    k: usize,
    first: f32,
    start: u64,
    block: usize,
) {
    if agrees.iter().all(|&agrees| agrees) {
        counts.reproduced += 1;
    } else if agrees.iter().any(|&agrees| agrees) {
        counts.explained += 1;
    } else {
        mismatch(counts, child, k, first, start, block);
    }
}

/// Counts a mismatched element, whose first result is `value`.
pub(super) fn mismatch(
    counts: &mut Counts,
    child: &Column<'_>,
    k: usize,
    value: f32,
    start: u64,
    block: usize,
) {
    counts.mismatched += 1;
    counts.blocks[block] += 1;
    let element = start + k as u64;
    counts.first = Some(counts.first.map_or(element, |first| first.min(element)));
    let width = child.dtype.bits();
    // Which NaN it is depends on the hardware.
    let value = if value.is_nan() { f32::NAN } else { value };
    let code = match child.dtype {
        Dtype::Bf16 => Some(u64::from(bf16_bits(value) >> 16)),
        Dtype::F32 => Some(u64::from(value.to_bits())),
        dtype => encode(dtype, f64::from(value)),
    };
    let ours = order(code.unwrap_or(0), width);
    let theirs = order(bits(child, k), width);
    let steps = ours.abs_diff(theirs);
    counts.zero_signs += u64::from(steps == 0);
    counts.ulps[ulps_bin(steps)] += 1;
}

/// Consecutive floats as consecutive numbers; both zeros are 0.
fn order(bits: u64, width: u64) -> i64 {
    let sign = 1 << (width - 1);
    let magnitude = (bits & (sign - 1)) as i64;
    if bits & sign == 0 { magnitude } else { -magnitude }
}

fn bits(column: &Column<'_>, k: usize) -> u64 {
    if let Dtype::Bf16 = column.dtype {
        return u64::from(u16::from_le_bytes([column.bytes[2 * k], column.bytes[2 * k + 1]]));
    }
    let width = (column.dtype.bits() / 8) as usize;
    let bytes = &column.bytes[k * width..(k + 1) * width];
    bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}
