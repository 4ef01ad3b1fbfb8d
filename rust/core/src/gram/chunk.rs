//! A chunk's result with vectors of any width. *How* a vector is made is the instruction set's file.
//!
//! ```text
//! if the chunk is for narrow arithmetic:
//!     matrix = products in float32 from the stored bits, added up in float64 for each run   (see `narrow`)
//! if it is not, or its probes are off:
//!     matrix = products in float64, from the stored bits or from elements widened in the cache  (see `wide`)
//! both count where columns differ on the way, on the stored bits where columns are of one dtype
//! ```
//!
//! Departures from the scalar definition, none of which changes a bit:
//!
//! 1. The matrix is computed in blocks whose accumulators fit in registers. A lane's additions keep
//!    their order, since no two blocks of the matrix share an accumulator.
//! 2. All elements are first taken to be finite. If one is not, some entry of the matrix is not finite
//!    either, and the chunk is computed again with the excluded elements set to zero.

use super::narrow::Found;
use super::simd::{Simd, Vectorize};
use super::sums::is_for_narrow;
use super::values::{Cell, Values, element};
use super::widen::Rounding;
use super::{Chunk, Column, Counts, MAX_COLUMNS, SAMPLED, Sampled, narrow, sample, scalar, wide};

/// Computes one chunk, with the bits of [`scalar::chunk`].
pub(super) struct Chunking<'a, S> {
    pub(super) simd: S,
    pub(super) columns: &'a [Column<'a>],
    /// The chunk's first element, counted from that of the slice.
    pub(super) start: u64,
    /// Whether the first elements are looked at more closely.
    pub(super) sampled: bool,
}

impl<S: Simd> Vectorize for Chunking<'_, S> {
    type Output = Chunk;

    #[inline(always)]
    fn run(self) -> Chunk {
        let Self { simd, columns, start, sampled } = self;
        let rounding = Rounding::of(columns[columns.len() - 1].dtype);
        let mut out = Chunk::default();
        if sampled {
            out.sampled = Some(simd.call(Sampling { simd, columns, rounding }));
        }
        // No closure: it would be a function of its own, compiled without the instruction set.
        let found = if is_for_narrow(columns) {
            narrow::products(simd, columns, start, &mut out.counts)
        } else {
            Found { sums: None, compared: false }
        };
        let (gram, energy) = match found.sums {
            Some(sums) => sums,
            None => wide::products(simd, columns, found.compared, &mut out.counts),
        };
        out.gram = gram;
        out.energy = match rounding {
            Some(rounding) => rounding.energy(energy),
            None => columns[0].len() as f64 / 12.0,
        };
        out
    }
}

/// Looks at the first elements of a chunk. What is not finite is left out, and not counted here: the
/// products count it.
struct Sampling<'a, S> {
    simd: S,
    columns: &'a [Column<'a>],
    rounding: Option<Rounding>,
}

impl<S: Simd> Vectorize for Sampling<'_, S> {
    type Output = Box<Sampled>;

    #[inline(always)]
    fn run(self) -> Box<Sampled> {
        let Self { simd, columns, rounding } = self;
        let mut seen = Box::<Sampled>::default();
        let elements = columns[0].len().min(SAMPLED);
        let mut blocks = [Values::<f64>::ZERO; MAX_COLUMNS];
        for (values, column) in blocks.iter_mut().zip(columns) {
            let part = column.part(0..elements);
            for k in f64::widen(simd, &part, values)..elements {
                values.set(k, scalar::element(&part, k));
            }
        }
        for k in 0..elements {
            let mut x = element(&blocks[..columns.len()], k);
            if scalar::exclude(&x[..columns.len()], &mut Counts::default()) {
                x = [0.0; MAX_COLUMNS];
            }
            sample(&x[..columns.len()], rounding, &mut seen);
        }
        seen
    }
}
