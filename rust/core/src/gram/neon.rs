//! NEON on 64-bit Arm: rows of eight float64, or of sixteen float32, as four vectors.
#![expect(unsafe_code, reason = "vendor intrinsics; every 64-bit Arm CPU has them")]

use std::arch::aarch64::*;

use super::simd::{Simd, Vectorize};
use super::tally::{Differ, Masks};

/// Proof that the CPU has NEON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon(());

impl Neon {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub(super) fn vectorize<W: Vectorize>(self, work: W) -> W::Output {
        // SAFETY: `self` proves that the CPU has the feature that `vectorize` enables.
        unsafe { vectorize(work) }
    }
}

#[target_feature(enable = "neon")]
#[inline(never)]
fn vectorize<W: Vectorize>(work: W) -> W::Output {
    work.run()
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; no load needs alignment.
impl Differ for Neon {
    #[inline(always)]
    fn bits(width: usize) -> u64 {
        width as u64
    }

    #[inline(always)]
    fn differ(self, width: usize, a: &[u8; 64], b: &[u8; 64]) -> u64 {
        // SAFETY: see above; 16 bytes are read of each at 0, 16, 32 and 48.
        unsafe {
            let mut equal = [vdupq_n_u8(0); 4];
            for (quarter, equal) in equal.iter_mut().enumerate() {
                let a = vld1q_u8(a.as_ptr().add(16 * quarter));
                let b = vld1q_u8(b.as_ptr().add(16 * quarter));
                *equal = self.equal(width, a, b);
            }
            // A byte is all ones or all zeros, so one bit of each will do: both halves of a byte get
            // one from each quarter, and the narrowing shift takes one half of every byte.
            let [first, second, third, fourth] = equal;
            let (odd, upper) = (vdupq_n_u8(0b1010_1010), vdupq_n_u8(0b1100_1100));
            let (one, other) = (vbslq_u8(odd, first, second), vbslq_u8(odd, third, fourth));
            let bits = vreinterpretq_u16_u8(vbslq_u8(upper, one, other));
            !vget_lane_u64::<0>(vreinterpret_u64_u8(vshrn_n_u16::<4>(bits)))
        }
    }
}

// SAFETY, for every block below: as above.
impl Simd for Neon {
    type Wide = float64x2_t;
    type Narrow = float32x4_t;
    type Mask = uint32x4_t;
    type Differing = uint32x4_t;
    const PASSES: usize = 4;
    const UNROLLED: [usize; 5] = [2, 2, 2, 4, 4];
    const COMPARES_BESIDE: bool = false;
    type Counting = Masks;

    #[inline(always)]
    fn call<W: Vectorize>(self, work: W) -> W::Output {
        self.vectorize(work)
    }

    #[inline(always)]
    fn splat(self, value: f64) -> float64x2_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f64(value) }
    }

    #[inline(always)]
    fn load(self, row: &[f64; 8], pass: usize) -> float64x2_t {
        let part = &row[2 * pass..2 * pass + 2];
        // SAFETY: see above; `part` is two float64.
        unsafe { vld1q_f64(part.as_ptr()) }
    }

    #[inline(always)]
    fn load_f32(self, row: &[f32; 8], pass: usize) -> float64x2_t {
        let part = &row[2 * pass..2 * pass + 2];
        // SAFETY: see above; `part` is two float32.
        unsafe { vcvt_f64_f32(vld1_f32(part.as_ptr())) }
    }

    #[inline(always)]
    fn load_f32_bytes(self, row: &[u8; 32], pass: usize) -> float64x2_t {
        let part = &row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is eight bytes.
        unsafe { vcvt_f64_f32(vreinterpret_f32_u8(vld1_u8(part.as_ptr()))) }
    }

    #[inline(always)]
    fn load_bf16_bytes(self, row: &[u8; 16], pass: usize) -> float64x2_t {
        let [words, _] = self.upper_halves(self.two_halves(row, pass));
        // SAFETY: see above.
        unsafe { vcvt_f64_f32(vget_low_f32(vreinterpretq_f32_u32(words))) }
    }

    #[inline(always)]
    fn load_f16_bytes(self, row: &[u8; 16], pass: usize) -> float64x2_t {
        let [words, _] = self.upper_halves(self.two_halves(row, pass));
        // SAFETY: see above.
        unsafe { vcvt_f64_f32(vget_low_f32(self.upper_f16(words))) }
    }

    #[inline(always)]
    fn store(self, row: &mut [f64; 8], pass: usize, value: float64x2_t) {
        let part = &mut row[2 * pass..2 * pass + 2];
        // SAFETY: see above; `part` is two float64.
        unsafe { vst1q_f64(part.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn sub(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
        // SAFETY: see above.
        unsafe { vsubq_f64(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t {
        // SAFETY: see above.
        unsafe { vfmaq_f64(c, a, b) }
    }

    #[inline(always)]
    fn binade(self, value: float64x2_t) -> float64x2_t {
        // SAFETY: see above.
        unsafe {
            let exponent = vdupq_n_u64(0x7FF0_0000_0000_0000);
            vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(value), exponent))
        }
    }

    #[inline(always)]
    fn widen_bf16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        for half in 0..2 {
            let part = &bytes[16 * half..16 * half + 16];
            let out = &mut out[8 * half..8 * half + 8];
            // SAFETY: see above; 16 bytes are read, and eight float32 written.
            unsafe {
                let [low, high] = self.upper_halves(vld1q_u8(part.as_ptr()));
                vst1q_f32(out.as_mut_ptr(), vreinterpretq_f32_u32(low));
                vst1q_f32(out.as_mut_ptr().add(4), vreinterpretq_f32_u32(high));
            }
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], out: &mut [f32; 16]) {
        for half in 0..2 {
            let part = &bytes[16 * half..16 * half + 16];
            let out = &mut out[8 * half..8 * half + 8];
            // SAFETY: see above; 16 bytes are read, and eight float32 written.
            unsafe {
                let [low, high] = self.upper_halves(vld1q_u8(part.as_ptr()));
                vst1q_f32(out.as_mut_ptr(), self.upper_f16(low));
                vst1q_f32(out.as_mut_ptr().add(4), self.upper_f16(high));
            }
        }
    }

    #[inline(always)]
    fn narrow_splat(self, value: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    fn narrow_bf16(self, line: &[u8; 64], odd: bool, pass: usize) -> float32x4_t {
        let part = &line[16 * pass..16 * pass + 16];
        // SAFETY: see above; `part` is 16 bytes.
        unsafe {
            let pairs = vreinterpretq_u32_u8(vld1q_u8(part.as_ptr()));
            vreinterpretq_f32_u32(if odd {
                vandq_u32(pairs, vdupq_n_u32(0xFFFF_0000))
            } else {
                vshlq_n_u32::<16>(pairs)
            })
        }
    }

    #[inline(always)]
    fn narrow_f16(self, row: &[u8; 32], pass: usize) -> float32x4_t {
        let part = &row[8 * pass..8 * pass + 8];
        // SAFETY: see above; `part` is eight bytes, and is there twice.
        unsafe {
            let bytes = vld1_u8(part.as_ptr());
            let [words, _] = self.upper_halves(vcombine_u8(bytes, bytes));
            self.upper_f16(words)
        }
    }

    #[inline(always)]
    fn narrow_load(self, row: &[f32; 16], pass: usize) -> float32x4_t {
        let part = &row[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float32.
        unsafe { vld1q_f32(part.as_ptr()) }
    }

    #[inline(always)]
    fn narrow_store(self, row: &mut [f32; 16], pass: usize, value: float32x4_t) {
        let part = &mut row[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float32.
        unsafe { vst1q_f32(part.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn narrow_plus(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn narrow_sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn narrow_mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn narrow_mul_sub(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(vnegq_f32(c), a, b) }
    }

    #[inline(always)]
    fn narrow_binade(self, value: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let exponent = vdupq_n_u32(0x7F80_0000);
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), exponent))
        }
    }

    #[inline(always)]
    fn none(self) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_u32(0) }
    }

    #[inline(always)]
    fn narrow_differ(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vmvnq_u32(vceqq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b))) }
    }

    #[inline(always)]
    fn either(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vorrq_u32(a, b) }
    }

    #[inline(always)]
    fn only(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vbicq_u32(a, b) }
    }

    #[inline(always)]
    fn uncounted(self) -> uint32x4_t {
        self.none()
    }

    #[inline(always)]
    fn counted(self, count: uint32x4_t, mask: uint32x4_t) -> uint32x4_t {
        // Lanes of a mask are 0 or -1.
        // SAFETY: see above.
        unsafe { vsubq_u32(count, mask) }
    }

    #[inline(always)]
    fn sum(self, count: uint32x4_t) -> u64 {
        // SAFETY: see above.
        unsafe { vaddlvq_u32(count) }
    }

    #[inline(always)]
    fn narrow_add(self, sum: &mut [f64; 16], pass: usize, value: float32x4_t) {
        let part = &mut sum[4 * pass..4 * pass + 4];
        // SAFETY: see above; `part` is four float64.
        unsafe {
            let low = vcvt_f64_f32(vget_low_f32(value));
            let high = vcvt_high_f64_f32(value);
            let at = part.as_mut_ptr();
            vst1q_f64(at, vaddq_f64(vld1q_f64(at), low));
            vst1q_f64(at.add(2), vaddq_f64(vld1q_f64(at.add(2)), high));
        }
    }
}

impl Neon {
    /// All ones in the elements of `width` bytes that are equal, zeros in the others.
    #[inline(always)]
    fn equal(self, width: usize, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe {
            match width {
                1 => vceqq_u8(a, b),
                2 => vreinterpretq_u8_u16(vceqq_u16(
                    vreinterpretq_u16_u8(a),
                    vreinterpretq_u16_u8(b),
                )),
                4 => vreinterpretq_u8_u32(vceqq_u32(
                    vreinterpretq_u32_u8(a),
                    vreinterpretq_u32_u8(b),
                )),
                _ => vreinterpretq_u8_u64(vceqq_u64(
                    vreinterpretq_u64_u8(a),
                    vreinterpretq_u64_u8(b),
                )),
            }
        }
    }

    /// The two halves of words that part `pass` of eight has, first of all.
    #[inline(always)]
    fn two_halves(self, row: &[u8; 16], pass: usize) -> uint8x16_t {
        let part = [0, 1, 2, 3].map(|byte| row[4 * pass + byte]);
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { vreinterpretq_u8_u32(vdupq_n_u32(u32::from_le_bytes(part))) }
    }

    /// Eight halves of words, each in the upper half of a word of its own.
    #[inline(always)]
    fn upper_halves(self, halves: uint8x16_t) -> [uint32x4_t; 2] {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe {
            let (halves, zero) = (vreinterpretq_u16_u8(halves), vdupq_n_u16(0));
            [vzip1q_u16(zero, halves), vzip2q_u16(zero, halves)].map(|x| vreinterpretq_u32_u16(x))
        }
    }

    /// The float16 in the upper half of each word, widened.
    ///
    /// Rust 1.94 has the instruction for it (`vcvt_f32_f16`); until then, this is exact too.
    #[inline(always)]
    fn upper_f16(self, words: uint32x4_t) -> float32x4_t {
        // The exponent of a float32 has three more bits, and a bias that is larger by 112.
        const SCALE: f32 = f32::from_bits((127 + 112) << 23);
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe {
            // Moved to the places of a float32, less the copies of the sign.
            let moved = vshrq_n_s32::<3>(vreinterpretq_s32_u32(words));
            let moved = vandq_s32(moved, vdupq_n_s32(0x8FFF_E000_u32 as i32));
            // Subnormal numbers become normal here.
            let value = vmulq_n_f32(vreinterpretq_f32_s32(moved), SCALE);
            // The largest exponent, that of infinities and NaN, has become one of numbers.
            let special = vcageq_f32(value, vdupq_n_f32(65536.0));
            let exponent = vandq_u32(special, vdupq_n_u32(0x7F80_0000));
            vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(value), exponent))
        }
    }
}
