//! Counting where columns of several dtypes differ, on their values.

use super::simd::{MOST_PASSES, Simd};
use super::values::{Cell, Values, element, is_narrow};
use super::widen::{Rounding, binade, power_of_two, rounded_bits};
use super::{BLOCK, Column, Counts, LANES, MAX_COLUMNS, WIDE_LANES, scalar};
use crate::checkpoint::dtype::Dtype;

/// Counts where columns of several dtypes differ, in the block of `elements` elements from `start` on, whose
/// values are `x`.
///
/// Unless it is `careful`, elements are taken to be finite where that is faster: a chunk that has others is
/// counted again.
#[inline(always)]
pub(super) fn compare_mixed<S: Simd, T: Cell>(
    simd: S,
    x: &[Values<T>],
    columns: &[Column<'_>],
    start: usize,
    elements: usize,
    careful: bool,
    counts: &mut Counts,
) {
    if let Some(x) = T::singles(x)
        && !(careful && has_specials(x, elements))
    {
        let whole = elements / LANES * LANES;
        if count_singles(simd, x, columns, whole / LANES, counts) {
            for k in whole..elements {
                scalar::compare(columns, &element(x, k)[..x.len()], start + k, counts);
            }
            return;
        }
    }
    let child = x.len() - 1;
    let rows = elements.div_ceil(WIDE_LANES);
    let finite = (0..rows).all(|row| {
        x.iter().all(|column| column.row(row).iter().fold(0.0, |sum, x| sum + x * 0.0) == 0.0)
    });
    // The loop below takes finite values and a child that is a float with a significand, whose cast rounds
    // them once. The definition does the others: what is cast through float32 and rounded twice, powers
    // of two, integers, and blocks with an element that is not finite.
    let narrow = matches!(columns[child].dtype, Dtype::F64 | Dtype::F32)
        || columns.iter().all(|column| is_narrow(column.dtype));
    let rounding = Rounding::of(columns[child].dtype).filter(|rounding| rounding.mantissa > 0);
    let Some(cells) = rounding.filter(|_| finite && narrow).map(Cells::of) else {
        for k in 0..elements {
            scalar::compare(columns, &element(x, k)[..x.len()], start + k, counts);
        }
        return;
    };
    let mut equal = [[0_u64; WIDE_LANES]; MAX_COLUMNS];
    let (mut movers, mut strays) = ([0_u64; WIDE_LANES], [0_u64; WIDE_LANES]);
    for row in 0..rows {
        let (base, last) = (x[0].row(row), x[child].row(row));
        let mut moved = [false; WIDE_LANES];
        for (column, equal) in x[..child].iter().zip(&mut equal) {
            let values = column.row(row);
            for lane in 0..WIDE_LANES {
                moved[lane] |= values[lane].to_bits() != base[lane].to_bits();
                equal[lane] += u64::from(cells.hold(last[lane], values[lane]));
            }
        }
        for lane in 0..WIDE_LANES {
            let changed = last[lane].to_bits() != base[lane].to_bits();
            movers[lane] += u64::from(moved[lane]);
            strays[lane] += u64::from(!moved[lane] & changed);
        }
    }
    // Zeros that fill the last row are equal in every column.
    let made_up = (rows * WIDE_LANES - elements) as u64;
    counts.moved += movers.iter().sum::<u64>();
    counts.stray += strays.iter().sum::<u64>();
    for (count, equal) in counts.equal[..child].iter_mut().zip(&equal) {
        *count += equal.iter().sum::<u64>() - made_up;
    }
}

/// Whether any of the first elements is NaN or infinite.
#[inline(always)]
fn has_specials(x: &[Values<f32>], elements: usize) -> bool {
    let mut largest = 0;
    for column in x {
        for value in &column.all()[..elements] {
            largest = largest.max(value.to_bits() & 0x7F80_0000);
        }
    }
    largest == 0x7F80_0000
}

/// Counts as [`compare_mixed`] does, in `rows` rows of [`LANES`] finite elements, where the child is one of the
/// floats below; returns false, and counts nothing, where it is not.
#[inline(always)]
fn count_singles<S: Simd>(
    simd: S,
    x: &[Values<f32>],
    columns: &[Column<'_>],
    rows: usize,
    counts: &mut Counts,
) -> bool {
    let block = Singles { simd, x, columns, rows };
    match columns[columns.len() - 1].dtype {
        Dtype::F32 => block.count::<23, -126>(counts),
        Dtype::Bf16 => block.count::<7, -126>(counts),
        Dtype::F16 => block.count::<10, -14>(counts),
        Dtype::F8E4m3 => block.count::<3, -6>(counts),
        Dtype::F8E5m2 => block.count::<2, -14>(counts),
        _ => return false,
    }
    true
}

/// Rows of finite elements, each a float32. Among these, stored values and bits are the same question.
struct Singles<'a, S> {
    simd: S,
    x: &'a [Values<f32>],
    columns: &'a [Column<'a>],
    rows: usize,
}

impl<S: Simd> Singles<'_, S> {
    /// The rows of a column.
    #[inline(always)]
    fn rows(&self, column: usize) -> &[[f32; LANES]] {
        &self.x[column].all().as_chunks().0[..self.rows]
    }

    /// Counts for a child of `MANTISSA` bits after the leading one, and a smallest normal number of 2^`LOWEST`.
    #[inline(always)]
    fn count<const MANTISSA: u32, const LOWEST: i32>(&self, counts: &mut Counts) {
        let (simd, child) = (self.simd, self.x.len() - 1);
        let (base, last) = (self.rows(0), self.rows(child));
        // Per row, which elements differ from the base in some column before the child.
        let mut moved = [[simd.none(); MOST_PASSES]; BLOCK / LANES];
        for column in 0..child {
            let these = self.rows(column);
            let fits = holds(MANTISSA as i32, LOWEST, self.columns[column].dtype);
            let mut cast = [0.0; BLOCK];
            let differing = if fits {
                differing(simd, these, last)
            } else {
                let values = these.as_flattened();
                for (out, value) in cast.iter_mut().zip(values) {
                    *out = f32::from_bits(rounded_bits::<MANTISSA, LOWEST>(*value));
                }
                differing(simd, cast.as_chunks().0, last)
            };
            counts.equal[column] += (self.rows * LANES) as u64 - differing;
            if column > 0 {
                for (moved, (these, base)) in moved.iter_mut().zip(these.iter().zip(base)) {
                    for (pass, moved) in moved[..S::PASSES].iter_mut().enumerate() {
                        *moved = simd.either(*moved, differ(simd, these, base, pass));
                    }
                }
            }
        }
        if child == 1 {
            counts.stray += differing(simd, base, last);
            return;
        }
        let (mut movers, mut strays) = (simd.uncounted(), simd.uncounted());
        for (moved, (last, base)) in moved.iter().zip(last.iter().zip(base)) {
            for (pass, moved) in moved[..S::PASSES].iter().enumerate() {
                let changed = differ(simd, last, base, pass);
                movers = simd.counted(movers, *moved);
                strays = simd.counted(strays, simd.only(changed, *moved));
            }
        }
        counts.moved += simd.sum(movers);
        counts.stray += simd.sum(strays);
    }
}

/// Which elements of part `pass < PASSES` of two rows differ.
#[inline(always)]
fn differ<S: Simd>(simd: S, a: &[f32; LANES], b: &[f32; LANES], pass: usize) -> S::Mask {
    simd.narrow_differ(simd.narrow_load(a, pass), simd.narrow_load(b, pass))
}

/// How many elements of two blocks differ.
#[inline(always)]
fn differing<S: Simd>(simd: S, these: &[[f32; LANES]], last: &[[f32; LANES]]) -> u64 {
    let mut count = simd.uncounted();
    for (these, last) in these.iter().zip(last) {
        for pass in 0..S::PASSES {
            count = simd.counted(count, differ(simd, these, last, pass));
        }
    }
    simd.sum(count)
}

/// Whether every finite value of a dtype is one of the dtype with so many bits after the leading one and this least
/// normal number, as its exponent goes: casting it changes nothing.
#[inline(always)]
fn holds(mantissa: i32, lowest: i32, dtype: Dtype) -> bool {
    // Bits below the leading one of the least normal number count, too: subnormal numbers have fewer.
    let least = |mantissa: i32, lowest: i32| lowest - mantissa;
    Rounding::of(dtype).is_some_and(|own| {
        own.mantissa <= mantissa && least(own.mantissa, own.lowest) >= least(mantissa, lowest)
    })
}

/// The rounding cells of a dtype: which numbers round to a value, to nearest with ties to even.
struct Cells {
    /// The smallest normal number.
    lowest: f64,
    /// A unit in the last place at 1.
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
        // Equal bits are compared as such: half the last place of a subnormal float64 is no float64.
        (c.to_bits() == x.to_bits()) | (one_sign & (inside | (tie & even)))
    }
}
