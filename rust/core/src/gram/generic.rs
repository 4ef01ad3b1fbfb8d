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
use super::{Chunk, Column, GROUP, LANES, MAX_COLUMNS, MAX_PAIRS, SAMPLED, bin, pair, reduce};
use crate::checkpoint::dtype::Dtype;

/// Elements widened at a time: ten columns of them stay inside a 32 KiB first-level cache.
const BLOCK: usize = 256;
const ROWS: usize = BLOCK / LANES;
/// Elements whose comparisons are counted in the width of the element, which may be one byte.
const RUN: usize = 128;

type Row = [f64; LANES];
type Block = [[Row; ROWS]; MAX_COLUMNS];

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
    let mut x: Block = [[[0.0; LANES]; ROWS]; MAX_COLUMNS];
    let mut gram = [[0.0; LANES]; MAX_PAIRS];
    let mut energy = [0.0; LANES];
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
            compare_alike(window, &mut out);
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
        displace(simd, &mut x[..count], rows);
        accumulate(simd, &x[..count], rows, &mut gram);
    }
    for (total, lanes) in out.gram.iter_mut().zip(&gram) {
        *total = reduce(lanes);
    }
    out.energy = rounding.map_or(length as f64 / 12.0, |rounding| rounding.energy(reduce(&energy)));
    out
}

/// Decodes a block of one column, continued with zeros to whole groups.
#[inline(always)]
fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut [Row; ROWS]) {
    let whole = match column.dtype {
        Dtype::Bf16 => {
            widen_groups(column.bytes, out, |bytes, even, odd| simd.widen_bf16(bytes, even, odd))
        }
        Dtype::F16 => {
            widen_groups(column.bytes, out, |bytes, even, odd| simd.widen_f16(bytes, even, odd))
        }
        Dtype::F32 => {
            widen_groups(column.bytes, out, |bytes, even, odd| simd.widen_f32(bytes, even, odd))
        }
        _ => 0,
    };
    let elements = column.len();
    for k in whole * GROUP..elements.next_multiple_of(GROUP) {
        *at(out, k) = if k < elements { scalar::element(column, k) } else { 0.0 };
    }
}

/// Widens the whole groups of `bytes` and returns how many there are.
#[inline(always)]
fn widen_groups<const BYTES: usize>(
    bytes: &[u8],
    out: &mut [Row; ROWS],
    group: impl Fn(&[u8; BYTES], &mut Row, &mut Row),
) -> usize {
    let (groups, _) = bytes.as_chunks::<BYTES>();
    let (rows, _) = out.as_chunks_mut::<2>();
    for (bytes, [even, odd]) in groups.iter().zip(rows) {
        group(bytes, even, odd);
    }
    groups.len()
}

/// Where element `k` of a block is kept.
#[inline(always)]
fn at(values: &mut [Row; ROWS], k: usize) -> &mut f64 {
    &mut values[k / GROUP * 2 + k % 2][k % GROUP / 2]
}

/// Counts differences between columns of one dtype on the stored bits.
#[inline(always)]
fn compare_alike(columns: &[Column<'_>], out: &mut Chunk) {
    match columns[0].width() {
        1 => compare_words(columns, u8::from_le_bytes, |n| u64::from(n), out),
        2 => compare_words(columns, u16::from_le_bytes, |n| u64::from(n), out),
        4 => compare_words(columns, u32::from_le_bytes, |n| u64::from(n), out),
        _ => compare_words(columns, u64::from_le_bytes, |n| n, out),
    }
}

#[inline(always)]
fn compare_words<const WIDTH: usize, W>(
    columns: &[Column<'_>],
    word: impl Fn([u8; WIDTH]) -> W,
    widen: impl Fn(W) -> u64,
    out: &mut Chunk,
) where
    W: Copy + Default + PartialEq + From<bool>,
    W: std::ops::BitXor<Output = W> + std::ops::BitOrAssign + std::ops::AddAssign,
{
    let counts = &mut out.counts;
    let child = columns.len() - 1;
    let zero = W::default();
    let words = |column: usize| columns[column].bytes.as_chunks::<WIDTH>().0.chunks(RUN);
    for (run, (base, last)) in words(0).zip(words(child)).enumerate() {
        let mut moved = [zero; RUN];
        for column in 0..child {
            let Some(these) = words(column).nth(run) else { break };
            let mut equal = zero;
            for (((difference, &x), &b), &c) in moved.iter_mut().zip(these).zip(base).zip(last) {
                *difference |= word(x) ^ word(b);
                equal += W::from(word(x) == word(c));
            }
            counts.equal[column] += widen(equal);
        }
        let (mut movers, mut strays) = (zero, zero);
        for ((&difference, &b), &c) in moved.iter().zip(base).zip(last) {
            movers += W::from(difference != zero);
            strays += W::from(difference == zero && word(c) != word(b));
        }
        counts.moved += widen(movers);
        counts.stray += widen(strays);
    }
}

/// The path of mixed dtypes and of excluded elements: counts them and sets them to zero.
fn visit_elements(
    columns: &[Column<'_>],
    compared: bool,
    elements: usize,
    x: &mut Block,
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
    values: &[Row; ROWS],
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
        let binade = binade(values[k / GROUP * 2 + k % 2][lane], rounding.floor());
        energy[lane] = binade.mul_add(binade, energy[lane]);
    }
}

/// Bins the displacements of a block before the base is subtracted.
fn add_histogram(x: &[[Row; ROWS]], elements: usize, rounding: Option<Rounding>, out: &mut Chunk) {
    let child = x.len() - 1;
    for k in 0..elements {
        let (row, lane) = (k / GROUP * 2 + k % 2, k % GROUP / 2);
        let ulp = rounding.map_or(1.0, |rounding| rounding.ulp(x[child][row][lane]));
        for column in 1..child {
            let displacement = x[column][row][lane] - x[0][row][lane];
            out.counts.histogram[column][bin(displacement.abs() / ulp)] += 1;
        }
    }
}

/// Subtracts the base from every other column.
#[inline(always)]
fn displace<S: Simd>(simd: S, x: &mut [[Row; ROWS]], rows: usize) {
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
#[inline(always)]
fn accumulate<S: Simd>(simd: S, x: &[[Row; ROWS]], rows: usize, gram: &mut [Row; MAX_PAIRS]) {
    for pass in 0..S::PASSES {
        for i in (0..x.len()).step_by(3) {
            match x.len() - i {
                1 => triangle::<S, 1>(simd, x, i, rows, pass, gram),
                2 => triangle::<S, 2>(simd, x, i, rows, pass, gram),
                _ => triangle::<S, 3>(simd, x, i, rows, pass, gram),
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
fn triangle<S: Simd, const N: usize>(
    simd: S,
    x: &[[Row; ROWS]],
    first: usize,
    rows: usize,
    pass: usize,
    gram: &mut [Row; MAX_PAIRS],
) {
    let entry = |i: usize, j: usize| pair(x.len(), first + i, first + j);
    let mut sums = [[simd.splat(0.0); N]; N];
    for i in 0..N {
        for j in i..N {
            sums[i][j] = simd.load(&gram[entry(i, j)], pass);
        }
    }
    let columns: [&[Row]; N] = std::array::from_fn(|i| &x[first + i][..rows]);
    for row in 0..rows {
        let values: [S::Vector; N] = std::array::from_fn(|i| simd.load(&columns[i][row], pass));
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
    x: &[[Row; ROWS]],
    corner: (usize, usize),
    rows: usize,
    pass: usize,
    gram: &mut [Row; MAX_PAIRS],
) {
    let entry = |i: usize, j: usize| pair(x.len(), corner.0 + i, corner.1 + j);
    let mut sums: [[S::Vector; N]; 3] =
        std::array::from_fn(|i| std::array::from_fn(|j| simd.load(&gram[entry(i, j)], pass)));
    let left: [&[Row]; 3] = std::array::from_fn(|i| &x[corner.0 + i][..rows]);
    let right: [&[Row]; N] = std::array::from_fn(|j| &x[corner.1 + j][..rows]);
    for row in 0..rows {
        let values: [S::Vector; N] = std::array::from_fn(|j| simd.load(&right[j][row], pass));
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
        even[lane] = decode(dtype, first);
        odd[lane] = decode(dtype, second);
    }
}
