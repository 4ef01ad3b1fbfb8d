//! Narrow arithmetic: short floats, multiplied in float32, summed in float32 within a run and in float64 over runs.
//!
//! ```text
//! for each probe:
//!     probed += what is added for a run below
//!     exact += products in float64                                         (see `wide`)
//! if probed is not near exact: leave the chunk to wide arithmetic
//! for each run, the last of which may be continued with zeros:
//!     count where columns differ on the stored bits
//!     s_ij = sums of products in float32, from the stored bits             (see `products`)
//!     e_i = errors of the squares' sums
//!     all += float64(s) and float64(e)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. A row of bf16 holds the even, or the odd, elements of a line of 32, so that a pair is split by one
//!    shift and one mask. A lane has them in the order of the definition.
//! 2. The last run is continued with zeros, whose products are zero; it is compared without them.

#![expect(clippy::needless_range_loop, reason = "a run of every column, not of one")]

use std::marker::PhantomData;

use super::arithmetic::Narrow;
use super::compare::compare_alike;
use super::few::add_few;
use super::products::{DIRECT, FewSums, Room, Rows, add_many};
use super::simd::{Simd, Vectorize};
use super::stored::{Bf16, F16, Short, Stored};
use super::sums::{AllSums, Sums, are_near, probe};
use super::tally::Tally;
use super::{
    BLOCK, Column, Counts, LANES, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, STRETCH, cut, wide,
};
use crate::checkpoint::dtype::Dtype;

/// Rows of a run.
const ROWS: usize = RUN / LANES;

// A run is stored as a block, and a probe fits the rooms of wide arithmetic.
const _: () = assert!(RUN == BLOCK);

/// A run of one column, displaced.
///
/// One row is never used. Without it, the same rows of two columns could lie a multiple of 4096 bytes apart,
/// and the CPU, which compares the last twelve bits of addresses first, would have a load of one wait for a
/// store to the other.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Displaced([[f32; LANES]; ROWS + 1]);

impl Displaced {
    const ZERO: Self = Self([[0.0; LANES]; ROWS + 1]);
}

impl<S: Simd, F: Short> Rows<Narrow<S, F>> for Displaced {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S, F>, row: usize, pass: usize) -> S::Narrow {
        arithmetic.0.narrow_load(&self.0[row], pass)
    }
}

impl<S: Simd, F: Short> Room<Narrow<S, F>> for Displaced {
    #[inline(always)]
    fn store(&mut self, arithmetic: Narrow<S, F>, row: usize, pass: usize, value: S::Narrow) {
        arithmetic.0.narrow_store(&mut self.0[row], pass, value);
    }
}

/// What narrow arithmetic makes of a chunk.
pub(super) struct Found {
    /// The products and the squared binades, unless they are left to wide arithmetic.
    pub(super) sums: Option<([f64; MAX_PAIRS], f64)>,
    /// Whether it has been counted where columns differ.
    pub(super) compared: bool,
}

/// The products and the squared binades of a chunk of one dtype, which begins with element `start` of its slice,
/// unless its probes are off.
#[inline(always)]
pub(super) fn products<S: Simd>(
    simd: S,
    columns: &[Column<'_>],
    start: u64,
    counts: &mut Counts,
) -> Found {
    match columns[0].dtype {
        Dtype::F16 => products_of::<S, F16>(simd, columns, start, counts),
        _ => products_of::<S, Bf16>(simd, columns, start, counts),
    }
}

#[inline(always)]
fn products_of<S: Simd, F: Short>(
    simd: S,
    columns: &[Column<'_>],
    start: u64,
    counts: &mut Counts,
) -> Found {
    if columns.len() <= DIRECT {
        let [all, probed, exact] = &mut [FewSums::ZERO; 3];
        products_into::<S, F>(simd, columns, start, counts, [all, probed, exact])
    } else {
        let [all, probed, exact] = &mut [AllSums::ZERO; 3];
        products_into::<S, F>(simd, columns, start, counts, [all, probed, exact])
    }
}

/// As [`products`], with sums that are zero: of all runs, of the probes, and of the probes in float64.
#[inline(always)]
fn products_into<S: Simd, F: Short>(
    simd: S,
    columns: &[Column<'_>],
    start: u64,
    counts: &mut Counts,
    [all, probed, exact]: [&mut Sums; 3],
) -> Found {
    let (count, length) = (columns.len(), columns[0].len());
    let mut whole: [&[F::Block]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
    for (column, whole) in columns.iter().zip(&mut whole) {
        *whole = F::blocks(column);
    }
    let number = whole[0].len();
    // The last run, if it is not whole.
    let rest = &cut(columns, number * RUN, length - number * RUN)[..count];
    let mut last: Option<[F::Block; MAX_COLUMNS]> = None;
    if number * RUN < length {
        let mut padded = [F::padded(&rest[0]); MAX_COLUMNS];
        for column in 1..count {
            padded[column] = F::padded(&rest[column]);
        }
        last = Some(padded);
    }
    // Rooms for displacements of one run, and of a probe in float64. Only many columns need them, and it takes
    // time to make them.
    let (mut room, mut wide) = (None, None);
    let mut runs: [&[F::Block]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
    for first in (0..length.div_ceil(RUN)).step_by(PROBED) {
        let elements = probe(start, first, length);
        if elements.is_empty() {
            continue;
        }
        let run = elements.start / RUN;
        for column in 0..count {
            runs[column] = match &last {
                Some(last) if run == number => std::slice::from_ref(&last[column]),
                _ => &whole[column][run..=run],
            };
        }
        add_runs::<S, F>(simd, &runs[..count], &mut room, probed, None);
        let probe = &cut(columns, elements.start, elements.len())[..count];
        wide::add::<S, f32>(simd, probe, true, false, counts, exact, &mut wide);
    }
    if !are_near(count, probed, exact) {
        return Found { sums: None, compared: false };
    }
    let mut tally = Tally::default();
    // Few columns are compared line by line as they are multiplied. Of more, some runs are compared first, as
    // many as may be compared at a time.
    let most = if count <= DIRECT { number } else { STRETCH / RUN };
    for first in (0..number).step_by(most.max(1)) {
        for column in 0..count {
            runs[column] = &whole[column][first..number.min(first + most)];
        }
        if count > DIRECT {
            let lines = runs.map(F::lines);
            F::tally(simd, count - 1, &lines, &mut tally);
        }
        add_runs::<S, F>(simd, &runs[..count], &mut room, all, Some(&mut tally));
    }
    tally.add_to(counts);
    if let Some(last) = &last {
        compare_alike(simd, rest, counts);
        for column in 0..count {
            runs[column] = std::slice::from_ref(&last[column]);
        }
        add_runs::<S, F>(simd, &runs[..count], &mut room, all, None);
    }
    Found { sums: all.finite(count), compared: true }
}

/// Adds the products of runs and, if there is a `tally`, how few columns compare.
#[inline(always)]
fn add_runs<S: Simd, F: Short>(
    simd: S,
    runs: &[&[F::Block]],
    room: &mut Option<[Displaced; MAX_COLUMNS]>,
    sums: &mut Sums,
    tally: Option<&mut Tally>,
) {
    if !add_few::<S, _, Stored<'_, F>>(simd, Narrow(simd, PhantomData::<F>), runs, sums, tally) {
        let room = room.get_or_insert([Displaced::ZERO; MAX_COLUMNS]);
        simd.call(Many::<S, F> { simd, runs, room, sums });
    }
}

/// Adds the products of runs of more columns.
struct Many<'a, S, F: Short> {
    simd: S,
    runs: &'a [&'a [F::Block]],
    room: &'a mut [Displaced; MAX_COLUMNS],
    sums: &'a mut Sums,
}

impl<S: Simd, F: Short> Vectorize for Many<'_, S, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = self.runs.len().min(MAX_COLUMNS);
        for number in 0..self.runs[0].len() {
            let mut run = [Stored::<F>(&self.runs[0][number]); MAX_COLUMNS];
            for column in 0..count {
                run[column] = Stored(&self.runs[column][number]);
            }
            let run = &run[..count];
            add_many(Narrow(self.simd, PhantomData::<F>), run, self.room, ROWS, self.sums);
        }
    }
}
