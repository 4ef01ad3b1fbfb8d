//! Counting where columns of several dtypes differ, on their values.

use super::values::{Cell, Values, element, is_narrow};
use super::widen::{Rounding, binade, power_of_two, rounded_bits};
use super::{BLOCK, Column, Counts, MAX_COLUMNS, WIDE_LANES as LANES, scalar};
use crate::checkpoint::dtype::Dtype;

/// Counts where columns of several dtypes differ, in the block of `elements` elements from `start` on, whose
/// values are `x`.
#[inline(always)]
pub(super) fn compare_mixed<T: Cell>(
    x: &[Values<T>],
    columns: &[Column<'_>],
    start: usize,
    elements: usize,
    counts: &mut Counts,
) {
    if let Some(x) = T::singles(x)
        && compare_singles(x, columns, elements, counts)
    {
        return;
    }
    let child = x.len() - 1;
    let rows = elements.div_ceil(LANES);
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
    // Zeros that fill the last row are equal in every column.
    let made_up = (rows * LANES - elements) as u64;
    counts.moved += movers.iter().sum::<u64>();
    counts.stray += strays.iter().sum::<u64>();
    for (count, equal) in counts.equal[..child].iter_mut().zip(&equal) {
        *count += equal.iter().sum::<u64>() - made_up;
    }
}

/// Counts as [`compare_mixed`] does, where the child is one of the floats below and no element is NaN or infinite;
/// returns false, and counts nothing, where that is not so.
#[inline(always)]
fn compare_singles(
    x: &[Values<f32>],
    columns: &[Column<'_>],
    elements: usize,
    counts: &mut Counts,
) -> bool {
    let mut largest = 0;
    for column in x {
        for value in &column.all()[..elements] {
            largest = largest.max(value.to_bits() & 0x7F80_0000);
        }
    }
    if largest == 0x7F80_0000 {
        return false;
    }
    match columns[columns.len() - 1].dtype {
        Dtype::F32 => count_singles::<23, -126>(x, elements, counts),
        Dtype::Bf16 => count_singles::<7, -126>(x, elements, counts),
        Dtype::F16 => count_singles::<10, -14>(x, elements, counts),
        Dtype::F8E4m3 => count_singles::<3, -6>(x, elements, counts),
        Dtype::F8E5m2 => count_singles::<2, -14>(x, elements, counts),
        _ => return false,
    }
    true
}

/// The work of [`compare_singles`] for a child of `MANTISSA` bits after the leading one, and a smallest normal
/// number of 2^`LOWEST`. Among finite float32, stored values and bits are the same question.
///
/// Counts are single numbers: given lanes, the compiler takes rows for its vectors, and transposes all of them.
#[inline(always)]
fn count_singles<const MANTISSA: u32, const LOWEST: i32>(
    x: &[Values<f32>],
    elements: usize,
    counts: &mut Counts,
) {
    let child = x.len() - 1;
    let (base, last) = (&x[0].all()[..elements], &x[child].all()[..elements]);
    let mut moved = [0_u32; BLOCK];
    let moved = &mut moved[..elements];
    for (column, count) in x[..child].iter().zip(&mut counts.equal) {
        let these = &column.all()[..elements];
        let mut equal = 0_u32;
        for k in 0..elements {
            let rounded = rounded_bits::<MANTISSA, LOWEST>(these[k]);
            equal += u32::from(rounded == last[k].to_bits());
        }
        for k in 0..elements {
            moved[k] |= these[k].to_bits() ^ base[k].to_bits();
        }
        *count += u64::from(equal);
    }
    let (mut movers, mut strays) = (0_u32, 0_u32);
    for k in 0..elements {
        let changed = last[k].to_bits() != base[k].to_bits();
        movers += u32::from(moved[k] != 0);
        strays += u32::from(changed & (moved[k] == 0));
    }
    counts.moved += u64::from(movers);
    counts.stray += u64::from(strays);
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
