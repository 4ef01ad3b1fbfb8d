//! Wide arithmetic: every product in float64.
//!
//! ```text
//! for each block of BLOCK elements:
//!     widen every column to float32 or float64 in the cache          (exact)
//!     count differences on the stored bits, or on the widened values
//!     for each 3 x 3 block of the Gram matrix:
//!         for each row of 8 lanes, as float64:
//!             subtract the base from the other columns
//!             accumulators += X_i * X_j                              (fused)
//!             energy += binade(child)^2                              (fused)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Dtypes whose every value is a float32 are kept as such until they are used: half the bytes in
//!    the cache, and a conversion from memory costs no shuffle. Float32 is not copied at all. Beyond
//!    three columns displacements are computed once, into float64.
//! 2. The last block is continued with zeros.

use super::compare::{compare_alike, compare_mixed};
use super::generic::{STRETCH, Simd, cut, prefetch};
use super::products::{Arithmetic, Rows, add_displaced, add_values};
use super::widen::Rounding;
use super::{Column, Counts, Lanes, MAX_COLUMNS, MAX_PAIRS, Sums, WIDE_LANES, scalar};
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

/// A whole block of float32 as it is stored.
#[derive(Clone, Copy)]
struct Stored<'a>(&'a [[u8; 4 * WIDE_LANES]; ROWS]);

impl<S: Simd> Rows<Wide<S>> for Stored<'_> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        arithmetic.0.load_f32_bytes(&self.0[row], pass)
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
    let before = counts.clone();
    let found = run::<S, T>(simd, columns, compared, false, counts);
    if found.0.iter().all(|entry| entry.is_finite()) {
        return found;
    }
    *counts = before;
    run::<S, T>(simd, columns, compared, true, counts)
}

/// Blocks of all columns, widened.
pub(super) struct Blocks<T> {
    x: [Values<T>; MAX_COLUMNS],
    displaced: [Values<f64>; MAX_COLUMNS],
}

impl<T: Cell> Blocks<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { x: [Values::ZERO; MAX_COLUMNS], displaced: [Values::ZERO; MAX_COLUMNS] }
    }

    /// Decodes at most [`BLOCK`] elements of every column, continued with zeros to whole rows.
    #[inline(always)]
    fn widen<S: Simd>(&mut self, simd: S, columns: &[Column<'_>]) {
        for (values, column) in self.x.iter_mut().zip(columns) {
            let whole = T::widen(simd, column, values);
            let elements = column.len();
            for k in whole..elements.next_multiple_of(WIDE_LANES) {
                let value = if k < elements { scalar::element(column, k) } else { 0.0 };
                values.0[k] = T::exactly(value);
            }
        }
    }

    /// Adds the products of the rows that `elements` widened elements fill.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, count: usize, elements: usize, sums: &mut Sums) {
        let rows = elements.div_ceil(WIDE_LANES).min(ROWS);
        let wide = Wide(simd);
        if count > 3 {
            self.displace(simd, count, rows, &mut sums.energy);
        }
        for pass in 0..S::PASSES {
            match count {
                2 => {
                    let (columns, _) = self.x.as_chunks::<2>();
                    add_values(wide, &columns[0], rows, pass, sums);
                }
                3 => {
                    let (columns, _) = self.x.as_chunks::<3>();
                    add_values(wide, &columns[0], rows, pass, sums);
                }
                _ => {
                    let columns = &self.displaced[..count];
                    add_displaced(wide, columns, rows, pass, &mut sums.gram);
                }
            }
        }
    }

    /// Subtracts the base from every other column, and adds the squared binades of the child.
    #[inline(always)]
    fn displace<S: Simd>(&mut self, simd: S, count: usize, rows: usize, energy: &mut Lanes) {
        let (wide, child) = (Wide(simd), count - 1);
        for pass in 0..S::PASSES {
            let mut squares = wide.begin(energy, pass);
            for row in 0..rows.min(ROWS) {
                let base = self.x[0].load(wide, row, pass);
                simd.store(&mut self.displaced[0].0.as_chunks_mut().0[row], pass, base);
                for column in 1..count {
                    let value = self.x[column].load(wide, row, pass);
                    if column == child {
                        let binade = simd.binade(value);
                        squares = simd.mul_add(binade, binade, squares);
                    }
                    let value = simd.sub(value, base);
                    simd.store(&mut self.displaced[column].0.as_chunks_mut().0[row], pass, value);
                }
            }
            wide.end(energy, pass, squares);
        }
    }
}

/// Adds the products of at most [`BLOCK`] elements, all of them of dtypes for `T`, finite or not.
#[inline(always)]
pub(super) fn add<S: Simd, T: Cell>(
    simd: S,
    blocks: &mut Blocks<T>,
    columns: &[Column<'_>],
    sums: &mut Sums,
) {
    if columns.len() <= 3
        && columns[0].len() == BLOCK
        && columns.iter().all(|column| column.dtype == Dtype::F32)
    {
        return add_stored(simd, columns, sums);
    }
    blocks.widen(simd, columns);
    blocks.add(simd, columns.len(), columns[0].len(), sums);
}

/// Adds the products of a whole block of two or three columns of float32.
#[inline(always)]
fn add_stored<S: Simd>(simd: S, columns: &[Column<'_>], sums: &mut Sums) {
    let mut stored = [Stored(&[[0; 4 * WIDE_LANES]; ROWS]); 3];
    for (stored, column) in stored.iter_mut().zip(columns) {
        *stored = Stored(&column.bytes.as_chunks().0.as_chunks().0[0]);
    }
    for pass in 0..S::PASSES {
        if columns.len() == 2 {
            add_values(Wide(simd), &[stored[0], stored[1]], ROWS, pass, sums);
        } else {
            add_values(Wide(simd), &stored, ROWS, pass, sums);
        }
    }
}

#[inline(always)]
fn run<S: Simd, T: Cell>(
    simd: S,
    columns: &[Column<'_>],
    compared: bool,
    exclude: bool,
    counts: &mut Counts,
) -> ([f64; MAX_PAIRS], f64) {
    let (count, length) = (columns.len(), columns[0].len());
    let alike = scalar::alike(columns);
    let mut blocks = Blocks::<T>::new();
    let mut sums = Sums::default();
    for start in (0..length).step_by(BLOCK) {
        if alike && !compared && start % STRETCH == 0 {
            let elements = STRETCH.min(length - start);
            compare_alike(simd, &cut(columns, start, elements)[..count], counts);
        }
        let elements = BLOCK.min(length - start);
        let part = &cut(columns, start, elements)[..count];
        prefetch(simd, part);
        if alike && !exclude {
            add(simd, &mut blocks, part, &mut sums);
            continue;
        }
        blocks.widen(simd, part);
        if !alike {
            compare_mixed(&blocks.x[..count], columns, start, elements, counts);
        }
        if exclude {
            exclude_elements(&mut blocks.x[..count], elements, counts);
        }
        blocks.add(simd, count, elements, &mut sums);
    }
    sums.reduce()
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
