//! Wide arithmetic: every product in float64.
//!
//! ```text
//! for each block of BLOCK elements:
//!     widen every column to float32 or float64 in the cache          (exact)
//!     count differences on the stored bits, or on the widened values
//!     accumulators += X_i * X_j, as float64                          (see `products`)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Dtypes whose every value is a float32 are kept as such until they are used: half the bytes in
//!    the cache, and a conversion from memory costs no shuffle. Float32 is not copied at all.
//! 2. The last block is continued with zeros.

use std::marker::PhantomData;

use super::compare::{compare_alike, compare_mixed};
use super::generic::{AHEAD, STRETCH, Simd, cut, prefetch};
use super::products::{Arithmetic, Room, Rows, add_many, add_values};
use super::widen::Rounding;
use super::{Column, Counts, Lanes, MAX_COLUMNS, MAX_PAIRS, Sums, Vectorize, WIDE_LANES, scalar};
use crate::checkpoint::dtype::Dtype;

/// Elements widened at a time: ten columns of them stay inside a 32 KiB first-level cache.
pub(super) const BLOCK: usize = 256;
const ROWS: usize = BLOCK / WIDE_LANES;
/// Elements widened by one vector operation.
const GROUP: usize = 16;

/// Float64 arithmetic on eight lanes.
#[derive(Clone, Copy)]
pub(super) struct Wide<S>(pub(super) S);

impl<S: Simd> Arithmetic for Wide<S> {
    type Vector = S::Wide;
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

/// A block of one column.
///
/// Two rows are never used: without them, the same row of several columns would lie a multiple of
/// 4096 bytes apart, and a load would wait for a store that it only seems to overlap.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Values<T>([T; BLOCK + 2 * WIDE_LANES]);

impl<T: Cell> Values<T> {
    const ZERO: Self = Self([T::ZERO; BLOCK + 2 * WIDE_LANES]);

    /// The eight elements of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> [f64; WIDE_LANES] {
        self.0.as_chunks().0[row].map(T::value)
    }

    /// Element `k` of the block.
    #[inline(always)]
    fn get(&self, k: usize) -> f64 {
        self.0[k].value()
    }
}

/// What a widened element is kept as.
pub(super) trait Cell: Copy {
    const ZERO: Self;
    /// The element of a value that this type holds exactly.
    fn exactly(value: f64) -> Self;
    fn value(self) -> f64;
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide;
    /// Widens whole groups of a column and returns how many elements those are.
    fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize;
}

impl Cell for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn exactly(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide {
        simd.load(row, pass)
    }

    #[inline(always)]
    fn widen<S: Simd>(_simd: S, _column: &Column<'_>, _out: &mut Values<Self>) -> usize {
        0
    }
}

impl Cell for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn exactly(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn value(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide {
        simd.load_f32(row, pass)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize {
        let (rows, _) = out.0.as_chunks_mut::<GROUP>();
        // A closure would be a function of its own, compiled without the instruction set.
        macro_rules! groups {
            ($widen:ident) => {{
                let (groups, _) = column.bytes.as_chunks::<{ 2 * GROUP }>();
                for (bytes, row) in groups.iter().zip(rows) {
                    simd.$widen(bytes, row);
                }
                groups.len() * GROUP
            }};
        }
        match column.dtype {
            Dtype::Bf16 => groups!(widen_bf16),
            Dtype::F16 => groups!(widen_f16),
            Dtype::F32 => {
                let (elements, _) = column.bytes.as_chunks::<4>();
                for (bytes, value) in elements.iter().zip(&mut out.0) {
                    *value = f32::from_le_bytes(*bytes);
                }
                elements.len()
            }
            _ => 0,
        }
    }
}

/// Whether every value of a dtype, as [`super::decode`] gives it, is a float32.
pub(super) fn is_narrow(dtype: Dtype) -> bool {
    match Rounding::of(dtype) {
        Some(rounding) => rounding.mantissa <= 23 && dtype.bits() <= 32,
        None => dtype.bits() <= 16,
    }
}

impl<S: Simd, T: Cell> Rows<Wide<S>> for Values<T> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        T::load(arithmetic.0, &self.0.as_chunks().0[row], pass)
    }
}

impl<S: Simd> Room<Wide<S>> for Values<f64> {
    #[inline(always)]
    fn store(&mut self, arithmetic: Wide<S>, row: usize, pass: usize, value: S::Wide) {
        arithmetic.0.store(&mut self.0.as_chunks_mut().0[row], pass, value);
    }
}

/// A whole block of float32 as it is stored.
#[derive(Clone, Copy)]
struct Stored<'a>(&'a [[u8; 4 * WIDE_LANES]; ROWS]);

impl<'a> Stored<'a> {
    const NONE: Self = Self(&[[0; 4 * WIDE_LANES]; ROWS]);

    /// Takes the block of each column, and returns whether they are whole ones.
    #[inline(always)]
    fn fill(stored: &mut [Self], columns: &[Column<'a>]) -> bool {
        for (stored, column) in stored.iter_mut().zip(columns) {
            let Some(block) = column.bytes.as_chunks().0.as_chunks().0.first() else {
                return false;
            };
            *stored = Self(block);
        }
        true
    }
}

impl<S: Simd> Rows<Wide<S>> for Stored<'_> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        arithmetic.0.load_f32_bytes(&self.0[row], pass)
    }

    #[inline(always)]
    fn expect(&self, arithmetic: Wide<S>, row: usize, pass: usize) {
        if pass == 0 {
            arithmetic.0.prefetch(&self.0[row], AHEAD);
        }
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
    let found = whole_of::<S, T>(simd, columns, compared, false, counts);
    if found.0.iter().all(|entry| entry.is_finite()) {
        return found;
    }
    whole_of::<S, T>(simd, columns, true, true, counts)
}

#[inline(always)]
fn whole_of<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    exclude: bool,
    counts: &mut Counts,
) -> ([f64; MAX_PAIRS], f64) {
    let mut sums = Sums::default();
    let work = Whole::<S> { simd, columns, compared, exclude, counts, sums: &mut sums };
    match columns.len() {
        2 => simd.call(Blocked::<_, Few<T, 2>>(work, PhantomData)),
        3 => simd.call(Blocked::<_, Few<T, 3>>(work, PhantomData)),
        4 => simd.call(Blocked::<_, Few<T, 4>>(work, PhantomData)),
        _ => simd.call(Blocked::<_, Many<T>>(work, PhantomData)),
    }
    sums.reduce()
}

/// Adds the products of at most [`BLOCK`] elements of dtypes whose values are float32, finite or not.
#[inline(always)]
pub(super) fn add_probe<S: Simd>(simd: S, columns: &[Column<'_>], sums: &mut Sums) {
    match columns.len() {
        2 => simd.call(Probe::<_, Few<f32, 2>> { simd, columns, sums, blocks: PhantomData }),
        3 => simd.call(Probe::<_, Few<f32, 3>> { simd, columns, sums, blocks: PhantomData }),
        4 => simd.call(Probe::<_, Few<f32, 4>> { simd, columns, sums, blocks: PhantomData }),
        _ => simd.call(Probe::<_, Many<f32>> { simd, columns, sums, blocks: PhantomData }),
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
    fn add_stored<S: Simd>(&mut self, simd: S, columns: &[Column<'_>], sums: &mut Sums) -> bool;

    /// Decodes at most [`BLOCK`] elements of every column, continued with zeros to whole rows, and
    /// returns how many rows those are.
    #[inline(always)]
    fn widen<S: Simd>(&mut self, simd: S, columns: &[Column<'_>]) -> usize {
        for (values, column) in self.columns().iter_mut().zip(columns) {
            let whole = Self::Cell::widen(simd, column, values);
            let elements = column.len();
            for k in whole..elements.next_multiple_of(WIDE_LANES) {
                let value = if k < elements { scalar::element(column, k) } else { 0.0 };
                values.0[k] = Self::Cell::exactly(value);
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
        for pass in 0..S::PASSES {
            add_values(Wide(simd), &self.0, rows, pass, sums);
        }
    }

    #[inline(always)]
    fn add_stored<S: Simd>(&mut self, simd: S, columns: &[Column<'_>], sums: &mut Sums) -> bool {
        let mut stored = [Stored::NONE; N];
        if !Stored::fill(&mut stored, columns) {
            return false;
        }
        for pass in 0..S::PASSES {
            add_values(Wide(simd), &stored, ROWS, pass, sums);
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
        for pass in 0..S::PASSES {
            add_many(Wide(simd), columns, &mut self.displaced, rows, pass, sums);
        }
    }

    #[inline(always)]
    fn add_stored<S: Simd>(&mut self, simd: S, columns: &[Column<'_>], sums: &mut Sums) -> bool {
        let mut stored = [Stored::NONE; MAX_COLUMNS];
        if !Stored::fill(&mut stored, columns) {
            return false;
        }
        let stored = &stored[..columns.len()];
        for pass in 0..S::PASSES {
            add_many(Wide(simd), stored, &mut self.displaced, ROWS, pass, sums);
        }
        true
    }
}

/// Adds the products of a probe.
struct Probe<'a, S, B> {
    simd: S,
    columns: &'a [Column<'a>],
    sums: &'a mut Sums,
    blocks: PhantomData<B>,
}

impl<S: Simd, B: Blocks> Vectorize for Probe<'_, S, B> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut blocks = B::new();
        let rows = blocks.widen(self.simd, self.columns);
        blocks.add(self.simd, self.columns.len(), rows, self.sums);
    }
}

/// What is done with a chunk.
struct Whole<'a, S> {
    simd: S,
    columns: &'a [Column<'a>],
    compared: bool,
    exclude: bool,
    counts: &'a mut Counts,
    sums: &'a mut Sums,
}

/// Does it, in blocks.
struct Blocked<'a, S, B>(Whole<'a, S>, PhantomData<B>);

impl<S: Simd, B: Blocks> Vectorize for Blocked<'_, S, B> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Whole { simd, columns, compared, exclude, counts, sums } = self.0;
        let (count, length) = (columns.len(), columns[0].len());
        let alike = scalar::alike(columns);
        let is_stored = alike && !exclude && columns[0].dtype == Dtype::F32;
        let mut blocks = B::new();
        for start in (0..length).step_by(BLOCK) {
            if alike && !compared && start % STRETCH == 0 {
                let elements = STRETCH.min(length - start);
                compare_alike(simd, &cut(columns, start, elements)[..count], counts);
            }
            let elements = BLOCK.min(length - start);
            let part = &cut(columns, start, elements)[..count];
            if is_stored && blocks.add_stored(simd, part, sums) {
                continue;
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
    }
}

/// Element `k` of a block, in every column.
#[inline(always)]
pub(super) fn element<T: Cell>(x: &[Values<T>], k: usize) -> [f64; MAX_COLUMNS] {
    let mut values = [0.0; MAX_COLUMNS];
    for (value, column) in values.iter_mut().zip(x) {
        *value = column.get(k);
    }
    values
}

/// Sets elements that are not finite in some column to zero in all of them, and counts them.
#[inline(never)]
fn exclude_elements<T: Cell>(x: &mut [Values<T>], elements: usize, counts: &mut Counts) {
    for k in 0..elements {
        if scalar::exclude(&element(x, k)[..x.len()], counts) {
            for column in x.iter_mut() {
                column.0[k] = T::ZERO;
            }
        }
    }
}
