//! The Gram matrix of one chunk of one slice, with the counters taken in the same pass.
//!
//! `scalar` says *what* is computed, and is the definition. The other files say *how*, each in terms of those
//! before it, and none knows one that comes after it:
//!
//! 1. this page, `widen` (dtypes) and `sums` (accumulators), which `scalar` shares;
//! 2. `tally` and `simd`: what an instruction set supplies. `avx2`, `avx512` and `neon` supply it, and
//!    `prefetch` a little more;
//! 3. `products` (of rows, in either arithmetic) and `arithmetic` (the two of them);
//! 4. `compare` (columns of one dtype, on stored bits), `few` (comparing and multiplying in one loop);
//! 5. `values` (columns widened in the cache) and `mixed` (comparing those), `stored` (columns as they are);
//! 6. `wide`, `narrow`, and `chunk`, which chooses between them;
//! 7. `blend`, which only replays use;
//! 8. [`Level`], which chooses the instruction set, once per chunk.
//!
//! # Definition, version 3
//!
//! A *chunk* is at most [`CHUNK`] consecutive elements of a slice. Its columns are the base `b`,
//! the parents and controls `x_1 .. x_m` and the child `c`. An element that is not finite in one of the
//! columns is *excluded*: it counts as zero in all of them. Wide arithmetic is float64:
//!
//! ```text
//! X          = [b, x_1 - b, ..., x_m - b, c - b]          float64, one rounding each
//! lane(k)    = k mod 8                                     k counts from the chunk's start
//! A_ij[lane] = fma(X_i[k], X_j[k], A_ij[lane])             k ascending, from +0
//! G_ij       = reduce(A_ij)
//! energy     = sum of ulp(c)^2 / 12, summed like G,  ulp(c) = 2^(floor(log2 |c|) - mantissa bits)
//! ```
//!
//! Narrow arithmetic is float32 over *runs* of 256 elements, and float64 over runs. It is that of
//! chunks of at least 32,768 elements whose columns are all bf16, or all f16:
//!
//! ```text
//! X          = [b, x_1 - b, ..., x_m - b, c - b]          float32, one rounding each
//! lane(k)    = (k / 2) mod 16 for bf16,  k mod 16 for f16
//! s_ij[lane] = fma(X_i[k], X_j[k], s_ij[lane])             float32, k ascending, from +0 in every run, i < j
//! A_ij[lane] = A_ij[lane] + s_ij[lane]                     float64, runs ascending, from +0
//! G_ij       = reduce(A_ij)
//! ```
//!
//! Squares carry the errors of their sums along, which are added last; those of bf16 are taken in pairs of
//! elements, k even, and one that is left at the end of a run is paired with 0:
//!
//! ```text
//! bf16:  q = fma(X_i[k+1], X_i[k+1], X_i[k]^2)     f16:  q = X_i[k]^2, not rounded
//!        t = s_ii[lane] + q,  e_i[lane] = e_i[lane] + (q - (t - s_ii[lane])),  s_ii[lane] = t
//! A_ii[lane] = (A_ii[lane] + s_ii[lane]) + e_i[lane]
//! ```
//!
//! where every operation is rounded once to float32: of f16, `t` and `q - (..)` are fused multiply-adds. The
//! reason is that squares of numbers of few bits are odd multiples of a power of two by a number that is 1 modulo
//! 8: their sums often end half-way between two float32, and ties to even then go down far more often than up.
//! Without the errors, squares would be off by 1.5e-8 of the sum in bf16 and 3e-8 in f16.
//!
//! Energies are summed in runs, as products of different columns are. Of each 32 runs one is a *probe*: with `e`
//! the number of the chunk's first element in its slice, those are runs
//!
//! ```text
//! 32 m + (13 (m + floor(e / 8192)) mod 32)                 m = 0, 1, ...
//! ```
//!
//! as far as the chunk has them. With P the sums of the probes' runs, and W what wide arithmetic gives for the
//! probes alone, the chunk is computed wide, as if it were none for narrow arithmetic, unless all of G and the
//! energy are finite and
//!
//! ```text
//! |P_ij - W_ij| <= 2^-27 sqrt(W_ii W_jj)                   for all i <= j
//! reduce(A)  = with a[l] = A[l] + A[l + 8]:  ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7))
//! ```
//!
//! where wide arithmetic leaves lanes 8 to 15 at +0. The energy leaves out what is smaller than any
//! effect: zeros have none, and a subnormal number has that of a normal one with its leading bit.
//!
//! # Accumulation policy and its error
//!
//! *Wide.* Every product is one float64 fused multiply-add, so a chunk carries at most
//! `CHUNK / 8 + 4` roundings of 2^-53 on each lane. With the one rounding of each displacement,
//! and sequential sums over the chunks of a block and the blocks of a slice, for a slice of N
//! chunks and K elements
//!
//! ```text
//! |G_ij - exact| <= (8192 + 4 + N + 16 + 2) 2^-53 |x_i| |x_j| + K 2^-1074     (Higham 2002, section 3.1)
//! ```
//!
//! whose first term is below 1.6e-12 |x_i| |x_j| for a slice of 4e8 elements and 9e-12 for 4e9, for *every* input.
//! The second, of products that float64 has no bits for, is nothing beside it unless all of a slice is below 1e-150
//! or so, as only float64 can be: no float64 could hold the squares of 1e-162 whatever they were multiplied by.
//!
//! *Narrow.* A run of sixteen products on a lane errs by up to 17 2^-24 in theory, and squares by up to 3 2^-24 in
//! bf16 and 2 2^-24 in f16, the roundings of displacements. Errors of different runs average out, unless elements
//! repeat or share few values, as in constant tensors: that is what probes are for. Measured on noise around a
//! base, from a thousandth of its size to thousand times as large: squares of bf16 are off by 1e-9 for relatives,
//! 5e-9 where the noise is three times the base, 8e-9 at ten times; those of f16 by 7e-10 at any; products of different
//! columns by 2e-9 up to the size of the base, 7e-9 beyond. What passes is within 2^-27 = 7.5e-9 of exact where
//! probes look. They look at every place of 8,192 elements within four chunks, and see no place of any matrix more
//! often than others; on errors that a part of the columns has, which four chunks' probes see once, the rest of
//! those chunks may pass with what that part adds: 1e-6 of it at most.

mod arithmetic;
mod blend;
mod chunk;
mod compare;
mod few;
mod level;
mod mixed;
mod narrow;
mod prefetch;
mod products;
mod scalar;
mod simd;
mod stored;
mod sums;
mod tally;
mod values;
mod wide;
mod widen;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(test)]
mod tests;

pub(crate) use blend::{BLENDED, Blend};
pub use level::Level;
pub(crate) use prefetch::prefetch;
pub(crate) use simd::Vectorize;
pub use widen::{Rounding, decode, encode};
pub(crate) use widen::{bf16_bits, binade, widen_bf16, widen_e4m3, widen_e5m2, widen_f16};

use crate::checkpoint::dtype::Dtype;

/// Version of the arithmetic defined on this page. It changes when any bit of a result may.
pub const DEFINITION: u32 = 3;
/// Elements in a full chunk.
pub const CHUNK: usize = 1 << 16;
/// Accumulators per entry of the Gram matrix, at most.
pub const LANES: usize = 16;
/// Most columns: the base, eight parents and controls, the child.
pub const MAX_COLUMNS: usize = 10;
/// Entries of the upper triangle for [`MAX_COLUMNS`].
pub const MAX_PAIRS: usize = pairs(MAX_COLUMNS);
/// Elements at the start of a chunk that are looked at more closely, where that is asked for.
pub const SAMPLED: usize = 256;
/// Weights at which a merge is simulated: `(2 j + 1) / 32` for `j` in `0..WEIGHTS`; see [`Sampled::bias`].
pub const WEIGHTS: usize = 16;
/// Bins of the displacement histogram; see [`bin`].
pub const BINS: usize = 48;

/// Accumulators of wide arithmetic.
const WIDE_LANES: usize = 8;
/// Elements summed in float32.
const RUN: usize = 16 * LANES;
/// One of so many runs is a probe.
const PROBED: usize = 32;
/// Least elements of a chunk for narrow arithmetic: errors of fewer runs do not average out.
const LEAST_NARROW: usize = 1 << 15;
/// Most that probes may differ from wide arithmetic, in units of the norms.
const TOLERANCE: f64 = 1.0 / (1 << 27) as f64;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Elements of a block, which are widened together: ten columns of them as float64 stay inside a 32 KiB
/// first-level cache.
const BLOCK: usize = 256;
/// Most elements of each column that are compared together before their products are taken: the
/// second-level cache still holds them when they are multiplied.
const STRETCH: usize = 2048;

/// Entries in the upper triangle of a Gram matrix of `columns` columns.
pub const fn pairs(columns: usize) -> usize {
    columns * (columns + 1) / 2
}

/// Position of entry (i, j), i <= j, in the upper triangle stored by rows.
///
/// ```
/// use parentage_core::gram::pair;
/// assert_eq!([pair(3, 0, 0), pair(3, 0, 2), pair(3, 1, 1), pair(3, 2, 2)], [0, 2, 3, 5]);
/// ```
pub const fn pair(columns: usize, i: usize, j: usize) -> usize {
    i * columns - i * (i + 1) / 2 + j
}

/// The same elements of one checkpoint: undecoded bytes, at any alignment.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// How the bytes are to be read.
    pub dtype: Dtype,
    /// Whole elements, little endian.
    pub bytes: &'a [u8],
}

impl<'a> Column<'a> {
    /// Elements `range` of the column.
    #[inline(always)]
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> Column<'a> {
        let width = self.width();
        Column { dtype: self.dtype, bytes: &self.bytes[range.start * width..range.end * width] }
    }

    /// Elements in the column.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes per element. Numeric dtypes are whole bytes wide.
    pub(crate) fn width(&self) -> usize {
        (self.dtype.bits() / 8) as usize
    }
}

/// `elements` elements of every column, from element `start` on; columns that there are not are empty.
#[inline(always)]
fn cut<'a>(columns: &[Column<'a>], start: usize, elements: usize) -> [Column<'a>; MAX_COLUMNS] {
    let mut window = [Column { dtype: Dtype::U8, bytes: &[] }; MAX_COLUMNS];
    for (window, column) in window.iter_mut().zip(columns) {
        *window = column.part(start..start + elements);
    }
    window
}

/// Counts over elements. They add up over chunks in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Elements left out of all arithmetic because some column is not finite there.
    pub excluded: u64,
    /// Elements where a parent or control is not the base.
    pub moved: u64,
    /// Elements where every parent and control is the base, and the child is not.
    pub stray: u64,
    /// Per column before the child: elements whose value, cast to the child's dtype, has the
    /// child's bits.
    pub equal: [u64; MAX_COLUMNS],
    /// Per column: NaN values.
    pub nan: [u64; MAX_COLUMNS],
    /// Per column: values that are infinite or too large to be held exactly (see [`decode`]).
    pub inf: [u64; MAX_COLUMNS],
}

impl Counts {
    /// Adds `other` to every count.
    pub fn add(&mut self, other: &Self) {
        self.excluded += other.excluded;
        self.moved += other.moved;
        self.stray += other.stray;
        for column in 0..MAX_COLUMNS {
            self.equal[column] += other.equal[column];
            self.nan[column] += other.nan[column];
            self.inf[column] += other.inf[column];
        }
    }
}

/// What was seen in the first [`SAMPLED`] elements of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Per column between base and child: displacements in units of the child's last place, binned
    /// by [`bin`].
    pub histogram: [[u64; BINS]; MAX_COLUMNS],
    /// Per column between base and child: the sums of `d (round(b + w d) - (b + w d))` for the
    /// [`WEIGHTS`] weights `w`, rounded to the child's dtype, and last that of `d^2`. Their ratio is what
    /// rounding adds to a least-squares weight of `w`.
    pub bias: [[f64; WEIGHTS + 1]; MAX_COLUMNS],
    /// Most bits after the leading one that the significand of a value of the child uses.
    pub precision: u32,
}

impl Default for Sampled {
    fn default() -> Self {
        Self {
            histogram: [[0; BINS]; MAX_COLUMNS],
            bias: [[0.0; WEIGHTS + 1]; MAX_COLUMNS],
            precision: 0,
        }
    }
}

/// What one chunk contributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Upper triangle by rows, see [`pair`]; entries past `pairs(columns)` are zero.
    pub gram: [f64; MAX_PAIRS],
    /// Rounding energy of the child's dtype: the sum of ulp(c)^2 / 12.
    pub energy: f64,
    /// The counters.
    pub counts: Counts,
    /// What its first elements show, where that was asked for: kilobytes, which few chunks have.
    pub sampled: Option<Box<Sampled>>,
}

impl Default for Chunk {
    fn default() -> Self {
        Self { gram: [0.0; MAX_PAIRS], energy: 0.0, counts: Counts::default(), sampled: None }
    }
}

/// The histogram bin of a displacement of `ratio` >= 0 units in the last place.
///
/// Bin 0 holds exact zeros, bin 1 those below one half, bin 1 + r those that round to r for r in
/// 1..=32, and bin 34 + s those in [32.5, 64), [64, 128), ... for s = 0, 1, ...
pub fn bin(ratio: f64) -> usize {
    if ratio == 0.0 {
        0
    } else if ratio < 0.5 {
        1
    } else if ratio < 32.5 {
        1 + (ratio + 0.5) as usize
    } else {
        // Exponent of the ratio: floor(log2) without a rounding logarithm.
        let exponent = (ratio.to_bits() >> 52) as usize - 1023;
        (34 + exponent.saturating_sub(5)).min(BINS - 1)
    }
}

/// The weights at which a merge is simulated.
const BLENDS: [f64; WEIGHTS] = {
    let mut blends = [0.0; WEIGHTS];
    let mut j = 0;
    while j < WEIGHTS {
        blends[j] = (2 * j + 1) as f64 / (2 * WEIGHTS) as f64;
        j += 1;
    }
    blends
};

/// Looks at one sampled element: its displacements, and what rounding would do to blends of them.
///
/// `x` are the values of all columns, `rounding` is that of the child's dtype.
#[inline(always)]
fn sample(x: &[f64], rounding: Option<Rounding>, out: &mut Sampled) {
    let (base, child) = (x[0], x.len() - 1);
    let bits = x[child].to_bits() << 12;
    if bits != 0 {
        out.precision = out.precision.max(64 - bits.trailing_zeros());
    }
    let unit = match rounding {
        Some(rounding) => rounding.ulp(x[child]),
        None => 1.0,
    };
    for (column, value) in x.iter().enumerate().take(child).skip(1) {
        let displacement = value - base;
        out.histogram[column][bin(displacement.abs() / unit)] += 1;
        let mut sums = out.bias[column];
        // Loops over arrays, which the compiler turns into a few vector operations.
        let (mut blends, mut steps) = ([0.0; WEIGHTS], [1.0; WEIGHTS]);
        for j in 0..WEIGHTS {
            blends[j] = BLENDS[j].mul_add(displacement, base);
        }
        if let Some(rounding) = rounding {
            for j in 0..WEIGHTS {
                steps[j] = rounding.ulp(blends[j]);
            }
        }
        for j in 0..WEIGHTS {
            let rounded = (blends[j] / steps[j]).round_ties_even() * steps[j];
            sums[j] = displacement.mul_add(rounded - blends[j], sums[j]);
        }
        sums[WEIGHTS] = displacement.mul_add(displacement, sums[WEIGHTS]);
        out.bias[column] = sums;
    }
}
