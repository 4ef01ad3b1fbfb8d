//! Wide arithmetic on columns as they are stored: nothing is copied, and each line is read once.
//!
//! ```text
//! for each block of BLOCK elements:
//!     count differences on the stored bits
//!     accumulators += X_i * X_j, of elements widened as they are loaded       (see `products`)
//! ```

#![expect(clippy::needless_range_loop, reason = "a block of every column, not of one")]

use std::marker::PhantomData;

use super::compare::{Comparing, LINE, Lines, StoredLines, Tally, tally_alike};
use super::generic::{STRETCH, Simd};
use super::prefetch::prefetch;
use super::products::{Beside, Rows, add_many, add_values};
use super::values::{BLOCK, ROWS, Values};
use super::wide::Wide;
use super::{Column, Counts, MAX_COLUMNS, Sums, Vectorize, WIDE_LANES};

/// A dtype whose elements are widened as they are loaded.
pub(super) trait Format: Copy + 'static {
    /// Bytes of an element.
    const WIDTH: usize;
    /// A block as it is stored.
    type Block: Copy + 'static;

    /// The whole blocks of a column.
    fn blocks<'a>(column: &Column<'a>) -> &'a [Self::Block];
    /// The lines of blocks.
    fn lines(blocks: &[Self::Block]) -> &[[u8; LINE]];
    /// Counts differences between lines of columns `0..=child`.
    fn tally<S: Simd>(simd: S, child: usize, lines: &Lines<'_>, tally: &mut Tally);
    /// Part `pass` of a row, widened.
    fn load<S: Simd>(simd: S, block: &Self::Block, row: usize, pass: usize) -> S::Wide;
}

macro_rules! stored_as {
    ($name:ident, $width:literal, $load:ident) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name;

        impl Format for $name {
            const WIDTH: usize = $width;
            type Block = [[u8; $width * WIDE_LANES]; ROWS];

            #[inline(always)]
            fn blocks<'a>(column: &Column<'a>) -> &'a [Self::Block] {
                column.bytes.as_chunks().0.as_chunks().0
            }

            #[inline(always)]
            fn lines(blocks: &[Self::Block]) -> &[[u8; LINE]] {
                blocks.as_flattened().as_flattened().as_chunks().0
            }

            #[inline(always)]
            fn tally<S: Simd>(simd: S, child: usize, lines: &Lines<'_>, tally: &mut Tally) {
                tally_alike::<S, $width>(simd, child, lines, tally);
            }

            #[inline(always)]
            fn load<S: Simd>(simd: S, block: &Self::Block, row: usize, pass: usize) -> S::Wide {
                simd.$load(&block[row], pass)
            }
        }
    };
}

stored_as!(Bf16, 2, load_bf16_bytes);
stored_as!(F16, 2, load_f16_bytes);
stored_as!(F32, 4, load_f32_bytes);

/// A whole block as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a, F: Format>(pub(super) &'a F::Block);

impl<F: Format> StoredLines for Stored<'_, F> {
    const WIDTH: usize = F::WIDTH;
    const ROWS: usize = LINE / WIDE_LANES / F::WIDTH;

    #[inline(always)]
    fn line(&self, line: usize) -> &[u8; LINE] {
        &F::lines(std::slice::from_ref(self.0))[line]
    }
}

impl<F: Format, S: Simd> Rows<Wide<S>> for Stored<'_, F> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        F::load(arithmetic.0, self.0, row, pass)
    }

    #[inline(always)]
    fn expect(&self, _arithmetic: Wide<S>, row: usize, pass: usize) {
        if pass == 0 && row.is_multiple_of(<Self as StoredLines>::ROWS) {
            prefetch(self.line(row / <Self as StoredLines>::ROWS));
        }
    }
}

/// Room for the displacements of more columns than are added up in registers.
pub(super) type Displaced = [Values<f64>; MAX_COLUMNS];

/// Adds the products of whole blocks as they are stored, and how they compare, unless that is known.
/// Returns the number of elements in them.
#[inline(always)]
pub(super) fn add_blocks<S: Simd, F: Format>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    counts: &mut Counts,
    sums: &mut Sums,
    room: &mut Option<Displaced>,
) -> usize {
    let mut tally = Tally::default();
    let counted = if compared { None } else { Some(&mut tally) };
    let blocks = F::blocks;
    match columns {
        [base, child] => {
            let blocks = [blocks(base), blocks(child)];
            simd.call(FewStored::<S, F, 2> { simd, blocks, sums, tally: counted });
        }
        [base, one, child] => {
            let blocks = [blocks(base), blocks(one), blocks(child)];
            simd.call(FewStored::<S, F, 3> { simd, blocks, sums, tally: counted });
        }
        [base, one, two, child] => {
            let blocks = [blocks(base), blocks(one), blocks(two), blocks(child)];
            simd.call(FewStored::<S, F, 4> { simd, blocks, sums, tally: counted });
        }
        _ => simd.call(ManyStored::<S, F> {
            room: room.get_or_insert([Values::ZERO; MAX_COLUMNS]),
            simd,
            columns,
            sums,
            tally: counted,
            format: PhantomData,
        }),
    }
    tally.add_to(counts);
    blocks(&columns[0]).len() * BLOCK
}

/// Blocks of as many columns as are added up in registers.
struct FewStored<'a, S, F: Format, const N: usize> {
    simd: S,
    blocks: [&'a [F::Block]; N],
    sums: &'a mut Sums,
    tally: Option<&'a mut Tally>,
}

impl<S: Simd, F: Format, const N: usize> Vectorize for FewStored<'_, S, F, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Some(tally) = self.tally else {
            return add_few::<S, F, (), N>(self.simd, &self.blocks, self.sums, &mut ());
        };
        let mut comparing = Comparing::new(self.simd);
        add_few::<S, F, _, N>(self.simd, &self.blocks, self.sums, &mut comparing);
        comparing.add_to(F::WIDTH, N - 1, tally);
    }
}

#[inline(always)]
fn add_few<'a, S: Simd, F: Format, B: Beside<Stored<'a, F>>, const N: usize>(
    simd: S,
    blocks: &[&'a [F::Block]; N],
    sums: &mut Sums,
    beside: &mut B,
) {
    for number in 0..blocks[0].len() {
        let mut block = [Stored(&blocks[0][number]); N];
        for column in 1..N {
            block[column] = Stored(&blocks[column][number]);
        }
        add_values(Wide(simd), &block, ROWS, sums, beside);
    }
}

/// Blocks of more columns.
struct ManyStored<'a, S, F> {
    simd: S,
    columns: &'a [Column<'a>],
    room: &'a mut Displaced,
    sums: &'a mut Sums,
    tally: Option<&'a mut Tally>,
    format: PhantomData<F>,
}

impl<S: Simd, F: Format> Vectorize for ManyStored<'_, S, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (simd, count) = (self.simd, self.columns.len().min(MAX_COLUMNS));
        let mut blocks = [F::blocks(&self.columns[0]); MAX_COLUMNS];
        for column in 1..count {
            blocks[column] = F::blocks(&self.columns[column]);
        }
        for number in 0..blocks[0].len() {
            if let Some(tally) = &mut self.tally
                && number.is_multiple_of(STRETCH / BLOCK)
            {
                let mut lines: Lines<'_> = [&[]; MAX_COLUMNS];
                for (lines, blocks) in lines.iter_mut().zip(&blocks[..count]) {
                    let end = blocks.len().min(number + STRETCH / BLOCK);
                    *lines = F::lines(&blocks[number..end]);
                }
                F::tally(simd, count - 1, &lines, tally);
            }
            let mut block = [Stored::<F>(&blocks[0][number]); MAX_COLUMNS];
            for column in 1..count {
                block[column] = Stored(&blocks[column][number]);
            }
            add_many(Wide(simd), &block[..count], self.room, ROWS, self.sums);
        }
    }
}
