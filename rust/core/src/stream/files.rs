//! The files of a plan, opened and closed as tiles come and go.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::Shard;
use crate::error::{Error, Result};
use crate::plan::{Plan, Tile};
use crate::progress::Stop;
use crate::source::{self, Io, Source};

/// The files of a plan, each opened when its first byte is wanted, and closed after its last.
pub(super) struct Files<'a> {
    plan: &'a Plan,
    io: Io,
    stop: Stop,
    files: Vec<Vec<OpenFile>>,
}

/// A shard, open from its first tile to its last.
#[derive(Default)]
struct OpenFile {
    source: Mutex<Option<Arc<dyn Source>>>,
    was_opened: AtomicBool,
    /// Tiles that have elements of it and are not done.
    tiles: AtomicUsize,
}

impl<'a> Files<'a> {
    /// None of them open.
    pub(super) fn new(plan: &'a Plan, io: Io, stop: Stop) -> Self {
        let slots = |places: usize| (0..places).map(|_| OpenFile::default()).collect();
        let files = (plan.checkpoints().iter())
            .map(|checkpoint| slots(checkpoint.shards.len() + checkpoint.codings.len()));
        Self { plan, io, stop, files: files.collect() }
    }

    /// How files are read in fact, which decides on the size of tiles: the way that was asked for, unless
    /// the system has it not, for the first file of some column or for so many files.
    ///
    /// On failure, the column comes with the error.
    pub(super) fn settle(&mut self, slices: Range<usize>) -> Result<Io, (usize, Error)> {
        let is_remote = |shard: &Shard| shard.remote.is_some();
        if self.plan.checkpoints().iter().any(|each| each.shards.iter().any(is_remote)) {
            self.io = Io::Remote;
        }
        if matches!(self.io, Io::Pread | Io::Remote) || slices.is_empty() {
            return Ok(self.io);
        }
        for (column, extent) in self.plan.extents(slices.start).iter().enumerate() {
            // They stay open for the tiles that come.
            let source = self.get(column, extent.shard).map_err(|error| (column, error))?;
            if source.io() != self.io {
                self.io = source.io();
                return Ok(self.io);
            }
        }
        // What is computed is open while it is, and no longer.
        let shards: usize = self.plan.checkpoints().iter().map(|each| each.shards.len()).sum();
        if self.io == Io::Mmap && shards > source::free_mappings() {
            let used = |slice: usize| {
                let extents = self.plan.extents(slice).iter().enumerate();
                extents.map(|(column, extent)| (column, extent.shard))
            };
            let used = slices.flat_map(used).collect::<HashSet<_>>().len();
            if used > source::free_mappings() {
                self.io = Io::Pread;
            }
        }
        Ok(self.io)
    }

    /// Says which tiles come, each of which is said to be [`done`](Self::done).
    pub(super) fn schedule(&mut self, tiles: &[Tile]) -> Result<()> {
        for tile in tiles {
            for (column, extent) in self.plan.extents(tile.slice).iter().enumerate() {
                *self.files[column][extent.shard].tiles.get_mut() += 1;
            }
        }
        if self.io == Io::Remote { self.plan_fetching(tiles) } else { Ok(()) }
    }

    /// Tells whoever fetches files which ranges of each will be asked for.
    fn plan_fetching(&self, tiles: &[Tile]) -> Result<()> {
        for (column, checkpoint) in self.plan.checkpoints().iter().enumerate() {
            let mut ranges = vec![Vec::new(); checkpoint.shards.len()];
            for tile in tiles {
                let extent = self.plan.extents(tile.slice)[column];
                if let Some(of_shard) = ranges.get_mut(extent.shard) {
                    of_shard.push(extent.bytes(&tile.elements()));
                }
            }
            for (shard, mut ranges) in checkpoint.shards.iter().zip(ranges) {
                if let Some(remote) = &shard.remote
                    && !ranges.is_empty()
                {
                    ranges.sort_unstable_by_key(|range| (range.start, range.end));
                    remote.0.plan(&ranges).map_err(|source| {
                        let path = shard.path.clone();
                        Error::Fetch { path, tensor: None, offset: None, source }
                    })?;
                }
            }
        }
        Ok(())
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
        let source =
            source::open_place(&self.plan.checkpoints()[column], shard, self.io, &self.stop)?;
        file.was_opened.store(true, Ordering::Relaxed);
        Ok(Arc::clone(slot().get_or_insert_with(|| source.into())))
    }

    /// Says that a tile of a shard is done. A file is closed when all its tiles are, so that none is
    /// opened again: a process may open some hundreds of files, and checkpoints have as many shards.
    pub(super) fn done(&self, column: usize, shard: usize) {
        let file = &self.files[column][shard];
        if file.tiles.fetch_sub(1, Ordering::AcqRel) == 1 {
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
            let mut read = HashSet::new();
            for (place, file) in files.iter().enumerate() {
                if file.was_opened.load(Ordering::Relaxed) {
                    read.extend(checkpoint.files(place));
                }
            }
            for file in read {
                checkpoint.shards[file].verify_unchanged()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::plan;

    #[test]
    fn a_file_is_open_from_its_first_tile_until_all_of_them_are_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let header = r#"{"a":{"dtype":"BF16","shape":[200000],"data_offsets":[0,400000]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + 400_000, 0);
        std::fs::write(&path, bytes).expect("a file");
        let opened = Arc::new(Checkpoint::open(&path).expect("a checkpoint"));
        let plan = Plan::new(vec![opened; 2], vec![200_000], &[0; 2], &[0; 2]).expect("a plan");
        let mut files = Files::new(&plan, Io::Mmap, Stop::default());
        let io = files.settle(0..1).expect("a file");
        assert_eq!(io, if source::can_map() { Io::Mmap } else { Io::Pread });
        let tiles = plan::tiles(&plan, 0..1, 4096);
        files.schedule(&tiles).expect("files");
        let is_open = |files: &Files<'_>| files.files[0][0].source.lock().expect("it").is_some();
        // The last tile is done before others are begun, as where a thread is slow.
        for _ in &tiles {
            assert!(is_open(&files));
            drop(files.get(0, 0).expect("a file"));
            files.done(0, 0);
        }
        assert!(!is_open(&files));
        // The other column's is another, though of the same path.
        assert!(files.files[1][0].source.lock().expect("it").is_some());
    }
}
