//! Narrow arithmetic: bf16 in float32 over runs, in float64 over runs of runs.
//!
//! ```text
//! for each run:
//!     count differences on the stored bits, of many columns for a stretch of runs at a time
//!     s_ij from the stored bits                                      (see `products`)
//!     accumulators += float64(s)
//!     every so many runs, one is a probe: its sums are kept apart, too, and made in float64
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. A row holds the even, or the odd, elements of a line of 32, so that a pair is split by one
//!    shift and one mask. A lane has them in the order of the definition.
//! 2. The last run is continued with zeros.

#![expect(clippy::needless_range_loop, reason = "a run or row of every column, not of one")]

use super::arithmetic::Narrow;
use super::compare::{StoredLines, compare_alike, tally_alike};
use super::few::{Piece, add_few};
use super::prefetch::prefetch;
use super::products::{DIRECT, FewSums, Room, Rows, add_many};
use super::simd::{Simd, Vectorize};
use super::sums::{AllSums, Sums, settle};
use super::tally::{Lines, Tally};
use super::{
    BLOCK, Column, Counts, LANES, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, STRETCH, cut, wide,
};

/// Elements of a cache line.
const LINE: usize = 2 * LANES;
/// Lines of a run.
const LINES: usize = RUN / LINE;
/// Rows of a run: one of even and one of odd elements to a line.
const ROWS: usize = 2 * LINES;

const _: () = assert!((PROBED * RUN).is_multiple_of(STRETCH) && RUN <= BLOCK);

/// The bytes of a run of one column.
type Run = [[u8; 2 * LINE]; LINES];

/// A run of one column as it is stored.
#[derive(Clone, Copy)]
struct Stored<'a>(&'a Run);

impl StoredLines for Stored<'_> {
    const WIDTH: usize = 2;
    const ROWS: usize = 2;

    #[inline(always)]
    fn line(&self, line: usize) -> &[u8; 2 * LINE] {
        &self.0[line]
    }
}

impl<'a> Piece<'a> for Stored<'a> {
    type Bytes = Run;
    const COUNT: usize = ROWS;

    #[inline(always)]
    fn of(bytes: &'a Run) -> Self {
        Self(bytes)
    }
}

impl<S: Simd> Rows<Narrow<S>> for Stored<'_> {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S>, row: usize, pass: usize) -> S::Narrow {
        arithmetic.0.narrow_bf16(&self.0[row / 2], row % 2 == 1, pass)
    }

    #[inline(always)]
    fn expect(&self, _arithmetic: Narrow<S>, row: usize, pass: usize) {
        if pass == 0 && row.is_multiple_of(2) {
            prefetch(&self.0[row / 2]);
        }
    }
}

/// A run of one column, displaced.
///
/// One row is never used: without it, the same row of several columns would lie 4096 bytes apart, and
/// a load would wait for a store that it only seems to overlap.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Displaced([[f32; LANES]; ROWS + 1]);

impl Displaced {
    const NONE: [Self; MAX_COLUMNS] = [Self([[0.0; LANES]; ROWS + 1]); MAX_COLUMNS];
}

impl<S: Simd> Rows<Narrow<S>> for Displaced {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S>, row: usize, pass: usize) -> S::Narrow {
        arithmetic.0.narrow_load(&self.0[row], pass)
    }
}

impl<S: Simd> Room<Narrow<S>> for Displaced {
    #[inline(always)]
    fn store(&mut self, arithmetic: Narrow<S>, row: usize, pass: usize, value: S::Narrow) {
        arithmetic.0.narrow_store(&mut self.0[row], pass, value);
    }
}

/// The products and the squared binades of a chunk of bf16, unless its probes are off.
///
/// Columns are compared on their stored bits, whatever comes of it.
#[inline(always)]
pub(super) fn products<S: Simd>(
    simd: S,
    columns: &[Column<'_>],
    counts: &mut Counts,
) -> Option<([f64; MAX_PAIRS], f64)> {
    let (count, length) = (columns.len(), columns[0].len());
    let few = count <= DIRECT;
    let (mut of_few, mut of_many);
    let [all, probed, exact]: [&mut Sums; 3] = if few {
        of_few = [FewSums::ZERO; 3];
        let [all, probed, exact] = &mut of_few;
        [all, probed, exact]
    } else {
        of_many = [AllSums::ZERO; 3];
        let [all, probed, exact] = &mut of_many;
        [all, probed, exact]
    };
    let mut tally = Tally::default();
    // Made where they are needed: most chunks are of few columns and whole runs.
    let mut last: Option<[Run; MAX_COLUMNS]> = None;
    let mut room: Option<[Displaced; MAX_COLUMNS]> = None;
    let mut wide_room = None;
    let mut whole: [&[Run]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
    for (column, whole) in columns.iter().zip(&mut whole) {
        *whole = column.bytes.as_chunks().0.as_chunks().0;
    }
    let most = if few { PROBED } else { STRETCH / RUN };
    for first in (0..length.div_ceil(RUN)).step_by(most) {
        let (start, end) = (first * RUN, length.min((first + most) * RUN));
        let mut runs: [&[Run]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        let mut lines: Lines<'_> = [&[]; MAX_COLUMNS];
        for column in 0..count {
            let whole = whole[column];
            runs[column] = &whole[first.min(whole.len())..(first + most).min(whole.len())];
            lines[column] = runs[column].as_flattened();
        }
        if !few {
            tally_alike::<S, 2>(simd, count - 1, &lines, &mut tally);
        }
        let mut rest: [&[Run]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        let part = (end - start) % RUN;
        if part > 0 {
            // Only the last of all.
            let part = &cut(columns, end - part, part)[..count];
            compare_alike(simd, part, counts);
            let last = last.get_or_insert([[[0; 2 * LINE]; LINES]; MAX_COLUMNS]);
            for (column, (last, rest)) in part.iter().zip(last.iter_mut().zip(&mut rest)) {
                last.as_flattened_mut()[..column.bytes.len()].copy_from_slice(column.bytes);
                *rest = std::slice::from_ref(last);
            }
        }
        let (runs, rest) = (&runs[..count], &rest[..count]);
        let counted = if few { Some(&mut tally) } else { None };
        add_runs(simd, runs, usize::MAX, &mut room, all, counted);
        add_runs(simd, rest, usize::MAX, &mut room, all, None);
        if first.is_multiple_of(PROBED) {
            // The sums of a probe belong to both.
            let probe = if runs[0].is_empty() { rest } else { runs };
            add_runs(simd, probe, 1, &mut room, probed, None);
            let probe = &cut(columns, start, RUN.min(end - start))[..count];
            wide::add::<S, f32>(simd, probe, true, false, counts, exact, &mut wide_room);
        }
    }
    tally.add_to(counts);
    settle(count, all, probed, exact)
}

/// Adds the products of runs, `most` of them, and how few columns compare to a `tally`, if that is
/// wanted.
#[inline(always)]
fn add_runs<S: Simd>(
    simd: S,
    runs: &[&[Run]],
    most: usize,
    room: &mut Option<[Displaced; MAX_COLUMNS]>,
    sums: &mut Sums,
    tally: Option<&mut Tally>,
) {
    let most = most.min(runs[0].len());
    if most == 0 {
        return;
    }
    if !add_few::<S, _, Stored<'_>>(simd, Narrow(simd), runs, most, sums, tally) {
        let room = room.get_or_insert(Displaced::NONE);
        simd.call(Many { simd, runs, most, room, sums });
    }
}

/// Adds the products of runs of more columns.
struct Many<'a, S> {
    simd: S,
    runs: &'a [&'a [Run]],
    most: usize,
    room: &'a mut [Displaced; MAX_COLUMNS],
    sums: &'a mut Sums,
}

impl<S: Simd> Vectorize for Many<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = self.runs.len().min(MAX_COLUMNS);
        for number in 0..self.most {
            let mut run = [Stored(&self.runs[0][number]); MAX_COLUMNS];
            for column in 0..count {
                run[column] = Stored(&self.runs[column][number]);
            }
            let run = &run[..count];
            add_many(Narrow(self.simd), run, self.room, ROWS, self.sums);
        }
    }
}
