//! Passes that compute nothing: a checksum, which says how fast bytes come, and the elements themselves.

use std::ops::Range;

use super::{Options, tiles};
use crate::error::Result;
use crate::gram::{CHUNK, Column, Vectorize, decode, prefetch};
use crate::plan::Plan;
use crate::progress::Progress;

/// Streams `slices` once and returns the sum of the 64-bit words of every tile, as a checksum.
///
/// This does the least that can be done with bytes, through the same tiles and windows and with the
/// same prefetches: the time that [`crate::statistics::gram`] takes beyond this is its arithmetic's.
///
/// # Errors
///
/// As [`crate::statistics::gram`].
pub fn read(
    plan: &Plan,
    slices: Range<usize>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<u64> {
    let sums = tiles(plan, slices, options, progress, |_, columns| {
        let level = options.level;
        let parts = columns.iter().map(|column| level.vectorize(Checksum(column)));
        Ok(parts.fold(0_u64, u64::wrapping_add))
    })?;
    Ok(sums.into_iter().fold(0, |sum, (_, part)| sum.wrapping_add(part)))
}

/// The sum of the 64-bit words of a column; bytes after the last whole word are filled up with zeros.
struct Checksum<'a>(&'a Column<'a>);

impl Vectorize for Checksum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut sums = [0_u64; 8];
        let (lines, rest) = self.0.bytes.as_chunks::<64>();
        for line in lines {
            prefetch(line);
            for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
                *sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
        }
        let (words, rest) = rest.as_chunks();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let rest = rest.iter().rev().fold(0, |rest, &byte| rest << 8 | u64::from(byte));
        sums.into_iter().chain(words).fold(rest, u64::wrapping_add)
    }
}

/// Reads `slices` once and returns their elements, decoded: shape (elements, columns).
///
/// # Errors
///
/// As [`crate::statistics::gram`].
pub fn elements(
    plan: &Plan,
    slices: Range<usize>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<f64>> {
    let parts = tiles(plan, slices, options, progress, |_, columns| {
        let mut out = Vec::with_capacity(columns[0].len() * columns.len());
        for k in 0..columns[0].len() {
            if k.is_multiple_of(CHUNK) {
                progress.check()?;
            }
            out.extend(columns.iter().map(|column| {
                let width = column.width();
                decode(column.dtype, &column.bytes[k * width..(k + 1) * width])
            }));
        }
        Ok(out)
    })?;
    Ok(parts.into_iter().flat_map(|(_, part)| part).collect())
}
