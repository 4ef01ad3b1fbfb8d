//! The four-bit codes of bitsandbytes.

use std::ops::Range;

use super::cells::{End, Value, Wanted};
use super::{Lender, Prepared, floats};
use crate::checkpoint::coding::{Coding, Part};
use crate::error::Result;
use crate::gram::Level;

/// `map[code] absmax[block]`, the upper half of a byte first (bitsandbytes, `functional.py`, `dequantize_4bit`);
/// nested absmax are `map[code] absmax + offset` themselves (`dequantize_blockwise`).
pub(super) fn nf4(
    coding: &Coding,
    (block, nested, offset): (u64, u64, u32),
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    prepared: &mut Prepared,
    out: &mut [f32],
) -> Result<()> {
    if prepared.map.is_empty() {
        prepared.map = floats(coding, 2, 0..16, lender, level)?;
        if nested > 0 {
            prepared.nested = floats(coding, 3, 0..256, lender, level)?;
            prepared.nested.push(f32::from_bits(offset));
        }
    }
    let blocks = elements.start / block..elements.end.div_ceil(block);
    let scales = if prepared.nested.is_empty() {
        floats(coding, 1, blocks.clone(), lender, level)?
    } else {
        let groups = blocks.start / nested..blocks.end.div_ceil(nested);
        let first = groups.start;
        let outer = floats(coding, 4, groups, lender, level)?;
        let codes = lender.lend(1, blocks.clone())?;
        let scale = |(at, &code): (u64, &u8)| {
            let outer = outer[(at / nested - first) as usize];
            prepared.nested[usize::from(code)] * outer + prepared.nested[256]
        };
        (blocks.start..).zip(codes).map(scale).collect()
    };
    let mut map = [0.0; 16];
    map.copy_from_slice(&prepared.map);
    let first = elements.start;
    let bytes = lender.lend(0, first / 2..elements.end.div_ceil(2))?;
    for (k, out) in out.iter_mut().enumerate() {
        let at = first + k as u64;
        let byte = bytes[(at / 2 - first / 2) as usize];
        let code = usize::from(byte >> (4 * (1 - at % 2)) & 15);
        let scale = scales[(at / block - blocks.start) as usize];
        *out = match coding.part {
            Part::Value => Value.listed(code, scale, &map),
            part => End { is_high: part == Part::High }.listed(code, scale, &map),
        };
    }
    Ok(())
}
