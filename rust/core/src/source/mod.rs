//! Where bytes come from. A source *lends* a window of a file; nobody outside knows how.

mod buffer;
mod decoded;
#[cfg(target_os = "linux")]
mod direct;
#[cfg(target_os = "linux")]
mod guard;
mod memory;
#[cfg(target_os = "linux")]
mod mmap;
mod open;
mod pread;
mod remote;
#[cfg(unix)]
mod room;

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

pub(crate) use buffer::Buffer;
pub(crate) use decoded::open_place;
pub use open::can_map;
pub(crate) use open::open;

use crate::error::{Error, Result};

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// Map them into memory, and read those with `pread` that can not be mapped.
    #[default]
    Mmap,
    /// Read them with `pread` into a buffer per thread.
    Pread,
    /// Read them past the page cache, several reads at a time, and with `pread` what can not be read so.
    Direct,
    /// Have them fetched, which nobody asks for: files that are on no disk are read so.
    Remote,
}

impl Io {
    /// Bytes of each checkpoint that a thread best reads at a time, of `columns` checkpoints, where
    /// so many threads read.
    ///
    /// Mapped windows take no memory of ours, and the fewer there are, the less the kernel has to
    /// do. Buffers do take memory, and what is copied is best still in the cache when it is used.
    /// What comes from the disk itself comes faster in large pieces.
    pub(crate) fn tile_bytes(self, columns: usize, workers: usize) -> u64 {
        match self {
            Self::Mmap => 8 << 20,
            Self::Pread => 256 << 10,
            Self::Direct => {
                let each = BUFFERS / workers.saturating_mul(columns).max(1) as u64;
                // Whole requests and whole huge pages, with a beginning and an end that are on no page.
                let piece = 1 << each.clamp(LEAST_PIECE, MOST_DIRECT).ilog2();
                piece - (8 << 10)
            }
            // Fetchers join what lies together.
            Self::Remote => {
                let each = FETCHED / workers.saturating_mul(columns).max(1) as u64;
                1 << each.clamp(LEAST_PIECE, MOST_FETCHED).ilog2()
            }
        }
    }

    /// Threads that read windows of `columns` checkpoints and compute, where `threads` may compute at a
    /// time, and a window has at least `least` bytes.
    ///
    /// A thread that waits for the disk computes nothing. Each has a buffer for every checkpoint: there
    /// are no more of them than [`BUFFERS`] have room for.
    pub(crate) fn workers(self, threads: usize, columns: usize, least: u64) -> usize {
        let wanted = match self {
            Self::Mmap => return threads,
            Self::Pread => threads.max((4 * threads).min(MOST_READERS)),
            Self::Remote => threads.max(MOST_FETCHING),
            Self::Direct => {
                threads.saturating_add(if columns <= 4 { READERS } else { READERS_OF_MANY })
            }
        };
        let most = BUFFERS / (columns as u64 * least.max(LEAST_PIECE)).max(1);
        wanted.min(most.max(1) as usize)
    }
}

/// Reads through the page cache under way at a time that keep any disk busy.
const MOST_READERS: usize = 16;
/// Threads that read past it beside those that compute: some large reads are always under way, and a
/// thread whose bytes have come may have to wait for a CPU.
const READERS: usize = 10;
/// The same where each of them reads many windows before it computes, and has as many buffers.
const READERS_OF_MANY: usize = 4;
/// Threads that wait for what is fetched, at least: as many tiles are under way.
const MOST_FETCHING: usize = 24;
/// Bytes of all buffers of what is fetched, about: fetchers have buffers of their own.
const FETCHED: u64 = 64 << 20;
/// Bytes of such a buffer above which nothing comes faster.
const MOST_FETCHED: u64 = 1 << 20;
/// Bytes of all buffers, about.
const BUFFERS: u64 = 192 << 20;
/// Bytes of a read below which no disk is fast.
const LEAST_PIECE: u64 = 1 << 18;
/// Bytes of a direct read above which no disk is faster.
const MOST_DIRECT: u64 = 4 << 20;

impl FromStr for Io {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "mmap" => Ok(Self::Mmap),
            "pread" => Ok(Self::Pread),
            "direct" => Ok(Self::Direct),
            _ => Err(Error::Argument(format!("io must be mmap, pread or direct, not {name:?}"))),
        }
    }
}

/// One file that lends windows of its bytes.
pub(crate) trait Source: Send + Sync {
    /// The bytes at `range`, borrowed from the source or copied into `buffer`.
    ///
    /// They stay as they are until [`Source::release`], which must be asked whether they did.
    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]>;

    /// The bytes at `range` without a copy, if the source can lend them so; as of [`Source::lend`].
    fn map(&self, _range: Range<u64>) -> Result<Option<&[u8]>> {
        Ok(None)
    }

    /// How it reads, whatever was asked for.
    fn io(&self) -> Io;

    /// Has the system fetch bytes that will soon be asked for, if that is of any use.
    fn expect(&self, _range: Range<u64>) {}

    /// Gives the window back, so that its pages no longer count as this process's.
    ///
    /// # Errors
    ///
    /// If the bytes lent were not those of the file: what was computed from them is void.
    fn release(&self, range: Range<u64>) -> Result<()>;
}

/// The environment variable that switches off reading ahead of mapped files, where it is `0`.
///
/// Whether the system's own reading ahead is better depends on the disk, and on what else it does.
const READ_AHEAD: &str = "PARENTAGE_READ_AHEAD";

/// Whether the system is told of the windows of mapped files that come next.
pub(crate) fn reads_ahead() -> bool {
    is_on(std::env::var_os(READ_AHEAD).as_deref())
}

fn is_on(value: Option<&OsStr>) -> bool {
    value.is_none_or(|value| value != "0")
}

/// How many more files can be mapped at a time.
pub(crate) fn free_mappings() -> usize {
    #[cfg(target_os = "linux")]
    {
        guard::free()
    }
    #[cfg(not(target_os = "linux"))]
    {
        usize::MAX
    }
}

/// The error of a file that ended before the end of `range`.
fn ended(path: &Path, range: &Range<u64>) -> Error {
    Error::Changed {
        path: path.to_owned(),
        tensor: None,
        offset: Some(range.start),
        message: format!("the file ended before byte {} while it was read", range.end),
    }
}

/// The error of a window that there is no memory for.
fn no_room(path: &Path, range: &Range<u64>, error: std::io::Error) -> Error {
    let bytes = range.end - range.start;
    Error::io(path, format!("get memory for {bytes} bytes at offset {}", range.start), error)
}

#[cfg(test)]
mod tests;
