//! Which tensors of two checkpoints hold the same bytes: equality needs no arithmetic.

use super::Options;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::{self, Buffer, Io};
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
        let named = |error: Error, of: &Tensor| error.of_tensor(&of.name);
        let opened = |of, tensor: &Tensor| {
            source::open_place(of, tensor.shard, options.io, &progress.stop())
                .map_err(|error| named(error, tensor))
        };
        let (left, right) = (opened(first, a)?, opened(second, b)?);
        let mut same = true;
        let mut from = 0;
        while same && from < length {
            progress.check()?;
            let to = length.min(from + STEP);
            let (one, other) = (a.begin + from..a.begin + to, b.begin + from..b.begin + to);
            if left.io() == Io::Remote || right.io() == Io::Remote {
                left.expect(one.clone());
                right.expect(other.clone());
            }
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
