//! Windows read into a buffer.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::{Buffer, Source, ended};
use crate::checkpoint::Shard;
use crate::error::{Error, Result};

/// An open file.
pub(super) struct Pread {
    path: PathBuf,
    file: File,
}

impl Pread {
    pub(super) fn new(shard: &Shard, file: File) -> Self {
        Self { path: shard.path.clone(), file }
    }
}

impl Source for Pread {
    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let length = (range.end - range.start) as usize;
        let bytes = buffer.room(length);
        self.file.read_exact_at(bytes, range.start).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                ended(&self.path, &range)
            } else {
                Error::io(
                    &self.path,
                    format!("read {length} bytes at offset {}", range.start),
                    error,
                )
            }
        })?;
        Ok(bytes)
    }

    fn release(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }
}
