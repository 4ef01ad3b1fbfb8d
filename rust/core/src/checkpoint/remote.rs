//! Checkpoints of files that are on no disk of this machine.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Checkpoint, Shard, foreign, header, index};
use crate::fetch::Remote;
use crate::progress::Progress;
use crate::{Error, Result, threads};

/// A file that is fetched, of which nothing was read.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    /// What messages call it.
    pub path: PathBuf,
    /// The name relative to the checkpoint, with `/` between its parts.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Who fetches it.
    pub remote: Remote,
}

/// Bytes of the first request for a header: nearly all headers are shorter.
const FIRST: u64 = 128 << 10;

/// Headers that are read at a time.
const AT_ONCE: usize = 32;

/// Bytes of a header above which no other of its kind is held at the same time.
const LARGE: u64 = 8 << 20;

impl Checkpoint {
    /// A checkpoint of safetensors files that are fetched, or of those that an index names: one or two
    /// requests for the header of each, many at a time.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], and [`Error::Fetch`].
    pub fn remote(
        path: &Path,
        index: Option<(&Path, &[u8])>,
        files: &[RemoteFile],
        progress: &Progress,
    ) -> Result<Self> {
        let one_large = Mutex::new(());
        let open = |(): &mut (), number: usize| open(&files[number], number, &one_large, progress);
        let opened = threads::run_ordered(AT_ONCE, files.len(), || (), open)?;
        let mut shards = Vec::with_capacity(opened.len());
        let mut tensors = Vec::new();
        for (shard, mut found) in opened {
            shards.push(shard);
            tensors.append(&mut found);
        }
        let Some((index_path, json)) = index else {
            return Self::assemble(path, None, shards, tensors);
        };
        let index = index::parse(index_path, json)?;
        if let Some(missing) =
            index.shards.iter().find(|name| !shards.iter().any(|shard| shard.name == **name))
        {
            let message = format!("shard {} is not there", crate::error::quote(missing));
            return Err(Error::format(index_path, None, None, message));
        }
        let checkpoint = Self::assemble(path, Some(index_path), shards, tensors)?;
        index::compare(index_path, &index, &checkpoint.tensors)?;
        Ok(checkpoint)
    }
}

/// Reads the header of a file, which is number `number` of its checkpoint.
fn open(
    file: &RemoteFile,
    number: usize,
    one_large: &Mutex<()>,
    progress: &Progress,
) -> Result<(Shard, Vec<super::Tensor>)> {
    let stop = progress.stop();
    let mut first = vec![0; file.bytes.min(FIRST) as usize];
    file.remote.read(&file.path, 0..first.len() as u64, &mut first, &stop)?;
    let enough = &first[..first.len().min(foreign::ENOUGH)];
    let length = header::json_len(&file.path, enough, file.bytes)?;
    let end = header::PREFIX + length;
    let held = (first.len() as u64).min(end);
    // Who answers with headers of a hundred megabytes may do so for every file.
    let _turn = (length > LARGE).then(|| one_large.lock().unwrap_or_else(PoisonError::into_inner));
    let mut json = first[header::PREFIX as usize..held as usize].to_vec();
    json.resize(length as usize, 0);
    let mut at = held;
    while at < end {
        let next = end.min(at + LARGE);
        let (from, to) = ((at - header::PREFIX) as usize, (next - header::PREFIX) as usize);
        file.remote.read(&file.path, at..next, &mut json[from..to], &stop)?;
        at = next;
    }
    let parsed = header::parse(&file.path, number, &json, file.bytes)?;
    let shard = Shard {
        path: file.path.clone(),
        name: file.name.clone(),
        bytes: file.bytes,
        data_start: parsed.data_start,
        modified_ns: None,
        identity: None,
        metadata: parsed.metadata,
        remote: Some(file.remote.clone()),
        memory: None,
    };
    Ok((shard, parsed.tensors))
}
