//! Checkpoints of tensors that lie in memory.

use std::ops::Range;
use std::path::Path;

use super::header::{self, MAX_HEADER, PREFIX};
use super::{Checkpoint, Dtype, Shard};
use crate::memory::{Lent, Memory};
use crate::{Error, Result};

/// A tensor in memory, as a checkpoint has it.
pub struct LentTensor {
    /// The name; any string.
    pub name: String,
    /// The dtype of the elements.
    pub dtype: Dtype,
    /// Where they lie, and of which shape they are.
    pub elements: Lent,
}

impl Checkpoint {
    /// A checkpoint of tensors in memory: one file, called `name`, laid out as the safetensors library
    /// would write it: its header, and then the tensors by falling dtype and rising name. `path` is what
    /// messages call it.
    ///
    /// # Errors
    ///
    /// [`Error::NotACheckpoint`] if there are none, and [`Error::Format`] for two of one name or for what no
    /// file could hold.
    pub fn in_memory(path: &Path, name: String, mut tensors: Vec<LentTensor>) -> Result<Self> {
        if tensors.is_empty() {
            let message = "there is no tensor in it".to_owned();
            return Err(Error::NotACheckpoint { path: path.to_owned(), message });
        }
        tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        let spans = spans(path, &tensors)?;
        let json = header_of(path, &tensors, &spans)?;
        let bytes = PREFIX + json.len() as u64 + spans.last().map_or(0, |span| span.end);
        // What is written is read as any header is: names, shapes and bytes are checked there.
        let header = header::parse(path, 0, &json, bytes)?;
        let mut first = (json.len() as u64).to_le_bytes().to_vec();
        first.extend(json);
        let lent = tensors.into_iter().map(|tensor| tensor.elements).collect();
        let memory = Memory::of(first, lent);
        let memory = memory.ok_or_else(|| Error::format(path, None, None, TOO_LARGE))?;
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

const TOO_LARGE: &str = "it is larger than a file can be";

/// Where the tensors lie behind the header.
fn spans(path: &Path, tensors: &[LentTensor]) -> Result<Vec<Range<u64>>> {
    let mut at = 0_u64;
    let span = |tensor: &LentTensor| {
        let wrong = |message: &str| Error::format(path, Some(&tensor.name), None, message);
        if tensor.dtype.bits() != 8 * tensor.elements.width() {
            return Err(wrong("its elements have not the bytes of its dtype"));
        }
        let end = tensor.elements.bytes().and_then(|bytes| at.checked_add(bytes));
        let end = end.filter(|&end| end <= i64::MAX as u64 - 2 * MAX_HEADER);
        let begin = at;
        at = end.ok_or_else(|| wrong(TOO_LARGE))?;
        Ok(begin..at)
    };
    tensors.iter().map(span).collect()
}

/// The header of a file of tensors in this order, as the safetensors library writes it: no space between
/// words, and after the last as many as make its length a multiple of eight.
fn header_of(path: &Path, tensors: &[LentTensor], spans: &[Range<u64>]) -> Result<Vec<u8>> {
    let mut json = vec![b'{'];
    for (number, (tensor, span)) in tensors.iter().zip(spans).enumerate() {
        if number > 0 {
            json.push(b',');
        }
        let LentTensor { name, dtype, elements } = tensor;
        let said = serde_json::to_vec(name)
            .and_then(|name| Ok((name, serde_json::to_vec(elements.shape())?)));
        let (name, shape) =
            said.map_err(|error| Error::format(path, Some(name), None, error.to_string()))?;
        json.extend(name);
        json.extend(format!(r#":{{"dtype":"{dtype}","shape":"#).into_bytes());
        json.extend(shape);
        json.extend(format!(r#","data_offsets":[{},{}]}}"#, span.start, span.end).into_bytes());
    }
    json.push(b'}');
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER {
        let message =
            format!("names and shapes take {} bytes, and {MAX_HEADER} is the most", json.len());
        return Err(Error::format(path, None, None, message));
    }
    Ok(json)
}
