//! The header of one safetensors file: 8 bytes of length, then JSON, checked in full.
//!
//! A [`Header`] that exists is true to its file: names are unique, sizes follow from shape and
//! dtype without overflow, and the tensors tile the data from its first byte to its last.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::dtype::Dtype;
use super::foreign;
use super::identity::Identity;
use super::json::{self, Integers, Keys, Place, Text, quote_short};
use crate::{Error, Result, files};

/// The longest header accepted, in bytes. The same cap as in the official implementation.
pub const MAX_HEADER: u64 = 100_000_000;

/// The bytes before the JSON: its length as a little-endian u64.
pub const PREFIX: u64 = 8;

/// The most dimensions of a tensor. NumPy and PyTorch hold no more.
pub const MAX_DIMENSIONS: usize = 64;

/// One tensor of a checkpoint: what it is, and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name, as in the header; any string, not to be printed unescaped.
    pub name: String,
    /// The dtype of the elements.
    pub dtype: Dtype,
    /// The shape, slowest dimension first; empty for a scalar.
    pub shape: Vec<u64>,
    /// Which file of the checkpoint holds the data.
    pub shard: usize,
    /// The absolute byte offset in that file where the data begins. Need not be aligned.
    pub begin: u64,
    /// The absolute byte offset in that file just behind the data.
    pub end: u64,
}

impl Tensor {
    /// The number of elements: 1 for a scalar, 0 if a dimension is 0.
    pub fn elements(&self) -> u64 {
        // Exact for every parsed tensor: the product is checked before a tensor is handed out.
        self.shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size))
    }

    /// The length of the data in bytes.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }
}

/// What the header of one file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The tensors in the order of their data.
    pub tensors: Vec<Tensor>,
    /// The entries of `__metadata__`, in the order of the file.
    pub metadata: Vec<(String, String)>,
    /// The absolute byte offset where the data begins.
    pub data_start: u64,
}

/// Reads and checks the header of the file at `path`; no byte of tensor data is read.
///
/// # Errors
///
/// [`Error::Io`] where the file can not be read, [`Error::NotACheckpoint`] where it is no regular
/// file or well known to be of another format, [`Error::Format`] where the header is invalid.
pub fn read(path: &Path, shard: usize) -> Result<Header> {
    read_with_stat(path, shard).map(|(header, _, _)| header)
}

/// As [`read`], with the state of the file from before its first byte was read, and which file it is.
pub(super) fn read_with_stat(
    path: &Path,
    shard: usize,
) -> Result<(Header, fs::Metadata, Option<Identity>)> {
    let (file, stat, identity) = open(path)?;
    let mut first = Vec::with_capacity(foreign::ENOUGH);
    let read_up_to = |first: &mut Vec<u8>, bytes: u64| {
        (&file).take(bytes).read_to_end(first).map_err(|e| Error::io(path, "read the header", e))
    };
    read_up_to(&mut first, PREFIX)?;
    if json_len(path, &first, stat.len()).is_err() {
        read_up_to(&mut first, foreign::ENOUGH as u64 - PREFIX)?;
    }
    let mut json = vec![0; json_len(path, &first, stat.len())? as usize];
    (&file).read_exact(&mut json).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::Changed {
            path: path.to_owned(),
            tensor: None,
            offset: Some(PREFIX),
            message: "the file became shorter while its header was read".into(),
        },
        _ => Error::io(path, "read the header", error),
    })?;
    Ok((parse(path, shard, &json, stat.len())?, stat, identity))
}

/// Opens a regular file, with its state and which file it is.
pub(super) fn open(path: &Path) -> Result<(fs::File, fs::Metadata, Option<Identity>)> {
    // To open a device may do something to it, so the kind of file is asked for first.
    require_file(path, &fs::metadata(path).map_err(|e| Error::io(path, "look up", e))?)?;
    let file = files::open(path).map_err(|e| Error::io(path, "open", e))?;
    let stat = file.metadata().map_err(|e| Error::io(path, "look up", e))?;
    require_file(path, &stat)?;
    let identity = Identity::of(&file, &stat);
    Ok((file, stat, identity))
}

fn require_file(path: &Path, stat: &fs::Metadata) -> Result<()> {
    if stat.is_file() {
        return Ok(());
    }
    let message = if stat.is_dir() {
        "this is a folder, where a file of tensors is needed"
    } else {
        "this is neither a file nor a folder, but a pipe, socket or device"
    };
    Err(Error::NotACheckpoint { path: path.to_owned(), message: message.into() })
}

/// The length of the JSON in a file of `file_len` bytes that begins with `first`.
///
/// Eight bytes of `first` decide; up to 64 let the error say what the file is instead.
///
/// # Errors
///
/// [`Error::NotACheckpoint`] for a file well known to be of another format, otherwise
/// [`Error::Format`].
pub fn json_len(path: &Path, first: &[u8], file_len: u64) -> Result<u64> {
    let message = match first.first_chunk::<{ PREFIX as usize }>().map(|b| u64::from_le_bytes(*b)) {
        None if first.is_empty() => "the file is empty".to_owned(),
        None => format!(
            "the file has only {} bytes, and a safetensors file begins with the 8 bytes of its \
             header length",
            first.len()
        ),
        Some(0) => "the header length is 0: the file is not safetensors, or it was reserved but \
                    never written"
            .to_owned(),
        Some(len) if len > MAX_HEADER => format!(
            "the header length {len} is above the cap of {MAX_HEADER}: the file is not \
             safetensors, or damaged"
        ),
        Some(len) if len > file_len.saturating_sub(PREFIX) => format!(
            "the header is {len} bytes long and the file has only {file_len}: the file is cut \
             short, or not safetensors"
        ),
        Some(len) => return Ok(len),
    };
    Err(match foreign::recognise(first) {
        Some(message) => Error::NotACheckpoint { path: path.to_owned(), message },
        None => Error::format(path, None, Some(0), message),
    })
}

/// Checks `json`, the header of a file of `file_len` bytes, without touching any file.
///
/// `path` and `shard` are copied to errors and tensors.
///
/// # Errors
///
/// [`Error::Format`] with the offset of the header byte or the data byte concerned.
pub fn parse(path: &Path, shard: usize, json: &[u8], file_len: u64) -> Result<Header> {
    let data_start = PREFIX.saturating_add(json.len() as u64);
    let Some(data_len) = file_len.checked_sub(data_start) else {
        let message = format!(
            "the header reaches to byte {data_start} and the file has only {file_len} bytes"
        );
        return Err(Error::format(path, None, Some(0), message));
    };
    let place = Place::default();
    let seed = HeaderVisitor { place: &place, shard };
    let (mut tensors, metadata) = json::parse(path, json, PREFIX, "header", &place, seed)?;
    tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));

    let mut previous: Option<&str> = None;
    let mut cursor = 0;
    for tensor in &mut tensors {
        if let Err(message) = check(tensor, previous, cursor, data_start, data_len) {
            let offset = data_start.checked_add(tensor.begin).filter(|&at| at <= file_len);
            return Err(Error::format(path, Some(&tensor.name), offset, message));
        }
        cursor = tensor.end;
        tensor.begin += data_start;
        tensor.end += data_start;
        previous = Some(&tensor.name);
    }
    if cursor < data_len {
        let message = format!(
            "{} bytes at the end of the file belong to no tensor: the file is damaged, or two \
             files were joined",
            data_len - cursor
        );
        return Err(Error::format(path, None, Some(data_start + cursor), message));
    }
    Ok(Header { tensors, metadata, data_start })
}

/// Checks one tensor, its offsets still relative to the data, against the end of the one before.
fn check(
    tensor: &Tensor,
    previous: Option<&str>,
    cursor: u64,
    data_start: u64,
    data_len: u64,
) -> Result<(), String> {
    let Tensor { dtype, shape, begin, end, .. } = tensor;
    let Some(size) = end.checked_sub(*begin) else {
        return Err(format!("data_offsets [{begin}, {end}] end before they begin"));
    };
    let bits = shape
        .iter()
        .try_fold(1u64, |product, &size| product.checked_mul(size))
        .and_then(|elements| elements.checked_mul(dtype.bits()))
        .ok_or_else(|| format!("shape {shape:?} of {dtype} has more than 2^64-1 bits"))?;
    if bits % 8 != 0 {
        return Err(format!("shape {shape:?} of {dtype} has {bits} bits, not whole bytes"));
    }
    if size != bits / 8 {
        return Err(format!(
            "data_offsets [{begin}, {end}] hold {size} bytes, but shape {shape:?} of {dtype} \
             needs {}",
            bits / 8
        ));
    }
    if *end > data_len {
        return Err(format!(
            "the data ends {} bytes behind the end of the file at byte {}: the file is cut short",
            end - data_len,
            data_start + data_len
        ));
    }
    let before =
        previous.map_or("the header".to_owned(), |name| format!("tensor {}", quote_short(name)));
    match begin.cmp(&cursor) {
        std::cmp::Ordering::Less => {
            Err(format!("the data overlaps {before} by {} bytes", (cursor - begin).min(size)))
        }
        std::cmp::Ordering::Greater => Err(format!(
            "{} bytes between the data and {before} belong to no tensor",
            begin - cursor
        )),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// The whole header. Offsets of the tensors it returns are relative to the data and unchecked.
struct HeaderVisitor<'a> {
    place: &'a Place,
    shard: usize,
}

impl<'de> DeserializeSeed<'de> for HeaderVisitor<'_> {
    type Value = (Vec<Tensor>, Vec<(String, String)>);
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = (Vec<Tensor>, Vec<(String, String)>);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tensors = Vec::new();
        let mut metadata = Vec::new();
        let mut keys = Keys::default();
        while let Some(name) = keys.next(&mut map, self.place, true)? {
            if name == "__metadata__" {
                let seed = MetadataVisitor(self.place);
                metadata = self.place.within("__metadata__", || map.next_value_seed(seed))?;
                continue;
            }
            let entry = map
                .next_value_seed(EntryVisitor(self.place))
                .inspect_err(|_| self.place.blame(&name))?;
            let Entry { dtype, shape, begin, end } = entry;
            let name = name.into_owned();
            tensors.push(Tensor { name, dtype, shape, shard: self.shard, begin, end });
        }
        Ok((tensors, metadata))
    }
}

/// The value of `__metadata__`: strings by name. `null` counts as empty, as some writers leave it.
struct MetadataVisitor<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for MetadataVisitor<'_> {
    type Value = Vec<(String, String)>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetadataVisitor<'_> {
    type Value = Vec<(String, String)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut keys = Keys::default();
        while let Some(key) = keys.next(&mut map, self.0, false)? {
            entries.push((key.into_owned(), map.next_value::<Text<'_>>()?.0.into_owned()));
        }
        Ok(entries)
    }
}

struct Entry {
    dtype: Dtype,
    shape: Vec<u64>,
    begin: u64,
    end: u64,
}

/// The value of one tensor: exactly dtype, shape and data_offsets.
struct EntryVisitor<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for EntryVisitor<'_> {
    type Value = Entry;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Entry, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntryVisitor<'_> {
    type Value = Entry;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        fn once<T, E: de::Error>(slot: &Option<T>, field: &str) -> Result<(), E> {
            match slot {
                Some(_) => Err(E::custom(format_args!("the field {field} appears twice"))),
                None => Ok(()),
            }
        }
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(Text(field)) = map.next_key::<Text<'_>>()? {
            match &*field {
                "dtype" => {
                    once(&dtype, "dtype")?;
                    let value = self.0.within("dtype", || map.next_value::<Text<'_>>())?.0;
                    dtype = Some(Dtype::from_name(&value).ok_or_else(|| {
                        de::Error::custom(format_args!("unknown dtype {}", quote_short(&value)))
                    })?);
                }
                "shape" => {
                    once(&shape, "shape")?;
                    let seed = Integers { limit: MAX_DIMENSIONS };
                    shape = Some(self.0.within("shape", || map.next_value_seed(seed))?);
                }
                "data_offsets" => {
                    once(&offsets, "data_offsets")?;
                    let seed = Integers { limit: 2 };
                    offsets = Some(self.0.within("data_offsets", || map.next_value_seed(seed))?);
                }
                other => {
                    let message = format_args!("unknown field {}", quote_short(other)).to_string();
                    return Err(de::Error::custom(message));
                }
            }
        }
        let missing = |field: &str| de::Error::custom(format_args!("the field {field} is missing"));
        let dtype = dtype.ok_or_else(|| missing("dtype"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        match offsets.ok_or_else(|| missing("data_offsets"))?[..] {
            [begin, end] => Ok(Entry { dtype, shape, begin, end }),
            _ => Err(de::Error::custom("data_offsets: the list must have 2 entries")),
        }
    }
}
