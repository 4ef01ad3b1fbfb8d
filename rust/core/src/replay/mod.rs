//! Replays: a recipe's arithmetic carried out on the parents, and its result compared with the child.
//!
//! `program` says what a recipe may compute, and `scalar` is the definition of its result, one element
//! after the other. `machine` computes the same bits in registers of [`BLOCK`] elements, compiled for
//! every instruction set that [`Level`](crate::gram::Level) knows: `operations` are its loops, `agreement`
//! compares registers with the child, `linear` is a shortcut for most merges. `run` replays over a plan.
//!
//! # Definition
//!
//! A [`Program`] is a list of operations on float32 numbers; each rounds once, to nearest even, as
//! IEEE 754 has it. Every result is rounded to the child's dtype and compared with what the child
//! stores. One result *reproduces* an element if all bits are the child's. A program with several
//! results leaves a choice (which of them is not said by anything in the parents: the random mask of
//! DARE, ties at a threshold of TIES). An element is then *reproduced* if every result gives the
//! child's bits, and *explained* if at least one does.
//!
//! Two NaN are equal here, whatever their payload: hardware does not agree on it. Zeros of different
//! sign are different bits, and a mismatch; they are counted apart, too.

mod agreement;
mod codes;
mod linear;
mod machine;
mod operations;
mod program;
mod run;
mod scalar;

#[cfg(test)]
mod tests;

pub use codes::{InCells, Room, in_cells};
pub use machine::{Machine, replay_chunk, write_chunk};
pub use program::{Factors, Inputs, Op, Place, Program};
pub use run::{Replay, Target, replay, write};

use crate::plan::BLOCKS;

/// Elements in a register. [`Op::Reversed`] makes it part of the definition.
pub const BLOCK: usize = 256;
/// Most operations of a program.
pub const MAX_OPS: usize = 200;
/// Bins of the histogram of differences, see [`ulps_bin`].
pub const ULPS: usize = 8;

/// What a program reproduces of one slice. Counts add up over chunks in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Elements of which every result has the child's bits.
    pub reproduced: u64,
    /// Elements of which some result has them, and some has not.
    pub explained: u64,
    /// Elements of which no result has them.
    pub mismatched: u64,
    /// Of the mismatched, those where the child and the first result are zeros of different sign.
    pub zero_signs: u64,
    /// The mismatched by distance of the first result, in units of the child's last place; see [`ulps_bin`].
    pub ulps: [u64; ULPS],
    /// The mismatched per block of the slice.
    pub blocks: [u64; BLOCKS],
    /// The first mismatched element of the slice.
    pub first: Option<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            reproduced: 0,
            explained: 0,
            mismatched: 0,
            zero_signs: 0,
            ulps: [0; ULPS],
            blocks: [0; BLOCKS],
            first: None,
        }
    }
}

impl Counts {
    /// Adds `other` to every count.
    pub fn add(&mut self, other: &Self) {
        self.reproduced += other.reproduced;
        self.explained += other.explained;
        self.mismatched += other.mismatched;
        self.zero_signs += other.zero_signs;
        for (sum, count) in self.ulps.iter_mut().zip(&other.ulps) {
            *sum += count;
        }
        for (sum, count) in self.blocks.iter_mut().zip(&other.blocks) {
            *sum += count;
        }
        self.first = match (self.first, other.first) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }
}

/// The bin of a difference of `steps` > 0 representable numbers: 0 for 1, then 2, 3 to 4, 5 to 8,
/// 9 to 16, 17 to 32, 33 to 64, and more.
///
/// ```
/// use parentage_core::replay::ulps_bin;
/// assert_eq!([1, 2, 3, 4, 5, 64, 65, u64::MAX].map(ulps_bin), [0, 1, 2, 2, 3, 6, 7, 7]);
/// ```
pub fn ulps_bin(steps: u64) -> usize {
    let bits = (64 - steps.saturating_sub(1).leading_zeros()) as usize;
    bits.min(ULPS - 1)
}
