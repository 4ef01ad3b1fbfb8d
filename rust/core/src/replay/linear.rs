//! Blends of columns of one dtype, the recipes of most merges, carried out in one loop.
//!
//! ```text
//! for each element:
//!     sum = fma(x_t, w_t, sum), or x_t w_t + sum     for every term t, in the order of the program
//!     differ |= round(sum) ^ child
//! ```
//!
//! of float32, with nothing to be rounded; of bf16, with two elements in a word; of float16, with the
//! conversions of the instruction set ([`Level::blends`]).
//!
//! This only tells whether all elements of a block have the child's bits. A block with one that has not, or of
//! bf16 with one that is NaN or infinite in the child, goes through the registers of `machine`.

use super::BLOCK;
use super::program::{Op, Program};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{BLENDED, Blend, Column, Level, MAX_COLUMNS};

/// Most terms of a chain.
const MAX_TERMS: usize = 4;
/// Words of a block.
const WORDS: usize = BLOCK / 2;
/// The upper bf16 of a word.
const UPPER: u32 = 0xFFFF_0000;

const _: () = assert!(BLOCK == BLENDED);

/// A program that sums products of columns with scalars, and rounds to the dtype of all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    dtype: Dtype,
    /// Column and weight of each term.
    terms: [(usize, f32); MAX_TERMS],
    count: usize,
    /// What fused multiply-adds begin with; `None` if every product and every sum is rounded.
    start: Option<f32>,
}

impl Linear {
    /// The chain that a program is, if it is one, and all of its `columns` are bf16, float16 or float32.
    #[inline(always)]
    pub(super) fn of(program: &Program, columns: &[Column<'_>], scalars: &[f32]) -> Option<Self> {
        let dtype = columns[0].dtype;
        let is_short = matches!(dtype, Dtype::Bf16 | Dtype::F16 | Dtype::F32);
        if !is_short || columns.iter().any(|column| column.dtype != dtype) {
            return None;
        }
        let ops = program.ops();
        let &[result] = program.results() else {
            return None;
        };
        let mut at = match ops[usize::from(result)] {
            Op::Round(at, rounded) if rounded == dtype => at,
            _ if dtype == Dtype::F32 => result,
            _ => return None,
        };
        let mut this = Self { dtype, terms: [(0, 0.0); MAX_TERMS], count: 0, start: None };
        loop {
            let op = ops[usize::from(at)];
            let (a, b) = match op {
                Op::Fma(a, b, _) | Op::Mul(a, b) => (a, b),
                Op::Add(_, product) => {
                    let Op::Mul(a, b) = ops[usize::from(product)] else { return None };
                    (a, b)
                }
                _ => return None,
            };
            let factors = (ops[usize::from(a)], ops[usize::from(b)]);
            let (Op::Column(column), Op::Scalar(scalar)) = factors else { return None };
            if this.count == MAX_TERMS {
                return None;
            }
            this.terms[this.count] = (usize::from(column), scalars[usize::from(scalar)]);
            this.count += 1;
            let (Op::Fma(_, _, rest) | Op::Add(rest, _)) = op else { break };
            match (op, ops[usize::from(rest)]) {
                (Op::Fma(..), Op::Scalar(scalar)) => {
                    this.start = Some(scalars[usize::from(scalar)]);
                    break;
                }
                (Op::Fma(..), Op::Fma(..)) | (Op::Add(..), Op::Add(..) | Op::Mul(..)) => at = rest,
                _ => return None,
            }
        }
        this.terms[..this.count].reverse();
        let finite = this.start.is_none_or(f32::is_finite)
            && this.terms[..this.count].iter().all(|(_, w)| w.is_finite());
        finite.then_some(this)
    }

    /// Whether every element of the whole block from `first` on has the child's bits. `false` may also mean that
    /// the child has an element that is not finite.
    #[inline(always)]
    pub(super) fn all_equal(&self, level: Level, columns: &[Column<'_>], first: usize) -> bool {
        match self.count {
            1 => self.is_reproduced::<1>(level, columns, first),
            2 => self.is_reproduced::<2>(level, columns, first),
            3 => self.is_reproduced::<3>(level, columns, first),
            _ => self.is_reproduced::<MAX_TERMS>(level, columns, first),
        }
    }

    #[inline(always)]
    fn is_reproduced<const TERMS: usize>(
        &self,
        level: Level,
        columns: &[Column<'_>],
        first: usize,
    ) -> bool {
        let child = columns[columns.len() - 1];
        if self.dtype == Dtype::F16 {
            let mut terms = [(halves(&child, first), 0.0); TERMS];
            for (term, (column, weight)) in terms.iter_mut().zip(self.terms) {
                *term = (halves(&columns[column], first), weight);
            }
            let child = halves(&child, first);
            return level.blends(Blend { terms, start: self.start, child });
        }
        let width = child.width();
        let mut words: [&[[u8; 4]]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        for (words, column) in words.iter_mut().zip(columns) {
            *words = column.bytes[width * first..width * (first + BLOCK)].as_chunks().0;
        }
        let child = words[columns.len() - 1];
        match (self.dtype, self.start) {
            (Dtype::F32, Some(start)) => self.sums::<TERMS, true>(&words, child, start),
            (Dtype::F32, None) => self.sums::<TERMS, false>(&words, child, 0.0),
            (_, Some(start)) => self.chain::<TERMS, true>(&words, child, start),
            (_, None) => self.chain::<TERMS, false>(&words, child, 0.0),
        }
    }

    /// That of float32.
    #[inline(always)]
    fn sums<const TERMS: usize, const FUSED: bool>(
        &self,
        words: &[&[[u8; 4]]; MAX_COLUMNS],
        child: &[[u8; 4]],
        start: f32,
    ) -> bool {
        let (columns, weights) = self.factors::<TERMS, BLOCK>(words);
        let child = &child[..BLOCK];
        let mut differ = 0;
        for k in 0..BLOCK {
            let mut sum = start;
            for term in 0..TERMS {
                let (x, weight) = (f32::from_le_bytes(columns[term][k]), weights[term]);
                sum = if FUSED {
                    x.mul_add(weight, sum)
                } else if term == 0 {
                    x * weight
                } else {
                    x * weight + sum
                };
            }
            differ |= sum.to_bits() ^ u32::from_le_bytes(child[k]);
        }
        differ == 0
    }

    /// The words and the weights of every term.
    #[inline(always)]
    fn factors<'a, const TERMS: usize, const WORDS: usize>(
        &self,
        words: &[&'a [[u8; 4]]; MAX_COLUMNS],
    ) -> ([&'a [[u8; 4]]; TERMS], [f32; TERMS]) {
        let mut columns: [&[[u8; 4]]; TERMS] = [&[]; TERMS];
        let mut weights = [0.0; TERMS];
        for ((column, weight), term) in columns.iter_mut().zip(&mut weights).zip(&self.terms) {
            *column = &words[term.0][..WORDS];
            *weight = term.1;
        }
        (columns, weights)
    }

    /// That of bf16.
    #[inline(always)]
    fn chain<const TERMS: usize, const FUSED: bool>(
        &self,
        words: &[&[[u8; 4]]; MAX_COLUMNS],
        child: &[[u8; 4]],
        start: f32,
    ) -> bool {
        let (columns, weights) = self.factors::<TERMS, WORDS>(words);
        let child = &child[..WORDS];
        let (mut differ, mut largest) = (0, 0);
        for word in 0..WORDS {
            let (mut low, mut high) = (start, start);
            for term in 0..TERMS {
                let pair = u32::from_le_bytes(columns[term][word]);
                let (x, y) = (f32::from_bits(pair << 16), f32::from_bits(pair & UPPER));
                let weight = weights[term];
                (low, high) = if FUSED {
                    (x.mul_add(weight, low), y.mul_add(weight, high))
                } else if term == 0 {
                    // Added to zero, a negative zero would lose its sign.
                    (x * weight, y * weight)
                } else {
                    (x * weight + low, y * weight + high)
                };
            }
            let child = u32::from_le_bytes(child[word]);
            differ |= (round(low) >> 16 | round(high) & UPPER) ^ child;
            // The exponent of either, all ones in infinities and NaN.
            largest = largest.max(child & 0x7F80_0000).max(child << 16 & 0x7F80_0000);
        }
        // Rounding works on bits, and would turn a NaN whose low bits are set into a number. None is: columns
        // of bf16 have no low bits, and weights are finite. So a sum that is NaN stays one, and differs from
        // a child that is finite.
        differ == 0 && largest < 0x7F80_0000
    }
}

/// The block of float16 from element `first` on.
#[inline(always)]
fn halves<'a>(column: &Column<'a>, first: usize) -> &'a [[u8; 32]; BLOCK / 16] {
    let rows = column.bytes[2 * first..2 * (first + BLOCK)].as_chunks().0;
    rows.first_chunk().unwrap_or_else(|| unreachable!("a whole block"))
}

/// The bits of a number, with those of the nearest bf16, ties to even, in the upper half.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7FFF + (bits >> 16 & 1))
}
