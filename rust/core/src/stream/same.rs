//! Which tensors of two checkpoints hold the same bytes: equality needs no arithmetic.

use super::Options;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::{self, Buffer};
use crate::threads;

/// Bytes of each checkpoint that are compared at a time.
const STEP: u64 = 1 << 20;

/// Whether the tensors of each pair (one of `first`, one of `second`, by position) have one dtype, as
/// many bytes, and the same ones. No more than the first `most` bytes of each are read.
///
/// # Errors
///
/// [`Error::Plan`] if there is no such tensor; those of reading.
pub fn same_bytes(
    first: &Checkpoint,
    second: &Checkpoint,
    pairs: &[(usize, usize)],
    most: u64,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<bool>> {
    let buffers = || (Buffer::default(), Buffer::default());
    threads::run_ordered(options.threads, pairs.len(), buffers, |(mine, theirs), at| {
        let (a, b) = (tensor(first, pairs[at].0)?, tensor(second, pairs[at].1)?);
        if a.dtype != b.dtype || a.bytes() != b.bytes() {
            return Ok(false);
        }
        let length = a.bytes().min(most);
        if length == 0 {
            return Ok(true);
        }
        let named = |mut error: Error, of: &Tensor| {
            if let Error::Changed { tensor, .. } = &mut error {
                *tensor = Some(of.name.clone());
            }
            error
        };
        let left =
            source::open_place(first, a.shard, options.io).map_err(|error| named(error, a))?;
        let right =
            source::open_place(second, b.shard, options.io).map_err(|error| named(error, b))?;
        let mut same = true;
        let mut from = 0;
        while same && from < length {
            progress.check()?;
            let to = length.min(from + STEP);
            let (one, other) = (a.begin + from..a.begin + to, b.begin + from..b.begin + to);
            same = left.lend(one.clone(), mine).map_err(|error| named(error, a))?
                == right.lend(other.clone(), theirs).map_err(|error| named(error, b))?;
            progress.advance(2 * (to - from));
            left.release(one).map_err(|error| named(error, a))?;
            right.release(other).map_err(|error| named(error, b))?;
            from = to;
        }
        for (checkpoint, place) in [(first, a.shard), (second, b.shard)] {
            let mut files = checkpoint.files(place).into_iter();
            files.try_for_each(|file| checkpoint.shards[file].verify_unchanged())?;
        }
        Ok(same)
    })
}

fn tensor(checkpoint: &Checkpoint, index: usize) -> Result<&Tensor> {
    checkpoint.tensors.get(index).ok_or_else(|| {
        Error::Plan(format!("{} has no tensor number {index}", checkpoint.path.display()))
    })
}
