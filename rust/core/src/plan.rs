//! What is to be streamed: slices, and where their elements lie in each checkpoint.

use std::ops::Range;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gram::{CHUNK, MAX_COLUMNS};

/// Equal blocks of each slice, for the jackknife.
pub const BLOCKS: usize = 16;

/// Bytes of what is computed that are made at a time: they are used while the second-level cache has them.
const COMPUTED_BYTES: u64 = 1 << 20;
/// Bytes of what lies across that are: of each stored row, a line is read for every 32 rows that are made.
const TURNED_BYTES: u64 = 8 << 20;

/// Consecutive elements of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Position of the tensor in its checkpoint.
    pub tensor: usize,
    /// Position of the shard in its checkpoint.
    pub shard: usize,
    /// How the elements are stored.
    pub dtype: Dtype,
    /// First byte in the shard's file.
    pub begin: u64,
}

impl Extent {
    /// The bytes of `elements` of the extent.
    pub(crate) fn bytes(&self, elements: &Range<u64>) -> Range<u64> {
        let width = self.dtype.bits() / 8;
        self.begin + elements.start * width..self.begin + elements.end * width
    }
}

/// Slices of one child and the same elements of the base, the parents and the controls.
///
/// Columns are ordered base, parents and controls, child, as in [`crate::gram`].
#[derive(Clone, Debug)]
pub struct Plan {
    checkpoints: Vec<Arc<Checkpoint>>,
    elements: Vec<u64>,
    extents: Vec<Extent>,
}

impl Plan {
    /// A plan of `elements.len()` slices over `checkpoints.len()` columns.
    ///
    /// Slice `s` takes `elements[s]` elements of tensor `tensors[s * columns + column]` of each
    /// checkpoint, from element `starts[s * columns + column]` on.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if counts do not fit each other or a slice leaves its tensor,
    /// [`Error::UnsupportedDtype`] if a tensor's dtype has no arithmetic.
    pub fn new(
        checkpoints: Vec<Arc<Checkpoint>>,
        elements: Vec<u64>,
        tensors: &[u64],
        starts: &[u64],
    ) -> Result<Self> {
        let columns = checkpoints.len();
        if !(2..=MAX_COLUMNS).contains(&columns) {
            let most = MAX_COLUMNS - 2;
            return Err(Error::Plan(format!(
                "a base, a child and up to {most} parents and controls can be compared at once, \
                 not {columns} checkpoints"
            )));
        }
        let expected = elements.len() * columns;
        if tensors.len() != expected || starts.len() != expected {
            return Err(Error::Plan(format!(
                "{} slices of {columns} columns need {expected} tensors and starts, not {} and {}",
                elements.len(),
                tensors.len(),
                starts.len()
            )));
        }
        let mut extents = Vec::with_capacity(expected);
        for (entry, (&tensor, &start)) in tensors.iter().zip(starts).enumerate() {
            let (slice, column) = (entry / columns, entry % columns);
            extents.push(extent(&checkpoints[column], tensor, start, elements[slice])?);
        }
        Ok(Self { checkpoints, elements, extents })
    }

    /// The checkpoints, in column order.
    pub fn checkpoints(&self) -> &[Arc<Checkpoint>] {
        &self.checkpoints
    }

    /// How many slices there are.
    pub fn slices(&self) -> usize {
        self.elements.len()
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.checkpoints.len()
    }

    /// Elements of a slice.
    pub fn elements(&self, slice: usize) -> u64 {
        self.elements[slice]
    }

    /// Where a slice's elements lie, one extent per column.
    pub fn extents(&self, slice: usize) -> &[Extent] {
        &self.extents[slice * self.columns()..(slice + 1) * self.columns()]
    }

    /// Bytes of a slice's elements that are best made at a time, if those of some checkpoint are computed, and lie in
    /// no file.
    fn computed_bytes(&self, slice: usize) -> Option<u64> {
        let extents = self.extents(slice).iter().zip(&self.checkpoints);
        let codings = extents.filter_map(|(extent, checkpoint)| {
            let number = extent.shard.checked_sub(checkpoint.shards.len())?;
            checkpoint.codings.get(number)
        });
        let codings = codings.filter(|coding| !coding.is_lying());
        codings.map(|coding| if coding.is_turned() { TURNED_BYTES } else { COMPUTED_BYTES }).max()
    }

    /// The tables that [`Plan::new`] made it from: elements, tensors and starts.
    pub fn tables(&self) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
        let tensors = self.extents.iter().map(|extent| extent.tensor as u64).collect();
        let starts = self.extents.iter().enumerate().map(|(entry, extent)| {
            let checkpoint = &self.checkpoints[entry % self.columns()];
            (extent.begin - checkpoint.tensors[extent.tensor].begin) / (extent.dtype.bits() / 8)
        });
        (self.elements.clone(), tensors, starts.collect())
    }

    /// Bytes that streaming `slices` reads, over all columns.
    pub fn bytes(&self, slices: Range<usize>) -> u64 {
        slices
            .flat_map(|slice| {
                self.extents(slice).iter().map(move |extent| {
                    let bytes = extent.bytes(&(0..self.elements(slice)));
                    bytes.end - bytes.start
                })
            })
            .sum()
    }

    /// Bytes of the longest chunk of `slices` in any checkpoint: no window is shorter.
    pub(crate) fn chunk_bytes(&self, slices: Range<usize>) -> u64 {
        let extents = &self.extents[slices.start * self.columns()..slices.end * self.columns()];
        let widest = extents.iter().map(|extent| extent.dtype.bits() / 8).max().unwrap_or(0);
        let longest = self.elements[slices].iter().max().copied().unwrap_or(0);
        widest * longest.div_ceil(BLOCKS as u64).min(CHUNK as u64)
    }

    /// Splits the slices, in order, into ranges of at most `chunks` chunks, or of one slice.
    ///
    /// A range is what is computed in one go: its partial results are kept until it is done.
    pub fn ranges(&self, chunks: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let (mut start, mut held) = (0, 0);
        for (slice, &elements) in self.elements.iter().enumerate() {
            let added = chunks_of(elements).count();
            if held > 0 && held + added > chunks {
                ranges.push(start..slice);
                (start, held) = (slice, 0);
            }
            held += added;
        }
        if start < self.elements.len() {
            ranges.push(start..self.elements.len());
        }
        ranges
    }
}

fn extent(checkpoint: &Checkpoint, tensor: u64, start: u64, elements: u64) -> Result<Extent> {
    let found = usize::try_from(tensor).ok().and_then(|tensor| checkpoint.tensors.get(tensor));
    let Some(found) = found else {
        return Err(Error::Plan(format!(
            "{} has no tensor number {tensor}",
            checkpoint.path.display()
        )));
    };
    if !found.dtype.is_numeric() {
        return Err(Error::UnsupportedDtype {
            path: checkpoint.shard(found.shard).path.clone(),
            tensor: found.name.clone(),
            dtype: found.dtype.name(),
        });
    }
    if start.checked_add(elements).is_none_or(|end| end > found.elements()) {
        return Err(Error::format(
            &checkpoint.shard(found.shard).path,
            Some(&found.name),
            None,
            format!(
                "{elements} elements from element {start} on leave the tensor, which has {}",
                found.elements()
            ),
        ));
    }
    let begin = found.begin + start * (found.dtype.bits() / 8);
    Ok(Extent { tensor: tensor as usize, shard: found.shard, dtype: found.dtype, begin })
}

/// The first element of block `block`, for `block` up to [`BLOCKS`].
///
/// ```
/// use parentage_core::plan::{BLOCKS, block_start};
/// assert_eq!([block_start(33, 0), block_start(33, 1), block_start(33, BLOCKS)], [0, 2, 33]);
/// ```
pub fn block_start(elements: u64, block: usize) -> u64 {
    (u128::from(elements) * block as u128 / BLOCKS as u128) as u64
}

/// One chunk: its block and its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    pub(crate) block: usize,
    /// Whether it is the first of a block that is looked at more closely, see [`is_sampled`].
    pub(crate) first: bool,
    pub(crate) elements: Range<u64>,
}

/// Whether the first elements of a block are looked at more closely: one block for each 4096 elements
/// of the slice, in even steps, so that short slices, of which there are many, are not all looked at.
///
/// ```
/// use parentage_core::plan::{BLOCKS, is_sampled};
/// let sampled = |elements| (0..BLOCKS).filter(|&block| is_sampled(elements, block)).count();
/// assert_eq!([1, 8191, 8192, 20_000, 65_536].map(sampled), [1, 1, 2, 4, 16]);
/// ```
pub fn is_sampled(elements: u64, block: usize) -> bool {
    let most = (elements / 4096).clamp(1, BLOCKS as u64) as usize;
    let blocks = 1 << most.ilog2();
    block.is_multiple_of(BLOCKS / blocks)
}

/// The chunks of a slice, in order: each block cut into pieces of [`CHUNK`] and a rest.
pub(crate) fn chunks_of(elements: u64) -> impl Iterator<Item = ChunkRange> {
    (0..BLOCKS).flat_map(move |block| {
        let (start, end) = (block_start(elements, block), block_start(elements, block + 1));
        (start..end).step_by(CHUNK).map(move |first| ChunkRange {
            block,
            first: first == start && is_sampled(elements, block),
            elements: first..end.min(first + CHUNK as u64),
        })
    })
}

/// Consecutive chunks of one slice: the unit of streaming.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) slice: usize,
    pub(crate) chunks: Vec<ChunkRange>,
}

impl Tile {
    /// All elements of the tile.
    pub(crate) fn elements(&self) -> Range<u64> {
        match (self.chunks.first(), self.chunks.last()) {
            (Some(first), Some(last)) => first.elements.start..last.elements.end,
            _ => 0..0,
        }
    }
}

/// Cuts slices into tiles of at most `bytes` of each checkpoint, or of one chunk.
pub(crate) fn tiles(plan: &Plan, slices: Range<usize>, bytes: u64) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    for slice in slices {
        let widest = plan.extents(slice).iter().map(|extent| extent.dtype.bits() / 8).max();
        let bytes = plan.computed_bytes(slice).map_or(bytes, |most| bytes.min(most));
        let most = bytes / widest.unwrap_or(1);
        let mut open = false;
        for chunk in chunks_of(plan.elements(slice)) {
            match tiles.last_mut() {
                Some(tile) if open && chunk.elements.end - tile.elements().start <= most => {
                    tile.chunks.push(chunk);
                }
                _ => tiles.push(Tile { slice, chunks: vec![chunk] }),
            }
            open = true;
        }
    }
    tiles
}
