//! Windows of files that are fetched.

use std::ops::Range;
use std::path::PathBuf;

use super::{Buffer, Io, Source, no_room};
use crate::error::Result;
use crate::fetch::Remote;
use crate::progress::Stop;

/// A file of a pass that is fetched.
pub(super) struct Fetched {
    path: PathBuf,
    remote: Remote,
    stop: Stop,
}

impl Fetched {
    pub(super) fn new(path: PathBuf, remote: Remote, stop: Stop) -> Self {
        Self { path, remote, stop }
    }
}

impl Source for Fetched {
    fn io(&self) -> Io {
        Io::Remote
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        let length = (range.end - range.start) as usize;
        let out = buffer.room(length).map_err(|error| no_room(&self.path, &range, error))?;
        self.remote.read(&self.path, range, out, &self.stop)?;
        Ok(out)
    }

    fn expect(&self, range: Range<u64>) {
        if !range.is_empty() {
            self.remote.0.expect(range);
        }
    }

    fn release(&self, _range: Range<u64>) -> Result<()> {
        // What was lent is a buffer, and whoever fetched it has made sure that it is the file's.
        Ok(())
    }
}
