//! Counts of where lines of columns of one dtype differ. An instruction set compares two vectors to a vector
//! of lanes that are all ones or zeros, or to a mask of bits, and counts ([`Counting`]) lane by lane in the
//! one case, and bits of masks ([`Masks`]) in the other.

#![expect(clippy::needless_range_loop, reason = "a line of every column, not of one")]

use super::{Counts, LINE, MAX_COLUMNS};

/// What has been counted in whole lines.
#[derive(Default)]
pub(super) struct Tally {
    /// Per column before the child: elements that have the child's bits.
    pub(super) equal: [u64; MAX_COLUMNS],
    /// Elements where some column between base and child has other bits than the base.
    pub(super) moved: u64,
    /// Elements where none of them has, and the child has.
    pub(super) stray: u64,
}

impl Tally {
    /// Adds it to the counts of a chunk.
    pub(super) fn add_to(&self, counts: &mut Counts) {
        counts.moved += self.moved;
        counts.stray += self.stray;
        for (count, equal) in counts.equal.iter_mut().zip(&self.equal) {
            *count += equal;
        }
    }
}

/// Lines of every column, as many of each.
pub(super) type Lines<'a> = [&'a [[u8; LINE]]; MAX_COLUMNS];

/// Counts of where lines differ, kept as suits an instruction set best.
pub(super) trait Counting<S>: Copy {
    /// Nothing counted.
    fn none(simd: S) -> Self;
    /// Counts where one line of every column differs. Before counts are taken out, there may be lines of
    /// [`STRETCH`](super::STRETCH) elements of one byte, or of [`CHUNK`](super::CHUNK) of more bytes: as many
    /// as a lane of that width can count.
    fn count(&mut self, simd: S, width: usize, lines: &[&[u8; LINE]]);
    /// Adds what has been counted in `lines` lines of columns `0..=child` to a tally.
    fn add_to(&self, simd: S, width: usize, lines: usize, child: usize, tally: &mut Tally);
}

/// Comparing to masks, which have one bit, or as many as it has bytes, for each element.
pub(super) trait Differ: Copy {
    /// Bits that [`Differ::differ`] sets for an element of `width` bytes.
    fn bits(width: usize) -> u64;
    /// A mask of the elements of `width` bytes that differ.
    fn differ(self, width: usize, a: &[u8; LINE], b: &[u8; LINE]) -> u64;
}

/// Counts of bits that are set in masks of the elements that differ.
#[derive(Clone, Copy, Default)]
pub(super) struct Masks {
    /// Per column before the child: those that differ from the child.
    differing: [u64; MAX_COLUMNS],
    /// Those that differ from the base in some column before the child.
    movers: u64,
    /// Those that differ from the base in the child alone.
    strays: u64,
}

impl<D: Differ> Counting<D> for Masks {
    #[inline(always)]
    fn none(_simd: D) -> Self {
        Self::default()
    }

    #[inline(always)]
    fn count(&mut self, simd: D, width: usize, lines: &[&[u8; LINE]]) {
        let child = lines.len() - 1;
        let (base, last) = (lines[0], lines[child]);
        let changed = simd.differ(width, base, last);
        self.differing[0] += u64::from(changed.count_ones());
        let mut moved = 0;
        for column in 1..child {
            moved |= simd.differ(width, lines[column], base);
            let differing = simd.differ(width, lines[column], last);
            self.differing[column] += u64::from(differing.count_ones());
        }
        self.movers += u64::from(moved.count_ones());
        self.strays += u64::from((changed & !moved).count_ones());
    }

    #[inline(always)]
    fn add_to(&self, _simd: D, width: usize, lines: usize, child: usize, tally: &mut Tally) {
        let elements = (lines * LINE / width) as u64;
        tally.moved += self.movers / D::bits(width);
        tally.stray += self.strays / D::bits(width);
        for (equal, differing) in tally.equal.iter_mut().zip(&self.differing[..child]) {
            *equal += elements - differing / D::bits(width);
        }
    }
}
