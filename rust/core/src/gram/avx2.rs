//! AVX2 with FMA and F16C: rows of eight lanes as two vectors of four.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx2` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::generic::{self, Row, Simd};
use super::{Chunk, Column, Vectorize};

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Self(()))
    }

    pub(super) fn vectorize<W: Vectorize>(self, work: W) -> W::Output {
        // SAFETY: `self` proves that the CPU has the features that `vectorize` enables.
        unsafe { vectorize(work) }
    }

    pub(super) fn chunk(self, columns: &[Column<'_>], sampled: bool) -> Chunk {
        // SAFETY: `self` proves that the CPU has the features that `chunk` enables.
        unsafe { chunk(self, columns, sampled) }
    }
}

#[target_feature(enable = "avx2,fma,f16c,popcnt")]
fn vectorize<W: Vectorize>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx2,fma,f16c,popcnt")]
fn chunk(simd: Avx2, columns: &[Column<'_>], sampled: bool) -> Chunk {
    generic::chunk(simd, columns, sampled)
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Simd for Avx2 {
    type Vector = __m256d;
    const PASSES: usize = 2;

    #[inline(always)]
    fn prefetch(self, bytes: &[u8], ahead: usize) {
        // SAFETY: a prefetch of any address has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(ahead).cast()) }
    }

    #[inline(always)]
    fn bits(width: usize) -> u64 {
        width as u64
    }

    #[inline(always)]
    fn differ<const WIDTH: usize>(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        let mut equal = 0;
        for half in 0..2 {
            // SAFETY: see above; 32 bytes are read of each at 0 and at 32.
            let mask = unsafe {
                let a = _mm256_loadu_si256(a.as_ptr().add(32 * half).cast());
                let b = _mm256_loadu_si256(b.as_ptr().add(32 * half).cast());
                _mm256_movemask_epi8(match WIDTH {
                    1 => _mm256_cmpeq_epi8(a, b),
                    2 => _mm256_cmpeq_epi16(a, b),
                    4 => _mm256_cmpeq_epi32(a, b),
                    _ => _mm256_cmpeq_epi64(a, b),
                })
            };
            equal |= u64::from(mask as u32) << (32 * half);
        }
        !equal
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &Row<f64>, pass: usize) -> __m256d {
        let part = &row.0[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float64.
        unsafe { _mm256_loadu_pd(part.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, row: &Row<f32>, pass: usize) -> __m256d {
        let part = &row.0[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float32.
        unsafe { _mm256_cvtps_pd(_mm_loadu_ps(part.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row<f64>, pass: usize, value: __m256d) {
        let part = &mut row.0[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float64.
        unsafe { _mm256_storeu_pd(part.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_sub_pd(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn binade(self, value: __m256d) -> __m256d {
        // SAFETY: see above.
        unsafe {
            _mm256_and_pd(value, _mm256_castsi256_pd(_mm256_set1_epi64x(0x7FF0_0000_0000_0000)))
        }
    }

    #[inline(always)]
    fn widen_bf16(self, bytes: &[u8; 32], rows: &mut [Row<f32>; 2]) {
        // SAFETY: see above; 32 bytes are read, and twice eight float32 written.
        unsafe {
            let pairs = _mm256_loadu_si256(bytes.as_ptr().cast());
            let high = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
            let [even, odd] = rows;
            _mm256_storeu_si256(even.0.as_mut_ptr().cast(), _mm256_slli_epi32::<16>(pairs));
            _mm256_storeu_si256(odd.0.as_mut_ptr().cast(), _mm256_and_si256(pairs, high));
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], rows: &mut [Row<f32>; 2]) {
        // SAFETY: see above; twice 16 bytes are read.
        unsafe {
            let low = _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().cast()));
            let high = _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().add(16).cast()));
            self.split(low, high, rows);
        }
    }

    #[inline(always)]
    fn widen_f32(self, bytes: &[u8; 64], rows: &mut [Row<f32>; 2]) {
        // SAFETY: see above; twice 32 bytes are read.
        unsafe {
            let low = _mm256_loadu_ps(bytes.as_ptr().cast());
            let high = _mm256_loadu_ps(bytes.as_ptr().add(32).cast());
            self.split(low, high, rows);
        }
    }
}

impl Avx2 {
    /// Sixteen float32 in order, as evens and odds.
    #[inline(always)]
    fn split(self, low: __m256, high: __m256, rows: &mut [Row<f32>; 2]) {
        // Shuffles work within halves of 128 bits, which leaves quarters in the order 0 2 1 3.
        const ORDER: i32 = 0b11_01_10_00;
        let [even, odd] = rows;
        // SAFETY: `self` proves that the CPU has the instructions; twice eight float32 are written.
        unsafe {
            let evens = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
            let odds = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
            _mm256_storeu_pd(even.0.as_mut_ptr().cast(), _mm256_permute4x64_pd::<ORDER>(evens));
            _mm256_storeu_pd(odd.0.as_mut_ptr().cast(), _mm256_permute4x64_pd::<ORDER>(odds));
        }
    }
}
