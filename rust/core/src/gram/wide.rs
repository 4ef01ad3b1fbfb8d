//! Wide arithmetic: every product in float64.
//!
//! ```text
//! for each block of BLOCK elements:
//!     widen every column to float32 or float64 in the cache          (exact)
//!     count differences on the stored bits, or on the widened values, or beside the products
//!     accumulators += X_i * X_j, as float64                          (see `products`)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Dtypes whose every value is a float32 are kept as such until they are used: half the bytes in
//!    the cache, and a conversion from memory costs no shuffle. Float32 is not copied at all.
//! 2. The last block is continued with zeros.

use std::marker::PhantomData;

use super::compare::{Comparing, Tally, compare_alike, compare_mixed};
use super::generic::{STRETCH, Simd, compares_beside, cut, prefetch};
use super::products::{Arithmetic, add_many, add_values};
use super::values::{BLOCK, Cell, ROWS, Stored, Values, element, is_narrow};
use super::{Column, Counts, Lanes, MAX_COLUMNS, MAX_PAIRS, Sums, Vectorize, WIDE_LANES, scalar};
use crate::checkpoint::dtype::Dtype;

/// Float64 arithmetic on eight lanes.
#[derive(Clone, Copy)]
pub(super) struct Wide<S>(pub(super) S);

impl<S: Simd> Arithmetic for Wide<S> {
    type Vector = S::Wide;
    const PASSES: usize = S::PASSES;
    const SQUARES: usize = ROWS;

    #[inline(always)]
    fn zero(self) -> S::Wide {
        self.0.splat(0.0)
    }

    #[inline(always)]
    fn sub(self, a: S::Wide, b: S::Wide) -> S::Wide {
        self.0.sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::Wide, b: S::Wide, c: S::Wide) -> S::Wide {
        self.0.mul_add(a, b, c)
    }

    #[inline(always)]
    fn binade(self, value: S::Wide) -> S::Wide {
        self.0.binade(value)
    }

    #[inline(always)]
    fn begin(self, sum: &Lanes, pass: usize) -> S::Wide {
        self.0.load(&sum.0.as_chunks().0[0], pass)
    }

    #[inline(always)]
    fn end(self, sum: &mut Lanes, pass: usize, value: S::Wide) {
        self.0.store(&mut sum.0.as_chunks_mut().0[0], pass, value);
    }
}

/// The products and the squared binades of a chunk, and the counters.
///
/// With `compared`, columns have been compared on their stored bits already.
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
    let mut sums = Sums::default();
    add::<S, T>(simd, columns, compared, false, counts, &mut sums);
    let found = sums.reduce(columns.len());
    if found.0.iter().all(|entry| entry.is_finite()) {
        return found;
    }
    let mut sums = Sums::default();
    add::<S, T>(simd, columns, true, true, counts, &mut sums);
    sums.reduce(columns.len())
}

/// Adds the products of elements whose dtypes are for `T`, and the counters, but for those of columns
/// that have been `compared`.
///
/// What is not finite makes sums that are not, unless it is to `exclude`.
#[inline(always)]
pub(super) fn add<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    exclude: bool,
    counts: &mut Counts,
    sums: &mut Sums,
) {
    let work = Work { simd, columns, compared, exclude, counts, sums };
    match columns.len() {
        2 => simd.call(Blocked::<_, Few<T, 2>>(work, PhantomData)),
        3 => simd.call(Blocked::<_, Few<T, 3>>(work, PhantomData)),
        4 => simd.call(Blocked::<_, Few<T, 4>>(work, PhantomData)),
        _ => simd.call(Blocked::<_, Many<T>>(work, PhantomData)),
    }
}

/// A block of every column, widened.
trait Blocks {
    type Cell: Cell;

    fn new() -> Self;

    /// The columns, of which those are used that there are.
    fn columns(&mut self) -> &mut [Values<Self::Cell>];

    /// Adds the products of `rows` rows of `count` columns.
    fn add<S: Simd>(&mut self, simd: S, count: usize, rows: usize, sums: &mut Sums);

    /// Adds the products of a whole block of float32 as they are stored, or returns that it is none.
    /// How they compare is added to `tally`, if that is wanted: see [`compares_beside`].
    fn add_stored<S: Simd>(
        &mut self,
        simd: S,
        columns: &[Column<'_>],
        sums: &mut Sums,
        tally: Option<&mut Tally>,
    ) -> bool;

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

/// As many columns as are added up in registers.
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

    #[inline(always)]
    fn add_stored<S: Simd>(
        &mut self,
        simd: S,
        columns: &[Column<'_>],
        sums: &mut Sums,
        tally: Option<&mut Tally>,
    ) -> bool {
        let mut stored = [Stored::NONE; N];
        if !Stored::fill(&mut stored, columns) {
            return false;
        }
        match tally {
            Some(tally) if S::COMPARES_BESIDE => {
                let mut comparing = Comparing::<S, 4>::new(simd);
                add_values(Wide(simd), &stored, ROWS, sums, &mut comparing);
                comparing.add_to(ROWS / 2, N - 1, tally);
            }
            _ => add_values(Wide(simd), &stored, ROWS, sums, &mut ()),
        }
        true
    }
}

/// More columns, and their displacements.
struct Many<T> {
    x: [Values<T>; MAX_COLUMNS],
    displaced: [Values<f64>; MAX_COLUMNS],
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

    #[inline(always)]
    fn add_stored<S: Simd>(
        &mut self,
        simd: S,
        columns: &[Column<'_>],
        sums: &mut Sums,
        _tally: Option<&mut Tally>,
    ) -> bool {
        let mut stored = [Stored::NONE; MAX_COLUMNS];
        if !Stored::fill(&mut stored, columns) {
            return false;
        }
        let stored = &stored[..columns.len()];
        add_many(Wide(simd), stored, &mut self.displaced, ROWS, sums);
        true
    }
}

/// See [`add`].
struct Work<'a, S> {
    simd: S,
    columns: &'a [Column<'a>],
    compared: bool,
    exclude: bool,
    counts: &'a mut Counts,
    sums: &'a mut Sums,
}

/// Does it, in blocks.
struct Blocked<'a, S, B>(Work<'a, S>, PhantomData<B>);

impl<S: Simd, B: Blocks> Vectorize for Blocked<'_, S, B> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Work { simd, columns, compared, exclude, counts, sums } = self.0;
        let (count, length) = (columns.len(), columns[0].len());
        let alike = scalar::alike(columns);
        let is_stored = alike && !exclude && columns[0].dtype == Dtype::F32;
        let beside = is_stored && !compared && compares_beside::<S>(count);
        let mut blocks = B::new();
        let mut tally = Tally::default();
        for start in (0..length).step_by(BLOCK) {
            if alike && !compared && !beside && start % STRETCH == 0 {
                let elements = STRETCH.min(length - start);
                compare_alike(simd, &cut(columns, start, elements)[..count], counts);
            }
            let elements = BLOCK.min(length - start);
            let part = &cut(columns, start, elements)[..count];
            let tally = if beside { Some(&mut tally) } else { None };
            if is_stored && blocks.add_stored(simd, part, sums, tally) {
                continue;
            }
            if beside {
                compare_alike(simd, part, counts);
            }
            prefetch(simd, part);
            let rows = blocks.widen(simd, part);
            if !alike && !compared {
                compare_mixed(&blocks.columns()[..count], columns, start, elements, counts);
            }
            if exclude {
                exclude_elements(&mut blocks.columns()[..count], elements, counts);
            }
            blocks.add(simd, count, rows, sums);
        }
        tally.add_to(counts);
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
