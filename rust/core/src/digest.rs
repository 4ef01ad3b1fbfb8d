//! SHA-256 of every shard, computed from the bytes that a pass reads anyway.
//!
//! A digest is of bytes in order, and a pass reads them as its slices come. So every shard has a
//! *front*, up to which it is hashed, and ranges beyond the front that were read. A thread that has
//! finished a tile carries the front of its shards on, if no other thread is at it, as far as what was
//! read reaches: those bytes are in the page cache still. What no slice holds, headers and tensors
//! that take no part, is read at the end, with what came in another order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::{self, Buffer, Io, Source};
use crate::threads;

/// Bytes hashed at a time.
const STEP: u64 = 1 << 20;

/// Digests of the shards of checkpoints, as far as they have come.
#[derive(Debug)]
pub struct Digests {
    checkpoints: Vec<Arc<Checkpoint>>,
    shards: Vec<Vec<Progressing>>,
}

/// One shard's digest.
#[derive(Debug)]
struct Progressing {
    /// What was read beyond the front, by first byte, and ends there.
    read: Mutex<BTreeMap<u64, u64>>,
    front: Mutex<Front>,
}

#[derive(Debug)]
enum Front {
    At(Box<Sha256>, u64),
    Done(String),
}

impl Progressing {
    fn new(data_start: u64) -> Self {
        // The header was read when the checkpoint was opened.
        Self {
            read: Mutex::new(BTreeMap::from([(0, data_start)])),
            front: Mutex::new(Front::At(Box::default(), 0)),
        }
    }

    /// Whether something was read from `front` on.
    fn is_ahead(&self, front: u64) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.first_key_value().is_some_and(|(&first, _)| first <= front)
    }

    /// Takes what was read from `front` on, as far as it goes without a gap.
    fn reach(&self, front: u64) -> u64 {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut end = front;
        while let Some(first) = read.first_entry()
            && *first.key() <= end
        {
            end = end.max(first.remove());
        }
        end
    }
}

impl Digests {
    /// Nothing hashed yet of `checkpoints`.
    pub fn new(checkpoints: Vec<Arc<Checkpoint>>) -> Self {
        let shards = checkpoints.iter().map(|checkpoint| {
            checkpoint.shards.iter().map(|shard| Progressing::new(shard.data_start)).collect()
        });
        Self { shards: shards.collect(), checkpoints }
    }

    /// The checkpoints, in the order of the plan's columns.
    pub fn checkpoints(&self) -> &[Arc<Checkpoint>] {
        &self.checkpoints
    }

    /// Makes sure that the columns of a plan are those that this is made for, as far as it is made.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] with the first column that is not.
    pub(crate) fn check(&self, columns: &[Arc<Checkpoint>]) -> Result<()> {
        let is_same = |(mine, theirs): &(&Arc<Checkpoint>, &Arc<Checkpoint>)| {
            Arc::ptr_eq(mine, theirs) || mine.shards == theirs.shards
        };
        match self.checkpoints.iter().zip(columns).find(|pair| !is_same(pair)) {
            None => Ok(()),
            Some((mine, theirs)) => Err(Error::Argument(format!(
                "digests of {} can not be of what is read from {}",
                mine.path.display(),
                theirs.path.display()
            ))),
        }
    }

    /// Says that bytes of a shard were read, and hashes what has become possible. What is hashed is no
    /// progress: it was counted when it was read.
    ///
    /// Does nothing for columns that it is not made for.
    pub(crate) fn advance(
        &self,
        column: usize,
        shard: usize,
        source: &dyn Source,
        bytes: Range<u64>,
        progress: &Progress,
    ) -> Result<()> {
        let Some(this) = self.shards.get(column).and_then(|shards| shards.get(shard)) else {
            return Ok(());
        };
        {
            let mut read = this.read.lock().unwrap_or_else(PoisonError::into_inner);
            let end = read.entry(bytes.start).or_insert(bytes.end);
            *end = bytes.end.max(*end);
        }
        let mut buffer = Buffer::default();
        loop {
            let mut front = match this.front.try_lock() {
                Ok(front) => front,
                Err(TryLockError::Poisoned(error)) => error.into_inner(),
                // Another thread is at it, and sees what was added when it has let go of the front.
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            let Front::At(hasher, at) = &mut *front else { return Ok(()) };
            let end = this.reach(*at);
            hash(hasher, at, end, source, &mut buffer, progress, |_| ())?;
            drop(front);
            // Whoever found the front taken meanwhile has left what it had read.
            if !this.is_ahead(end) {
                return Ok(());
            }
        }
    }

    /// Hashes everything that is left, and returns the digests in hexadecimal, by checkpoint and shard.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Changed`] from reading, [`Error::Interrupted`] after
    /// [`Progress::cancel`], [`Error::Argument`] for a number of threads that is none.
    pub fn finish(&self, threads: usize, io: Io, progress: &Progress) -> Result<Vec<Vec<String>>> {
        let places: Vec<(usize, usize)> = (self.shards.iter().enumerate())
            .flat_map(|(column, shards)| (0..shards.len()).map(move |shard| (column, shard)))
            .collect();
        let found =
            threads::run_ordered(threads, places.len(), Buffer::default, |buffer, item| {
                let (column, number) = places[item];
                let shard = &self.checkpoints[column].shards[number];
                let this = &self.shards[column][number];
                let mut front = this.front.lock().unwrap_or_else(PoisonError::into_inner);
                let digest = match &mut *front {
                    Front::Done(digest) => digest.clone(),
                    Front::At(hasher, at) => {
                        let source = source::open(shard, io, &progress.stop())?;
                        let count = |bytes| progress.advance(bytes);
                        hash(hasher, at, shard.bytes, source.as_ref(), buffer, progress, count)?;
                        shard.verify_unchanged()?;
                        hex(&hasher.clone().finalize())
                    }
                };
                *front = Front::Done(digest.clone());
                Ok(digest)
            })?;
        let mut found = found.into_iter();
        Ok(self.shards.iter().map(|shards| found.by_ref().take(shards.len()).collect()).collect())
    }

    /// The digests that are complete: column, shard and hexadecimal digits.
    pub fn complete(&self) -> Vec<(usize, usize, String)> {
        let mut found = Vec::new();
        for (column, shards) in self.shards.iter().enumerate() {
            for (number, shard) in shards.iter().enumerate() {
                let mut front = shard.front.lock().unwrap_or_else(PoisonError::into_inner);
                if let Front::At(hasher, at) = &*front
                    && *at == self.checkpoints[column].shards[number].bytes
                {
                    *front = Front::Done(hex(&hasher.clone().finalize()));
                }
                if let Front::Done(digest) = &*front {
                    found.push((column, number, digest.clone()));
                }
            }
        }
        found
    }

    /// Takes over a digest that was complete before.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is no such shard.
    pub fn restore(&self, column: usize, shard: usize, digest: String) -> Result<()> {
        let found = self.shards.get(column).and_then(|shards| shards.get(shard));
        let this = found
            .ok_or_else(|| Error::Argument(format!("no shard {shard} of checkpoint {column}")))?;
        *this.front.lock().unwrap_or_else(PoisonError::into_inner) = Front::Done(digest);
        Ok(())
    }
}

/// Hashes bytes up to `end`, and tells `count` how many each time.
fn hash(
    hasher: &mut Sha256,
    at: &mut u64,
    end: u64,
    source: &dyn Source,
    buffer: &mut Buffer,
    progress: &Progress,
    count: impl Fn(u64),
) -> Result<()> {
    while *at < end {
        progress.check()?;
        let bytes = *at..end.min(*at + STEP);
        hasher.update(source.lend(bytes.clone(), buffer)?);
        source.release(bytes.clone())?;
        count(bytes.end - bytes.start);
        *at = bytes.end;
    }
    Ok(())
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
