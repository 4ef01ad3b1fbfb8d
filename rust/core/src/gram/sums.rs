//! Accumulators of a chunk, how they are reduced, and when narrow arithmetic holds.

use std::ops::Range;

use super::{Column, LANES, LEAST_NARROW, MAX_PAIRS, PROBED, RUN, TOLERANCE, pair, pairs};
use crate::checkpoint::dtype::Dtype;

/// One accumulator: a sum for each lane.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Lanes(pub(super) [f64; LANES]);

impl Lanes {
    /// Adds the sums of a run.
    pub(super) fn add(&mut self, run: &[f32; LANES]) {
        for (sum, &part) in self.0.iter_mut().zip(run) {
            *sum += f64::from(part);
        }
    }

    /// The sum in the order of the definition.
    pub(super) fn reduce(&self) -> f64 {
        let a: [f64; 8] = std::array::from_fn(|lane| self.0[lane] + self.0[lane + 8]);
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
}

/// Accumulators of a chunk: of the squared binades, and of all pairs of as many columns as there may be.
/// There is a shorter type for few columns, whose chunks would take some percent longer if all accumulators
/// were set to zero.
#[derive(Clone, Copy)]
pub(super) struct Sums<G: ?Sized = [Lanes]> {
    pub(super) energy: Lanes,
    pub(super) gram: G,
}

impl<const P: usize> Sums<[Lanes; P]> {
    pub(super) const ZERO: Self =
        Self { energy: Lanes([0.0; LANES]), gram: [Lanes([0.0; LANES]); P] };
}

/// Accumulators of any number of columns.
pub(super) type AllSums = Sums<[Lanes; MAX_PAIRS]>;

impl Sums {
    /// What [`Sums::reduce`] gives, if all of it is finite.
    pub(super) fn finite(&self, columns: usize) -> Option<([f64; MAX_PAIRS], f64)> {
        let (gram, energy) = self.reduce(columns);
        let finite = gram.iter().all(|entry| entry.is_finite()) && energy.is_finite();
        finite.then_some((gram, energy))
    }

    /// The matrix of so many `columns`, and the sum of squared binades.
    pub(super) fn reduce(&self, columns: usize) -> ([f64; MAX_PAIRS], f64) {
        let mut gram = [0.0; MAX_PAIRS];
        for (entry, lanes) in gram.iter_mut().zip(&self.gram).take(pairs(columns)) {
            *entry = lanes.reduce();
        }
        (gram, self.energy.reduce())
    }
}

/// Whether a chunk is computed in narrow arithmetic, unless its probes are off.
pub(super) fn is_for_narrow(columns: &[Column<'_>]) -> bool {
    let dtype = columns[0].dtype;
    matches!(dtype, Dtype::Bf16 | Dtype::F16)
        && columns[0].len() >= LEAST_NARROW
        && columns.iter().all(|column| column.dtype == dtype)
}

/// The elements of the probe among the [`PROBED`] runs from run number `first` on, in a chunk of `length` elements
/// that begins with element `start` of its slice; none if the chunk ends before it.
///
/// Were probes evenly spaced, they would see the same columns in every row of a matrix whose width divides
/// their distance. 13 and [`PROBED`] have no common factor: so many probes have seen every place.
pub(super) fn probe(start: u64, first: usize, length: usize) -> Range<usize> {
    let number = start / (PROBED * RUN) as u64 + (first / PROBED) as u64;
    let run = first + (13 * (number % PROBED as u64)) as usize % PROBED;
    (run * RUN).min(length)..((run + 1) * RUN).min(length)
}

/// Whether the sums of a chunk's probes in narrow arithmetic are near `exact`, those in wide arithmetic.
pub(super) fn are_near(columns: usize, probed: &Sums, exact: &Sums) -> bool {
    let ((probed, _), (exact, _)) = (probed.reduce(columns), exact.reduce(columns));
    let norm = |i: usize| exact[pair(columns, i, i)];
    let near = |i: usize, j: usize| {
        let at = pair(columns, i, j);
        (probed[at] - exact[at]).abs() <= TOLERANCE * (norm(i) * norm(j)).sqrt()
    };
    (0..columns).all(|i| (i..columns).all(|j| near(i, j)))
}
