//! Windows read into a buffer.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use super::{Buffer, Io, Source, ended, no_room};
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

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Source for Pread {
    fn io(&self) -> Io {
        Io::Pread
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let length = (range.end - range.start) as usize;
        let bytes = buffer.room(length).map_err(|error| no_room(&self.path, &range, error))?;
        read_exact_at(&self.file, bytes, range.start).map_err(|error| {
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
