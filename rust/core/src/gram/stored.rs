//! Blocks of columns as they are stored: elements are widened as they are loaded, and not copied. Wide
//! arithmetic on them is here, narrow arithmetic in `narrow`.
//!
//! ```text
//! for each block of BLOCK elements:
//!     count where columns differ on the stored bits       (of few columns, in the loop over rows)
//!     accumulators += X_i * X_j                           (see `products`)
//! ```

use super::arithmetic::{Narrow, Squared, Wide};
use super::compare::{StoredLines, tally_alike};
use super::few::{Piece, add_few};
use super::prefetch::prefetch;
use super::products::{Rows, add_many};
use super::simd::{Simd, Vectorize};
use super::sums::Sums;
use super::tally::{Lines, Tally};
use super::values::{ROWS, Values};
use super::{BLOCK, Column, Counts, LANES, LINE, MAX_COLUMNS, STRETCH, WIDE_LANES};

/// A dtype whose elements are widened as they are loaded.
pub(super) trait Format: Copy + 'static {
    /// Bytes of an element.
    const WIDTH: usize;
    /// A block as it is stored.
    type Block: Copy + 'static;

    /// The whole blocks of a column.
    fn blocks<'a>(column: &Column<'a>) -> &'a [Self::Block];
    /// The same bytes as lines.
    fn lines(blocks: &[Self::Block]) -> &[[u8; LINE]];
    /// Counts to a tally where lines of columns `0..=child` differ.
    fn tally<S: Simd>(simd: S, child: usize, lines: &Lines<'_>, tally: &mut Tally);
    /// Part `pass` of a row of a block, widened.
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

/// A dtype for narrow arithmetic.
pub(super) trait Short: Format + Squared {
    /// The elements of a column, fewer than a block has, continued with zeros.
    fn padded(column: &Column<'_>) -> Self::Block;
    /// Part `pass` of a row of sixteen elements of a block, in the order that the definition has for the
    /// dtype, as float32.
    fn load_narrow<S: Simd>(simd: S, block: &Self::Block, row: usize, pass: usize) -> S::Narrow;
}

impl Squared for Bf16 {
    const PAIRED: bool = true;
}

impl Short for Bf16 {
    fn padded(column: &Column<'_>) -> Self::Block {
        let mut block = [[0; 2 * WIDE_LANES]; ROWS];
        block.as_flattened_mut()[..column.bytes.len()].copy_from_slice(column.bytes);
        block
    }

    // Even and odd elements of a line are rows of their own: pairs are split by one shift and one mask.
    #[inline(always)]
    fn load_narrow<S: Simd>(simd: S, block: &Self::Block, row: usize, pass: usize) -> S::Narrow {
        let lines = Self::lines(std::slice::from_ref(block));
        simd.narrow_bf16(&lines[row / 2], row % 2 == 1, pass)
    }
}

impl Squared for F16 {
    const PAIRED: bool = false;
}

impl Short for F16 {
    fn padded(column: &Column<'_>) -> Self::Block {
        Bf16::padded(column)
    }

    #[inline(always)]
    fn load_narrow<S: Simd>(simd: S, block: &Self::Block, row: usize, pass: usize) -> S::Narrow {
        simd.narrow_f16(&block.as_flattened().as_chunks().0[row], pass)
    }
}

stored_as!(Bf16, 2, load_bf16_bytes);
stored_as!(F16, 2, load_f16_bytes);
stored_as!(F32, 4, load_f32_bytes);

/// A whole block as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a, F: Format>(pub(super) &'a F::Block);

impl<F: Format> StoredLines for Stored<'_, F> {
    const WIDTH: usize = F::WIDTH;

    #[inline(always)]
    fn line(&self, line: usize) -> &[u8; LINE] {
        &F::lines(std::slice::from_ref(self.0))[line]
    }
}

impl<'a, F: Format> Piece<'a> for Stored<'a, F> {
    type Bytes = F::Block;

    #[inline(always)]
    fn of(bytes: &'a F::Block) -> Self {
        Self(bytes)
    }
}

impl<F: Format, S: Simd> Rows<Wide<S>> for Stored<'_, F> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        F::load(arithmetic.0, self.0, row, pass)
    }

    #[inline(always)]
    fn expect(&self, _arithmetic: Wide<S>, row: usize, pass: usize) {
        self.expect_line(row, LINE / F::WIDTH / WIDE_LANES, pass);
    }
}

impl<F: Short, S: Simd> Rows<Narrow<S, F>> for Stored<'_, F> {
    #[inline(always)]
    fn load(&self, arithmetic: Narrow<S, F>, row: usize, pass: usize) -> S::Narrow {
        F::load_narrow(arithmetic.0, self.0, row, pass)
    }

    #[inline(always)]
    fn expect(&self, _arithmetic: Narrow<S, F>, row: usize, pass: usize) {
        self.expect_line(row, LINE / F::WIDTH / LANES, pass);
    }
}

impl<F: Format> Stored<'_, F> {
    /// Asks for a line with the first of the `rows` rows that it has.
    #[inline(always)]
    fn expect_line(&self, row: usize, rows: usize, pass: usize) {
        if pass == 0 && row.is_multiple_of(rows) {
            prefetch(self.line(row / rows));
        }
    }
}

/// Room for base and displacements of one block, for more columns than are added up in registers.
pub(super) type Displaced = [Values<f64>; MAX_COLUMNS];

/// Adds the products of the whole blocks of each column, and counts where columns differ, unless they have
/// been `compared`. Returns how many elements of each column those blocks have.
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
    let mut counted = if compared { None } else { Some(&mut tally) };
    let mut blocks = [F::blocks(&columns[0]); MAX_COLUMNS];
    for (blocks, column) in blocks.iter_mut().zip(columns) {
        *blocks = F::blocks(column);
    }
    let blocks = &blocks[..columns.len()];
    let number = blocks[0].len();
    let few = counted.as_deref_mut();
    if !add_few::<S, _, Stored<'_, F>>(simd, Wide(simd), blocks, sums, few) {
        let room = room.get_or_insert([Values::ZERO; MAX_COLUMNS]);
        simd.call(ManyStored::<S, F> { simd, blocks, room, sums, tally: counted });
    }
    tally.add_to(counts);
    number * BLOCK
}

/// The work of [`add_blocks`] for more columns than are added up in registers.
struct ManyStored<'a, S, F: Format> {
    simd: S,
    blocks: &'a [&'a [F::Block]],
    room: &'a mut Displaced,
    sums: &'a mut Sums,
    tally: Option<&'a mut Tally>,
}

impl<S: Simd, F: Format> Vectorize for ManyStored<'_, S, F> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (simd, blocks) = (self.simd, self.blocks);
        let count = blocks.len().min(MAX_COLUMNS);
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
