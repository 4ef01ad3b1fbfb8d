//! Which source a shard is read through.

use std::fs::File;

#[cfg(target_os = "linux")]
use super::direct::Direct;
#[cfg(target_os = "linux")]
use super::mmap::Mmap;
use super::pread::Pread;
use super::{Io, Source};
use crate::checkpoint::Shard;
use crate::error::{Error, Result};

/// Opens a shard and makes sure that it is the file whose header was read.
pub(crate) fn open(shard: &Shard, io: Io) -> Result<Box<dyn Source>> {
    let file = File::open(&shard.path).map_err(|error| Error::io(&shard.path, "open", error))?;
    shard.verify_unchanged()?;
    #[cfg(target_os = "linux")]
    if io == Io::Mmap
        && let Some(source) = Mmap::new(shard, &file)
    {
        return Ok(Box::new(source));
    }
    #[cfg(target_os = "linux")]
    if io == Io::Direct
        && let Some(source) = Direct::new(shard)
    {
        return Ok(Box::new(source));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = io;
    Ok(Box::new(Pread::new(shard, file)))
}
