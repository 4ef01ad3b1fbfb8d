//! NEON on 64-bit Arm: rows of eight lanes as four vectors of two.
#![expect(unsafe_code, reason = "vendor intrinsics; every 64-bit Arm CPU has them")]

use std::arch::aarch64::*;

use super::generic::{self, Row, Simd, decode_group};
use super::{Chunk, Column};
use crate::checkpoint::dtype::Dtype;

/// Proof that the CPU has NEON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon(());

impl Neon {
    /// The proof, if the CPU has what it takes.
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub(super) fn chunk(self, columns: &[Column<'_>]) -> Chunk {
        // SAFETY: `self` proves that the CPU has the feature that `chunk` enables.
        unsafe { chunk(self, columns) }
    }
}

#[target_feature(enable = "neon")]
fn chunk(simd: Neon, columns: &[Column<'_>]) -> Chunk {
    generic::chunk(simd, columns)
}

// SAFETY, for every block below: `self` proves that the CPU has the instruction. Pointers come from
// references to arrays that hold all the bytes read or written; no load needs alignment.
impl Simd for Neon {
    type Vector = float64x2_t;
    const PASSES: usize = 4;

    #[inline(always)]
    fn splat(self, value: f64) -> float64x2_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f64(value) }
    }

    #[inline(always)]
    fn load(self, row: &Row, pass: usize) -> float64x2_t {
        let part = &row.0[2 * pass..2 * pass + 2];
        // SAFETY: see above; `part` is two float64.
        unsafe { vld1q_f64(part.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, row: &mut Row, pass: usize, value: float64x2_t) {
        let part = &mut row.0[2 * pass..2 * pass + 2];
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
    fn binade(self, value: float64x2_t, floor: float64x2_t) -> float64x2_t {
        // SAFETY: see above.
        unsafe {
            let bits = vandq_u64(vreinterpretq_u64_f64(value), vdupq_n_u64(0x7FF0_0000_0000_0000));
            vmaxq_f64(vreinterpretq_f64_u64(bits), floor)
        }
    }

    #[inline(always)]
    fn widen_bf16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        for half in 0..2 {
            let part = &bytes[16 * half..16 * half + 16];
            // SAFETY: see above; `part` is 16 bytes.
            let (evens, odds) = unsafe {
                let pairs = vreinterpretq_u32_u8(vld1q_u8(part.as_ptr()));
                (vshlq_n_u32::<16>(pairs), vandq_u32(pairs, vdupq_n_u32(0xFFFF_0000)))
            };
            // SAFETY: see above.
            unsafe {
                self.widen_half(vreinterpretq_f32_u32(evens), half, even);
                self.widen_half(vreinterpretq_f32_u32(odds), half, odd);
            }
        }
    }

    #[inline(always)]
    fn widen_f16(self, bytes: &[u8; 32], even: &mut Row, odd: &mut Row) {
        decode_group(Dtype::F16, bytes, even, odd);
    }

    #[inline(always)]
    fn widen_f32(self, bytes: &[u8; 64], even: &mut Row, odd: &mut Row) {
        for half in 0..2 {
            let part = &bytes[32 * half..32 * half + 32];
            // SAFETY: see above; `part` is twice 16 bytes.
            let (evens, odds) = unsafe {
                let low = vreinterpretq_f32_u8(vld1q_u8(part.as_ptr()));
                let high = vreinterpretq_f32_u8(vld1q_u8(part.as_ptr().add(16)));
                (vuzp1q_f32(low, high), vuzp2q_f32(low, high))
            };
            self.widen_half(evens, half, even);
            self.widen_half(odds, half, odd);
        }
    }
}

impl Neon {
    /// Four float32 as half of a row.
    #[inline(always)]
    fn widen_half(self, values: float32x4_t, half: usize, row: &mut Row) {
        // SAFETY: `self` proves that the CPU has the instructions; nothing is read from memory.
        let (low, high) =
            unsafe { (vcvt_f64_f32(vget_low_f32(values)), vcvt_high_f64_f32(values)) };
        self.store(row, 2 * half, low);
        self.store(row, 2 * half + 1, high);
    }
}
