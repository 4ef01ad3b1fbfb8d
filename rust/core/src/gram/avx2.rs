//! AVX2 with FMA and F16C: rows of eight lanes as two vectors of four.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx2` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::generic::{self, Row, Simd};
use super::{Chunk, Column};

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }

    pub(super) fn chunk(self, columns: &[Column<'_>]) -> Chunk {
        // SAFETY: `self` proves that the CPU has the features that `chunk` enables.
        unsafe { chunk(self, columns) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn chunk(simd: Avx2, columns: &[Column<'_>]) -> Chunk {
    generic::chunk(simd, columns)
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Simd for Avx2 {
    type Vector = __m256d;
    const PASSES: usize = 2;

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &Row, pass: usize) -> __m256d {
        let part = &row.0[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float64.
        unsafe { _mm256_loadu_pd(part.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row, pass: usize, value: __m256d) {
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
    fn binade(self, value: __m256d, floor: __m256d) -> __m256d {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7FF0_0000_0000_0000));
            _mm256_max_pd(_mm256_and_pd(value, exponent), floor)
        }
    }

    #[inline(always)]
    fn widen_bf16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; 32 bytes are read.
        let (evens, odds) = unsafe {
            let pairs = _mm256_loadu_si256(bytes.as_ptr().cast());
            let high = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
            (_mm256_slli_epi32::<16>(pairs), _mm256_and_si256(pairs, high))
        };
        // SAFETY: see above.
        unsafe {
            self.widen_row(_mm256_castsi256_ps(evens), even);
            self.widen_row(_mm256_castsi256_ps(odds), odd);
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; twice 16 bytes are read.
        unsafe {
            let low = _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().cast()));
            let high = _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().add(16).cast()));
            self.widen_pairs(low, high, even, odd);
        }
    }

    #[inline(always)]
    fn widen_f32(self, bytes: &[u8; 64], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; twice 32 bytes are read.
        unsafe {
            let low = _mm256_loadu_ps(bytes.as_ptr().cast());
            let high = _mm256_loadu_ps(bytes.as_ptr().add(32).cast());
            self.widen_pairs(low, high, even, odd);
        }
    }
}

impl Avx2 {
    /// Sixteen float32 in order, as evens and odds.
    #[inline(always)]
    fn widen_pairs(self, low: __m256, high: __m256, even: &mut Row, odd: &mut Row) {
        // Shuffles work within halves of 128 bits, which leaves quarters in the order 0 2 1 3.
        const ORDER: i32 = 0b11_01_10_00;
        // SAFETY: `self` proves that the CPU has the instructions; nothing is read from memory.
        let (evens, odds) = unsafe {
            let evens = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
            let odds = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
            (
                _mm256_castpd_ps(_mm256_permute4x64_pd::<ORDER>(evens)),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<ORDER>(odds)),
            )
        };
        self.widen_row(evens, even);
        self.widen_row(odds, odd);
    }

    /// Eight float32 as a row.
    #[inline(always)]
    fn widen_row(self, values: __m256, row: &mut Row) {
        // SAFETY: `self` proves that the CPU has the instructions; nothing is read from memory.
        let (low, high) = unsafe {
            (
                _mm256_cvtps_pd(_mm256_castps256_ps128(values)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(values)),
            )
        };
        self.store(row, 0, low);
        self.store(row, 1, high);
    }
}
