//! Codes that are multiplied by scales.

use std::ops::Range;

use super::cells::{End, Value, Wanted, table, turned};
use super::{Ends, Lender, Prepared, floats};
use crate::checkpoint::coding::{Coding, Part};
use crate::checkpoint::dtype::Dtype;
use crate::error::Result;
use crate::gram::{Level, Vectorize, decode, widen_e4m3, widen_e5m2};

/// Codes of a matrix with one scale for each block.
#[expect(clippy::too_many_arguments, reason = "the fields of the kind, and what all decoders take")]
pub(super) fn scaled(
    coding: &Coding,
    width: u64,
    block: (u64, u64),
    by_127: bool,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    prepared: &mut Prepared,
    out: &mut [f32],
) -> Result<()> {
    let dtype = coding.windows[0].dtype;
    let size = dtype.bits() / 8;
    let across = width.div_ceil(block.1);
    // The scales of all rows of blocks that the elements touch.
    let top = elements.start / width / block.0;
    let end = ((elements.end - 1) / width / block.0 + 1) * across;
    let scales = floats(coding, 1, top * across..end, lender, level)?;
    let zeros = match coding.windows.len() {
        2 => Vec::new(),
        _ => floats(coding, 2, top * across..end, lender, level)?,
    };
    if coding.part != Part::Value && size == 1 && prepared.ends.is_none() {
        let ends = [coding.part, turned(coding.part)].map(|part| table(dtype, part));
        prepared.ends = Some(Box::new(ends));
    }
    let ends = prepared.ends.as_ref();
    let bytes = lender.lend(0, elements.start * size..elements.end * size)?;
    let (mut at, mut out, mut bytes) = (elements.start, out, bytes);
    while at < elements.end {
        let (row, column) = (at / width, at % width);
        let left = (elements.end - at).min(width - column);
        let count = match block.1 {
            // One scale for each column: all of a row in one go.
            1 => left,
            _ => left.min(block.1 - column % block.1),
        };
        let scale_at = ((row / block.0 - top) * across + column / block.1) as usize;
        let (codes, more) = bytes.split_at((count * size) as usize);
        let (into, rest) = out.split_at_mut(count as usize);
        if block.1 == 1 {
            for (k, (code, into)) in codes.chunks_exact(size as usize).zip(into).enumerate() {
                let zero = zeros.get(scale_at + k).copied().unwrap_or(0.0);
                let scale = scales[scale_at + k];
                let times = Times { dtype, scale, zero, by_127 };
                times.run(code, std::slice::from_mut(into), coding.part, ends);
            }
        } else {
            let zero = zeros.get(scale_at).copied().unwrap_or(0.0);
            let times = Times { dtype, scale: scales[scale_at], zero, by_127 };
            if coding.part == Part::Value {
                level.vectorize(Run { times, codes, out: into });
            } else {
                times.run(codes, into, coding.part, ends);
            }
        }
        (at, out, bytes) = (at + count, rest, more);
    }
    Ok(())
}

/// How codes of one scale become numbers.
#[derive(Clone, Copy)]
struct Times {
    dtype: Dtype,
    scale: f32,
    zero: f32,
    by_127: bool,
}

impl Times {
    /// `(code - zero) scale`.
    #[inline(always)]
    fn of(self, code: f32) -> f32 {
        let value = (code - self.zero) * self.scale;
        if self.by_127 { value * (1.0 / 127.0) } else { value }
    }

    /// Decodes any part of codes of any dtype.
    fn run(self, codes: &[u8], out: &mut [f32], part: Part, ends: Option<&Ends>) {
        let size = (self.dtype.bits() / 8) as usize;
        let table = ends.map(|ends| &ends[usize::from(self.scale < 0.0)]);
        for (code, out) in codes.chunks_exact(size).zip(out) {
            let end = match (part, table) {
                (Part::Value, _) => decode(self.dtype, code) as f32,
                (_, Some(table)) => table[usize::from(code[0])],
                (part, None) => {
                    let up = (part == Part::High) == (self.scale >= 0.0);
                    decode(self.dtype, code) as f32 + if up { 0.5 } else { -0.5 }
                }
            };
            *out = self.of(end);
        }
    }
}

/// Codes of one scale, decoded by vectors.
struct Run<'a> {
    times: Times,
    codes: &'a [u8],
    out: &'a mut [f32],
}

impl Vectorize for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let times = self.times;
        macro_rules! all {
            ($size:literal, |$code:ident| $value:expr) => {
                for (code, out) in self.codes.as_chunks::<$size>().0.iter().zip(self.out) {
                    let $code = *code;
                    *out = times.of($value);
                }
            };
        }
        match times.dtype {
            Dtype::F8E4m3 => all!(1, |code| widen_e4m3(code[0])),
            Dtype::F8E5m2 => all!(1, |code| widen_e5m2(code[0])),
            Dtype::I8 => all!(1, |code| f32::from(code[0] as i8)),
            Dtype::U8 => all!(1, |code| f32::from(code[0])),
            Dtype::I16 => all!(2, |code| f32::from(i16::from_le_bytes(code))),
            Dtype::U16 => all!(2, |code| f32::from(u16::from_le_bytes(code))),
            // Of integers of 32 bits, differences and products are those of float32.
            Dtype::I32 => all!(4, |code| i32::from_le_bytes(code) as f32),
            dtype => {
                let size = (dtype.bits() / 8) as usize;
                for (code, out) in self.codes.chunks_exact(size).zip(self.out) {
                    *out = times.of(decode(dtype, code) as f32);
                }
            }
        }
    }
}

/// The numbers that four bits stand for: one bit of sign, two of exponent, one of significand (OCP E2M1).
const E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// Elements `first ..` of nibbles in `bytes`, the lower half of a byte first, times the scale of their group.
struct Nibbles<'a, W> {
    wanted: W,
    first: u64,
    bytes: &'a [u8],
    group: u64,
    scales: &'a [f32],
    out: &'a mut [f32],
}

impl<W: Wanted> Vectorize for Nibbles<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (start, group) = (self.first / 2 * 2, self.first / self.group);
        let (mut at, mut out) = (self.first, self.out);
        while !out.is_empty() {
            let scale = self.scales[(at / self.group - group) as usize];
            let left = (self.group - at % self.group) as usize;
            let (into, rest) = out.split_at_mut(left.min(out.len()));
            let bytes = &self.bytes[((at - start) / 2) as usize..];
            if W::IS_VALUE && at.is_multiple_of(2) {
                let (pairs, last) = into.as_chunks_mut::<2>();
                for (pair, byte) in pairs.iter_mut().zip(bytes) {
                    *pair = [e2m1(byte & 15) * scale, e2m1(byte >> 4) * scale];
                }
                if let [last] = last {
                    *last = e2m1(bytes[pairs.len()] & 15) * scale;
                }
            } else {
                for (k, out) in (at % 2..).zip(into.iter_mut()) {
                    let code = bytes[(k / 2) as usize] >> (4 * (k % 2)) & 15;
                    *out = self.wanted.listed(usize::from(code), scale, &E2M1);
                }
            }
            at += left as u64;
            out = rest;
        }
    }
}

/// [`E2M1`] without a table: halves of 0, 1, 2, 3, 4, 6, 8, 12.
#[inline(always)]
fn e2m1(code: u8) -> f32 {
    let x = i32::from(code & 7);
    let halves = if x < 4 {
        x
    } else if x < 6 {
        2 * x - 4
    } else {
        4 * x - 16
    };
    f32::from_bits((halves as f32 * 0.5).to_bits() | u32::from(code & 8) << 28)
}

/// Codes of four bits in groups of `group`.
fn nibbles(
    coding: &Coding,
    group: u64,
    scales: &[f32],
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let first = elements.start;
    let bytes = lender.lend(0, first / 2..elements.end.div_ceil(2))?;
    match coding.part {
        Part::Value => {
            level.vectorize(Nibbles { wanted: Value, first, bytes, group, scales, out });
        }
        part => {
            let wanted = End { is_high: part == Part::High };
            level.vectorize(Nibbles { wanted, first, bytes, group, scales, out });
        }
    }
    Ok(())
}

/// MXFP4: transformers, `integrations/mxfp4.py`, `convert_moe_packed_tensors`: `ldexp(lut[code], scale - 127)`.
pub(super) fn mxfp4(
    coding: &Coding,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let groups = elements.start / 32..elements.end.div_ceil(32);
    let bytes = lender.lend(1, groups)?;
    let scales: Vec<_> = bytes.iter().map(|&byte| power(byte)).collect();
    nibbles(coding, 32, &scales, elements, lender, level, out)
}

/// 2^(code - 127), which is subnormal for 0.
fn power(code: u8) -> f32 {
    f32::from_bits(if code == 0 { 1 << 22 } else { u32::from(code) << 23 })
}

/// NVFP4: the scale of a group is an F8_E4M3, scaled by one number for all of the tensor.
pub(super) fn nvfp4(
    coding: &Coding,
    is_divided: bool,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let all = floats(coding, 2, 0..1, lender, level)?[0];
    let groups = elements.start / 16..elements.end.div_ceil(16);
    let mut scales = floats(coding, 1, groups, lender, level)?;
    for scale in &mut scales {
        *scale = if is_divided { *scale / all } else { *scale * all };
    }
    nibbles(coding, 16, &scales, elements, lender, level, out)
}
