//! AVX2 with FMA and F16C: rows of eight float64, or of sixteen float32, as two vectors.
#![expect(unsafe_code, reason = "vendor intrinsics; `Avx2` is made only where the CPU has them")]

use std::arch::x86_64::*;

use super::simd::{Simd, Vectorize};
use super::tally::{Counting, Tally};
use super::{CHUNK, LINE, MAX_COLUMNS, STRETCH};

// A lane counts one element of each half of a line, so that counts fit lanes of 8 and of 16 bits.
const _: () = assert!(STRETCH / 32 < 1 << 8 && CHUNK / 16 < 1 << 16);

/// Counts of elements, in lanes as wide as an element.
#[derive(Clone, Copy)]
pub(super) struct LaneCounts {
    /// Per column before the child: those that have the child's bits.
    equal: [__m256i; MAX_COLUMNS],
    /// Those that have the base's bits in every column before the child.
    still: __m256i,
    /// Those that have them in the child as well.
    same: __m256i,
}

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
}

#[target_feature(enable = "avx2,fma,f16c,popcnt")]
#[inline(never)]
fn vectorize<W: Vectorize>(work: W) -> W::Output {
    work.run()
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; unaligned forms are used throughout.
impl Simd for Avx2 {
    type Wide = __m256d;
    type Narrow = __m256;
    type Mask = __m256i;
    type Differing = __m256i;
    const PASSES: usize = 2;
    const UNROLLED: [usize; 5] = [2, 2, 2, 4, 2];
    const COMPARES_BESIDE: bool = false;
    type Counting = LaneCounts;

    #[inline(always)]
    fn call<W: Vectorize>(self, work: W) -> W::Output {
        self.vectorize(work)
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: see above.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn load(self, row: &[f64; 8], pass: usize) -> __m256d {
        let part = &row[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float64.
        unsafe { _mm256_loadu_pd(part.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, row: &[f32; 8], pass: usize) -> __m256d {
        let part = &row[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float32.
        unsafe { _mm256_cvtps_pd(_mm_loadu_ps(part.as_ptr())) }
    }

    #[inline(always)]
    fn load_f32_bytes(self, row: &[u8; 32], pass: usize) -> __m256d {
        let part = &row[16 * pass..16 * pass + 16];
        // SAFETY: see above; `part` is 16 bytes.
        unsafe { _mm256_cvtps_pd(_mm_loadu_ps(part.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, row: &[u8; 16], pass: usize) -> __m256d {
        let part = &row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is 8 bytes.
        unsafe {
            let words = _mm_cvtepu16_epi32(_mm_loadl_epi64(part.as_ptr().cast()));
            _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32::<16>(words)))
        }
    }

    #[inline(always)]
    fn load_f16_bytes(self, row: &[u8; 16], pass: usize) -> __m256d {
        let part = &row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is 8 bytes.
        unsafe { _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(part.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn store(self, row: &mut [f64; 8], pass: usize, value: __m256d) {
        let part = &mut row[4 * pass..4 * pass + 4];
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
    fn widen_bf16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        // SAFETY: see above; twice 16 bytes are read, and twice eight float32 written.
        unsafe {
            for half in 0..2 {
                let part = _mm_loadu_si128(bytes.as_ptr().add(16 * half).cast());
                let words = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(part));
                _mm256_storeu_si256(out.as_mut_ptr().add(8 * half).cast(), words);
            }
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        // SAFETY: see above; twice 16 bytes are read, and twice eight float32 written.
        unsafe {
            for half in 0..2 {
                let part = _mm_loadu_si128(bytes.as_ptr().add(16 * half).cast());
                _mm256_storeu_ps(out.as_mut_ptr().add(8 * half), _mm256_cvtph_ps(part));
            }
        }
    }

    #[inline(always)]
    fn round_f16(self, values: &mut [f32; 16]) {
        for half in 0..2 {
            let at = values[8 * half..8 * half + 8].as_mut_ptr();
            // SAFETY: see above; eight float32 are read and written.
            unsafe {
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(at));
                _mm256_storeu_ps(at, _mm256_cvtph_ps(halves));
            }
        }
    }

    #[inline(always)]
    fn f16_differ(self, value: __m256, row: &[u8; 32], pass: usize) -> u32 {
        let part = &row[16 * pass..16 * pass + 16];
        // SAFETY: see above; `part` is 16 bytes.
        unsafe {
            let ours = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
            let equal = _mm_cmpeq_epi16(ours, _mm_loadu_si128(part.as_ptr().cast()));
            _mm_movemask_epi8(equal) as u32 ^ 0xFFFF
        }
    }

    #[inline(always)]
    fn narrow_splat(self, value: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn narrow_bf16(self, line: &[u8; 64], odd: bool, pass: usize) -> __m256 {
        let part = &line[32 * pass..32 * pass + 32];
        // SAFETY: see above; `part` is 32 bytes.
        unsafe {
            let pairs = _mm256_loadu_si256(part.as_ptr().cast());
            let high = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
            _mm256_castsi256_ps(if odd {
                _mm256_and_si256(pairs, high)
            } else {
                _mm256_slli_epi32::<16>(pairs)
            })
        }
    }

    #[inline(always)]
    fn narrow_f16(self, row: &[u8; 32], pass: usize) -> __m256 {
        let part = &row[16 * pass..16 * pass + 16];
        // SAFETY: see above; `part` is 16 bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(part.as_ptr().cast())) }
    }

    #[inline(always)]
    fn narrow_load(self, row: &[f32; 16], pass: usize) -> __m256 {
        let part = &row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is eight float32.
        unsafe { _mm256_loadu_ps(part.as_ptr()) }
    }

    #[inline(always)]
    fn narrow_store(self, row: &mut [f32; 16], pass: usize, value: __m256) {
        let part = &mut row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is eight float32.
        unsafe { _mm256_storeu_ps(part.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn narrow_plus(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn narrow_sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn narrow_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn narrow_mul_sub(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmsub_ps(a, b, c) }
    }

    #[inline(always)]
    fn narrow_binade(self, value: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_and_ps(value, _mm256_castsi256_ps(_mm256_set1_epi32(0x7F80_0000))) }
    }

    #[inline(always)]
    fn none(self) -> __m256i {
        self.zeros()
    }

    #[inline(always)]
    fn narrow_differ(self, a: __m256, b: __m256) -> __m256i {
        // SAFETY: see above.
        unsafe {
            let equal = _mm256_cmpeq_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b));
            _mm256_xor_si256(equal, _mm256_set1_epi32(-1))
        }
    }

    #[inline(always)]
    fn either(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    fn only(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_andnot_si256(b, a) }
    }

    #[inline(always)]
    fn uncounted(self) -> __m256i {
        self.zeros()
    }

    #[inline(always)]
    fn counted(self, count: __m256i, mask: __m256i) -> __m256i {
        self.plus(4, count, mask)
    }

    #[inline(always)]
    fn sum(self, count: __m256i) -> u64 {
        self.total(4, count)
    }

    #[inline(always)]
    fn narrow_add(self, sum: &mut [f64; 16], pass: usize, value: __m256) {
        let part = &mut sum[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is eight float64.
        unsafe {
            let low = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
            let high = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(value));
            let at = part.as_mut_ptr();
            _mm256_storeu_pd(at, _mm256_add_pd(_mm256_loadu_pd(at), low));
            _mm256_storeu_pd(at.add(4), _mm256_add_pd(_mm256_loadu_pd(at.add(4)), high));
        }
    }
}

impl Counting<Avx2> for LaneCounts {
    #[inline(always)]
    fn none(simd: Avx2) -> Self {
        let zero = simd.zeros();
        Self { equal: [zero; MAX_COLUMNS], still: zero, same: zero }
    }

    #[inline(always)]
    fn count(&mut self, simd: Avx2, width: usize, lines: &[&[u8; LINE]]) {
        // Masks are -1, and are subtracted.
        let Self { equal, still, same } = self;
        let child = lines.len() - 1;
        for half in 0..2 {
            let (b, c) = (simd.bytes(lines[0], half), simd.bytes(lines[child], half));
            let kept = simd.equal(width, b, c);
            equal[0] = simd.plus(width, equal[0], kept);
            let mut unmoved = simd.equal(width, b, b);
            for column in 1..child {
                let x = simd.bytes(lines[column], half);
                equal[column] = simd.plus(width, equal[column], simd.equal(width, x, c));
                unmoved = simd.both(unmoved, simd.equal(width, x, b));
            }
            *still = simd.plus(width, *still, unmoved);
            *same = simd.plus(width, *same, simd.both(unmoved, kept));
        }
    }

    #[inline(always)]
    fn add_to(&self, simd: Avx2, width: usize, lines: usize, child: usize, tally: &mut Tally) {
        let still = simd.total(width, self.still);
        tally.moved += (lines * LINE / width) as u64 - still;
        tally.stray += still - simd.total(width, self.same);
        for (sum, &equal) in tally.equal.iter_mut().zip(&self.equal[..child]) {
            *sum += simd.total(width, equal);
        }
    }
}

impl Avx2 {
    #[inline(always)]
    fn zeros(self) -> __m256i {
        // SAFETY: `self` proves that the CPU has the instruction.
        unsafe { _mm256_setzero_si256() }
    }

    /// Half of a line.
    #[inline(always)]
    fn bytes(self, line: &[u8; LINE], half: usize) -> __m256i {
        let part = &line[32 * half..32 * half + 32];
        // SAFETY: as above; `part` is 32 bytes.
        unsafe { _mm256_loadu_si256(part.as_ptr().cast()) }
    }

    /// All ones in the elements of `width` bytes that are equal, zeros in the others.
    #[inline(always)]
    fn equal(self, width: usize, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            match width {
                1 => _mm256_cmpeq_epi8(a, b),
                2 => _mm256_cmpeq_epi16(a, b),
                4 => _mm256_cmpeq_epi32(a, b),
                _ => _mm256_cmpeq_epi64(a, b),
            }
        }
    }

    #[inline(always)]
    fn both(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_and_si256(a, b) }
    }

    /// Adds one to each element's count where the mask is set.
    #[inline(always)]
    fn plus(self, width: usize, counts: __m256i, mask: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            match width {
                1 => _mm256_sub_epi8(counts, mask),
                2 => _mm256_sub_epi16(counts, mask),
                4 => _mm256_sub_epi32(counts, mask),
                _ => _mm256_sub_epi64(counts, mask),
            }
        }
    }

    /// The sum of counts of elements of `width` bytes.
    #[inline(always)]
    fn total(self, width: usize, counts: __m256i) -> u64 {
        let mut bytes = [0_u8; 32];
        // SAFETY: as above; 32 bytes are written.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), counts) };
        match width {
            1 => bytes.iter().map(|&count| u64::from(count)).sum(),
            2 => {
                let counts = bytes.as_chunks().0.iter().map(|count| u16::from_le_bytes(*count));
                counts.map(u64::from).sum()
            }
            4 => {
                let counts = bytes.as_chunks().0.iter().map(|count| u32::from_le_bytes(*count));
                counts.map(u64::from).sum()
            }
            _ => bytes.as_chunks().0.iter().map(|count| u64::from_le_bytes(*count)).sum(),
        }
    }
}
