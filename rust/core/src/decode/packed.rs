//! Integers packed into words of 32 bits: compressed-tensors, GPTQ and AWQ.

use std::ops::Range;

use super::cells::{End, Value, Wanted};
use super::{Lender, floats};
use crate::checkpoint::coding::{Coding, Kind, Packing, Part};
use crate::error::Result;
use crate::gram::Level;

/// Where AWQ's GEMM puts each of eight integers of a word.
const AWQ: [u64; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// `(q - zero) scale` for the elements of a matrix.
pub(super) fn packed(
    coding: &Coding,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let Kind::Packed { bits, packing, shape, group, offset, has_zeros, has_groups } = coding.kind
    else {
        return Ok(());
    };
    let (rows, columns) = shape;
    let each = 32 / bits;
    let mask = (1_u64 << bits) - 1;
    let first = elements.start / columns;
    let last = (elements.end - 1) / columns + 1;
    let (from, to) = if last - first > 1 {
        (0, columns - 1)
    } else {
        (elements.start % columns, (elements.end - 1) % columns)
    };
    let groups = coding.windows[1].elements().checked_div(rows).unwrap_or(0);
    let group_of: Vec<u64> = if has_groups {
        let found = floats(coding, 2 + usize::from(has_zeros), from..to + 1, lender, level)?;
        found.into_iter().map(|at| (at.max(0.0) as u64).min(groups.saturating_sub(1))).collect()
    } else {
        (from..=to).map(|column| column / group).collect()
    };
    // Scales of the rows that are wanted: (rows, groups), or (groups, rows) of what lies transposed.
    let along = packing == Packing::AlongRows;
    let mut scales = Vec::with_capacity(((last - first) * groups) as usize);
    if along {
        scales = floats(coding, 1, first * groups..last * groups, lender, level)?;
    } else {
        for at in 0..groups {
            scales.extend(floats(coding, 1, at * rows + first..at * rows + last, lender, level)?);
        }
    }
    let scale_at = |row: u64, at: u64| {
        let place =
            if along { (row - first) * groups + at } else { at * (last - first) + row - first };
        scales[place as usize]
    };
    let middle = 1_u64 << (bits - 1);
    // Words of zeros that the rows have: (words, groups), or (groups, words) of what lies transposed.
    let (top, bottom) = (first / each, (last - 1) / each + 1);
    let mut zeros = Vec::new();
    if has_zeros && along {
        zeros = words(coding, 2, top * groups..bottom * groups, lender)?;
    } else if has_zeros {
        let line = rows.div_ceil(each);
        for at in 0..groups {
            zeros.extend(words(coding, 2, at * line + top..at * line + bottom, lender)?);
        }
    }
    let zero_at = |row: u64, at: u64| {
        if !has_zeros {
            return middle;
        }
        let word = row / each - top;
        let word = if along { word * groups + at } else { at * (bottom - top) + word };
        let place = if packing == Packing::Awq { AWQ[(row % 8) as usize] } else { row % each };
        (u64::from(zeros[word as usize]) >> (bits * place) & mask) + offset
    };
    // Words that hold the elements: whole rows of words, of which the columns between are asked for together.
    let line = match packing {
        Packing::AlongRows => columns.div_ceil(each),
        Packing::Gptq => rows,
        Packing::Awq => rows.div_ceil(each),
    };
    let place = |row: u64, column: u64| match packing {
        Packing::AlongRows => (row * line + column / each, column % each),
        Packing::Gptq => (column / each * line + row, column % each),
        Packing::Awq => (column * line + row / each, AWQ[(row % 8) as usize]),
    };
    let begin = place(first, from).0;
    let end = place(last - 1, to).0 + 1;
    let bytes = lender.lend(0, 4 * begin..4 * end)?;
    let (bytes, _) = bytes.as_chunks::<4>();
    for (at, out) in elements.zip(out) {
        let (row, column) = (at / columns, at % columns);
        let (word, place) = place(row, column);
        let word = u64::from(u32::from_le_bytes(bytes[(word - begin) as usize]));
        let code = (word >> (bits * place) & mask) as f32;
        let group = group_of[(column - from) as usize];
        let (zero, scale) = (zero_at(row, group) as f32, scale_at(row, group));
        let (least, most) = (-zero, mask as f32 - zero);
        *out = match coding.part {
            Part::Value => Value.uniform(code - zero, scale, 0.0, least, most),
            part => {
                End { is_high: part == Part::High }.uniform(code - zero, scale, 0.0, least, most)
            }
        };
    }
    Ok(())
}

/// Words `range` of a window.
fn words(
    coding: &Coding,
    number: usize,
    range: Range<u64>,
    lender: &mut dyn Lender,
) -> Result<Vec<u32>> {
    debug_assert!(coding.windows[number].dtype.bits() == 32, "words of 32 bits");
    let bytes = lender.lend(number, 4 * range.start..4 * range.end)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
}
