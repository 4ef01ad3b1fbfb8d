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
use crate::error::Result;
use crate::gram::decode;

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
) -> Result<Vec<f32>> {
    let dtype = coding.windows[number].dtype;
    let width = dtype.bits() / 8;
    let bytes = lender.lend(number, range.start * width..range.end * width)?;
    Ok(bytes.chunks_exact(width as usize).map(|bytes| decode(dtype, bytes) as f32).collect())
}
