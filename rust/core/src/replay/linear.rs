//! Blends of bf16 columns, the recipes of most merges, carried out in one loop.
//!
//! ```text
//! for each pair of elements, held in one word:
//!     sum = fma(x_t, w_t, sum), or x_t w_t + sum     for every term t, in the order of the program
//!     differ |= round(sum) ^ child                   (two bf16 in a word)
//! ```
//!
//! This only tells whether all elements of a block have the child's bits. A block with one that has not, or
//! that is NaN or infinite in the child, goes through the registers of `machine`.

use super::BLOCK;
use super::program::{Op, Program};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, MAX_COLUMNS};

/// Most terms of a chain.
const MAX_TERMS: usize = 4;
/// Words of a block.
const WORDS: usize = BLOCK / 2;
/// The upper bf16 of a word.
const UPPER: u32 = 0xFFFF_0000;

/// A program that sums products of columns with scalars and rounds to bf16.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    /// Column and weight of each term.
    terms: [(usize, f32); MAX_TERMS],
    count: usize,
    /// What fused multiply-adds begin with; `None` if every product and every sum is rounded.
    start: Option<f32>,
}

impl Linear {
    /// The chain that a program is, if it is one and all of its `columns` are bf16.
    #[inline(always)]
    pub(super) fn of(program: &Program, columns: &[Column<'_>], scalars: &[f32]) -> Option<Self> {
        if columns.iter().any(|column| column.dtype != Dtype::Bf16) {
            return None;
        }
        let ops = program.ops();
        let &[result] = program.results() else {
            return None;
        };
        let Op::Round(mut at, Dtype::Bf16) = ops[usize::from(result)] else {
            return None;
        };
        let mut this = Self { terms: [(0, 0.0); MAX_TERMS], count: 0, start: None };
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
    pub(super) fn all_equal(&self, columns: &[Column<'_>], first: usize) -> bool {
        let mut words: [&[[u8; 4]]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        for (words, column) in words.iter_mut().zip(columns) {
            *words = column.bytes[2 * first..2 * (first + BLOCK)].as_chunks().0;
        }
        let child = words[columns.len() - 1];
        match (self.count, self.start) {
            (1, Some(start)) => self.chain::<1, true>(&words, child, start),
            (2, Some(start)) => self.chain::<2, true>(&words, child, start),
            (3, Some(start)) => self.chain::<3, true>(&words, child, start),
            (_, Some(start)) => self.chain::<MAX_TERMS, true>(&words, child, start),
            (1, None) => self.chain::<1, false>(&words, child, 0.0),
            (2, None) => self.chain::<2, false>(&words, child, 0.0),
            (3, None) => self.chain::<3, false>(&words, child, 0.0),
            (_, None) => self.chain::<MAX_TERMS, false>(&words, child, 0.0),
        }
    }

    #[inline(always)]
    fn chain<const TERMS: usize, const FUSED: bool>(
        &self,
        words: &[&[[u8; 4]]; MAX_COLUMNS],
        child: &[[u8; 4]],
        start: f32,
    ) -> bool {
        let mut columns: [&[[u8; 4]]; TERMS] = [&[]; TERMS];
        let mut weights = [0.0; TERMS];
        for ((column, weight), term) in columns.iter_mut().zip(&mut weights).zip(&self.terms) {
            *column = &words[term.0][..WORDS];
            *weight = term.1;
        }
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

/// The bits of a number, with those of the nearest bf16, ties to even, in the upper half.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7FFF + (bits >> 16 & 1))
}
