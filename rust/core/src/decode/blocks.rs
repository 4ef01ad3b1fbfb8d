//! Blocks of GGUF files, as ggml's `dequantize_row_*` (ggml-quants.c) and gguf-py's `quants.py` decode them.

use std::ops::Range;

use super::Lender;
use super::cells::{End, Value, Wanted};
use crate::checkpoint::coding::{Blocks, Part};
use crate::error::Result;
use crate::gram::{Level, Vectorize, widen_f16};

/// Most elements of a block.
const MOST: usize = 256;

/// Elements of blocks that lie one after the other.
pub(super) fn gguf(
    blocks: Blocks,
    part: Part,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let (each, size) = blocks.size();
    let (first, last) = (elements.start / each, elements.end.div_ceil(each));
    let bytes = lender.lend(0, first * size..last * size)?;
    let skipped = (elements.start - first * each) as usize;
    match part {
        Part::Value => level.vectorize(All { wanted: Value, blocks, bytes, skipped, out }),
        part => {
            let wanted = End { is_high: part == Part::High };
            level.vectorize(All { wanted, blocks, bytes, skipped, out });
        }
    }
    Ok(())
}

/// Blocks, of which the first elements are not wanted, nor those that there is no room for.
struct All<'a, W> {
    wanted: W,
    blocks: Blocks,
    bytes: &'a [u8],
    skipped: usize,
    out: &'a mut [f32],
}

impl<W: Wanted> Vectorize for All<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (each, size) = self.blocks.size();
        let (each, size) = (each as usize, size as usize);
        let (mut skipped, mut out) = (self.skipped, self.out);
        for bytes in self.bytes.chunks_exact(size) {
            let count = (each - skipped).min(out.len());
            let (into, rest) = out.split_at_mut(count);
            if count == each {
                block(self.wanted, self.blocks, bytes, into);
            } else {
                let mut values = [0.0; MOST];
                block(self.wanted, self.blocks, bytes, &mut values[..each]);
                into.copy_from_slice(&values[skipped..skipped + count]);
            }
            (skipped, out) = (0, rest);
        }
    }
}

/// A float16 at a place.
#[inline(always)]
fn half(bytes: &[u8], at: usize) -> f32 {
    widen_f16(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Decodes one block.
#[inline(always)]
fn block<W: Wanted>(wanted: W, blocks: Blocks, bytes: &[u8], out: &mut [f32]) {
    match blocks {
        Blocks::Q4_0 => simple(wanted, &bytes[2..], None, half(bytes, 0), 0.0, 8, out),
        Blocks::Q4_1 => {
            let (scale, least) = (half(bytes, 0), half(bytes, 2));
            simple(wanted, &bytes[4..], None, scale, -least, 0, out);
        }
        Blocks::Q5_0 => simple(wanted, &bytes[6..], bits(bytes, 2), half(bytes, 0), 0.0, 16, out),
        Blocks::Q5_1 => {
            let (scale, least) = (half(bytes, 0), half(bytes, 2));
            simple(wanted, &bytes[8..], bits(bytes, 4), scale, -least, 0, out);
        }
        Blocks::Q8_0 => {
            let scale = half(bytes, 0);
            for (out, code) in out.iter_mut().zip(&bytes[2..34]) {
                *out = wanted.uniform(f32::from(*code as i8), scale, 0.0, -128.0, 127.0);
            }
        }
        Blocks::Q2K => q2_k(wanted, bytes, out),
        Blocks::Q3K => q3_k(wanted, bytes, out),
        Blocks::Q4K => q4_k(wanted, bytes, out),
        Blocks::Q5K => q5_k(wanted, bytes, out),
        Blocks::Q6K => q6_k(wanted, bytes, out),
        Blocks::Iq4Nl => listed(wanted, &bytes[2..18], half(bytes, 0), &IQ4, out),
        Blocks::Iq4Xs => iq4_xs(wanted, bytes, out),
        Blocks::Mxfp4 => {
            // Half of a power of two, as the list holds twice the numbers.
            let code = u32::from(bytes[0]);
            let scale = if code < 2 { 0x0020_0000 << code } else { (code - 1) << 23 };
            listed(wanted, &bytes[1..17], f32::from_bits(scale), &E2M1, out);
        }
    }
}

/// Twice the numbers of OCP E2M1.
const E2M1: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// ggml's `kvalues_iq4nl`.
const IQ4: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0,
    89.0, 113.0,
];

/// The fifth bits of 32 codes.
#[inline(always)]
fn bits(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// Sixteen bytes of two codes each: the lower halves are the first sixteen elements.
#[inline(always)]
fn simple<W: Wanted>(
    wanted: W,
    codes: &[u8],
    fifth: Option<u32>,
    scale: f32,
    shift: f32,
    middle: i32,
    out: &mut [f32],
) {
    let most = if fifth.is_some() { 31 } else { 15 };
    let (least, most) = (-middle as f32, (most - middle) as f32);
    let high = fifth.unwrap_or(0);
    for j in 0..16 {
        let low = i32::from(codes[j] & 15) | ((high >> j & 1) << 4) as i32;
        let upper = i32::from(codes[j] >> 4) | ((high >> (j + 16) & 1) << 4) as i32;
        out[j] = wanted.uniform((low - middle) as f32, scale, shift, least, most);
        out[j + 16] = wanted.uniform((upper - middle) as f32, scale, shift, least, most);
    }
}

/// The same of codes that stand for the entries of a list.
#[inline(always)]
fn listed<W: Wanted>(wanted: W, codes: &[u8], scale: f32, list: &[f32; 16], out: &mut [f32]) {
    for (j, code) in codes.iter().enumerate() {
        out[j] = wanted.listed(usize::from(code & 15), scale, list);
        out[j + 16] = wanted.listed(usize::from(code >> 4), scale, list);
    }
}

#[inline(always)]
fn q2_k<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let (scales, codes) = (&bytes[..16], &bytes[16..80]);
    let (all, least) = (half(bytes, 80), half(bytes, 82));
    for (at, out) in out.chunks_exact_mut(16).enumerate() {
        // 128 elements are four bits' pairs of 32 bytes; each sixteen have a scale.
        let (group, shift, side) = (at / 8, at % 8 / 2 * 2, at % 2);
        let scale = all * f32::from(scales[at] & 15);
        let shifted = least * f32::from(scales[at] >> 4);
        let codes = &codes[group * 32 + side * 16..][..16];
        for (out, code) in out.iter_mut().zip(codes) {
            *out = wanted.uniform(f32::from(code >> shift & 3), scale, shifted, 0.0, 3.0);
        }
    }
}

#[inline(always)]
fn q3_k<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let (masks, codes, packed) = (&bytes[..32], &bytes[32..96], &bytes[96..108]);
    let all = half(bytes, 108);
    for (at, out) in out.chunks_exact_mut(16).enumerate() {
        // Six bits of a scale: four in the first eight bytes, two in the last four.
        let low = if at < 8 { packed[at] & 15 } else { packed[at - 8] >> 4 };
        let high = packed[8 + at % 4] >> (2 * (at / 4)) & 3;
        let scale = all * f32::from((low | high << 4) as i8 - 32);
        let (group, shift, side) = (at / 8, at % 8 / 2 * 2, at % 2);
        let bit = 1 << (group * 4 + shift / 2);
        let codes = &codes[group * 32 + side * 16..][..16];
        for (j, out) in out.iter_mut().enumerate() {
            let low = f32::from(codes[j] >> shift & 3);
            let code = if masks[side * 16 + j] & bit == 0 { low - 4.0 } else { low };
            *out = wanted.uniform(code, scale, 0.0, -4.0, 3.0);
        }
    }
}

/// The scale and the shift, six bits each, of 32 elements of Q4_K and Q5_K: ggml's `get_scale_min_k4`.
#[inline(always)]
fn scale_and_shift(packed: &[u8], at: usize) -> (f32, f32) {
    let (scale, shift) = if at < 4 {
        (packed[at] & 63, packed[at + 4] & 63)
    } else {
        let low = packed[at + 4];
        (low & 15 | packed[at - 4] >> 6 << 4, low >> 4 | packed[at] >> 6 << 4)
    };
    (f32::from(scale), f32::from(shift))
}

#[inline(always)]
fn q4_k<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let (all, least) = (half(bytes, 0), half(bytes, 2));
    for (at, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, shift) = scale_and_shift(&bytes[4..16], at);
        let (scale, shift) = (all * scale, least * shift);
        let codes = &bytes[16 + at / 2 * 32..][..32];
        for (out, code) in out.iter_mut().zip(codes) {
            let code = f32::from(code >> (4 * (at % 2)) & 15);
            *out = wanted.uniform(code, scale, shift, 0.0, 15.0);
        }
    }
}

#[inline(always)]
fn q5_k<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let (all, least) = (half(bytes, 0), half(bytes, 2));
    let high = &bytes[16..48];
    for (at, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, shift) = scale_and_shift(&bytes[4..16], at);
        let (scale, shift) = (all * scale, least * shift);
        let codes = &bytes[48 + at / 2 * 32..][..32];
        for (j, out) in out.iter_mut().enumerate() {
            let low = codes[j] >> (4 * (at % 2)) & 15;
            let code = low | (high[j] >> at & 1) << 4;
            *out = wanted.uniform(f32::from(code), scale, shift, 0.0, 31.0);
        }
    }
}

#[inline(always)]
fn q6_k<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    let all = half(bytes, 208);
    for (at, out) in out.chunks_exact_mut(16).enumerate() {
        // 128 elements are four times 32: two lower halves, two upper ones, each with two bits of 32 bytes.
        let (group, quarter, side) = (at / 8, at % 8 / 2, at % 2);
        let scale = all * f32::from(scales[at] as i8);
        let low = &low[group * 64 + quarter % 2 * 32 + side * 16..][..16];
        let high = &high[group * 32 + side * 16..][..16];
        for (j, out) in out.iter_mut().enumerate() {
            let code = low[j] >> (quarter / 2 * 4) & 15 | (high[j] >> (2 * quarter) & 3) << 4;
            *out = wanted.uniform(f32::from(code as i8 - 32), scale, 0.0, -32.0, 31.0);
        }
    }
}

#[inline(always)]
fn iq4_xs<W: Wanted>(wanted: W, bytes: &[u8], out: &mut [f32]) {
    let all = half(bytes, 0);
    let high = u16::from_le_bytes([bytes[2], bytes[3]]);
    for (at, out) in out.chunks_exact_mut(32).enumerate() {
        let low = bytes[4 + at / 2] >> (4 * (at % 2)) & 15;
        let six = i32::from(low) | i32::from(high >> (2 * at) & 3) << 4;
        let scale = all * (six - 32) as f32;
        listed(wanted, &bytes[8 + 16 * at..][..16], scale, &IQ4, out);
    }
}
