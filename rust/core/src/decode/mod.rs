//! Numbers computed from stored bytes: codes with their scales, and elements in another order.
//!
//! [`Coding`] says what a tensor is computed from, and has checked all sizes. A decoder asks for the bytes that a
//! range of elements needs, writes those elements, and keeps nothing: any range gives the same bits as the same
//! elements of any other.
//!
//! Each value is what the reference implementation of its format computes, operation by operation in float32,
//! rounded once to the dtype of the coding. Nothing is fused but the sums of products of low rank.

mod blocks;
mod cells;
mod low_rank;
mod moved;
mod nf4;
mod packed;
mod scaled;
mod store;
mod tensor;

use std::ops::Range;

pub(crate) use tensor::elements;

use crate::checkpoint::coding::Coding;
use crate::checkpoint::dtype::Dtype;
use crate::error::Result;
use crate::gram::{Level, Vectorize, decode, widen_bf16};

/// Lends bytes of a coding's windows.
pub(crate) trait Lender {
    /// Bytes `range` of window `number`, counted from the window's start, until the next are asked for.
    fn lend(&mut self, number: usize, range: Range<u64>) -> Result<&[u8]>;
}

/// What is the same for all elements of a tensor, and made once.
#[derive(Default)]
struct Prepared {
    map: Vec<f32>,
    nested: Vec<f32>,
    ends: Option<Ends>,
}

/// For codes of a byte, that end of each one's cell which is wanted, and the other, where a scale turns them round.
type Ends = Box<[[f32; 256]; 2]>;

/// Elements `range` of a window, as float32. Each is one that float32 holds.
fn floats(
    coding: &Coding,
    number: usize,
    range: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
) -> Result<Vec<f32>> {
    let mut out = vec![0.0; (range.end - range.start) as usize];
    read_floats(coding, number, range, lender, level, &mut out)?;
    Ok(out)
}

/// As [`floats`], into `out`, which has their number.
fn read_floats(
    coding: &Coding,
    number: usize,
    range: Range<u64>,
    lender: &mut dyn Lender,
    level: Level,
    out: &mut [f32],
) -> Result<()> {
    let dtype = coding.windows[number].dtype;
    let size = dtype.bits() / 8;
    let bytes = lender.lend(number, range.start * size..range.end * size)?;
    match dtype {
        Dtype::F16 => level.widen_f16(bytes, out),
        _ => level.vectorize(Widen { dtype, bytes, out }),
    }
    Ok(())
}

/// Decodes elements, each to the float32 that it is.
struct Widen<'a> {
    dtype: Dtype,
    bytes: &'a [u8],
    out: &'a mut [f32],
}

impl Vectorize for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.dtype {
            Dtype::Bf16 => {
                for (out, bytes) in self.out.iter_mut().zip(self.bytes.as_chunks().0) {
                    *out = widen_bf16(*bytes);
                }
            }
            Dtype::F32 => {
                for (out, bytes) in self.out.iter_mut().zip(self.bytes.as_chunks().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            dtype => {
                let size = (dtype.bits() / 8) as usize;
                for (out, bytes) in self.out.iter_mut().zip(self.bytes.chunks_exact(size)) {
                    *out = decode(dtype, bytes) as f32;
                }
            }
        }
    }
}
