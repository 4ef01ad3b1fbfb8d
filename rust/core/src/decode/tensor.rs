//! Which decoder a coding has, and how its numbers are stored.

use std::ops::Range;

use super::store::Store;
use super::{Lender, Prepared, blocks, floats, low_rank, moved, nf4, packed, scaled};
use crate::checkpoint::coding::{Coding, Kind};
use crate::error::Result;
use crate::gram::Level;

/// Elements that are decoded before they are stored: their float32 stay in the first-level cache.
const AT_ONCE: usize = 4096;

/// Writes `elements` of a tensor to `out`, little endian.
pub(crate) fn elements(
    coding: &Coding,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [u8],
) -> Result<()> {
    if elements.is_empty() {
        return Ok(());
    }
    match &coding.kind {
        Kind::Gather { width, rows, columns } => {
            let (rows, columns) = (rows.as_deref(), columns.as_deref());
            return moved::gather(coding, *width, rows, columns, elements, lender, out);
        }
        Kind::Strided { first, shape, strides } => {
            return moved::strided(coding, *first, shape, strides, elements, lender, out);
        }
        Kind::LowRank(kind) => {
            return low_rank::low_rank(coding, kind, elements, lender, level, out);
        }
        _ => {}
    }
    let width = (coding.dtype.bits() / 8) as usize;
    let mut values = vec![0.0_f32; AT_ONCE.min((elements.end - elements.start) as usize)];
    let mut prepared = Prepared::default();
    let mut at = elements.start;
    for out in out.chunks_mut(AT_ONCE * width) {
        let count = (out.len() / width) as u64;
        let values = &mut values[..count as usize];
        let range = at..at + count;
        match &coding.kind {
            Kind::Scaled { width, block, by_127 } => {
                let prepared = &mut prepared;
                scaled::scaled(
                    coding, *width, *block, *by_127, range, lender, level, prepared, values,
                )?;
            }
            Kind::Mxfp4 => scaled::mxfp4(coding, range, lender, level, values)?,
            Kind::Nvfp4 { is_divided } => {
                scaled::nvfp4(coding, *is_divided, range, lender, level, values)?;
            }
            Kind::Packed { .. } => packed::packed(coding, range, lender, level, values)?,
            Kind::Nf4 { block, nested, offset } => {
                let state = (*block, *nested, *offset);
                nf4::nf4(coding, state, range, lender, level, &mut prepared, values)?;
            }
            Kind::Shift { offset } => {
                let offset = f32::from_bits(*offset);
                let stored = floats(coding, 0, range, lender, level)?;
                for (value, stored) in values.iter_mut().zip(stored) {
                    *value = stored + offset;
                }
            }
            Kind::Gguf(blocks) => {
                blocks::gguf(*blocks, coding.part, range, lender, level, values)?;
            }
            Kind::Gather { .. } | Kind::Strided { .. } | Kind::LowRank(_) => {}
        }
        level.vectorize(Store { dtype: coding.dtype, values, out });
        at += count;
    }
    Ok(())
}
