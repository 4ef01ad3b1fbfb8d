//! Counting where columns of one dtype differ, on their stored bits.

#![expect(clippy::needless_range_loop, reason = "a line of every column, not of one")]

use super::products::{Arithmetic, Beside};
use super::simd::{Simd, Vectorize};
use super::tally::{Counting, Lines, Tally};
use super::{Column, Counts, LINE, MAX_COLUMNS, scalar};

/// Counts where columns of one dtype differ: whole lines by vectors, the rest one by one.
#[inline(always)]
pub(super) fn compare_alike<S: Simd>(simd: S, columns: &[Column<'_>], counts: &mut Counts) {
    match columns[0].width() {
        1 => compare_words::<S, 1>(simd, columns, counts),
        2 => compare_words::<S, 2>(simd, columns, counts),
        4 => compare_words::<S, 4>(simd, columns, counts),
        _ => compare_words::<S, 8>(simd, columns, counts),
    }
}

#[inline(always)]
fn compare_words<S: Simd, const WIDTH: usize>(
    simd: S,
    columns: &[Column<'_>],
    counts: &mut Counts,
) {
    let child = columns.len() - 1;
    let mut lines: Lines<'_> = [&[]; MAX_COLUMNS];
    for (lines, column) in lines.iter_mut().zip(columns) {
        *lines = column.bytes.as_chunks::<LINE>().0;
    }
    let mut tally = Tally::default();
    tally_alike::<S, WIDTH>(simd, child, &lines, &mut tally);
    tally.add_to(counts);
    let rest = columns[child].bytes.len() % LINE / WIDTH;
    let from = columns[child].len() - rest;
    for k in from..from + rest {
        scalar::compare(columns, &[], k, counts);
    }
}

/// Counts to a tally where lines of columns `0..=child` differ, whose elements have `WIDTH` bytes. There are
/// at most [`STRETCH`](super::STRETCH) elements in them.
#[inline(always)]
pub(super) fn tally_alike<S: Simd, const WIDTH: usize>(
    simd: S,
    child: usize,
    lines: &Lines<'_>,
    tally: &mut Tally,
) {
    // Where the number of columns is known at compile time, counts stay in registers.
    macro_rules! with {
        ($child:literal) => {
            simd.call(Tallying::<_, WIDTH, $child> { simd, child, lines, tally })
        };
    }
    match child {
        1 => with!(1),
        2 => with!(2),
        3 => with!(3),
        4 => with!(4),
        5 => with!(5),
        6 => with!(6),
        7 => with!(7),
        8 => with!(8),
        9 => with!(9),
        _ => with!(0),
    }
}

/// The work of [`tally_alike`], compiled as a function of its own. `CHILD` is `child`, or 0 if that is not
/// known at compile time.
struct Tallying<'a, S, const WIDTH: usize, const CHILD: usize> {
    simd: S,
    child: usize,
    lines: &'a Lines<'a>,
    tally: &'a mut Tally,
}

impl<S: Simd, const WIDTH: usize, const CHILD: usize> Vectorize for Tallying<'_, S, WIDTH, CHILD> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { simd, child, lines, tally } = self;
        let child = if CHILD > 0 { CHILD } else { child };
        let mut counting = S::Counting::none(simd);
        let mut lines = *lines;
        for column in 1..=child {
            lines[column] = &lines[column][..lines[0].len()];
        }
        for line in 0..lines[0].len() {
            let mut these = [&lines[0][line]; MAX_COLUMNS];
            for column in 1..=child {
                these[column] = &lines[column][line];
            }
            counting.count(simd, WIDTH, &these[..=child]);
        }
        counting.add_to(simd, WIDTH, lines[0].len(), child, tally);
    }
}

/// A piece of one column as it is stored, read as lines to compare it.
pub(super) trait StoredLines {
    /// Bytes of an element.
    const WIDTH: usize;

    /// Line number `line`.
    fn line(&self, line: usize) -> &[u8; LINE];
}

/// Compares the lines of a few columns in the loop that multiplies their rows, which the caches hold by then.
pub(super) struct Comparing<S: Simd> {
    simd: S,
    counting: S::Counting,
    lines: usize,
}

impl<S: Simd> Comparing<S> {
    #[inline(always)]
    pub(super) fn new(simd: S) -> Self {
        Self { simd, counting: S::Counting::none(simd), lines: 0 }
    }

    #[inline(always)]
    fn line<R: StoredLines, const N: usize>(&mut self, columns: &[R; N], line: usize) {
        let mut lines = [columns[0].line(line); N];
        for column in 1..N {
            lines[column] = columns[column].line(line);
        }
        self.counting.count(self.simd, R::WIDTH, &lines);
    }

    /// Adds what has been counted, in lines of elements of `width` bytes, to a tally.
    #[inline(always)]
    pub(super) fn add_to(&self, width: usize, child: usize, tally: &mut Tally) {
        self.counting.add_to(self.simd, width, self.lines, child, tally);
    }
}

impl<S: Simd, A: Arithmetic, R: StoredLines> Beside<A, R> for Comparing<S> {
    #[inline(always)]
    fn all<const N: usize>(&mut self, columns: &[R; N], rows: usize) {
        let lines = rows / (LINE / R::WIDTH / A::LANES);
        if !S::COMPARES_BESIDE {
            for line in 0..lines {
                self.line(columns, line);
            }
        }
        self.lines += lines;
    }

    #[inline(always)]
    fn row<const N: usize>(&mut self, columns: &[R; N], row: usize, pass: usize) {
        let rows = LINE / R::WIDTH / A::LANES;
        if S::COMPARES_BESIDE && pass == 0 && row.is_multiple_of(rows) {
            self.line(columns, row / rows);
        }
    }
}
