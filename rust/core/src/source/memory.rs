//! Windows of tensors in memory.

use std::ops::Range;
use std::path::PathBuf;

use super::{Buffer, Io, Source, no_room};
use crate::error::Result;
use crate::memory::Memory;

/// A file that is laid out in memory.
pub(super) struct InMemory {
    path: PathBuf,
    memory: Memory,
    io: Io,
}

impl InMemory {
    /// It reads as the files beside it: `io` decides nothing here, and says how those are best read. But where
    /// windows are copied, they are to be of the size of buffers, and not of what is mapped.
    pub(super) fn new(path: PathBuf, memory: Memory, io: Io) -> Self {
        let io = if io == Io::Mmap && memory.is_copied() { Io::Pread } else { io };
        Self { path, memory, io }
    }
}

impl Source for InMemory {
    fn io(&self) -> Io {
        self.io
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        if let Some(bytes) = self.map(range.clone())? {
            return Ok(bytes);
        }
        let length = (range.end - range.start) as usize;
        let out = buffer.room(length).map_err(|error| no_room(&self.path, &range, error))?;
        self.memory.copy(&self.path, range.start, out)?;
        Ok(out)
    }

    fn map(&self, range: Range<u64>) -> Result<Option<&[u8]>> {
        self.memory.lend(&self.path, &range)
    }

    fn release(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }
}
