//! AVX-512 (F, BW, DQ, VL): rows of eight float64, or of sixteen float32, as one vector.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx512` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::simd::{Simd, Vectorize};
use super::tally::{Differ, Masks};

/// Proof that the CPU has AVX-512 F, BW, DQ and VL, and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Self(()))
    }

    pub(super) fn vectorize<W: Vectorize>(self, work: W) -> W::Output {
        // SAFETY: `self` proves that the CPU has the features that `vectorize` enables.
        unsafe { vectorize(work) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
#[inline(never)]
fn vectorize<W: Vectorize>(work: W) -> W::Output {
    work.run()
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Differ for Avx512 {
    #[inline(always)]
    fn bits(_width: usize) -> u64 {
        1
    }

    #[inline(always)]
    fn differ(self, width: usize, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        // SAFETY: see above; 64 bytes are read of each.
        unsafe {
            let a = _mm512_loadu_si512(a.as_ptr().cast());
            let b = _mm512_loadu_si512(b.as_ptr().cast());
            match width {
                1 => _mm512_cmpneq_epi8_mask(a, b),
                2 => u64::from(_mm512_cmpneq_epi16_mask(a, b)),
                4 => u64::from(_mm512_cmpneq_epi32_mask(a, b)),
                _ => u64::from(_mm512_cmpneq_epi64_mask(a, b)),
            }
        }
    }
}

// SAFETY, for every block below: as above.
impl Simd for Avx512 {
    type Wide = __m512d;
    type Narrow = __m512;
    type Mask = __mmask16;
    type Differing = u64;
    const PASSES: usize = 1;
    const UNROLLED: [usize; 5] = [2, 2, 2, 8, 8];
    const COMPARES_BESIDE: bool = true;
    type Counting = Masks;

    #[inline(always)]
    fn call<W: Vectorize>(self, work: W) -> W::Output {
        self.vectorize(work)
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: see above.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &[f64; 8], _pass: usize) -> __m512d {
        // SAFETY: see above; a row is eight float64.
        unsafe { _mm512_loadu_pd(row.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, row: &[f32; 8], _pass: usize) -> __m512d {
        // SAFETY: see above; a row is eight float32.
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(row.as_ptr())) }
    }

    #[inline(always)]
    fn load_f32_bytes(self, row: &[u8; 32], _pass: usize) -> __m512d {
        // SAFETY: see above; a row is 32 bytes.
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(row.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, row: &[u8; 16], _pass: usize) -> __m512d {
        // SAFETY: see above; a row is 16 bytes.
        unsafe {
            let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(row.as_ptr().cast()));
            _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(words)))
        }
    }

    #[inline(always)]
    fn load_f16_bytes(self, row: &[u8; 16], _pass: usize) -> __m512d {
        // SAFETY: see above; a row is 16 bytes.
        unsafe { _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(row.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn store(self, row: &mut [f64; 8], _pass: usize, value: __m512d) {
        // SAFETY: see above; a row is eight float64.
        unsafe { _mm512_storeu_pd(row.as_mut_ptr(), value) }
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
    fn widen_bf16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        // SAFETY: see above; 32 bytes are read, and sixteen float32 written.
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast()));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_slli_epi32::<16>(words));
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        // SAFETY: see above; 32 bytes are read, and sixteen float32 written.
        unsafe {
            let values = _mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast()));
            _mm512_storeu_ps(out.as_mut_ptr(), values);
        }
    }

    #[inline(always)]
    fn round_f16(self, values: &mut [f32; 16]) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let at = values.as_mut_ptr();
        // SAFETY: see above; sixteen float32 are read and written.
        unsafe {
            let halves = _mm512_cvtps_ph::<NEAREST>(_mm512_loadu_ps(at));
            _mm512_storeu_ps(at, _mm512_cvtph_ps(halves));
        }
    }

    #[inline(always)]
    fn f16_differ(self, value: __m512, row: &[u8; 32], _pass: usize) -> u32 {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: see above; a row is 32 bytes.
        unsafe {
            let ours = _mm512_cvtps_ph::<NEAREST>(value);
            u32::from(_mm256_cmpneq_epi16_mask(ours, _mm256_loadu_si256(row.as_ptr().cast())))
        }
    }

    #[inline(always)]
    fn narrow_splat(self, value: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn narrow_bf16(self, line: &[u8; 64], odd: bool, _pass: usize) -> __m512 {
        // SAFETY: see above; 64 bytes are read.
        unsafe {
            let pairs = _mm512_loadu_si512(line.as_ptr().cast());
            let high = _mm512_set1_epi32(0xFFFF_0000_u32 as i32);
            _mm512_castsi512_ps(if odd {
                _mm512_and_si512(pairs, high)
            } else {
                _mm512_slli_epi32::<16>(pairs)
            })
        }
    }

    #[inline(always)]
    fn narrow_f16(self, row: &[u8; 32], _pass: usize) -> __m512 {
        // SAFETY: see above; a row is 32 bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(row.as_ptr().cast())) }
    }

    #[inline(always)]
    fn narrow_load(self, row: &[f32; 16], _pass: usize) -> __m512 {
        // SAFETY: see above; a row is sixteen float32.
        unsafe { _mm512_loadu_ps(row.as_ptr()) }
    }

    #[inline(always)]
    fn narrow_store(self, row: &mut [f32; 16], _pass: usize, value: __m512) {
        // SAFETY: see above; a row is sixteen float32.
        unsafe { _mm512_storeu_ps(row.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn narrow_plus(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn narrow_sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn narrow_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn narrow_mul_sub(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmsub_ps(a, b, c) }
    }

    #[inline(always)]
    fn narrow_binade(self, value: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_and_ps(value, _mm512_castsi512_ps(_mm512_set1_epi32(0x7F80_0000))) }
    }

    #[inline(always)]
    fn none(self) -> __mmask16 {
        0
    }

    #[inline(always)]
    fn narrow_differ(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: see above.
        unsafe { _mm512_cmpneq_epi32_mask(_mm512_castps_si512(a), _mm512_castps_si512(b)) }
    }

    #[inline(always)]
    fn either(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a | b
    }

    #[inline(always)]
    fn only(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & !b
    }

    #[inline(always)]
    fn uncounted(self) -> u64 {
        0
    }

    #[inline(always)]
    fn counted(self, count: u64, mask: __mmask16) -> u64 {
        count + u64::from(mask.count_ones())
    }

    #[inline(always)]
    fn sum(self, count: u64) -> u64 {
        count
    }

    #[inline(always)]
    fn narrow_add(self, sum: &mut [f64; 16], _pass: usize, value: __m512) {
        // SAFETY: see above; a sum is sixteen float64.
        unsafe {
            let low = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
            let high = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(value));
            let at = sum.as_mut_ptr();
            _mm512_storeu_pd(at, _mm512_add_pd(_mm512_loadu_pd(at), low));
            _mm512_storeu_pd(at.add(8), _mm512_add_pd(_mm512_loadu_pd(at.add(8)), high));
        }
    }
}
