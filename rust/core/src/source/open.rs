//! Which source a shard is read through.

#[cfg(target_os = "linux")]
use super::direct::Direct;
use super::memory::InMemory;
#[cfg(target_os = "linux")]
use super::mmap::Mmap;
use super::pread::Pread;
use super::remote::Fetched;
use super::{Io, Source};
use crate::checkpoint::Shard;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Stop;

/// Whether this system can map files and fault in their pages on demand. Where it can not, files that
/// are to be mapped are read with `pread`.
pub fn can_map() -> bool {
    #[cfg(target_os = "linux")]
    {
        super::mmap::is_possible()
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

/// Opens a shard and makes sure that it is the file whose header was read. What has to be waited for is
/// given up at a `stop`.
pub(crate) fn open(shard: &Shard, io: Io, stop: &Stop) -> Result<Box<dyn Source>> {
    if let Some(remote) = &shard.remote {
        return Ok(Box::new(Fetched::new(shard.path.clone(), remote.clone(), stop.clone())));
    }
    if let Some(memory) = &shard.memory {
        return Ok(Box::new(InMemory::new(shard.path.clone(), memory.clone(), io)));
    }
    let file = files::open(&shard.path).map_err(|error| Error::io(&shard.path, "open", error))?;
    // Of the descriptor, which is all that is read from: the path may lead elsewhere by now.
    let stat = file.metadata().map_err(|error| Error::io(&shard.path, "look up", error))?;
    shard.verify(&stat)?;
    #[cfg(target_os = "linux")]
    if io == Io::Mmap
        && let Some(source) = Mmap::new(shard, &file)
    {
        return Ok(Box::new(source));
    }
    #[cfg(target_os = "linux")]
    let file = match io {
        Io::Direct => match Direct::new(shard, file) {
            Ok(source) => return Ok(Box::new(source)),
            Err(file) => file,
        },
        _ => file,
    };
    #[cfg(not(target_os = "linux"))]
    let _ = io;
    Ok(Box::new(Pread::new(shard, file)))
}
