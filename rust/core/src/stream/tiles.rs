//! Tiles of the same elements of every checkpoint, read by threads and passed to a computation.

use std::ops::Range;

use super::files::Files;
use super::{MAX_TILE_BYTES, MIN_TILE_BYTES, Options};
use crate::error::{Error, Result};
use crate::gram::Column;
use crate::plan::{self, Plan, Tile};
use crate::progress::Progress;
use crate::source::{self, Buffer, Io};
use crate::threads::{self, Permits};

/// Reads every tile of `slices` once and returns `compute` of each, in order.
///
/// `compute` gets the tile's elements of every column of the plan.
pub(crate) fn tiles<T: Send>(
    plan: &Plan,
    slices: Range<usize>,
    options: &Options<'_>,
    progress: &Progress,
    compute: impl Fn(&Tile, &[Column<'_>]) -> Result<T> + Sync,
) -> Result<Vec<(Tile, T)>> {
    if let Some(bytes) = options.tile_bytes
        && !(MIN_TILE_BYTES..=MAX_TILE_BYTES).contains(&bytes)
    {
        return Err(Error::Argument(format!(
            "tile bytes must be {MIN_TILE_BYTES} to {MAX_TILE_BYTES}, not {bytes}"
        )));
    }
    threads::check(options.threads)?;
    if let Some(digests) = options.digests {
        digests.check(plan.checkpoints())?;
    }
    if slices.start > slices.end || slices.end > plan.slices() {
        return Err(Error::Argument(format!(
            "slices {} to {} of a plan of {}",
            slices.start,
            slices.end,
            plan.slices()
        )));
    }
    let named = |error, slice, column| name_tensor(error, plan, slice, column);
    let mut files = Files::new(plan, options.io, progress.stop());
    let first = slices.start;
    let io = files.settle(slices.clone()).map_err(|(column, error)| named(error, first, column))?;
    let workers = io.workers(options.threads, plan.columns(), plan.chunk_bytes(slices.clone()));
    let bytes = options.tile_bytes.unwrap_or_else(|| io.tile_bytes(plan.columns(), workers));
    let tiles = plan::tiles(plan, slices, bytes);
    files.schedule(&tiles)?;
    let buffers = || (0..plan.columns()).map(|_| Buffer::default()).collect::<Vec<_>>();
    // More threads may read than may compute; at most `options.threads` of them compute at a time.
    let permits = Permits::new(options.threads);
    // Without a mapping there is nothing to ask for: other threads fill their buffers meanwhile. Of what is
    // fetched, all columns of a tile are asked for at once.
    let reads_ahead = match io {
        Io::Mmap => source::reads_ahead(),
        Io::Remote => true,
        Io::Pread | Io::Direct => false,
    };
    let results = threads::run_ordered(workers, tiles.len(), buffers, |buffers, index| {
        progress.check()?;
        let tile = &tiles[index];
        // The system reads ahead while this tile is computed.
        if reads_ahead && let Some(next) = tiles.get(index + workers) {
            files.expect(next);
        }
        if io == Io::Remote {
            files.expect(tile);
        }
        let elements = tile.elements();
        let extents = plan.extents(tile.slice);
        let named = |error, column| named(error, tile.slice, column);
        let mut lent = Vec::with_capacity(extents.len());
        for (column, (extent, buffer)) in extents.iter().zip(buffers).enumerate() {
            let source = files.get(column, extent.shard).map_err(|error| named(error, column))?;
            lent.push((source, extent.bytes(&elements), buffer));
        }
        let mut columns = Vec::with_capacity(lent.len());
        for (column, (source, bytes, buffer)) in lent.iter_mut().enumerate() {
            let window =
                source.lend(bytes.clone(), buffer).map_err(|error| named(error, column))?;
            columns.push(Column { dtype: extents[column].dtype, bytes: window });
        }
        let result = permits.hold(|| compute(tile, &columns))?;
        for (column, (source, bytes, _)) in lent.into_iter().enumerate() {
            progress.advance(bytes.end - bytes.start);
            source.release(bytes.clone()).map_err(|error| named(error, column))?;
            let shard = extents[column].shard;
            if let Some(digests) = options.digests {
                digests.advance(column, shard, source.as_ref(), bytes, progress)?;
            }
            files.done(column, shard);
        }
        Ok(result)
    })?;
    files.verify()?;
    Ok(tiles.into_iter().zip(results).collect())
}

/// Adds the tensor's name to the error of a source, which knows its file only.
fn name_tensor(error: Error, plan: &Plan, slice: usize, column: usize) -> Error {
    let extent = plan.extents(slice)[column];
    error.of_tensor(&plan.checkpoints()[column].tensors[extent.tensor].name)
}
