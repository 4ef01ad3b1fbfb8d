//! Passes tiles of the same elements of every checkpoint through a computation.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::Digests;
use crate::error::{Error, Result};
use crate::gram::{
    BINS, Column, Counts, Level, MAX_COLUMNS, MAX_PAIRS, Sampled, Vectorize, WEIGHTS, decode,
    pairs, prefetch,
};
use crate::plan::{self, BLOCKS, Plan, Tile};
use crate::progress::Progress;
use crate::replay::{self, Machine, Replay, replay_chunk};
use crate::source::{self, Buffer, Io, Source};
use crate::threads::{self, Permits};

/// Least bytes that may be asked for. A tile is never less than a chunk.
pub const MIN_TILE_BYTES: u64 = 4096;
/// Most bytes that may be asked for.
pub const MAX_TILE_BYTES: u64 = 1 << 30;

/// How to stream. None of it changes a bit of any result.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Threads that read and compute, 1 to [`threads::MAX_THREADS`].
    pub threads: usize,
    /// Bytes of each checkpoint in a tile.
    pub tile_bytes: u64,
    /// How files are read.
    pub io: Io,
    /// Which instruction set computes.
    pub level: Level,
    /// Digests of the plan's shards that are to be computed on the way.
    pub digests: Option<&'a Digests>,
}

impl Options<'_> {
    /// All CPUs, memory mapping, the fastest instruction set.
    ///
    /// # Errors
    ///
    /// As [`Level::detect`].
    pub fn detect() -> Result<Self> {
        Ok(Self {
            threads: threads::available(),
            tile_bytes: Io::default().tile_bytes(2, threads::available()),
            io: Io::default(),
            level: Level::detect()?,
            digests: None,
        })
    }
}

/// The statistics of a range of slices that suffice for every fit.
///
/// Arrays are row-major. `S` slices, `C` columns, `P = C (C + 1) / 2` entries of the upper triangle
/// of the Gram matrix by rows.
#[derive(Debug)]
pub struct Statistics {
    /// Gram matrices, shape (S, [`BLOCKS`], P): one per block of a slice.
    pub gram: Vec<f64>,
    /// Rounding energy of the child's dtype, shape (S,).
    pub energy: Vec<f64>,
    /// Sums of [`crate::gram::Sampled::bias`], shape (S, C - 2, [`WEIGHTS`] + 1).
    pub bias: Vec<f64>,
    /// Sums of [`crate::gram::Sampled::histogram`], shape (S, C - 2, [`BINS`]).
    pub histogram: Vec<u64>,
    /// The largest [`crate::gram::Sampled::precision`], shape (S,).
    pub precision: Vec<u32>,
    /// Counters, shape (S,).
    pub counts: Vec<Counts>,
    /// What every replay reproduces, shape (S, replays).
    pub replayed: Vec<replay::Counts>,
}

/// Streams `slices` of the plan once and returns their statistics, and what `replays` reproduce.
///
/// The inputs of a replay start with the first of `slices`.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Changed`] from reading, [`Error::Interrupted`] after
/// [`Progress::cancel`], [`Error::Argument`] for options out of range or replays that do not fit the
/// plan. No result is returned then.
pub fn gram(
    plan: &Plan,
    slices: Range<usize>,
    replays: &[Replay],
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Statistics> {
    for replay in replays {
        replay.check(plan, &slices)?;
    }
    let columns = plan.columns();
    let entries = pairs(columns);
    let count = slices.len();
    let results = tiles(plan, slices.clone(), options, progress, |tile, parts| {
        let first = tile.elements().start;
        let mut machine = Machine::default();
        let mut sums = TileSums {
            replayed: vec![replay::Counts::default(); replays.len()],
            ..TileSums::default()
        };
        for chunk in &tile.chunks {
            let range =
                (chunk.elements.start - first) as usize..(chunk.elements.end - first) as usize;
            let mut window = [Column { bytes: &[], ..parts[0] }; MAX_COLUMNS];
            for (part, column) in window.iter_mut().zip(parts) {
                *part = column.part(range.clone());
            }
            let result = options.level.chunk(&window[..columns], chunk.first);
            sums.gram.extend_from_slice(&result.gram[..entries]);
            sums.energy.push(result.energy);
            sums.sampled.extend(result.sampled);
            sums.counts.add(&result.counts);
            for (replay, counts) in replays.iter().zip(&mut sums.replayed) {
                if let Some(place) = replay.place(tile.slice - slices.start, chunk) {
                    let window = &window[..columns];
                    let level = options.level;
                    counts.add(&replay_chunk(level, &mut machine, &replay.program, window, &place));
                }
            }
        }
        Ok(sums)
    })?;

    // Sums run over chunks in order, whichever tile and thread they came from.
    let mut total = Statistics {
        gram: vec![0.0; count * BLOCKS * entries],
        energy: vec![0.0; count],
        bias: vec![0.0; count * (columns - 2) * (WEIGHTS + 1)],
        histogram: vec![0; count * (columns - 2) * BINS],
        precision: vec![0; count],
        counts: vec![Counts::default(); count],
        replayed: vec![replay::Counts::default(); count * replays.len()],
    };
    for (tile, sums) in &results {
        let slice = tile.slice - slices.start;
        total.counts[slice].add(&sums.counts);
        let replayed = &mut total.replayed[slice * replays.len()..][..replays.len()];
        for (sum, counts) in replayed.iter_mut().zip(&sums.replayed) {
            sum.add(counts);
        }
        for sampled in &sums.sampled {
            let (parents, width) = (columns - 2, WEIGHTS + 1);
            let bias = &mut total.bias[slice * parents * width..][..parents * width];
            for (sum, part) in bias.iter_mut().zip(sampled.bias[1..].as_flattened()) {
                *sum += part;
            }
            let histogram = &mut total.histogram[slice * parents * BINS..][..parents * BINS];
            for (sum, part) in histogram.iter_mut().zip(sampled.histogram[1..].as_flattened()) {
                *sum += part;
            }
            let precision = &mut total.precision[slice];
            *precision = sampled.precision.max(*precision);
        }
        for (index, chunk) in tile.chunks.iter().enumerate() {
            total.energy[slice] += sums.energy[index];
            let block = &mut total.gram[(slice * BLOCKS + chunk.block) * entries..][..entries];
            for (sum, part) in block.iter_mut().zip(&sums.gram[index * entries..]) {
                *sum += part;
            }
        }
    }
    Ok(total)
}

/// Streams `slices` once and returns the sum of the 64-bit words of every tile, as a checksum.
///
/// This does the least that can be done with bytes, through the same tiles and windows, and as far
/// ahead: what [`gram`] takes longer than this, it takes for its arithmetic.
///
/// # Errors
///
/// As [`gram`].
pub fn read(
    plan: &Plan,
    slices: Range<usize>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<u64> {
    let sums = tiles(plan, slices, options, progress, |_, columns| {
        let level = options.level;
        let parts = columns.iter().map(|column| level.vectorize(Checksum(column)));
        Ok(parts.fold(0_u64, u64::wrapping_add))
    })?;
    Ok(sums.into_iter().fold(0, |sum, (_, part)| sum.wrapping_add(part)))
}

/// The sum of the 64-bit words of a column; what is no whole word is one with zeros.
struct Checksum<'a>(&'a Column<'a>);

impl Vectorize for Checksum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut sums = [0_u64; 8];
        let (lines, rest) = self.0.bytes.as_chunks::<64>();
        for line in lines {
            prefetch(line);
            for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
                *sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
        }
        let (words, rest) = rest.as_chunks();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let rest = rest.iter().rev().fold(0, |rest, &byte| rest << 8 | u64::from(byte));
        sums.into_iter().chain(words).fold(rest, u64::wrapping_add)
    }
}

/// Reads `slices` once and returns their elements, decoded: shape (elements, columns).
///
/// # Errors
///
/// As [`gram`].
pub fn elements(
    plan: &Plan,
    slices: Range<usize>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<f64>> {
    let parts = tiles(plan, slices, options, progress, |_, columns| {
        let mut out = Vec::with_capacity(columns[0].len() * columns.len());
        for k in 0..columns[0].len() {
            out.extend(columns.iter().map(|column| {
                let width = column.width();
                decode(column.dtype, &column.bytes[k * width..(k + 1) * width])
            }));
        }
        Ok(out)
    })?;
    Ok(parts.into_iter().flat_map(|(_, part)| part).collect())
}

const _: () = assert!(MAX_PAIRS == pairs(MAX_COLUMNS));

/// What one tile adds: matrices and energies by chunk, since their order of addition counts.
#[derive(Default)]
struct TileSums {
    gram: Vec<f64>,
    energy: Vec<f64>,
    sampled: Vec<Box<Sampled>>,
    counts: Counts,
    replayed: Vec<replay::Counts>,
}

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
    if !(MIN_TILE_BYTES..=MAX_TILE_BYTES).contains(&options.tile_bytes) {
        return Err(Error::Argument(format!(
            "tile bytes must be {MIN_TILE_BYTES} to {MAX_TILE_BYTES}, not {}",
            options.tile_bytes
        )));
    }
    if slices.start > slices.end || slices.end > plan.slices() {
        return Err(Error::Argument(format!(
            "slices {} to {} of a plan of {}",
            slices.start,
            slices.end,
            plan.slices()
        )));
    }
    let tiles = plan::tiles(plan, slices, options.tile_bytes);
    let sources = Sources::new(plan, &tiles, options.io);
    let buffers = || (0..plan.columns()).map(|_| Buffer::default()).collect::<Vec<_>>();
    threads::check(options.threads)?;
    let workers = options.io.workers(options.threads, plan.columns());
    // Those that read beside them compute as well, but no more at a time than may.
    let permits = Permits::new(options.threads);
    let results = threads::run_ordered(workers, tiles.len(), buffers, |buffers, index| {
        if progress.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let tile = &tiles[index];
        // The disk is to be busy while this one is computed. Where buffers are filled, it is by others.
        if options.io == Io::Mmap
            && let Some(next) = tiles.get(index + workers)
        {
            sources.expect(next);
        }
        let elements = tile.elements();
        let extents = plan.extents(tile.slice);
        let named = |error, column| name_tensor(error, plan, tile.slice, column);
        let mut lent = Vec::with_capacity(extents.len());
        for (column, (extent, buffer)) in extents.iter().zip(buffers).enumerate() {
            let source = sources.get(column, extent.shard).map_err(|error| named(error, column))?;
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
                digests.advance(column, shard, source.as_ref(), bytes)?;
            }
            sources.done(column, shard, index);
        }
        Ok(result)
    })?;
    sources.verify()?;
    Ok(tiles.into_iter().zip(results).collect())
}

/// Adds the tensor's name to an error that a source could not know it for.
fn name_tensor(mut error: Error, plan: &Plan, slice: usize, column: usize) -> Error {
    if let Error::Changed { tensor, .. } = &mut error {
        let extent = plan.extents(slice)[column];
        *tensor = Some(plan.checkpoints()[column].tensors[extent.tensor].name.clone());
    }
    error
}

/// The files of a plan, each opened when its first byte is wanted, and closed after its last.
struct Sources<'a> {
    plan: &'a Plan,
    io: Io,
    files: Vec<Vec<OpenFile>>,
}

/// A shard, open while there are tiles to come of it.
#[derive(Default)]
struct OpenFile {
    source: Mutex<Option<Arc<dyn Source>>>,
    was_opened: AtomicBool,
    /// The last tile that has elements of it.
    last: usize,
}

impl<'a> Sources<'a> {
    fn new(plan: &'a Plan, tiles: &[Tile], io: Io) -> Self {
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

    fn get(&self, column: usize, shard: usize) -> Result<Arc<dyn Source>> {
        let file = &self.files[column][shard];
        let slot = || file.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = slot().as_ref() {
            return Ok(Arc::clone(source));
        }
        // Two threads may both open the file; the one that comes second drops its own. Were one to wait
        // for the other, it would be woken on the same CPU, and stay there for a while.
        let source = source::open(&self.plan.checkpoints()[column].shards[shard], self.io)?;
        file.was_opened.store(true, Ordering::Relaxed);
        Ok(Arc::clone(slot().get_or_insert_with(|| source.into())))
    }

    /// Closes a file after its last tile, or as soon as those who still read it are done: a process
    /// may open some hundreds, and checkpoints have as many.
    fn done(&self, column: usize, shard: usize, tile: usize) {
        let file = &self.files[column][shard];
        if file.last == tile {
            file.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Has the bytes of a tile fetched that is to come soon. What can not be opened is told then.
    fn expect(&self, tile: &Tile) {
        for (column, extent) in self.plan.extents(tile.slice).iter().enumerate() {
            if let Ok(source) = self.get(column, extent.shard) {
                source.expect(extent.bytes(&tile.elements()));
            }
        }
    }

    /// Makes sure that no file that was read has changed since its header was.
    fn verify(&self) -> Result<()> {
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
