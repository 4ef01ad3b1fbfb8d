//! AVX-512 (F, BW, DQ, VL): rows of eight lanes as one vector.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx512` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::generic::{self, Row, Simd};
use super::{Chunk, Column};

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has.then_some(Self(()))
    }

    pub(super) fn chunk(self, columns: &[Column<'_>]) -> Chunk {
        // SAFETY: `self` proves that the CPU has the features that `chunk` enables.
        unsafe { chunk(self, columns) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn chunk(simd: Avx512, columns: &[Column<'_>]) -> Chunk {
    generic::chunk(simd, columns)
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Simd for Avx512 {
    type Vector = __m512d;
    const PASSES: usize = 1;

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &Row, _pass: usize) -> __m512d {
        // SAFETY: see above; a row is eight float64.
        unsafe { _mm512_loadu_pd(row.0.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row, _pass: usize, value: __m512d) {
        // SAFETY: see above; a row is eight float64.
        unsafe { _mm512_storeu_pd(row.0.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn binade(self, value: __m512d, floor: __m512d) -> __m512d {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm512_castsi512_pd(_mm512_set1_epi64(0x7FF0_0000_0000_0000));
            _mm512_max_pd(_mm512_and_pd(value, exponent), floor)
        }
    }

    #[inline(always)]
    fn widen_bf16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; 32 bytes are read.
        let (evens, odds) = unsafe {
            let pairs = _mm256_loadu_si256(bytes.as_ptr().cast());
            let high = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
            (
                _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs))),
                _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_and_si256(pairs, high))),
            )
        };
        self.store(even, 0, evens);
        self.store(odd, 0, odds);
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; 32 bytes are read.
        let values = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) };
        self.widen_pairs(values, even, odd);
    }

    #[inline(always)]
    fn widen_f32(self, bytes: &[u8; 64], even: &mut Row, odd: &mut Row) {
        // SAFETY: see above; 64 bytes are read.
        let values = unsafe { _mm512_loadu_ps(bytes.as_ptr().cast()) };
        self.widen_pairs(values, even, odd);
    }
}

impl Avx512 {
    /// Sixteen float32 in order, as evens and odds.
    #[inline(always)]
    fn widen_pairs(self, values: __m512, even: &mut Row, odd: &mut Row) {
        // SAFETY: `self` proves that the CPU has the instructions; nothing is read from memory.
        let (evens, odds) = unsafe {
            let order = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
            let split = _mm512_permutexvar_ps(order, values);
            (
                _mm512_cvtps_pd(_mm512_castps512_ps256(split)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(split)),
            )
        };
        self.store(even, 0, evens);
        self.store(odd, 0, odds);
    }
}
