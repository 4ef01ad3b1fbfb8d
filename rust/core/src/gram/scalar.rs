//! The definition of a chunk's result, one element after the other.
//!
//! Every other instruction set returns these bits. See the [module page](super) for the formulas.

use super::sums::{AllSums, Sums, is_for_narrow, settle};
use super::widen::{Rounding, binade, decode, encode};
use super::{
    CHUNK, Chunk, Column, Counts, LANES, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, SAMPLED, SQUARES,
    Sampled, WIDE_LANES, pair, pairs, sample,
};

/// Computes one chunk. All columns hold the same number of elements, at most [`CHUNK`].
///
/// With `sampled`, its first [`SAMPLED`] elements are looked at more closely, see [`sample`].
pub(super) fn chunk(columns: &[Column<'_>], sampled: bool) -> Chunk {
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
    let (gram, energy) = narrow(columns).unwrap_or_else(|| wide.reduce(count));
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
fn narrow(columns: &[Column<'_>]) -> Option<([f64; MAX_PAIRS], f64)> {
    if !is_for_narrow(columns) {
        return None;
    }
    let (count, length) = (columns.len(), columns[0].len());
    let (mut all, mut probed, mut exact) = (AllSums::ZERO, AllSums::ZERO, AllSums::ZERO);
    for (number, start) in (0..length).step_by(RUN).enumerate() {
        let elements = start..length.min(start + RUN);
        add_run(columns, elements.clone(), &mut all);
        if number.is_multiple_of(PROBED) {
            add_run(columns, elements.clone(), &mut probed);
            for k in elements {
                add_wide(&mut exact, &values(columns, k)[..count], k);
            }
        }
    }
    settle(count, &all, &probed, &exact)
}

/// Adds the elements of one run in float32.
fn add_run(columns: &[Column<'_>], elements: std::ops::Range<usize>, sums: &mut Sums) {
    let count = columns.len();
    let mut gram = [[0.0_f32; LANES]; MAX_PAIRS];
    let mut energy = [0.0_f32; LANES];
    for k in elements.clone() {
        let (x, lane) = (values(columns, k), k / 2 % LANES);
        let base = x[0] as f32;
        let displaced = |i: usize| if i == 0 { base } else { x[i] as f32 - base };
        for i in 0..count {
            for j in i..count {
                let sum = &mut gram[pair(count, i, j)][lane];
                *sum = displaced(i).mul_add(displaced(j), *sum);
            }
        }
        let binade = binade(x[count - 1]) as f32;
        energy[lane] = binade.mul_add(binade, energy[lane]);
        if (k + 1).is_multiple_of(SQUARES) || k + 1 == elements.end {
            sums.gram[0].add(&gram[0]);
            gram[0] = [0.0; LANES];
        }
    }
    for (sum, run) in sums.gram[..pairs(count)].iter_mut().zip(&gram).skip(1) {
        sum.add(run);
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
