//! AVX-512 (F, BW, DQ, VL): rows of eight lanes as one vector.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx512` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::generic::{self, Row, Simd};
use super::{Chunk, Column, Vectorize};

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
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

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
fn vectorize<W: Vectorize>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
fn chunk(simd: Avx512, columns: &[Column<'_>], sampled: bool) -> Chunk {
    generic::chunk(simd, columns, sampled)
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Simd for Avx512 {
    type Vector = __m512d;
    const PASSES: usize = 1;

    #[inline(always)]
    fn prefetch(self, bytes: &[u8], ahead: usize) {
        // SAFETY: a prefetch of any address has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(ahead).cast()) }
    }

    #[inline(always)]
    fn bits(_width: usize) -> u64 {
        1
    }

    #[inline(always)]
    fn differ<const WIDTH: usize>(self, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        // SAFETY: see above; 64 bytes are read of each.
        unsafe {
            let a = _mm512_loadu_si512(a.as_ptr().cast());
            let b = _mm512_loadu_si512(b.as_ptr().cast());
            match WIDTH {
                1 => _mm512_cmpneq_epi8_mask(a, b),
                2 => u64::from(_mm512_cmpneq_epi16_mask(a, b)),
                4 => u64::from(_mm512_cmpneq_epi32_mask(a, b)),
                _ => u64::from(_mm512_cmpneq_epi64_mask(a, b)),
            }
        }
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &Row<f64>, _pass: usize) -> __m512d {
        // SAFETY: see above; a row is eight float64.
        unsafe { _mm512_loadu_pd(row.0.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, row: &Row<f32>, _pass: usize) -> __m512d {
        // SAFETY: see above; a row is eight float32.
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(row.0.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row<f64>, _pass: usize, value: __m512d) {
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
    fn binade(self, value: __m512d) -> __m512d {
        // SAFETY: see above.
        unsafe {
            _mm512_and_pd(value, _mm512_castsi512_pd(_mm512_set1_epi64(0x7FF0_0000_0000_0000)))
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
        // SAFETY: see above; 32 bytes are read.
        let values = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast())) };
        self.split(values, rows);
    }

    #[inline(always)]
    fn widen_f32(self, bytes: &[u8; 64], rows: &mut [Row<f32>; 2]) {
        // SAFETY: see above; 64 bytes are read.
        let values = unsafe { _mm512_loadu_ps(bytes.as_ptr().cast()) };
        self.split(values, rows);
    }
}

impl Avx512 {
    /// Sixteen float32 in order, as evens and odds.
    #[inline(always)]
    fn split(self, values: __m512, rows: &mut [Row<f32>; 2]) {
        // SAFETY: `self` proves that the CPU has the instructions; two adjacent rows are written.
        unsafe {
            let order = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
            _mm512_storeu_ps(rows.as_mut_ptr().cast(), _mm512_permutexvar_ps(order, values));
        }
    }
}
