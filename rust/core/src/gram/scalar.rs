//! The definition of a chunk's result, one element after the other.
//!
//! Every other instruction set returns these bits. See the [module page](super) for the formulas.

use std::ops::Range;

use super::sums::{AllSums, Sums, are_near, is_for_narrow, probe};
use super::widen::{Rounding, binade, decode, encode};
use super::{
    CHUNK, Chunk, Column, Counts, LANES, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, SAMPLED, Sampled,
    WIDE_LANES, pair, pairs, sample,
};
use crate::checkpoint::dtype::Dtype;

/// Computes one chunk, which begins with element `start` of its slice. All columns hold the same number of
/// elements, at most [`CHUNK`].
///
/// With `sampled`, its first [`SAMPLED`] elements are looked at more closely, see [`sample`].
pub(super) fn chunk(columns: &[Column<'_>], start: u64, sampled: bool) -> Chunk {
    let count = columns.len();
    let length = columns[count - 1].len();
    debug_assert!(length <= CHUNK);
    let rounding = Rounding::of(columns[count - 1].dtype);

    let mut out = Chunk { sampled: sampled.then(Box::<Sampled>::default), ..Chunk::default() };
    let mut wide = AllSums::ZERO;
    for k in 0..length {
        let mut x = values(columns, k);
        compare(columns, &x[..count], k, &mut out.counts);
        if exclude(&x[..count], &mut out.counts) {
            x = [0.0; MAX_COLUMNS];
        }
        if let Some(seen) = &mut out.sampled
            && k < SAMPLED
        {
            sample(&x[..count], rounding, seen);
        }
        add_wide(&mut wide, &x[..count], k);
    }
    let wide: &Sums = &wide;
    let (gram, energy) = narrow(columns, start).unwrap_or_else(|| wide.reduce(count));
    out.gram = gram;
    out.energy = rounding.map_or(length as f64 / 12.0, |rounding| rounding.energy(energy));
    out
}

/// Adds element `k` in float64.
fn add_wide(sums: &mut Sums, x: &[f64], k: usize) {
    let (count, lane) = (x.len(), k % WIDE_LANES);
    let displaced = |i: usize| if i == 0 { x[0] } else { x[i] - x[0] };
    for i in 0..count {
        for j in i..count {
            let sum = &mut sums.gram[pair(count, i, j)].0[lane];
            *sum = displaced(i).mul_add(displaced(j), *sum);
        }
    }
    let binade = binade(x[count - 1]);
    sums.energy.0[lane] = binade.mul_add(binade, sums.energy.0[lane]);
}

/// The products of a chunk in float32, if it is one for it and its probes say that float32 does.
pub(super) fn narrow(columns: &[Column<'_>], start: u64) -> Option<([f64; MAX_PAIRS], f64)> {
    if !is_for_narrow(columns) {
        return None;
    }
    let (count, length) = (columns.len(), columns[0].len());
    let (mut all, mut probed, mut exact) = (AllSums::ZERO, AllSums::ZERO, AllSums::ZERO);
    for (number, first) in (0..length).step_by(RUN).enumerate() {
        add_run(columns, first..length.min(first + RUN), &mut all);
        if number.is_multiple_of(PROBED) {
            let elements = probe(start, number, length);
            add_run(columns, elements.clone(), &mut probed);
            for k in elements {
                add_wide(&mut exact, &values(columns, k)[..count], k);
            }
        }
    }
    let all: &Sums = &all;
    all.finite(count).filter(|_| are_near(count, &probed, &exact))
}

/// Adds the elements of one run in float32.
fn add_run(columns: &[Column<'_>], elements: Range<usize>, sums: &mut Sums) {
    let (count, end) = (columns.len(), elements.end);
    let paired = columns[0].dtype == Dtype::Bf16;
    let mut gram = [[0.0_f32; LANES]; MAX_PAIRS];
    let mut errors = [[0.0_f32; LANES]; MAX_COLUMNS];
    let mut firsts = [0.0_f32; MAX_COLUMNS];
    let mut energy = [0.0_f32; LANES];
    for k in elements {
        let x = values(columns, k);
        let lane = if paired { k / 2 % LANES } else { k % LANES };
        let base = x[0] as f32;
        let displaced = |i: usize| if i == 0 { base } else { x[i] as f32 - base };
        for i in 0..count {
            let (x, sum) = (displaced(i), &mut gram[pair(count, i, i)][lane]);
            let before = *sum;
            if !paired {
                *sum = x.mul_add(x, before);
                errors[i][lane] += x.mul_add(x, -(*sum - before));
            } else if k % 2 == 0 && k + 1 < end {
                firsts[i] = x * x;
            } else {
                let both = x.mul_add(x, std::mem::take(&mut firsts[i]));
                *sum = before + both;
                errors[i][lane] += both - (*sum - before);
            }
            for j in i + 1..count {
                let sum = &mut gram[pair(count, i, j)][lane];
                *sum = displaced(i).mul_add(displaced(j), *sum);
            }
        }
        let binade = binade(x[count - 1]) as f32;
        energy[lane] = binade.mul_add(binade, energy[lane]);
    }
    for (sum, run) in sums.gram[..pairs(count)].iter_mut().zip(&gram) {
        sum.add(run);
    }
    for (i, errors) in errors[..count].iter().enumerate() {
        sums.gram[pair(count, i, i)].add(errors);
    }
    sums.energy.add(&energy);
}

/// Element `k` of every column, decoded.
pub(super) fn values(columns: &[Column<'_>], k: usize) -> [f64; MAX_COLUMNS] {
    let mut x = [0.0; MAX_COLUMNS];
    for (value, column) in x.iter_mut().zip(columns) {
        *value = element(column, k);
    }
    x
}

/// Counts how one element's stored values differ.
pub(super) fn compare(columns: &[Column<'_>], x: &[f64], k: usize, counts: &mut Counts) {
    let child = columns.len() - 1;
    let moved = (1..child).any(|column| differ(columns, x, 0, column, k));
    counts.moved += u64::from(moved);
    counts.stray += u64::from(!moved && differ(columns, x, 0, child, k));
    for column in 0..child {
        counts.equal[column] += u64::from(reproduces(columns, x, column, k));
    }
}

/// Whether an element takes no part in the arithmetic, counted with the reason.
pub(super) fn exclude(x: &[f64], counts: &mut Counts) -> bool {
    let excluded = x.iter().any(|value| !value.is_finite());
    if excluded {
        counts.excluded += 1;
        for (column, value) in x.iter().enumerate() {
            counts.nan[column] += u64::from(value.is_nan());
            counts.inf[column] += u64::from(value.is_infinite());
        }
    }
    excluded
}

/// Whether two columns store different values: other bits in one dtype, other numbers across two.
/// Zeros of different sign differ; across dtypes all NaN are alike.
fn differ(columns: &[Column<'_>], x: &[f64], i: usize, j: usize, k: usize) -> bool {
    if columns[i].dtype == columns[j].dtype {
        raw(&columns[i], k) != raw(&columns[j], k)
    } else {
        x[i].to_bits() != x[j].to_bits() && !(x[i].is_nan() && x[j].is_nan())
    }
}

/// Whether the column's value, cast to the child's dtype, has the child's bits.
fn reproduces(columns: &[Column<'_>], x: &[f64], column: usize, k: usize) -> bool {
    let child = columns.len() - 1;
    if columns[column].dtype == columns[child].dtype {
        return raw(&columns[column], k) == raw(&columns[child], k);
    }
    if x[column].is_nan() || x[child].is_nan() {
        return x[column].is_nan() && x[child].is_nan();
    }
    let bytes = raw(&columns[child], k);
    let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
    encode(columns[child].dtype, x[column]) == Some(bits)
}

/// Whether all columns are of one dtype.
pub(super) fn alike(columns: &[Column<'_>]) -> bool {
    columns.iter().all(|column| column.dtype == columns[0].dtype)
}

/// Element `k` of a column, decoded.
pub(super) fn element(column: &Column<'_>, k: usize) -> f64 {
    decode(column.dtype, raw(column, k))
}

fn raw<'a>(column: &Column<'a>, k: usize) -> &'a [u8] {
    let width = column.width();
    &column.bytes[k * width..(k + 1) * width]
}
