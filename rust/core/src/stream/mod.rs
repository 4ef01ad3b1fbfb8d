//! Passes tiles of the same elements of every checkpoint through a computation.

mod files;
mod read;
mod same;
mod tiles;

use crate::digest::Digests;
use crate::error::Result;
use crate::gram::Level;
use crate::source::Io;
use crate::threads;

pub use read::{elements, read};
pub use same::same_bytes;
pub(crate) use tiles::tiles;

/// Least bytes that may be asked for. A tile is never less than a chunk.
pub const MIN_TILE_BYTES: u64 = 4096;
/// Most bytes that may be asked for.
pub const MAX_TILE_BYTES: u64 = 1 << 30;

/// How to stream. None of it changes a bit of any result.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Threads that read and compute, 1 to [`threads::MAX_THREADS`].
    pub threads: usize,
    /// Bytes of each checkpoint in a tile, or `None` for as many as suit the way of reading.
    pub tile_bytes: Option<u64>,
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
            tile_bytes: None,
            io: Io::default(),
            level: Level::detect()?,
            digests: None,
        })
    }
}
