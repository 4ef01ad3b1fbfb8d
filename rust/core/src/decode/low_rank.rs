//! Products of two thin matrices, added to what they belong to: LoRA and DoRA.

use std::ops::Range;

use super::store::Store;
use super::{Lender, read_floats};
use crate::checkpoint::coding::{Coding, LowRank, Rounded};
use crate::checkpoint::dtype::Dtype;
use crate::error::Result;
use crate::gram::{Level, Vectorize, bf16_bits};

/// Elements of the right factor that are held at a time, as float32, which fit in a second-level cache or little more.
const HELD: u64 = 1 << 20;

/// Elements that are computed before they are stored.
const AT_ONCE: u64 = 1 << 16;

/// Columns of which the sums stay in registers. Half as many are unrolled into single numbers, and not vectors.
const BLOCK: usize = 32;

/// `W + s (B A)`, or without W, each element by these operations of float32, in this order:
///
/// * the sum of `B[i][k] A[k][j]` by fused multiply-adds from 0 on, k ascending, as kernels of matrix products do
///   that keep one sum for each element;
/// * rounded, where the kind says twice; times the scale; rounded, where it says so;
/// * W plus that;
/// * where there are magnitudes, times `m[i] / |row i|`, the norm of the sum's whole row: its squares are added in
///   float64 in eight lanes, the lanes in order, and the root is rounded to float32 (PEFT, `lora/dora.py`).
pub(super) fn low_rank(
    coding: &Coding,
    kind: &LowRank,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [u8],
) -> Result<()> {
    let mut work = Work { coding, kind, lender, level, right: Vec::new(), strip: 0..0 };
    let size = coding.dtype.bits() / 8;
    let first = elements.start;
    let rows = first / kind.width..elements.end.div_ceil(kind.width);
    let factors = if kind.has_magnitude { work.factors(rows.clone())? } else { Vec::new() };
    work.pieces(elements, &mut |at, level, values| {
        if !factors.is_empty() {
            for (row, values) in segments(at, kind.width, values) {
                let factor = factors[(row - rows.start) as usize];
                level.vectorize(Scale { factor, values });
            }
        }
        let begin = ((at - first) * size) as usize;
        let out = &mut out[begin..begin + values.len() * size as usize];
        level.vectorize(Store { dtype: coding.dtype, values, out });
    })
}

/// What is computed from, and the part of the right factor that is held.
struct Work<'a> {
    coding: &'a Coding,
    kind: &'a LowRank,
    lender: &'a mut dyn Lender,
    level: Level,
    /// Columns `strip` of the right factor, block by block, each row by row: rows of a matrix whose width is a power
    /// of two would fall upon each other in the cache. The last block is filled up with zeros.
    right: Vec<f32>,
    strip: Range<u64>,
}

impl Work<'_> {
    /// Computes sums of `elements`, and hands each piece on with the number of its first element.
    fn pieces(
        &mut self,
        elements: Range<u64>,
        then: &mut dyn FnMut(u64, Level, &mut [f32]),
    ) -> Result<()> {
        let width = self.kind.width;
        let (first, last) = (elements.start / width, (elements.end - 1) / width);
        // Of one row, a part may be wanted; of several, all columns are.
        let wanted = if first == last {
            elements.start % width..(elements.end - 1) % width + 1
        } else {
            0..width
        };
        let columns = (HELD / self.kind.rank).max(1);
        let mut values = Vec::new();
        let mut begin = wanted.start;
        while begin < wanted.end {
            let strip = begin..wanted.end.min(begin + columns);
            self.hold(&strip)?;
            if strip.end - strip.start == width {
                let mut at = elements.start;
                while at < elements.end {
                    let end = elements.end.min(at + AT_ONCE);
                    self.sum(at..end, &mut values)?;
                    then(at, self.level, &mut values);
                    at = end;
                }
            } else {
                for row in first..=last {
                    let mut at = elements.start.max(row * width + strip.start);
                    let all = elements.end.min(row * width + strip.end);
                    while at < all {
                        let end = all.min(at + AT_ONCE);
                        self.sum(at..end, &mut values)?;
                        then(at, self.level, &mut values);
                        at = end;
                    }
                }
            }
            begin = strip.end;
        }
        Ok(())
    }

    /// Reads columns `strip` of the right factor.
    fn hold(&mut self, strip: &Range<u64>) -> Result<()> {
        if self.strip == *strip {
            return Ok(());
        }
        let rank = self.kind.rank as usize;
        let count = (strip.end - strip.start) as usize;
        self.right.clear();
        self.right.resize(count.div_ceil(BLOCK) * BLOCK * rank, 0.0);
        let mut row = vec![0.0; count];
        for k in 0..rank {
            let at = k as u64 * self.kind.width;
            let range = at + strip.start..at + strip.end;
            read_floats(self.coding, 1, range, self.lender, self.level, &mut row)?;
            for (block, columns) in row.chunks(BLOCK).enumerate() {
                let begin = (block * rank + k) * BLOCK;
                self.right[begin..begin + columns.len()].copy_from_slice(columns);
            }
        }
        self.strip = strip.clone();
        Ok(())
    }

    /// Computes sums of `range`, whose columns are held.
    fn sum(&mut self, range: Range<u64>, values: &mut Vec<f32>) -> Result<()> {
        let (kind, level) = (self.kind, self.level);
        let (width, rank) = (kind.width, kind.rank);
        values.clear();
        values.resize((range.end - range.start) as usize, 0.0);
        let rows = range.start / width..(range.end - 1) / width + 1;
        let mut left = vec![0.0; ((rows.end - rows.start) * rank) as usize];
        read_floats(
            self.coding,
            0,
            rows.start * rank..rows.end * rank,
            self.lender,
            level,
            &mut left,
        )?;
        let rank = rank as usize;
        let right = self.right.as_slice();
        let mut at = range.start;
        for (left, (row, out)) in left.chunks_exact(rank).zip(segments(range.start, width, values))
        {
            let from = (at - row * width - self.strip.start) as usize;
            at += out.len() as u64;
            level.vectorize(Product { left, right, from, out });
        }
        let (dtype, is_twice) = match kind.rounded {
            Rounded::Never => (Dtype::F32, false),
            Rounded::Once(dtype) => (dtype, false),
            Rounded::Twice(dtype) => (dtype, true),
        };
        if is_twice {
            round(dtype, values, level);
        }
        level.vectorize(Scale { factor: f32::from_bits(kind.scale), values });
        round(dtype, values, level);
        if kind.has_origin {
            let mut origin = vec![0.0; values.len()];
            read_floats(self.coding, 2, range, self.lender, level, &mut origin)?;
            level.vectorize(Add { origin: &origin, values });
        }
        Ok(())
    }

    /// What each row is multiplied by, so that its norm is its magnitude.
    fn factors(&mut self, rows: Range<u64>) -> Result<Vec<f32>> {
        let width = self.kind.width;
        let mut lanes = vec![[0.0_f64; 8]; (rows.end - rows.start) as usize];
        self.pieces(rows.start * width..rows.end * width, &mut |at, level, values| {
            let mut column = at % width;
            for (row, values) in segments(at, width, values) {
                let lanes = &mut lanes[(row - rows.start) as usize];
                // Which lane an element is of follows from its column, wherever pieces end.
                level.vectorize(Squares { column: column as usize, values, lanes });
                column = 0;
            }
        })?;
        let mut factors = vec![0.0; lanes.len()];
        let number = self.coding.windows.len() - 1;
        read_floats(self.coding, number, rows, self.lender, self.level, &mut factors)?;
        for (factor, lanes) in factors.iter_mut().zip(lanes) {
            *factor /= lanes.iter().sum::<f64>().sqrt() as f32;
        }
        Ok(factors)
    }
}

/// Rows that a run of elements from `at` on is of, each with its elements.
fn segments(
    at: u64,
    width: u64,
    mut values: &mut [f32],
) -> impl Iterator<Item = (u64, &mut [f32])> {
    let mut at = at;
    std::iter::from_fn(move || {
        if values.is_empty() {
            return None;
        }
        let (row, left) = (at / width, width - at % width);
        let count = left.min(values.len() as u64);
        let (segment, rest) = std::mem::take(&mut values).split_at_mut(count as usize);
        values = rest;
        at += count;
        Some((row, segment))
    })
}

/// Rounds to a dtype of 16 bits; float32 stays.
fn round(dtype: Dtype, values: &mut [f32], level: Level) {
    match dtype {
        Dtype::Bf16 => level.vectorize(RoundBf16 { values }),
        Dtype::F16 => level.round_f16(values),
        _ => {}
    }
}

struct RoundBf16<'a> {
    values: &'a mut [f32],
}

impl Vectorize for RoundBf16<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.values {
            *value = f32::from_bits(bf16_bits(*value));
        }
    }
}

struct Scale<'a> {
    factor: f32,
    values: &'a mut [f32],
}

impl Vectorize for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.values {
            *value *= self.factor;
        }
    }
}

struct Add<'a> {
    origin: &'a [f32],
    values: &'a mut [f32],
}

impl Vectorize for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (value, origin) in self.values.iter_mut().zip(self.origin) {
            *value += origin;
        }
    }
}

/// Adds squares of elements, of which the first is in `column`, to the lanes of their columns.
struct Squares<'a> {
    column: usize,
    values: &'a [f32],
    lanes: &'a mut [f64; 8],
}

impl Vectorize for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // Lanes are turned so that the first element is of lane 0, and turned back at the end.
        let mut lanes = [0.0; 8];
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum = self.lanes[(self.column + lane) % 8];
        }
        let (rows, rest) = self.values.as_chunks::<8>();
        for row in rows {
            for (sum, value) in lanes.iter_mut().zip(row) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        for (sum, value) in lanes.iter_mut().zip(rest) {
            *sum += f64::from(*value) * f64::from(*value);
        }
        for (lane, sum) in lanes.iter().enumerate() {
            self.lanes[(self.column + lane) % 8] = *sum;
        }
    }
}

/// A row of the left factor times columns of the right one, from column `from` of those that are held.
struct Product<'a> {
    left: &'a [f32],
    right: &'a [f32],
    from: usize,
    out: &'a mut [f32],
}

impl Vectorize for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rank = self.left.len();
        let mut at = 0;
        while at < self.out.len() {
            let (block, first) = ((self.from + at) / BLOCK, (self.from + at) % BLOCK);
            let count = (BLOCK - first).min(self.out.len() - at);
            let right = &self.right[block * BLOCK * rank..][..BLOCK * rank];
            let mut sums = [0.0_f32; BLOCK];
            for (k, columns) in right.as_chunks::<BLOCK>().0.iter().enumerate() {
                let factor = self.left[k];
                for (sum, value) in sums.iter_mut().zip(columns) {
                    *sum = factor.mul_add(*value, *sum);
                }
            }
            self.out[at..at + count].copy_from_slice(&sums[first..first + count]);
            at += count;
        }
    }
}
