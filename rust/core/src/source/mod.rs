//! Where bytes come from. A source *lends* a window of a file; nobody outside knows how.

#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod mmap;
mod pread;

use std::fs::File;
use std::ops::Range;
use std::str::FromStr;

use crate::checkpoint::Shard;
use crate::error::{Error, Result};

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// Map them into memory, and read those with `pread` that can not be mapped.
    #[default]
    Mmap,
    /// Read them with `pread` into a buffer per thread.
    Pread,
}

impl Io {
    /// Bytes of each checkpoint that a thread best reads at a time.
    ///
    /// Mapped windows take no memory of ours, and the fewer there are, the less the kernel has to
    /// do. Buffers do take memory, and what is copied is best still in the cache when it is used.
    pub const fn tile_bytes(self) -> u64 {
        match self {
            Self::Mmap => 8 << 20,
            Self::Pread => 256 << 10,
        }
    }
}

impl FromStr for Io {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "mmap" => Ok(Self::Mmap),
            "pread" => Ok(Self::Pread),
            _ => Err(Error::Argument(format!("io must be mmap or pread, not {name:?}"))),
        }
    }
}

/// A window's bytes where they must be copied.
pub(crate) type Buffer = Vec<u8>;

/// One file that lends windows of its bytes.
pub(crate) trait Source: Send + Sync {
    /// The bytes at `range`, borrowed from the source or copied into `buffer`.
    ///
    /// They stay as they are until [`Source::release`], which must be asked whether they did.
    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]>;

    /// Gives the window back, so that its pages no longer count as this process's.
    ///
    /// # Errors
    ///
    /// If the bytes lent were not those of the file: what was computed from them is void.
    fn release(&self, range: Range<u64>) -> Result<()>;
}

/// Opens a shard and makes sure that it is the file whose header was read.
pub(crate) fn open(shard: &Shard, io: Io) -> Result<Box<dyn Source>> {
    let file = File::open(&shard.path).map_err(|error| Error::io(&shard.path, "open", error))?;
    shard.verify_unchanged()?;
    #[cfg(target_os = "linux")]
    if io == Io::Mmap
        && let Some(source) = mmap::Mmap::new(shard, &file)
    {
        return Ok(Box::new(source));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = io;
    Ok(Box::new(pread::Pread::new(shard, file)))
}

#[cfg(test)]
mod tests;
