//! Rounding cells: which weights round to what the child stores.
//!
//! # Definition
//!
//! A slice has columns base `b`, parents and controls `x_1 .. x_m`, child `c`, decoded exactly to
//! float64, and weights `w_0 .. w_m`, all but that of one *axis* known. The blend is
//! `v = b + w_0 b + sum_i w_i (x_i - b)`. Element j admits the weights of the axis for which v lies in the
//! closed cell of its stored value, half a unit in the last place to either side (a quarter below a
//! power of two), widened by the float32 slack
//!
//! ```text
//! slack    = 2^-23 (|b| + sum of |x_i| over the axis and every i with w_i != 0)
//! rest     = b + w_0 b + sum of w_i (x_i - b) without the axis     fused multiply-adds, i ascending
//! interval = [low - slack - rest, high + slack - rest] / direction   direction: x_axis - b, or b
//! ```
//!
//! The slack is absolute: products of float32 arithmetic are rounded relative to the summands, which
//! may cancel. Where the direction is 0 the element admits every weight or none; it is counted as
//! *fixed*. An interval shorter than [`NARROW`] is *narrow*: only those tell one weight from another,
//! since a wide interval admits nearly anything.
//!
//! The *cell spectrum* is the number of intervals over each bin of a window of weights: a difference
//! array, summed. An interval counts for every bin it touches.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::checkpoint::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gram::{Column, Rounding, Vectorize, binade, decode, widen_f16};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::stream::{Options, tiles};

/// Intervals of the weight below this length are narrow.
pub const NARROW: f64 = 0.1;
/// Most bins of a window.
pub const MAX_BINS: usize = 1 << 20;

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Weights of base, parents and controls, shape (slices, columns - 1). That of the axis is not read.
    pub weights: Vec<f64>,
    /// The column whose weight is unknown; 0 is the base, beyond the weight that makes the sum one.
    pub axis: usize,
    /// The group of each slice.
    pub groups: Vec<usize>,
    /// The window of weights of each group, first below last.
    pub windows: Vec<(f64, f64)>,
    /// Bins of a window.
    pub bins: usize,
    /// Cells by which every cell is widened to either side: 0, or 1 for arithmetic that rounds more
    /// than once.
    pub widen: f64,
    /// The dtype whose rounding the child has, if not the one that it is stored in.
    pub dtype: Option<Dtype>,
}

/// Cell spectra of G groups. The second axis is (all intervals, narrow ones).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spectrum {
    /// Intervals over each bin, shape (G, 2, bins).
    pub coverage: Vec<u32>,
    /// Intervals, whether they meet the window or not, shape (G, 2).
    pub intervals: Vec<u64>,
    /// Elements that no weight of the axis changes, shape (G,).
    pub fixed: Vec<u64>,
    /// Of those, the ones that the other weights put into their cell, shape (G,).
    pub fixed_admitted: Vec<u64>,
}

/// Streams `slices` once and returns the spectra. `query.weights` and `query.groups` start with the
/// first of them.
///
/// # Errors
///
/// As [`crate::statistics::gram`]; [`Error::Argument`] for a query that does not fit the plan.
pub fn spectrum(
    plan: &Plan,
    slices: Range<usize>,
    query: &Query,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Spectrum> {
    check(plan, &slices, query)?;
    let groups: Vec<_> =
        query.windows.iter().map(|_| Mutex::new(Differences::new(query.bins))).collect();
    let others = plan.columns() - 1;
    tiles(plan, slices.clone(), options, progress, |tile, columns| {
        let slice = tile.slice - slices.start;
        let group = query.groups[slice];
        let weights = &query.weights[slice * others..][..others];
        let window = query.windows[group];
        // Sums of integers: the order in which tiles arrive does not show. A tile of fewer elements than there are
        // bins makes a list of intervals, which is shorter than a difference array.
        let search = Search { columns, weights, query, window, progress };
        if columns[others].len() < query.bins {
            let found = options.level.vectorize(Listing(search));
            progress.check()?;
            groups[group].lock().unwrap_or_else(PoisonError::into_inner).add_list(&found);
        } else {
            let found = options.level.vectorize(search);
            progress.check()?;
            groups[group].lock().unwrap_or_else(PoisonError::into_inner).add(&found);
        }
        Ok(())
    })?;
    let mut out = Spectrum {
        coverage: Vec::with_capacity(groups.len() * 2 * query.bins),
        intervals: Vec::new(),
        fixed: Vec::new(),
        fixed_admitted: Vec::new(),
    };
    for group in groups {
        let group = group.into_inner().unwrap_or_else(PoisonError::into_inner);
        for steps in &group.marks.0 {
            let mut running = 0_i64;
            out.coverage.extend(steps[..query.bins].iter().map(|step| {
                running += step;
                u32::try_from(running).unwrap_or(u32::MAX)
            }));
        }
        out.intervals.extend(group.counts.intervals);
        out.fixed.push(group.counts.fixed);
        out.fixed_admitted.push(group.counts.fixed_admitted);
    }
    Ok(out)
}

fn check(plan: &Plan, slices: &Range<usize>, query: &Query) -> Result<()> {
    let others = plan.columns() - 1;
    let wrong = |what: &str| Err(Error::Argument(format!("cells: {what}")));
    if query.weights.len() != slices.len() * others {
        return wrong("a weight for every slice and every column before the child");
    }
    if query.axis >= others {
        return wrong("the axis is a column before the child");
    }
    if query.groups.len() != slices.len() {
        return wrong("a group for every slice");
    }
    if query.groups.iter().any(|&group| group >= query.windows.len()) {
        return wrong("a window for every group");
    }
    let ordered = |&(low, high): &(f64, f64)| low < high && (high - low).is_finite();
    if !query.windows.iter().all(ordered) {
        return wrong("windows are finite and ascending");
    }
    if query.bins == 0 || query.bins > MAX_BINS {
        return wrong("1 to 1048576 bins");
    }
    if !query.widen.is_finite() || query.widen < 0.0 {
        return wrong("cells are widened by a finite number of cells");
    }
    Ok(())
}

/// Where intervals begin and end.
trait Marks {
    /// Adds an interval over bins `begin..end`.
    fn mark(&mut self, begin: usize, end: usize, narrow: bool);
}

/// Difference arrays of all intervals and of the narrow ones.
struct Steps([Vec<i64>; 2]);

impl Marks for Steps {
    #[inline(always)]
    fn mark(&mut self, begin: usize, end: usize, narrow: bool) {
        for steps in &mut self.0[..1 + usize::from(narrow)] {
            steps[begin] += 1;
            steps[end] -= 1;
        }
    }
}

impl Marks for Vec<(usize, usize, bool)> {
    #[inline(always)]
    fn mark(&mut self, begin: usize, end: usize, narrow: bool) {
        self.push((begin, end, narrow));
    }
}

/// The counters beside them.
#[derive(Default)]
struct Counts {
    intervals: [u64; 2],
    fixed: u64,
    fixed_admitted: u64,
}

struct Found<M> {
    marks: M,
    counts: Counts,
}

type Differences = Found<Steps>;
type List = Found<Vec<(usize, usize, bool)>>;

impl Differences {
    fn new(bins: usize) -> Self {
        let steps = || vec![0; bins + 1];
        Self { marks: Steps([steps(), steps()]), counts: Counts::default() }
    }

    fn add(&mut self, other: &Self) {
        for (sums, steps) in self.marks.0.iter_mut().zip(&other.marks.0) {
            for (sum, step) in sums.iter_mut().zip(steps) {
                *sum += step;
            }
        }
        self.counts.add(&other.counts);
    }

    fn add_list(&mut self, other: &List) {
        for &(begin, end, narrow) in &other.marks {
            self.marks.mark(begin, end, narrow);
        }
        self.counts.add(&other.counts);
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for kind in 0..2 {
            self.intervals[kind] += other.intervals[kind];
        }
        self.fixed += other.fixed;
        self.fixed_admitted += other.fixed_admitted;
    }
}

/// Elements looked at together.
const BLOCK: usize = 256;
type Block = [f64; BLOCK];

/// The intervals of a tile. All of a block goes through one operation before the next, so that the
/// compiler vectorises them; only what is counted where is done element by element.
struct Search<'a> {
    columns: &'a [Column<'a>],
    weights: &'a [f64],
    query: &'a Query,
    window: (f64, f64),
    /// After a cancellation, what was found so far is given back.
    progress: &'a Progress,
}

impl Vectorize for Search<'_> {
    type Output = Differences;

    #[inline(always)]
    fn run(self) -> Differences {
        let mut found = Differences::new(self.query.bins);
        self.into(&mut found);
        found
    }
}

/// The same with a list of intervals.
struct Listing<'a>(Search<'a>);

impl Vectorize for Listing<'_> {
    type Output = List;

    #[inline(always)]
    fn run(self) -> List {
        let mut found = List { marks: Vec::new(), counts: Counts::default() };
        self.0.into(&mut found);
        found
    }
}

impl Search<'_> {
    #[inline(always)]
    fn into<M: Marks>(self, out: &mut Found<M>) {
        let Self { columns, weights, query, window: (low, high), progress } = self;
        let Found { marks, counts } = out;
        let child = columns.len() - 1;
        let Some(rounding) = Rounding::of(query.dtype.unwrap_or(columns[child].dtype)) else {
            return;
        };
        let per_weight = query.bins as f64 / (high - low);
        let zero = [0.0; BLOCK];
        let (mut base, mut value, mut stored) = (zero, zero, zero);
        let (mut rest, mut magnitude, mut direction) = (zero, zero, zero);
        let (mut from, mut to, mut strict) = (zero, zero, zero);
        let length = columns[child].len();
        for start in (0..length).step_by(BLOCK) {
            if progress.is_cancelled() {
                break;
            }
            let n = BLOCK.min(length - start);
            let part = |i: usize| columns[i].part(start..start + n);
            block(&part(0), &mut base);
            block(&part(child), &mut stored);
            let own = if query.axis == 0 { 0.0 } else { weights[0] };
            for k in 0..BLOCK {
                rest[k] = own.mul_add(base[k], base[k]);
                magnitude[k] = base[k].abs();
                direction[k] = base[k];
            }
            for (i, &weight) in weights.iter().enumerate().skip(1) {
                if i == query.axis {
                    block(&part(i), &mut value);
                    for k in 0..BLOCK {
                        magnitude[k] += value[k].abs();
                        direction[k] = value[k] - base[k];
                    }
                } else if weight != 0.0 {
                    block(&part(i), &mut value);
                    for k in 0..BLOCK {
                        magnitude[k] += value[k].abs();
                        rest[k] = weight.mul_add(value[k] - base[k], rest[k]);
                    }
                }
            }
            for k in 0..BLOCK {
                let (below, above) = rounding.half_cells(stored[k]);
                let slack = magnitude[k] * SLACK;
                strict[k] = below + above;
                let wide = query.widen * strict[k];
                from[k] = stored[k] - below - wide - slack - rest[k];
                to[k] = stored[k] + above + wide + slack - rest[k];
            }
            for k in 0..n {
                if !(stored[k].is_finite() && magnitude[k].is_finite()) {
                    continue;
                }
                if direction[k] == 0.0 {
                    counts.fixed += 1;
                    counts.fixed_admitted += u64::from(from[k] <= 0.0 && to[k] >= 0.0);
                    continue;
                }
                let (one, two) = (from[k] / direction[k], to[k] / direction[k]);
                let (first, last) = if one < two { (one, two) } else { (two, one) };
                let narrow = strict[k] < NARROW * direction[k].abs();
                counts.intervals[0] += 1;
                counts.intervals[1] += u64::from(narrow);
                if last < low || first > high {
                    continue;
                }
                // Bins are clamped to the window, so the casts are of small numbers.
                let begin = ((first.max(low) - low) * per_weight) as usize;
                let end = ((last.min(high) - low) * per_weight) as usize;
                let (begin, end) = (begin.min(query.bins - 1), end.min(query.bins - 1) + 1);
                marks.mark(begin, end, narrow);
            }
        }
    }
}

/// Decodes a block; what is past its end is left as it was.
#[inline(always)]
fn block(column: &Column<'_>, out: &mut Block) {
    match column.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16));
            }
        }
        Dtype::F16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = f64::from(widen_f16(u16::from_le_bytes(*bytes)));
            }
        }
        Dtype::F32 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<4>().0) {
                *value = f64::from(f32::from_le_bytes(*bytes));
            }
        }
        _ => {
            let width = column.width();
            for (value, bytes) in out.iter_mut().zip(column.bytes.chunks_exact(width)) {
                *value = decode(column.dtype, bytes);
            }
        }
    }
}

/// 2^-23, one unit in the last place of a float32 at 1.
const SLACK: f64 = 1.0 / 8_388_608.0;

impl Rounding {
    /// How far the rounding cell of a stored `value` reaches downwards and upwards.
    ///
    /// The side towards zero is half as wide where the value is a power of two, for the numbers below
    /// it are twice as dense.
    #[inline(always)]
    pub(crate) fn half_cells(self, value: f64) -> (f64, f64) {
        let ulp = self.ulp(value);
        let is_power = binade(value) == value.abs();
        let inner =
            if is_power && value.abs() > self.least_normal() { ulp / 4.0 } else { ulp / 2.0 };
        if value == 0.0 {
            (ulp / 2.0, ulp / 2.0)
        } else if value > 0.0 {
            (inner, ulp / 2.0)
        } else {
            (ulp / 2.0, inner)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gram::encode;
    use proptest::prelude::*;

    proptest! {
        /// The cell of a stored value holds just the numbers that round to it.
        #[test]
        fn the_cell_is_what_rounds_to_the_value(bits in any::<u16>(), steps in -64..=64_i32) {
            for dtype in [Dtype::Bf16, Dtype::F16] {
                let value = decode(dtype, &bits.to_le_bytes());
                prop_assume!(value.is_finite());
                let rounding = Rounding::of(dtype).unwrap();
                let (below, above) = rounding.half_cells(value);
                let ulp = rounding.ulp(value);
                let other = value + f64::from(steps) / 32.0 * ulp;
                if f64::from(other as f32) != other { continue; }
                let inside = other > value - below && other < value + above;
                let outside = other < value - below || other > value + above;
                let rounded = encode(dtype, other).unwrap();
                let same = rounded == u64::from(bits)
                    || (value == 0.0 && decode(dtype, &(rounded as u16).to_le_bytes()) == 0.0);
                if inside { prop_assert!(same, "{value} {other}"); }
                if outside { prop_assert!(!same, "{value} {other}"); }
            }
        }
    }
}
