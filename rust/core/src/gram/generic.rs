//! A chunk's result with vectors of any width. *How* a vector is made is the instruction set's file.
//!
//! ```text
//! for each block of BLOCK elements:
//!     widen every column to float32 or float64 in the cache          (exact)
//!     count differences on the stored bits
//!     for each 3 x 3 block of the Gram matrix:
//!         for each row of 8 lanes, as float64:
//!             subtract the base from the other columns
//!             accumulators += X_i * X_j                              (fused)
//!             energy += binade(child)^2                              (fused)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Elements of a group of 16 are kept as 8 even ones, then 8 odd ones. A lane holds one of each,
//!    in the order of the definition, and a bf16 pair is split by one shift and one mask.
//! 2. The matrix is swept in blocks whose accumulators fit in registers. A lane's additions keep
//!    their order, since blocks of the matrix share no accumulator.
//! 3. Dtypes whose every value is a float32 are kept as such until they are used: half the bytes in
//!    the cache, and a conversion from memory costs no shuffle. Beyond three columns displacements
//!    are computed once, into float64.
//! 4. Elements are first taken to be finite. If one is not, some entry of the matrix is not either,
//!    and the chunk is done again with the excluded elements set to zero.
#![expect(clippy::needless_range_loop, reason = "matrices are read best by row and column")]

use super::compare::{compare_alike, compare_mixed};
use super::scalar;
use super::widen::Rounding;
use super::{
    Chunk, Column, Counts, GROUP, LANES, MAX_COLUMNS, MAX_PAIRS, SAMPLED, pair, reduce, sample,
};
use crate::checkpoint::dtype::Dtype;

/// Elements widened at a time: ten columns of them stay inside a 32 KiB first-level cache.
const BLOCK: usize = 256;
const ROWS: usize = BLOCK / LANES;
/// Bytes of each column between what is computed and what is brought near.
const AHEAD: usize = 4096;
/// Elements compared in one go, before they are computed with.
const STRETCH: usize = 2048;

/// Eight lanes of one type. Two rows of float32, or one of float64, are a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Row<T>(pub(super) [T; LANES]);

/// A block of one column.
///
/// Two rows are never used: without them, the same row of several columns would lie a multiple of
/// 4096 bytes apart, and a load would wait for a store that it only seems to overlap.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Values<T>([Row<T>; ROWS + 2]);

impl<T: Cell> Values<T> {
    const ZERO: Self = Self([Row([T::ZERO; LANES]); ROWS + 2]);

    /// The eight elements of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> [f64; LANES] {
        self.0[row].0.map(T::value)
    }

    /// Element `k` of the block.
    #[inline(always)]
    fn get(&self, k: usize) -> f64 {
        self.0[k / GROUP * 2 + k % 2].0[k % GROUP / 2].value()
    }

    /// Sets element `k` of the block.
    #[inline(always)]
    fn set(&mut self, k: usize, value: f64) {
        self.0[k / GROUP * 2 + k % 2].0[k % GROUP / 2] = T::exactly(value);
    }
}

/// What a widened element is kept as.
pub(super) trait Cell: Copy {
    const ZERO: Self;
    /// The element of a value that this type holds exactly.
    fn exactly(value: f64) -> Self;
    fn value(self) -> f64;
    fn load<S: Simd>(simd: S, row: &Row<Self>, pass: usize) -> S::Vector;
    /// Widens whole groups of a column and returns how many it did.
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
    fn load<S: Simd>(simd: S, row: &Row<Self>, pass: usize) -> S::Vector {
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
    fn load<S: Simd>(simd: S, row: &Row<Self>, pass: usize) -> S::Vector {
        simd.load_f32(row, pass)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize {
        // A closure would be a function of its own, compiled without the instruction set.
        macro_rules! groups {
            ($bytes:literal, $widen:ident) => {{
                let (groups, _) = column.bytes.as_chunks::<$bytes>();
                let (rows, _) = out.0.as_chunks_mut::<2>();
                for (bytes, rows) in groups.iter().zip(rows) {
                    simd.prefetch(bytes, AHEAD);
                    simd.$widen(bytes, rows);
                }
                groups.len()
            }};
        }
        match column.dtype {
            Dtype::Bf16 => groups!(32, widen_bf16),
            Dtype::F16 => groups!(32, widen_f16),
            Dtype::F32 => groups!(64, widen_f32),
            _ => 0,
        }
    }
}

/// Whether every value of a dtype, as [`decode`] gives it, is a float32.
pub(super) fn is_narrow(dtype: Dtype) -> bool {
    match Rounding::of(dtype) {
        Some(rounding) => rounding.mantissa <= 23 && dtype.bits() <= 32,
        None => dtype.bits() <= 16,
    }
}

/// The vector operations that an instruction set supplies.
///
/// Holding a value of the type is the proof that the CPU has the instructions.
pub(super) trait Simd: Copy {
    /// A vector of `LANES / PASSES` float64.
    type Vector: Copy;
    /// Vectors to a row of eight lanes.
    const PASSES: usize;

    /// Starts to bring the cache line at `bytes`, plus `ahead`, near. Any address is allowed.
    fn prefetch(self, bytes: &[u8], ahead: usize);

    /// Bits that [`Simd::differ`] sets for an element of `width` bytes.
    fn bits(width: usize) -> u64;
    /// A mask of the elements of `WIDTH` bytes that differ, some bits for each.
    fn differ<const WIDTH: usize>(self, a: &[u8; 64], b: &[u8; 64]) -> u64;

    /// All lanes `value`.
    fn splat(self, value: f64) -> Self::Vector;
    /// Part `pass < PASSES` of a row.
    fn load(self, row: &Row<f64>, pass: usize) -> Self::Vector;
    /// Part `pass < PASSES` of a row of float32, widened.
    fn load_f32(self, row: &Row<f32>, pass: usize) -> Self::Vector;
    /// Writes part `pass < PASSES` of a row.
    fn store(self, row: &mut Row<f64>, pass: usize, value: Self::Vector);
    /// a - b, rounded once.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// [`super::widen::binade`] of each lane.
    fn binade(self, value: Self::Vector) -> Self::Vector;

    /// Sixteen bf16 as a row of even and a row of odd elements.
    fn widen_bf16(self, bytes: &[u8; 32], rows: &mut [Row<f32>; 2]);
    /// Sixteen float16 as a row of even and a row of odd elements.
    fn widen_f16(self, bytes: &[u8; 32], rows: &mut [Row<f32>; 2]);
    /// Sixteen float32 as a row of even and a row of odd elements.
    fn widen_f32(self, bytes: &[u8; 64], rows: &mut [Row<f32>; 2]);
}

/// Computes one chunk, with the bits of [`scalar::chunk`].
#[inline(always)]
pub(super) fn chunk<S: Simd>(simd: S, columns: &[Column<'_>], sampled: bool) -> Chunk {
    if columns.iter().all(|column| is_narrow(column.dtype)) {
        chunk_of::<S, f32>(simd, columns, sampled)
    } else {
        chunk_of::<S, f64>(simd, columns, sampled)
    }
}

#[inline(always)]
fn chunk_of<S: Simd, T: Cell>(simd: S, columns: &[Column<'_>], sampled: bool) -> Chunk {
    let out = run::<S, T>(simd, columns, sampled, false);
    if out.gram.iter().all(|entry| entry.is_finite()) {
        out
    } else {
        run::<S, T>(simd, columns, sampled, true)
    }
}

/// Accumulators of a chunk.
struct Sums {
    gram: [Row<f64>; MAX_PAIRS],
    energy: Row<f64>,
}

// One copy for both calls: what `exclude` adds is rare, and in no inner loop.
#[inline(always)]
fn run<S: Simd, T: Cell>(simd: S, columns: &[Column<'_>], sampled: bool, exclude: bool) -> Chunk {
    let count = columns.len();
    let child = count - 1;
    let length = columns[child].len();
    let rounding = Rounding::of(columns[child].dtype);
    let alike = scalar::alike(columns);

    let mut out = Chunk::default();
    let mut x = [Values::<T>::ZERO; MAX_COLUMNS];
    let mut displaced = [Values::<f64>::ZERO; MAX_COLUMNS];
    let zero = Row([0.0; LANES]);
    let mut sums = Sums { gram: [zero; MAX_PAIRS], energy: zero };
    for start in (0..length).step_by(BLOCK) {
        if alike && start % STRETCH == 0 {
            let elements = STRETCH.min(length - start);
            compare_alike(simd, &cut(columns, start, elements)[..count], &mut out.counts);
        }
        let elements = BLOCK.min(length - start);
        let rows = elements.next_multiple_of(GROUP) / LANES;
        for (values, column) in x.iter_mut().zip(columns) {
            widen(simd, &column.part(start..start + elements), values);
        }
        if !alike {
            compare_mixed(&x[..count], columns, start, elements, &mut out.counts);
        }
        if exclude {
            exclude_elements(&mut x[..count], elements, &mut out.counts);
        }
        if sampled && start < SAMPLED {
            add_samples(&x[..count], elements.min(SAMPLED - start), rounding, &mut out);
        }
        if count <= 3 {
            accumulate::<S, T, true>(simd, &x[..count], rows, &mut sums);
        } else {
            displace(simd, &x[..count], rows, &mut displaced, &mut sums.energy);
            accumulate::<S, f64, false>(simd, &displaced[..count], rows, &mut sums);
        }
    }
    for (total, lanes) in out.gram.iter_mut().zip(&sums.gram) {
        *total = reduce(&lanes.0);
    }
    out.energy = match rounding {
        Some(rounding) => rounding.energy(reduce(&sums.energy.0)),
        None => length as f64 / 12.0,
    };
    out
}

/// Some elements of every column.
#[inline(always)]
fn cut<'a>(columns: &[Column<'a>], start: usize, elements: usize) -> [Column<'a>; MAX_COLUMNS] {
    let mut window = [Column { dtype: Dtype::U8, bytes: &[] }; MAX_COLUMNS];
    for (window, column) in window.iter_mut().zip(columns) {
        *window = column.part(start..start + elements);
    }
    window
}

/// Decodes a block of one column, continued with zeros to whole groups.
#[inline(always)]
fn widen<S: Simd, T: Cell>(simd: S, column: &Column<'_>, out: &mut Values<T>) {
    let whole = T::widen(simd, column, out);
    let elements = column.len();
    for k in whole * GROUP..elements.next_multiple_of(GROUP) {
        out.set(k, if k < elements { scalar::element(column, k) } else { 0.0 });
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
                column.set(k, 0.0);
            }
        }
    }
}

/// Looks at the first `elements` of a block.
#[inline(always)]
fn add_samples<T: Cell>(
    x: &[Values<T>],
    elements: usize,
    rounding: Option<Rounding>,
    out: &mut Chunk,
) {
    for k in 0..elements {
        sample(&element(x, k)[..x.len()], rounding, out);
    }
}

/// Subtracts the base from every other column, and adds the squared binades of the child.
#[inline(always)]
fn displace<S: Simd, T: Cell>(
    simd: S,
    x: &[Values<T>],
    rows: usize,
    out: &mut [Values<f64>; MAX_COLUMNS],
    energy: &mut Row<f64>,
) {
    let child = x.len() - 1;
    for pass in 0..S::PASSES {
        let mut squares = simd.load(energy, pass);
        for row in 0..rows.min(ROWS) {
            let base = T::load(simd, &x[0].0[row], pass);
            simd.store(&mut out[0].0[row], pass, base);
            for column in 1..x.len() {
                let value = T::load(simd, &x[column].0[row], pass);
                if column == child {
                    let binade = simd.binade(value);
                    squares = simd.mul_add(binade, binade, squares);
                }
                simd.store(&mut out[column].0[row], pass, simd.sub(value, base));
            }
        }
        simd.store(energy, pass, squares);
    }
}

/// Adds the products of all pairs of columns.
///
/// With `RAW`, for at most three columns, they still hold values: the base is subtracted, and the
/// child's binades are squared, on the way.
#[inline(always)]
fn accumulate<S: Simd, T: Cell, const RAW: bool>(
    simd: S,
    x: &[Values<T>],
    rows: usize,
    sums: &mut Sums,
) {
    for pass in 0..S::PASSES {
        for i in (0..x.len()).step_by(3) {
            match x.len() - i {
                1 => triangle::<S, T, 1, RAW>(simd, x, i, rows, pass, sums),
                2 => triangle::<S, T, 2, RAW>(simd, x, i, rows, pass, sums),
                _ => triangle::<S, T, 3, RAW>(simd, x, i, rows, pass, sums),
            }
            for j in (i + 3..x.len()).step_by(3) {
                match x.len() - j {
                    1 => rectangle::<S, T, 1>(simd, x, (i, j), rows, pass, &mut sums.gram),
                    2 => rectangle::<S, T, 2>(simd, x, (i, j), rows, pass, &mut sums.gram),
                    _ => rectangle::<S, T, 3>(simd, x, (i, j), rows, pass, &mut sums.gram),
                }
            }
        }
    }
}

/// The N x N block of the matrix on the diagonal at `first`.
#[inline(always)]
fn triangle<S: Simd, T: Cell, const N: usize, const RAW: bool>(
    simd: S,
    x: &[Values<T>],
    first: usize,
    rows: usize,
    pass: usize,
    sums: &mut Sums,
) {
    let entry = |i: usize, j: usize| pair(x.len(), first + i, first + j);
    let mut columns = [&x[first].0; N];
    let mut values = [simd.splat(0.0); N];
    let mut entries = [values; N];
    let mut energy = simd.load(&sums.energy, pass);
    for i in 0..N {
        columns[i] = &x[first + i].0;
        for j in i..N {
            entries[i][j] = simd.load(&sums.gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows.min(ROWS) {
        for i in 0..N {
            values[i] = T::load(simd, &columns[i][row], pass);
        }
        if RAW {
            let binade = simd.binade(values[N - 1]);
            energy = simd.mul_add(binade, binade, energy);
            for i in 1..N {
                values[i] = simd.sub(values[i], values[0]);
            }
        }
        for i in 0..N {
            for j in i..N {
                entries[i][j] = simd.mul_add(values[i], values[j], entries[i][j]);
            }
        }
    }
    for i in 0..N {
        for j in i..N {
            simd.store(&mut sums.gram[entry(i, j)], pass, entries[i][j]);
        }
    }
    if RAW {
        simd.store(&mut sums.energy, pass, energy);
    }
}

/// The 3 x N block of the matrix whose first entry is `corner`, above the diagonal.
#[inline(always)]
fn rectangle<S: Simd, T: Cell, const N: usize>(
    simd: S,
    x: &[Values<T>],
    corner: (usize, usize),
    rows: usize,
    pass: usize,
    gram: &mut [Row<f64>; MAX_PAIRS],
) {
    let entry = |i: usize, j: usize| pair(x.len(), corner.0 + i, corner.1 + j);
    let mut left = [&x[corner.0].0; 3];
    let mut right = [&x[corner.1].0; N];
    let mut values = [simd.splat(0.0); N];
    let mut sums = [values; 3];
    for j in 0..N {
        right[j] = &x[corner.1 + j].0;
    }
    for i in 0..3 {
        left[i] = &x[corner.0 + i].0;
        for j in 0..N {
            sums[i][j] = simd.load(&gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows.min(ROWS) {
        for j in 0..N {
            values[j] = T::load(simd, &right[j][row], pass);
        }
        for i in 0..3 {
            let value = T::load(simd, &left[i][row], pass);
            for j in 0..N {
                sums[i][j] = simd.mul_add(value, values[j], sums[i][j]);
            }
        }
    }
    for i in 0..3 {
        for j in 0..N {
            simd.store(&mut gram[entry(i, j)], pass, sums[i][j]);
        }
    }
}
