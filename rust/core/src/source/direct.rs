//! Windows read past the page cache.
//!
//! A checkpoint that is larger than memory would push everything else out of the page cache, and find
//! none of itself there the next time. Read so, it leaves the cache alone, costs no copy, and comes as
//! fast as the disk gives it, as long as enough is asked for at a time.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, pread};

use super::room::PAGE;
use super::{Buffer, Io, Source, ended, no_room};
use crate::checkpoint::Shard;
use crate::error::{Error, Result};

/// A file opened for reads of whole pages.
pub(super) struct Direct {
    path: PathBuf,
    file: File,
}

impl Direct {
    /// Has an open file read so, or gives it back where its file system does not allow it: `pread`
    /// serves then.
    pub(super) fn new(shard: &Shard, file: File) -> Result<Self, File> {
        let mut page = Buffer::default();
        // Some systems take the flag and refuse the first read.
        let works = fcntl_setfl(&file, OFlags::DIRECT).is_ok()
            && page.room(PAGE).is_ok_and(|page| pread(&file, page, 0).is_ok());
        if works {
            return Ok(Self { path: shard.path.clone(), file });
        }
        // Where it can not be taken away again, it was not set.
        let _ = fcntl_setfl(&file, OFlags::empty());
        Err(file)
    }
}

impl Source for Direct {
    fn io(&self) -> Io {
        Io::Direct
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let page = PAGE as u64;
        let start = range.start - range.start % page;
        let skip = (range.start - start) as usize;
        let needed = (range.end - start) as usize;
        let room = (buffer.room(needed.next_multiple_of(PAGE)))
            .map_err(|error| no_room(&self.path, &range, error))?;
        let mut done = 0;
        while done < needed {
            // Short of the end of the file, what is read is a whole number of blocks.
            match pread(&self.file, &mut room[done..], start + done as u64) {
                Ok(read) if done + read >= needed => done += read,
                // Stopped on the way: what is not a whole page is read again.
                Ok(read) if read >= PAGE => done += read - read % PAGE,
                Ok(_) => return Err(ended(&self.path, &range)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => {
                    let action = format!("read {needed} bytes at offset {start}");
                    return Err(Error::io(&self.path, action, errno));
                }
            }
        }
        Ok(&room[skip..needed])
    }

    fn release(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }
}
