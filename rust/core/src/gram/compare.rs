//! Counting where columns differ: on the stored bits in one dtype, on the values across dtypes.

#![expect(clippy::needless_range_loop, reason = "a line of every column, not of one")]

use super::generic::Simd;
use super::products::Beside;
use super::scalar;
use super::values::{Cell, Values, element, is_narrow};
use super::widen::{Rounding, binade, power_of_two};
use super::{Column, Counts, MAX_COLUMNS, Vectorize, WIDE_LANES as LANES};
use crate::checkpoint::dtype::Dtype;

/// Bytes of each column compared at a time.
pub(super) const LINE: usize = 64;

/// Counts differences between columns of one dtype on the stored bits.
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

/// Counts differences between lines of elements of `WIDTH` bytes, of columns `0..=child`. There are at
/// most [`STRETCH`](super::generic::STRETCH) elements.
#[inline(always)]
pub(super) fn tally_alike<S: Simd, const WIDTH: usize>(
    simd: S,
    child: usize,
    lines: &Lines<'_>,
    tally: &mut Tally,
) {
    // A number of columns that is known when this is compiled keeps the tally in registers.
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
        _ => with!(0),
    }
}

/// What is counted, over whole lines.
#[derive(Default)]
pub(super) struct Tally {
    /// Per column before the child: elements that have the child's bits.
    pub(super) equal: [u64; MAX_COLUMNS],
    /// Elements where some column between base and child has other bits than the base.
    pub(super) moved: u64,
    /// Elements where none has, and the child has.
    pub(super) stray: u64,
}

impl Tally {
    pub(super) fn add_to(&self, counts: &mut Counts) {
        counts.moved += self.moved;
        counts.stray += self.stray;
        for (count, equal) in counts.equal.iter_mut().zip(&self.equal) {
            *count += equal;
        }
    }
}

/// Counts how lines compare, in a function of its own. `CHILD` is `child`, or 0 where that is not known
/// when this is compiled.
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

/// Lines of every column, of one number.
pub(super) type Lines<'a> = [&'a [[u8; LINE]]; MAX_COLUMNS];

/// How lines compare, counted as an instruction set does it best.
pub(super) trait Counting<S>: Copy {
    /// Nothing counted.
    fn none(simd: S) -> Self;
    /// Counts how a line of elements of `width` bytes compares, in every column. There are at most
    /// [`STRETCH`](super::generic::STRETCH) elements of one byte, and [`CHUNK`](super::CHUNK) of others.
    fn count(&mut self, simd: S, width: usize, lines: &[&[u8; LINE]]);
    /// What has been counted in so many lines of columns `0..=child`.
    fn add_to(&self, simd: S, width: usize, lines: usize, child: usize, tally: &mut Tally);
}

/// Comparing with masks of one bit, or some, for each element.
pub(super) trait Differ: Copy {
    /// Bits that [`Differ::differ`] sets for an element of `width` bytes.
    fn bits(width: usize) -> u64;
    /// A mask of the elements of `width` bytes that differ.
    fn differ(self, width: usize, a: &[u8; LINE], b: &[u8; LINE]) -> u64;
}

/// Bits set in masks of the elements that differ.
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

/// A column as it is stored.
pub(super) trait StoredLines {
    /// Bytes of an element.
    const WIDTH: usize;
    /// Rows of a line.
    const ROWS: usize;

    fn line(&self, line: usize) -> &[u8; LINE];
}

/// Compares lines just before their rows are multiplied.
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

    /// What has been counted, in lines of elements of `width` bytes.
    #[inline(always)]
    pub(super) fn add_to(&self, width: usize, child: usize, tally: &mut Tally) {
        self.counting.add_to(self.simd, width, self.lines, child, tally);
    }
}

impl<S: Simd, R: StoredLines> Beside<R> for Comparing<S> {
    #[inline(always)]
    fn all<const N: usize>(&mut self, columns: &[R; N], rows: usize) {
        if !S::COMPARES_BESIDE {
            for line in 0..rows / R::ROWS {
                self.line(columns, line);
            }
        }
        self.lines += rows / R::ROWS;
    }

    #[inline(always)]
    fn row<const N: usize>(&mut self, columns: &[R; N], row: usize, pass: usize) {
        if S::COMPARES_BESIDE && pass == 0 && row.is_multiple_of(R::ROWS) {
            self.line(columns, row / R::ROWS);
        }
    }
}

/// Counts differences between columns of several dtypes in a block of `elements` from `start` on,
/// which `x` holds decoded.
#[inline(always)]
pub(super) fn compare_mixed<T: Cell>(
    x: &[Values<T>],
    columns: &[Column<'_>],
    start: usize,
    elements: usize,
    counts: &mut Counts,
) {
    let child = x.len() - 1;
    let rows = elements.div_ceil(LANES);
    let finite = (0..rows).all(|row| {
        x.iter().all(|column| column.row(row).iter().fold(0.0, |sum, x| sum + x * 0.0) == 0.0)
    });
    // What is rounded twice, through float32, is left to the definition, as are powers of two,
    // integers and what is not finite.
    let narrow = matches!(columns[child].dtype, Dtype::F64 | Dtype::F32)
        || columns.iter().all(|column| is_narrow(column.dtype));
    let rounding = Rounding::of(columns[child].dtype).filter(|rounding| rounding.mantissa > 0);
    let Some(cells) = rounding.filter(|_| finite && narrow).map(Cells::of) else {
        for k in 0..elements {
            scalar::compare(columns, &element(x, k)[..x.len()], start + k, counts);
        }
        return;
    };
    let mut equal = [[0_u64; LANES]; MAX_COLUMNS];
    let (mut movers, mut strays) = ([0_u64; LANES], [0_u64; LANES]);
    for row in 0..rows {
        let (base, last) = (x[0].row(row), x[child].row(row));
        let mut moved = [false; LANES];
        for (column, equal) in x[..child].iter().zip(&mut equal) {
            let values = column.row(row);
            for lane in 0..LANES {
                moved[lane] |= values[lane].to_bits() != base[lane].to_bits();
                equal[lane] += u64::from(cells.hold(last[lane], values[lane]));
            }
        }
        for lane in 0..LANES {
            let changed = last[lane].to_bits() != base[lane].to_bits();
            movers[lane] += u64::from(moved[lane]);
            strays[lane] += u64::from(!moved[lane] & changed);
        }
    }
    // The elements made up to fill the last group are zero in every column.
    let made_up = (rows * LANES - elements) as u64;
    counts.moved += movers.iter().sum::<u64>();
    counts.stray += strays.iter().sum::<u64>();
    for (count, equal) in counts.equal[..child].iter_mut().zip(&equal) {
        *count += equal.iter().sum::<u64>() - made_up;
    }
}

/// The rounding cells of a dtype: which numbers round to a value, to nearest with ties to even.
struct Cells {
    lowest: f64,
    ulp: f64,
}

impl Cells {
    fn of(rounding: Rounding) -> Self {
        Self {
            lowest: power_of_two(i64::from(rounding.lowest)),
            ulp: power_of_two(-i64::from(rounding.mantissa)),
        }
    }

    /// Whether `x` rounds to `c`, a value of the dtype. Both are finite.
    #[inline(always)]
    fn hold(&self, c: f64, x: f64) -> bool {
        let magnitude = c.abs();
        let binade = binade(magnitude);
        let ulp = binade.max(self.lowest) * self.ulp;
        // Below a power of two, values lie twice as close, except below the smallest normal one.
        let closer = (magnitude == binade) & (binade > self.lowest);
        let (above, below) = (0.5 * ulp, if closer { 0.25 * ulp } else { 0.5 * ulp });
        let half = magnitude / ulp * 0.5;
        let even = half.floor() == half;
        let away = x.abs() - magnitude;
        let inside = (away < above) & (away > -below);
        let tie = (away == above) | (away == -below);
        let one_sign = (c.to_bits() ^ x.to_bits()) >> 63 == 0;
        // The cells of subnormal float64 are too small for float64 itself.
        (c.to_bits() == x.to_bits()) | (one_sign & (inside | (tie & even)))
    }
}
