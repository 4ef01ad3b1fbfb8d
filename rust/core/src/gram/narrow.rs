//! Narrow arithmetic: bf16, summed in float32 within a run and in float64 over runs.
//!
//! ```text
//! for each group of runs, and at last for a run that is not whole, continued with zeros:
//!     count where columns differ on the stored bits
//!     for each run:
//!         s_ij = sums of products in float32, from the stored bits         (see `products`)
//!         all += float64(s)
//!     if the first run of the group is a probe:
//!         probed += float64(s)
//!         exact += products in float64                                     (see `wide`)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. A row holds the even, or the odd, elements of a line of 32, so that a pair is split by one
//!    shift and one mask. A lane has them in the order of the definition.
//! 2. The last run is continued with zeros, whose products are zero; it is compared without them.

#![expect(clippy::needless_range_loop, reason = "a run of every column, not of one")]

use super::arithmetic::Narrow;
use super::compare::{StoredLines, compare_alike, tally_alike};
use super::few::{Piece, add_few};
use super::prefetch::prefetch;
use super::products::{DIRECT, FewSums, Room, Rows, add_many};
use super::simd::{Simd, Vectorize};
use super::sums::{AllSums, Sums, settle};
use super::tally::Tally;
use super::{
    BLOCK, Column, Counts, LANES, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, STRETCH, cut, stored, wide,
};

/// Elements of a cache line.
const LINE: usize = 2 * LANES;
/// Lines of a run.
const LINES: usize = RUN / LINE;
/// Rows of a run: one of even and one of odd elements to a line.
const ROWS: usize = 2 * LINES;

// Probes are first runs of groups, and fit the rooms of wide arithmetic.
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
/// One row is never used. Without it, the same rows of two columns could lie a multiple of 4096 bytes apart,
/// and the CPU, which compares the last twelve bits of addresses first, would have a load of one wait for a
/// store to the other.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Displaced([[f32; LANES]; ROWS + 1]);

impl Displaced {
    const ZERO: Self = Self([[0.0; LANES]; ROWS + 1]);
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
/// Where columns differ is counted in any case.
#[inline(always)]
pub(super) fn products<S: Simd>(
    simd: S,
    columns: &[Column<'_>],
    counts: &mut Counts,
) -> Option<([f64; MAX_PAIRS], f64)> {
    if columns.len() <= DIRECT {
        let [all, probed, exact] = &mut [FewSums::ZERO; 3];
        products_into::<S, true>(simd, columns, counts, [all, probed, exact])
    } else {
        let [all, probed, exact] = &mut [AllSums::ZERO; 3];
        products_into::<S, false>(simd, columns, counts, [all, probed, exact])
    }
}

/// As [`products`], with sums that are zero: of all runs, of the probes, and of the probes in float64. `FEW`
/// says that columns are at most [`DIRECT`].
#[inline(always)]
fn products_into<S: Simd, const FEW: bool>(
    simd: S,
    columns: &[Column<'_>],
    counts: &mut Counts,
    [all, probed, exact]: [&mut Sums; 3],
) -> Option<([f64; MAX_PAIRS], f64)> {
    let (count, length) = (columns.len(), columns[0].len());
    let mut whole: [&[Run]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
    for (column, whole) in columns.iter().zip(&mut whole) {
        *whole = column.bytes.as_chunks().0.as_chunks().0;
    }
    let number = whole[0].len();
    let mut work = Work { simd, columns, all, probed, exact, displaced: None, wide: None };
    let mut tally = Tally::default();
    // Few columns are compared line by line as they are multiplied. Of more, a group is compared first, and
    // is as long as may be compared at a time.
    let most = if FEW { PROBED } else { STRETCH / RUN };
    for first in (0..number).step_by(most) {
        let (mut runs, mut lines) = ([[].as_slice(); MAX_COLUMNS], [[].as_slice(); MAX_COLUMNS]);
        for column in 0..count {
            runs[column] = &whole[column][first..number.min(first + most)];
            lines[column] = runs[column].as_flattened();
        }
        if FEW {
            work.add(first, &runs[..count], Some(&mut tally), counts);
        } else {
            tally_alike::<S, 2>(simd, count - 1, &lines, &mut tally);
            work.add(first, &runs[..count], None, counts);
        }
    }
    tally.add_to(counts);
    let start = number * RUN;
    if start < length {
        let rest = &cut(columns, start, length - start)[..count];
        compare_alike(simd, rest, counts);
        let mut last: [Run; MAX_COLUMNS] = [[[0; 2 * LINE]; LINES]; MAX_COLUMNS];
        for (column, last) in rest.iter().zip(&mut last) {
            last.as_flattened_mut()[..column.bytes.len()].copy_from_slice(column.bytes);
        }
        work.add(number, &last.each_ref().map(std::slice::from_ref)[..count], None, counts);
    }
    settle(count, work.all, work.probed, work.exact)
}

/// A chunk in the making.
struct Work<'a, S> {
    simd: S,
    columns: &'a [Column<'a>],
    /// Sums of all runs.
    all: &'a mut Sums,
    /// Sums of the probes.
    probed: &'a mut Sums,
    /// Sums of the probes in float64.
    exact: &'a mut Sums,
    /// Rooms for displacements of one run, and of a probe in float64. Only many columns need them, and it
    /// takes time to make them.
    displaced: Option<[Displaced; MAX_COLUMNS]>,
    wide: Option<stored::Displaced>,
}

impl<S: Simd> Work<'_, S> {
    /// Adds the products of runs, one slice a column, whose first is run number `first` of the chunk; and,
    /// if there is a `tally`, how few columns compare.
    #[inline(always)]
    fn add(
        &mut self,
        first: usize,
        runs: &[&[Run]],
        tally: Option<&mut Tally>,
        counts: &mut Counts,
    ) {
        add_runs(self.simd, runs, &mut self.displaced, self.all, tally);
        if first.is_multiple_of(PROBED) {
            let mut probe: [&[Run]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
            for (probe, runs) in probe.iter_mut().zip(runs) {
                *probe = &runs[..1];
            }
            add_runs(self.simd, &probe[..runs.len()], &mut self.displaced, self.probed, None);
            let start = first * RUN;
            let elements = RUN.min(self.columns[0].len() - start);
            let probe = &cut(self.columns, start, elements)[..runs.len()];
            let Self { simd, exact, wide, .. } = self;
            wide::add::<S, f32>(*simd, probe, true, false, counts, exact, wide);
        }
    }
}

/// Adds the products of runs and, if there is a `tally`, how few columns compare.
#[inline(always)]
fn add_runs<S: Simd>(
    simd: S,
    runs: &[&[Run]],
    room: &mut Option<[Displaced; MAX_COLUMNS]>,
    sums: &mut Sums,
    tally: Option<&mut Tally>,
) {
    if !add_few::<S, _, Stored<'_>>(simd, Narrow(simd), runs, sums, tally) {
        let room = room.get_or_insert([Displaced::ZERO; MAX_COLUMNS]);
        simd.call(Many { simd, runs, room, sums });
    }
}

/// Adds the products of runs of more columns.
struct Many<'a, S> {
    simd: S,
    runs: &'a [&'a [Run]],
    room: &'a mut [Displaced; MAX_COLUMNS],
    sums: &'a mut Sums,
}

impl<S: Simd> Vectorize for Many<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = self.runs.len().min(MAX_COLUMNS);
        for number in 0..self.runs[0].len() {
            let mut run = [Stored(&self.runs[0][number]); MAX_COLUMNS];
            for column in 0..count {
                run[column] = Stored(&self.runs[column][number]);
            }
            let run = &run[..count];
            add_many(Narrow(self.simd), run, self.room, ROWS, self.sums);
        }
    }
}
