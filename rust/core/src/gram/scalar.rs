//! The definition of a chunk's result, one element after the other.
//!
//! Every other instruction set returns these bits. See the [module page](super) for the formulas.

use super::widen::{Rounding, binade, decode, encode};
use super::{
    CHUNK, Chunk, Column, Counts, GROUP, LANES, MAX_COLUMNS, MAX_PAIRS, SAMPLED, pair, reduce,
    sample,
};

/// Computes one chunk. All columns hold the same number of elements, at most [`CHUNK`].
///
/// With `sampled`, its first [`SAMPLED`] elements are looked at more closely, see [`sample`].
pub(super) fn chunk(columns: &[Column<'_>], sampled: bool) -> Chunk {
    let count = columns.len();
    let child = count - 1;
    let length = columns[child].len();
    debug_assert!(length <= CHUNK);
    let rounding = Rounding::of(columns[child].dtype);

    let mut out = Chunk::default();
    let mut gram = [[0.0; LANES]; MAX_PAIRS];
    let mut energy = [0.0; LANES];
    for k in 0..length.next_multiple_of(GROUP) {
        let lane = k / 2 % LANES;
        let mut x = [0.0; MAX_COLUMNS];
        if k < length {
            for (value, column) in x.iter_mut().zip(columns) {
                *value = element(column, k);
            }
            compare(columns, &x[..count], k, &mut out.counts);
            if exclude(&x[..count], &mut out.counts) {
                x = [0.0; MAX_COLUMNS];
            }
        }
        let binade = binade(x[child]);
        energy[lane] = binade.mul_add(binade, energy[lane]);
        if sampled && k < length.min(SAMPLED) {
            sample(&x[..count], rounding, &mut out);
        }
        for column in 1..count {
            x[column] -= x[0];
        }
        for i in 0..count {
            for j in i..count {
                let sum = &mut gram[pair(count, i, j)][lane];
                *sum = x[i].mul_add(x[j], *sum);
            }
        }
    }
    for (total, lanes) in out.gram.iter_mut().zip(&gram) {
        *total = reduce(lanes);
    }
    out.energy = rounding.map_or(length as f64 / 12.0, |rounding| rounding.energy(reduce(&energy)));
    out
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
