//! The files of a plan, opened and closed as tiles come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::plan::{Plan, Tile};
use crate::source::{self, Io, Source};

/// The files of a plan, each opened when its first byte is wanted, and closed after its last.
pub(super) struct Files<'a> {
    plan: &'a Plan,
    io: Io,
    files: Vec<Vec<OpenFile>>,
}

/// A shard, open from its first tile to its last.
#[derive(Default)]
struct OpenFile {
    source: Mutex<Option<Arc<dyn Source>>>,
    was_opened: AtomicBool,
    /// The number of the last tile that has elements of it.
    last: usize,
}

impl<'a> Files<'a> {
    /// None of them open.
    pub(super) fn new(plan: &'a Plan, tiles: &[Tile], io: Io) -> Self {
        let slots = |shards: usize| (0..shards).map(|_| OpenFile::default()).collect();
        let files = plan.checkpoints().iter().map(|checkpoint| slots(checkpoint.shards.len()));
        let mut files: Vec<Vec<OpenFile>> = files.collect();
        for (index, tile) in tiles.iter().enumerate() {
            for (column, extent) in plan.extents(tile.slice).iter().enumerate() {
                files[column][extent.shard].last = index;
            }
        }
        Self { plan, io, files }
    }

    /// A shard of a column, which is opened if it is not open.
    pub(super) fn get(&self, column: usize, shard: usize) -> Result<Arc<dyn Source>> {
        let file = &self.files[column][shard];
        let slot = || file.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = slot().as_ref() {
            return Ok(Arc::clone(source));
        }
        // Two threads may both open the file; the second one drops its own. If it waited for the first
        // instead, the system would wake it on the same CPU, where the two would take turns for a while.
        let source = source::open(&self.plan.checkpoints()[column].shards[shard], self.io)?;
        file.was_opened.store(true, Ordering::Relaxed);
        Ok(Arc::clone(slot().get_or_insert_with(|| source.into())))
    }

    /// Closes a file after its last tile, or as soon as the threads that still read it are done: a
    /// process may open some hundreds of files, and checkpoints have as many shards.
    pub(super) fn done(&self, column: usize, shard: usize, tile: usize) {
        let file = &self.files[column][shard];
        if file.last == tile {
            file.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Has the system fetch the bytes of a tile that comes soon. A file that can not be opened is no
    /// error yet: it is one when the tile comes.
    pub(super) fn expect(&self, tile: &Tile) {
        for (column, extent) in self.plan.extents(tile.slice).iter().enumerate() {
            if let Ok(source) = self.get(column, extent.shard) {
                source.expect(extent.bytes(&tile.elements()));
            }
        }
    }

    /// Makes sure that no file that was read has changed since its header was.
    pub(super) fn verify(&self) -> Result<()> {
        for (checkpoint, files) in self.plan.checkpoints().iter().zip(&self.files) {
            for (shard, file) in checkpoint.shards.iter().zip(files) {
                if file.was_opened.load(Ordering::Relaxed) {
                    shard.verify_unchanged()?;
                }
            }
        }
        Ok(())
    }
}
