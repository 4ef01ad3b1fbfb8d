//! Which instruction set computes, detected once.

use std::sync::OnceLock;

use super::blend::{Blend, Blending};
use super::chunk::Chunking;
use super::simd::{Halving, Vectorize, Widening};
use super::widen::{round_f16, widen_f16};
use super::{Chunk, Column, MAX_COLUMNS, scalar};
use crate::error::{Error, Result};

/// An instruction set that this CPU has. Holding one is the proof.
#[derive(Clone, Copy, Debug)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(super::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(super::avx512::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(super::neon::Neon),
}

/// Evaluates `$scalar` at the scalar level, and `$vectors` at any other, with `$simd` the proof it holds.
macro_rules! at_level {
    ($level:expr, $scalar:expr, $simd:ident => $vectors:expr) => {
        match $level.0 {
            Kind::Scalar => $scalar,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2($simd) => $vectors,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512($simd) => $vectors,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon($simd) => $vectors,
        }
    };
}

impl Level {
    /// Every level there is, on any CPU, slowest first.
    pub const NAMES: [&str; 4] = ["scalar", "neon", "avx2", "avx512"];
    /// The environment variable that overrides detection.
    pub const VARIABLE: &str = "PARENTAGE_LEVEL";

    /// The levels that this CPU has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self(Kind::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(super::avx2::Avx2::detect().map(|proof| Self(Kind::Avx2(proof))));
            levels.extend(super::avx512::Avx512::detect().map(|proof| Self(Kind::Avx512(proof))));
        }
        #[cfg(target_arch = "aarch64")]
        levels.extend(super::neon::Neon::detect().map(|proof| Self(Kind::Neon(proof))));
        levels
    }

    /// The level called `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is none of that name, or this CPU lacks it.
    pub fn named(name: &str) -> Result<Self> {
        let available = Self::available();
        if let Some(level) = available.iter().find(|level| level.name() == name) {
            return Ok(*level);
        }
        let names: Vec<_> = available.iter().map(|level| level.name()).collect();
        Err(Error::Argument(if Self::NAMES.contains(&name) {
            format!("this CPU has no {name}; it has {}", names.join(", "))
        } else {
            format!("no instruction set is called {name:?}; this CPU has {}", names.join(", "))
        }))
    }

    /// The level that [`Level::VARIABLE`] names, or the fastest this CPU has.
    ///
    /// # Errors
    ///
    /// As [`Level::named`], if the variable is set.
    pub fn detect() -> Result<Self> {
        static FASTEST: OnceLock<Level> = OnceLock::new();
        match std::env::var(Self::VARIABLE) {
            Ok(name) if !name.is_empty() => Self::named(&name)
                .map_err(|error| Error::Argument(format!("{}: {error}", Self::VARIABLE))),
            _ => Ok(*FASTEST.get_or_init(|| Self::available().pop().unwrap_or(Self(Kind::Scalar)))),
        }
    }

    /// Its name, one of [`Level::NAMES`].
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => "neon",
        }
    }

    /// Runs `work` compiled for this instruction set.
    pub(crate) fn vectorize<W: Vectorize>(self, work: W) -> W::Output {
        at_level!(self, work.run(), simd => simd.vectorize(work))
    }

    /// Whether all of a blend has the child's bits. `false` may also mean that one is NaN, or that this level
    /// does not look.
    #[inline(always)]
    pub(crate) fn blends<const TERMS: usize>(self, blend: Blend<'_, TERMS>) -> bool {
        at_level!(self, false, simd => simd.vectorize(Blending { simd, blend }))
    }

    /// Widens float16, as many as there are bytes for.
    ///
    /// # Panics
    ///
    /// If `out` has no room for them.
    pub(crate) fn widen_f16(self, bytes: &[u8], out: &mut [f32]) {
        let out = &mut out[..bytes.len() / 2];
        let groups = bytes.as_chunks::<32>().0;
        let widened = at_level!(self, 0, simd => {
            simd.vectorize(Widening { simd, groups, out: out.as_chunks_mut().0 });
            16 * groups.len()
        });
        let halves = bytes[2 * widened..].as_chunks().0;
        for (value, bytes) in out[widened..].iter_mut().zip(halves) {
            *value = widen_f16(u16::from_le_bytes(*bytes));
        }
    }

    /// Rounds to the nearest float16, ties to even; any NaN stays one.
    pub(crate) fn round_f16(self, values: &mut [f32]) {
        let groups = values.as_chunks_mut::<16>().0;
        let rounded = at_level!(self, 0, simd => {
            let count = 16 * groups.len();
            simd.vectorize(Halving { simd, groups });
            count
        });
        values[rounded..].iter_mut().for_each(|value| *value = round_f16(*value));
    }

    /// Computes one chunk: see the [definition](super).
    ///
    /// `columns` are the base, the parents and controls, and the child: 2 to [`MAX_COLUMNS`] of
    /// numeric dtypes, each with the same number of elements, at most [`super::CHUNK`]. The first is element
    /// `start` of the slice. With `sampled` its first [`super::SAMPLED`] elements are looked at more closely.
    ///
    /// # Panics
    ///
    /// If the columns are too few, too many, or of different lengths.
    pub fn chunk(self, columns: &[Column<'_>], start: u64, sampled: bool) -> Chunk {
        assert!((2..=MAX_COLUMNS).contains(&columns.len()), "2 to {MAX_COLUMNS} columns");
        let length = columns[0].len();
        assert!(length <= super::CHUNK, "at most {} elements", super::CHUNK);
        assert!(columns.iter().all(|column| column.len() == length), "columns of one length");
        at_level!(self, scalar::chunk(columns, start, sampled), simd => {
            simd.vectorize(Chunking { simd, columns, start, sampled })
        })
    }
}
