//! Checkpoints of tensors that lie in memory.

use std::path::Path;

use super::{Checkpoint, Shard};
use crate::memory::{Lent, Memory};
use crate::{Error, Result};

impl Checkpoint {
    /// A checkpoint of tensors in memory: one file, called `name`, laid out as the safetensors library
    /// would write it. `path` is what messages call it.
    ///
    /// # Errors
    ///
    /// [`Error::NotACheckpoint`] if there are none, and [`Error::Format`] for two of one name or for what no
    /// file could hold.
    pub fn in_memory(path: &Path, name: String, tensors: Vec<Lent>) -> Result<Self> {
        if tensors.is_empty() {
            let message = "there is no tensor in it".to_owned();
            return Err(Error::NotACheckpoint { path: path.to_owned(), message });
        }
        let (memory, header) = Memory::lay_out(path, tensors)?;
        let shard = Shard {
            path: path.to_owned(),
            name,
            bytes: memory.bytes(),
            data_start: header.data_start,
            modified_ns: None,
            identity: None,
            metadata: header.metadata,
            remote: None,
            memory: Some(memory),
        };
        Self::assemble(path, None, vec![shard], header.tensors)
    }

    /// The same without the tensors: what was in memory can not be read any more, and is not kept there.
    pub fn released(&self) -> Self {
        let mut released = self.clone();
        for shard in &mut released.shards {
            if shard.memory.is_some() {
                shard.memory = Some(Memory::gone());
            }
        }
        released
    }

    /// Bytes of a file, of those that are in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is none of those, or has not these bytes; [`Error::Changed`] if it is gone.
    pub fn copied(&self, shard: usize, begin: u64, end: u64) -> Result<Vec<u8>> {
        let found = self.shards.get(shard);
        let found = found.and_then(|shard| Some((shard, shard.memory.as_ref()?)));
        let Some((shard, memory)) = found.filter(|(shard, _)| begin <= end && end <= shard.bytes)
        else {
            let message = format!("no bytes {begin} to {end} of a file {shard} in memory");
            return Err(Error::Argument(message));
        };
        let mut out = vec![0; (end - begin) as usize];
        memory.copy(&shard.path, begin, &mut out)?;
        Ok(out)
    }
}
