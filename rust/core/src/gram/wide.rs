//! Wide arithmetic: every product in float64.
//!
//! ```text
//! whole blocks of one dtype that is widened as it is loaded:         see `stored`
//! for each other block of BLOCK elements:
//!     widen every column to float32 or float64 in the cache          (exact)
//!     count where columns differ: on the stored bits if all are of one dtype, else on the values
//!     accumulators += X_i * X_j, as float64                          (see `products`)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Dtypes whose every value is a float32 are widened to float32 in the cache, and to float64 as they are
//!    loaded. They take half the bytes there, and a load that converts takes no more instructions.
//! 2. The last block is continued with zeros, whose products are zero.

use std::marker::PhantomData;

use super::arithmetic::Wide;
use super::compare::compare_alike;
use super::mixed::compare_mixed;
use super::prefetch::prefetch;
use super::products::{DIRECT, FewSums, add_many, add_values};
use super::simd::{Simd, Vectorize};
use super::stored::{Bf16, Displaced, F16, F32, add_blocks};
use super::sums::{AllSums, Sums};
use super::values::{Cell, ROWS, Values, element, is_narrow};
use super::{BLOCK, Column, Counts, MAX_COLUMNS, MAX_PAIRS, STRETCH, WIDE_LANES, cut, scalar};
use crate::checkpoint::dtype::Dtype;

/// Returns the products and the squared binades of a chunk, and counts. Where columns differ is not counted
/// if they have been `compared` already, which columns of several dtypes never have.
#[inline(always)]
pub(super) fn products<S: Simd>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    counts: &mut Counts,
) -> ([f64; MAX_PAIRS], f64) {
    if columns.iter().all(|column| is_narrow(column.dtype)) {
        products_of::<S, f32>(simd, columns, compared, counts)
    } else {
        products_of::<S, f64>(simd, columns, compared, counts)
    }
}

#[inline(always)]
fn products_of<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    counts: &mut Counts,
) -> ([f64; MAX_PAIRS], f64) {
    let mut first = Counts::default();
    let found = sums_of::<S, T>(simd, columns, compared, false, &mut first);
    let is_finite = found.0.iter().all(|entry| entry.is_finite());
    // Stored bits are compared in any case; values may have been taken to be finite.
    let compared = scalar::alike(columns);
    if is_finite || compared {
        counts.add(&first);
    }
    if is_finite { found } else { sums_of::<S, T>(simd, columns, compared, true, counts) }
}

#[inline(always)]
fn sums_of<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    exclude: bool,
    counts: &mut Counts,
) -> ([f64; MAX_PAIRS], f64) {
    let (mut of_few, mut of_many);
    let sums: &mut Sums = if columns.len() <= DIRECT {
        of_few = FewSums::ZERO;
        &mut of_few
    } else {
        of_many = AllSums::ZERO;
        &mut of_many
    };
    add::<S, T>(simd, columns, compared, exclude, counts, sums, &mut None);
    sums.reduce(columns.len())
}

/// Adds the products of all elements to `sums`; `T` holds every value of their dtypes. Where columns differ
/// is counted unless they have been `compared`.
///
/// An element that is not finite makes some sum that is not finite. With `exclude` it counts as zero instead,
/// and is counted as excluded. `room` is made by the first call that needs it.
#[inline(always)]
pub(super) fn add<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    exclude: bool,
    counts: &mut Counts,
    sums: &mut Sums,
    room: &mut Option<Displaced>,
) {
    let (count, length) = (columns.len(), columns[0].len());
    let stored = match columns[0].dtype {
        _ if exclude || !scalar::alike(columns) => 0,
        Dtype::Bf16 => add_blocks::<S, Bf16>(simd, columns, compared, counts, sums, room),
        Dtype::F16 => add_blocks::<S, F16>(simd, columns, compared, counts, sums, room),
        Dtype::F32 => add_blocks::<S, F32>(simd, columns, compared, counts, sums, room),
        _ => 0,
    };
    if stored == length {
        return;
    }
    let columns = &cut(columns, stored, length - stored)[..count];
    let work = Work { simd, columns, compared, exclude, counts, sums };
    match count {
        2 => simd.call(Blocked::<_, Few<T, 2>>(work, PhantomData)),
        3 => simd.call(Blocked::<_, Few<T, 3>>(work, PhantomData)),
        4 => simd.call(Blocked::<_, Few<T, 4>>(work, PhantomData)),
        _ => simd.call(Blocked::<_, Many<T>>(work, PhantomData)),
    }
}

/// Room for a block of every column, widened.
trait Blocks {
    type Cell: Cell;

    /// Room that holds zeros.
    fn new() -> Self;

    /// A block for each column that there may be.
    fn columns(&mut self) -> &mut [Values<Self::Cell>];

    /// Adds the products of `rows` rows of `count` columns.
    fn add<S: Simd>(&mut self, simd: S, count: usize, rows: usize, sums: &mut Sums);

    /// Decodes at most [`BLOCK`] elements of every column, continued with zeros to whole rows, and
    /// returns how many rows those are.
    #[inline(always)]
    fn widen<S: Simd>(&mut self, simd: S, columns: &[Column<'_>]) -> usize {
        for (values, column) in self.columns().iter_mut().zip(columns) {
            let whole = Self::Cell::widen(simd, column, values);
            let elements = column.len();
            for k in whole..elements.next_multiple_of(WIDE_LANES) {
                let value = if k < elements { scalar::element(column, k) } else { 0.0 };
                values.set(k, Self::Cell::exactly(value));
            }
        }
        columns[0].len().div_ceil(WIDE_LANES).min(ROWS)
    }
}

/// Room for columns that are added up in registers.
struct Few<T, const N: usize>([Values<T>; N]);

impl<T: Cell, const N: usize> Blocks for Few<T, N> {
    type Cell = T;

    #[inline(always)]
    fn new() -> Self {
        Self([Values::ZERO; N])
    }

    #[inline(always)]
    fn columns(&mut self) -> &mut [Values<T>] {
        &mut self.0
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, _count: usize, rows: usize, sums: &mut Sums) {
        add_values(Wide(simd), &self.0, rows, sums, &mut ());
    }
}

/// Room for more columns, and for their displacements.
struct Many<T> {
    x: [Values<T>; MAX_COLUMNS],
    displaced: Displaced,
}

impl<T: Cell> Blocks for Many<T> {
    type Cell = T;

    #[inline(always)]
    fn new() -> Self {
        Self { x: [Values::ZERO; MAX_COLUMNS], displaced: [Values::ZERO; MAX_COLUMNS] }
    }

    #[inline(always)]
    fn columns(&mut self) -> &mut [Values<T>] {
        &mut self.x
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, count: usize, rows: usize, sums: &mut Sums) {
        let columns = &self.x[..count];
        add_many(Wide(simd), columns, &mut self.displaced, rows, sums);
    }
}

/// The arguments of [`add`], for what is not multiplied as it is stored.
struct Work<'a, S> {
    simd: S,
    columns: &'a [Column<'a>],
    compared: bool,
    exclude: bool,
    counts: &'a mut Counts,
    sums: &'a mut Sums,
}

/// Widens, compares and multiplies one block after the other, in room of type `B`.
struct Blocked<'a, S, B>(Work<'a, S>, PhantomData<B>);

impl<S: Simd, B: Blocks> Vectorize for Blocked<'_, S, B> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Work { simd, columns, compared, exclude, counts, sums } = self.0;
        let (count, length) = (columns.len(), columns[0].len());
        let alike = scalar::alike(columns);
        let mut blocks = B::new();
        let mut part = [columns[0]; MAX_COLUMNS];
        for start in (0..length).step_by(BLOCK) {
            if alike && !compared && start % STRETCH == 0 {
                let elements = STRETCH.min(length - start);
                compare_alike(simd, &cut(columns, start, elements)[..count], counts);
            }
            let elements = BLOCK.min(length - start);
            for (part, column) in part[..count].iter_mut().zip(columns) {
                *part = column.part(start..start + elements);
                part.bytes.as_chunks().0.iter().for_each(prefetch);
            }
            let rows = blocks.widen(simd, &part[..count]);
            if !alike && !compared {
                let x = &blocks.columns()[..count];
                compare_mixed(simd, x, columns, start, elements, exclude, counts);
            }
            if exclude {
                exclude_elements(&mut blocks.columns()[..count], elements, counts);
            }
            blocks.add(simd, count, rows, sums);
        }
    }
}

/// Sets elements that are not finite in some column to zero in all of them, and counts them.
#[inline(never)]
fn exclude_elements<T: Cell>(x: &mut [Values<T>], elements: usize, counts: &mut Counts) {
    for k in 0..elements {
        if scalar::exclude(&element(x, k)[..x.len()], counts) {
            for column in x.iter_mut() {
                column.set(k, T::ZERO);
            }
        }
    }
}
