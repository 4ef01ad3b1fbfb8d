//! Narrow arithmetic: bf16 in float32 over runs, in float64 over runs of runs.
//!
//! ```text
//! for each stretch of elements:
//!     count differences on the stored bits
//!     for each run:
//!         for each 3 x 3 block of the Gram matrix:
//!             for each row of 16 lanes:
//!                 subtract the base from the other columns
//!                 s += X_i * X_j                                     (fused, in registers)
//!             accumulators += float64(s)
//!     the first run of some stretches is a probe: its sums are kept apart, too, and made in float64
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. A row holds the even, or the odd, elements of a line of 32, so that a pair is split by one
//!    shift and one mask. A lane has them in the order of the definition.
//! 2. Beyond three columns displacements are computed once for a run, into the cache.
//! 3. The last run is continued with zeros.

#![expect(clippy::needless_range_loop, reason = "a run or row of every column, not of one")]

use super::compare::compare_alike;
use super::generic::{AHEAD, STRETCH, Simd, cut};
use super::products::{Arithmetic, Rows, add_displaced, add_values};
use super::wide::{self, Blocks};
use super::{
    Column, Counts, LANES, Lanes, MAX_COLUMNS, MAX_PAIRS, PROBED, RUN, SQUARES, Sums, settle,
};

/// Elements of a cache line.
const LINE: usize = 2 * LANES;
/// Lines of a run.
const LINES: usize = RUN / LINE;
/// Rows of a run: one of even and one of odd elements to a line.
const ROWS: usize = 2 * LINES;

const _: () = assert!((PROBED * RUN).is_multiple_of(STRETCH) && RUN <= wide::BLOCK);

/// Float32 arithmetic on sixteen lanes.
#[derive(Clone, Copy)]
struct Narrow<S>(S);

impl<S: Simd> Arithmetic for Narrow<S> {
    type Vector = S::Narrow;
    const SQUARES: usize = SQUARES / LANES;

    #[inline(always)]
    fn zero(self) -> S::Narrow {
        self.0.narrow_splat(0.0)
    }

    #[inline(always)]
    fn sub(self, a: S::Narrow, b: S::Narrow) -> S::Narrow {
        self.0.narrow_sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::Narrow, b: S::Narrow, c: S::Narrow) -> S::Narrow {
        self.0.narrow_mul_add(a, b, c)
    }

    #[inline(always)]
    fn binade(self, value: S::Narrow) -> S::Narrow {
        self.0.narrow_binade(value)
    }

    #[inline(always)]
    fn begin(self, _sum: &Lanes, _pass: usize) -> S::Narrow {
        self.zero()
    }

    #[inline(always)]
    fn end(self, sum: &mut Lanes, pass: usize, value: S::Narrow) {
        self.0.narrow_add(&mut sum.0, pass, value);
    }
}

/// A run of one column as it is stored.
#[derive(Clone, Copy)]
struct Stored<'a>(&'a [[u8; 2 * LINE]; LINES]);

impl<S: Simd> Rows<Narrow<S>> for Stored<'_> {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S>, row: usize, pass: usize) -> S::Narrow {
        arithmetic.0.narrow_bf16(&self.0[row / 2], row % 2 == 1, pass)
    }
}

/// A run of one column, displaced.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Displaced([[f32; LANES]; ROWS]);

impl<S: Simd> Rows<Narrow<S>> for Displaced {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S>, row: usize, pass: usize) -> S::Narrow {
        arithmetic.0.narrow_load(&self.0[row], pass)
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
    let (mut all, mut probed, mut exact) = (Sums::default(), Sums::default(), Sums::default());
    let mut blocks = Blocks::<f32>::new();
    let mut displaced = [Displaced([[0.0; LANES]; ROWS]); MAX_COLUMNS];
    let mut rest = [[[0; 2 * LINE]; LINES]; MAX_COLUMNS];
    for start in (0..length).step_by(STRETCH) {
        let stretch = &cut(columns, start, STRETCH.min(length - start))[..count];
        compare_alike(simd, stretch, counts);
        let mut runs: [&[[[u8; 2 * LINE]; LINES]]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
        let mut has_rest = false;
        for ((runs, rest), column) in runs.iter_mut().zip(&mut rest).zip(stretch) {
            let (lines, part) = column.bytes.as_chunks::<{ 2 * RUN }>();
            *runs = lines_of(lines);
            // Only the last stretch has one.
            has_rest = !part.is_empty();
            if has_rest {
                rest.as_flattened_mut()[..part.len()].copy_from_slice(part);
            }
        }
        let whole = runs[0].len();
        for number in 0..whole + usize::from(has_rest) {
            let mut run = [Stored(&rest[0]); MAX_COLUMNS];
            for column in 0..count {
                run[column] =
                    Stored(if number < whole { &runs[column][number] } else { &rest[column] });
            }
            for stored in &run[..count] {
                for line in stored.0 {
                    simd.prefetch(line, AHEAD);
                }
            }
            if number > 0 || !start.is_multiple_of(PROBED * RUN) {
                add(simd, &run[..count], &mut displaced, &mut all);
                continue;
            }
            // The sums of a probe belong to both.
            add(simd, &run[..count], &mut displaced, &mut all);
            add(simd, &run[..count], &mut displaced, &mut probed);
            let elements = RUN.min(stretch[0].len());
            wide::add(simd, &mut blocks, &cut(stretch, 0, elements)[..count], &mut exact);
        }
    }
    settle(count, &all, &probed, &exact)
}

/// Runs as lines.
#[inline(always)]
fn lines_of(runs: &[[u8; 2 * RUN]]) -> &[[[u8; 2 * LINE]; LINES]] {
    runs.as_flattened().as_chunks().0.as_chunks().0
}

/// Adds the products of one run.
#[inline(always)]
fn add<S: Simd>(
    simd: S,
    run: &[Stored<'_>],
    displaced: &mut [Displaced; MAX_COLUMNS],
    sums: &mut Sums,
) {
    let narrow = Narrow(simd);
    for pass in 0..S::PASSES {
        match *run {
            [base, child] => add_values(narrow, &[base, child], ROWS, pass, sums),
            [base, parent, child] => {
                add_values(narrow, &[base, parent, child], ROWS, pass, sums);
            }
            _ => {
                displace(narrow, run, displaced, pass, &mut sums.energy);
                let columns = &displaced[..run.len()];
                add_displaced(narrow, columns, ROWS, pass, &mut sums.gram);
            }
        }
    }
}

/// Subtracts the base from every other column, and adds the squared binades of the child.
#[inline(always)]
fn displace<S: Simd>(
    narrow: Narrow<S>,
    run: &[Stored<'_>],
    out: &mut [Displaced; MAX_COLUMNS],
    pass: usize,
    energy: &mut Lanes,
) {
    let mut squares = narrow.zero();
    let mut bases = [narrow.zero(); ROWS];
    for row in 0..ROWS {
        bases[row] = run[0].load(narrow, row, pass);
        narrow.0.narrow_store(&mut out[0].0[row], pass, bases[row]);
    }
    for (column, (stored, out)) in run.iter().zip(out).enumerate().skip(1) {
        for row in 0..ROWS {
            let value = stored.load(narrow, row, pass);
            if column == run.len() - 1 {
                let binade = narrow.binade(value);
                squares = narrow.mul_add(binade, binade, squares);
            }
            narrow.0.narrow_store(&mut out.0[row], pass, narrow.sub(value, bases[row]));
        }
    }
    narrow.end(energy, pass, squares);
}
