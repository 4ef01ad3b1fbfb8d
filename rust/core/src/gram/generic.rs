//! A chunk's result with vectors of any width. *How* a vector is made is the instruction set's file.
//!
//! ```text
//! for each block of BLOCK elements:
//!     widen every column to float64 in the cache                     (exact)
//!     count differences on the stored bits, binades of the child
//!     subtract the base from the other columns
//!     for each 3 x 3 block of the Gram matrix:
//!         for each row of 8 lanes: accumulators += X_i * X_j         (fused)
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. Elements of a group of 16 are kept as 8 even ones, then 8 odd ones. A lane holds one of each,
//!    in the order of the definition, and a bf16 pair is split by one shift and one mask.
//! 2. The matrix is swept in blocks whose accumulators fit in registers. A lane's additions keep
//!    their order, since blocks of the matrix share no accumulator.
//! 3. Elements are first taken to be finite. If one is not, some entry of the matrix is not either,
//!    and the chunk is done again with the excluded elements set to zero.

use super::scalar;
use super::widen::{Rounding, binade, decode};
use super::{
    Chunk, Column, Counts, GROUP, LANES, MAX_COLUMNS, MAX_PAIRS, SAMPLED, bin, pair, reduce,
};
use crate::checkpoint::dtype::Dtype;

/// Elements widened at a time: ten columns of them stay inside a 32 KiB first-level cache.
const BLOCK: usize = 256;
const ROWS: usize = BLOCK / LANES;
/// Elements whose comparisons are counted in the width of the element, which may be one byte.
const RUN: usize = 128;

/// Eight lanes in one cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row(pub(super) [f64; LANES]);

/// A block of one column.
///
/// One row is never used: without it, the same row of every second column would lie 4096 bytes
/// apart, and a load would wait for a store to another column that it only seems to overlap.
type Values = [Row; ROWS + 1];

const ZERO: Row = Row([0.0; LANES]);

/// The vector operations that an instruction set supplies.
///
/// Holding a value of the type is the proof that the CPU has the instructions.
pub(super) trait Simd: Copy {
    /// A vector of `LANES / PASSES` float64.
    type Vector: Copy;
    /// Vectors to a row of eight lanes.
    const PASSES: usize;

    /// All lanes `value`.
    fn splat(self, value: f64) -> Self::Vector;
    /// Part `pass < PASSES` of a row.
    fn load(self, row: &Row, pass: usize) -> Self::Vector;
    /// Writes part `pass < PASSES` of a row.
    fn store(self, row: &mut Row, pass: usize, value: Self::Vector);
    /// a - b, rounded once.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// [`binade`] of each lane.
    fn binade(self, value: Self::Vector, floor: Self::Vector) -> Self::Vector;

    /// Sixteen bf16 as a row of even and a row of odd elements.
    fn widen_bf16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row);
    /// Sixteen float16 as a row of even and a row of odd elements.
    fn widen_f16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row);
    /// Sixteen float32 as a row of even and a row of odd elements.
    fn widen_f32(self, bytes: &[u8; 64], even: &mut Row, odd: &mut Row);
}

/// Computes one chunk, with the bits of [`scalar::chunk`].
#[inline(always)]
pub(super) fn chunk<S: Simd>(simd: S, columns: &[Column<'_>]) -> Chunk {
    let out = run(simd, columns, false);
    if out.gram.iter().all(|entry| entry.is_finite()) { out } else { run(simd, columns, true) }
}

#[inline(always)]
fn run<S: Simd>(simd: S, columns: &[Column<'_>], exclude: bool) -> Chunk {
    let count = columns.len();
    let child = count - 1;
    let length = columns[child].len();
    let rounding = Rounding::of(columns[child].dtype);
    let alike = columns.iter().all(|column| column.dtype == columns[child].dtype);

    let mut out = Chunk::default();
    let mut x = [[ZERO; ROWS + 1]; MAX_COLUMNS];
    let mut gram = [ZERO; MAX_PAIRS];
    let mut energy = ZERO;
    for start in (0..length).step_by(BLOCK) {
        let elements = BLOCK.min(length - start);
        let rows = elements.next_multiple_of(GROUP) / LANES;
        let mut window = [Column { dtype: Dtype::U8, bytes: &[] }; MAX_COLUMNS];
        for (part, column) in window.iter_mut().zip(columns) {
            let width = column.width();
            let bytes = &column.bytes[start * width..(start + elements) * width];
            *part = Column { dtype: column.dtype, bytes };
        }
        let window = &window[..count];
        for (values, column) in x.iter_mut().zip(window) {
            widen(simd, column, values);
        }
        if alike {
            compare_alike(window, &mut out.counts);
        }
        if exclude || !alike {
            visit_elements(window, alike, elements, &mut x, &mut out);
        }
        if let Some(rounding) = rounding {
            add_energy(simd, &x[child], elements, rounding, &mut energy);
        }
        if start < SAMPLED {
            add_histogram(&x[..count], elements, rounding, &mut out);
        }
        if count <= 3 {
            accumulate::<S, true>(simd, &x[..count], rows, &mut gram);
        } else {
            displace(simd, &mut x[..count], rows);
            accumulate::<S, false>(simd, &x[..count], rows, &mut gram);
        }
    }
    for (total, lanes) in out.gram.iter_mut().zip(&gram) {
        *total = reduce(&lanes.0);
    }
    out.energy =
        rounding.map_or(length as f64 / 12.0, |rounding| rounding.energy(reduce(&energy.0)));
    out
}

/// Decodes a block of one column, continued with zeros to whole groups.
#[inline(always)]
fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values) {
    // A closure would be a function of its own, compiled without the instruction set.
    macro_rules! groups {
        ($bytes:literal, $widen:ident) => {{
            let (groups, _) = column.bytes.as_chunks::<$bytes>();
            let (rows, _) = out.as_chunks_mut::<2>();
            for (bytes, [even, odd]) in groups.iter().zip(rows) {
                simd.$widen(bytes, even, odd);
            }
            groups.len()
        }};
    }
    let whole = match column.dtype {
        Dtype::Bf16 => groups!(32, widen_bf16),
        Dtype::F16 => groups!(32, widen_f16),
        Dtype::F32 => groups!(64, widen_f32),
        _ => 0,
    };
    let elements = column.len();
    for k in whole * GROUP..elements.next_multiple_of(GROUP) {
        *at(out, k) = if k < elements { scalar::element(column, k) } else { 0.0 };
    }
}

/// Where element `k` of a block is kept.
#[inline(always)]
fn at(values: &mut Values, k: usize) -> &mut f64 {
    &mut values[k / GROUP * 2 + k % 2].0[k % GROUP / 2]
}

/// Counts differences between columns of one dtype on the stored bits.
#[inline(always)]
fn compare_alike(columns: &[Column<'_>], counts: &mut Counts) {
    match columns[0].width() {
        1 => compare_words::<1, u8>(columns, counts),
        2 => compare_words::<2, u16>(columns, counts),
        4 => compare_words::<4, u32>(columns, counts),
        _ => compare_words::<8, u64>(columns, counts),
    }
}

/// An element's stored bits. Runs of [`RUN`] of them are counted in their own width.
trait Word<const WIDTH: usize>: Copy + Default + Eq + Into<u64> {
    fn read(bytes: [u8; WIDTH]) -> Self;
    fn differing(self, other: Self) -> Self;
    fn either(self, other: Self) -> Self;
    fn plus(self, counted: bool) -> Self;
}

macro_rules! words {
    ($($width:literal $word:ty;)*) => {$(
        impl Word<$width> for $word {
            #[inline(always)]
            fn read(bytes: [u8; $width]) -> Self {
                Self::from_le_bytes(bytes)
            }
            #[inline(always)]
            fn differing(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn either(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn plus(self, counted: bool) -> Self {
                self.wrapping_add(Self::from(counted))
            }
        }
    )*};
}

words! { 1 u8; 2 u16; 4 u32; 8 u64; }

#[inline(always)]
fn compare_words<const WIDTH: usize, W: Word<WIDTH>>(columns: &[Column<'_>], counts: &mut Counts) {
    let child = columns.len() - 1;
    let length = columns[child].len();
    let mut padded = [[[0_u8; WIDTH]; RUN]; MAX_COLUMNS];
    for start in (0..length).step_by(RUN) {
        let elements = RUN.min(length - start);
        let mut runs = [&[[0_u8; WIDTH]; RUN]; MAX_COLUMNS];
        for ((run, column), rest) in runs.iter_mut().zip(columns).zip(&mut padded) {
            let these = &column.bytes.as_chunks::<WIDTH>().0[start..start + elements];
            // A run that ends early goes on with elements that are zero in every column.
            *run = match <&[[u8; WIDTH]; RUN]>::try_from(these) {
                Ok(whole) => whole,
                Err(_) => {
                    rest[..elements].copy_from_slice(these);
                    rest
                }
            };
        }
        let (base, last) = (runs[0], runs[child]);
        let mut moved = [W::default(); RUN];
        for (column, run) in runs[..child].iter().enumerate() {
            let mut equal = W::default();
            for k in 0..RUN {
                let x = W::read(run[k]);
                moved[k] = moved[k].either(x.differing(W::read(base[k])));
                equal = equal.plus(x == W::read(last[k]));
            }
            counts.equal[column] += equal.into() - (RUN - elements) as u64;
        }
        let (mut movers, mut strays) = (W::default(), W::default());
        for k in 0..RUN {
            let still = moved[k] == W::default();
            movers = movers.plus(!still);
            strays = strays.plus(still & (W::read(last[k]) != W::read(base[k])));
        }
        counts.moved += movers.into();
        counts.stray += strays.into();
    }
}

/// The path of mixed dtypes and of excluded elements: counts them and sets them to zero.
fn visit_elements(
    columns: &[Column<'_>],
    compared: bool,
    elements: usize,
    x: &mut [Values],
    out: &mut Chunk,
) {
    let mut values = [0.0; MAX_COLUMNS];
    for k in 0..elements {
        for (value, column) in values.iter_mut().zip(x.iter_mut()).take(columns.len()) {
            *value = *at(column, k);
        }
        let values = &values[..columns.len()];
        if !compared {
            scalar::compare(columns, values, k, &mut out.counts);
        }
        if scalar::exclude(values, &mut out.counts) {
            for column in x.iter_mut() {
                *at(column, k) = 0.0;
            }
        }
    }
}

/// Adds the squared binades of a block of the child.
#[inline(always)]
fn add_energy<S: Simd>(
    simd: S,
    values: &Values,
    elements: usize,
    rounding: Rounding,
    energy: &mut Row,
) {
    let whole = elements / GROUP * 2;
    let floor = simd.splat(rounding.floor());
    for pass in 0..S::PASSES {
        let mut sum = simd.load(energy, pass);
        for row in &values[..whole] {
            let binade = simd.binade(simd.load(row, pass), floor);
            sum = simd.mul_add(binade, binade, sum);
        }
        simd.store(energy, pass, sum);
    }
    for k in whole * LANES..elements {
        let lane = k % GROUP / 2;
        let binade = binade(values[k / GROUP * 2 + k % 2].0[lane], rounding.floor());
        energy.0[lane] = binade.mul_add(binade, energy.0[lane]);
    }
}

/// Bins the displacements of a block before the base is subtracted.
fn add_histogram(x: &[Values], elements: usize, rounding: Option<Rounding>, out: &mut Chunk) {
    let child = x.len() - 1;
    for k in 0..elements {
        let (row, lane) = (k / GROUP * 2 + k % 2, k % GROUP / 2);
        let ulp = rounding.map_or(1.0, |rounding| rounding.ulp(x[child][row].0[lane]));
        for column in 1..child {
            let displacement = x[column][row].0[lane] - x[0][row].0[lane];
            out.counts.histogram[column][bin(displacement.abs() / ulp)] += 1;
        }
    }
}

/// Subtracts the base from every other column.
#[inline(always)]
fn displace<S: Simd>(simd: S, x: &mut [Values], rows: usize) {
    let [base, others @ ..] = x else { return };
    for column in others {
        for (row, base) in column[..rows].iter_mut().zip(&base[..rows]) {
            for pass in 0..S::PASSES {
                let displacement = simd.sub(simd.load(row, pass), simd.load(base, pass));
                simd.store(row, pass, displacement);
            }
        }
    }
}

/// Adds the products of all pairs of columns.
///
/// With `DISPLACE`, for at most three columns, the base is subtracted on the way.
#[inline(always)]
fn accumulate<S: Simd, const DISPLACE: bool>(
    simd: S,
    x: &[Values],
    rows: usize,
    gram: &mut [Row; MAX_PAIRS],
) {
    for pass in 0..S::PASSES {
        for i in (0..x.len()).step_by(3) {
            match x.len() - i {
                1 => triangle::<S, 1, DISPLACE>(simd, x, i, rows, pass, gram),
                2 => triangle::<S, 2, DISPLACE>(simd, x, i, rows, pass, gram),
                _ => triangle::<S, 3, DISPLACE>(simd, x, i, rows, pass, gram),
            }
            for j in (i + 3..x.len()).step_by(3) {
                match x.len() - j {
                    1 => rectangle::<S, 1>(simd, x, (i, j), rows, pass, gram),
                    2 => rectangle::<S, 2>(simd, x, (i, j), rows, pass, gram),
                    _ => rectangle::<S, 3>(simd, x, (i, j), rows, pass, gram),
                }
            }
        }
    }
}

/// The N x N block of the matrix on the diagonal at `first`.
#[inline(always)]
fn triangle<S: Simd, const N: usize, const DISPLACE: bool>(
    simd: S,
    x: &[Values],
    first: usize,
    rows: usize,
    pass: usize,
    gram: &mut [Row; MAX_PAIRS],
) {
    let entry = |i: usize, j: usize| pair(x.len(), first + i, first + j);
    let mut columns = [&x[first]; N];
    let mut values = [simd.splat(0.0); N];
    let mut sums = [values; N];
    for i in 0..N {
        columns[i] = &x[first + i];
        for j in i..N {
            sums[i][j] = simd.load(&gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows.min(ROWS) {
        for i in 0..N {
            values[i] = simd.load(&columns[i][row], pass);
            if DISPLACE && i > 0 {
                values[i] = simd.sub(values[i], values[0]);
            }
        }
        for i in 0..N {
            for j in i..N {
                sums[i][j] = simd.mul_add(values[i], values[j], sums[i][j]);
            }
        }
    }
    for i in 0..N {
        for j in i..N {
            simd.store(&mut gram[entry(i, j)], pass, sums[i][j]);
        }
    }
}

/// The 3 x N block of the matrix whose first entry is `corner`, above the diagonal.
#[inline(always)]
fn rectangle<S: Simd, const N: usize>(
    simd: S,
    x: &[Values],
    corner: (usize, usize),
    rows: usize,
    pass: usize,
    gram: &mut [Row; MAX_PAIRS],
) {
    let entry = |i: usize, j: usize| pair(x.len(), corner.0 + i, corner.1 + j);
    let mut left = [&x[corner.0]; 3];
    let mut right = [&x[corner.1]; N];
    let mut values = [simd.splat(0.0); N];
    let mut sums = [values; 3];
    for j in 0..N {
        right[j] = &x[corner.1 + j];
    }
    for i in 0..3 {
        left[i] = &x[corner.0 + i];
        for j in 0..N {
            sums[i][j] = simd.load(&gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows.min(ROWS) {
        for j in 0..N {
            values[j] = simd.load(&right[j][row], pass);
        }
        for i in 0..3 {
            let value = simd.load(&left[i][row], pass);
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

/// The value an instruction set without a vector conversion uses: [`decode`], sixteen times.
#[allow(dead_code, reason = "only instruction sets without float16 conversions need it")]
#[inline(always)]
pub(super) fn decode_group(dtype: Dtype, bytes: &[u8], even: &mut Row, odd: &mut Row) {
    for (lane, pair) in bytes.chunks_exact(bytes.len() / LANES).enumerate() {
        let (first, second) = pair.split_at(pair.len() / 2);
        even.0[lane] = decode(dtype, first);
        odd.0[lane] = decode(dtype, second);
    }
}
