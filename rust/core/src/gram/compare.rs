//! Counting, on the stored bits, where columns of one dtype differ.

use super::generic::Simd;
use super::{Column, Counts, MAX_COLUMNS};

/// Bytes of each column compared at a time.
const LINE: usize = 64;

/// Counts differences between columns of one dtype on the stored bits.
#[inline(always)]
pub(super) fn compare_alike<S: Simd>(simd: S, columns: &[Column<'_>], counts: &mut Counts) {
    // A number of columns that is known when this is compiled keeps the tally in registers.
    match (columns[0].width(), columns.len() - 1) {
        (2, 1) => compare_words::<S, 2>(simd, columns, 1, counts),
        (2, 2) => compare_words::<S, 2>(simd, columns, 2, counts),
        (4, 1) => compare_words::<S, 4>(simd, columns, 1, counts),
        (4, 2) => compare_words::<S, 4>(simd, columns, 2, counts),
        (1, child) => compare_words::<S, 1>(simd, columns, child, counts),
        (2, child) => compare_words::<S, 2>(simd, columns, child, counts),
        (4, child) => compare_words::<S, 4>(simd, columns, child, counts),
        (_, child) => compare_words::<S, 8>(simd, columns, child, counts),
    }
}

#[inline(always)]
fn compare_words<S: Simd, const WIDTH: usize>(
    simd: S,
    columns: &[Column<'_>],
    child: usize,
    counts: &mut Counts,
) {
    let mut lines: [&[[u8; LINE]]; MAX_COLUMNS] = [&[]; MAX_COLUMNS];
    let mut rest = [[0; LINE]; MAX_COLUMNS];
    let whole = columns[child].bytes.len() / LINE;
    for ((lines, rest), column) in lines.iter_mut().zip(&mut rest).zip(columns) {
        let (all, part) = column.bytes.as_chunks::<LINE>();
        *lines = &all[..whole];
        // A line that ends early goes on with elements that are zero in every column.
        rest[..part.len()].copy_from_slice(part);
    }
    let mut tally = Tally::default();
    #[expect(clippy::needless_range_loop, reason = "a line of every column, not of one")]
    for line in 0..whole {
        tally.add::<S, WIDTH>(simd, child, |column| &lines[column][line]);
    }
    if !columns[child].bytes.len().is_multiple_of(LINE) {
        tally.add::<S, WIDTH>(simd, child, |column| &rest[column]);
    }
    counts.moved += tally.moved / S::bits(WIDTH);
    counts.stray += tally.stray / S::bits(WIDTH);
    let elements = columns[child].len() as u64;
    for (count, differing) in counts.equal[..child].iter_mut().zip(tally.differing) {
        *count += elements - differing / S::bits(WIDTH);
    }
}

/// Bits of [`Simd::differ`], counted.
#[derive(Default)]
struct Tally {
    differing: [u64; MAX_COLUMNS],
    moved: u64,
    stray: u64,
}

impl Tally {
    #[inline(always)]
    fn add<'a, S: Simd, const WIDTH: usize>(
        &mut self,
        simd: S,
        child: usize,
        line: impl Fn(usize) -> &'a [u8; LINE],
    ) {
        let (base, last) = (line(0), line(child));
        let changed = simd.differ::<WIDTH>(base, last);
        self.differing[0] += u64::from(changed.count_ones());
        let mut moved = 0;
        for column in 1..child {
            let these = line(column);
            moved |= simd.differ::<WIDTH>(these, base);
            self.differing[column] += u64::from(simd.differ::<WIDTH>(these, last).count_ones());
        }
        self.moved += u64::from(moved.count_ones());
        self.stray += u64::from((changed & !moved).count_ones());
    }
}
