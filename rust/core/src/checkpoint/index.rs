//! `*.safetensors.index.json`: which shard holds which tensor.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::foreign;
use super::header::Tensor;
use super::json::{self, Keys, Place, Text, quote_short};
use crate::error::quote;
use crate::{Error, Result, files};

/// The longest index accepted, in bytes: some 700,000 tensors.
pub const MAX_INDEX: u64 = 64 << 20;

/// What an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The shards by their names relative to the folder of the index; sorted, each once.
    pub shards: Vec<String>,
    /// Each tensor with the position of its shard in `shards`; sorted by name, each once.
    pub tensors: Vec<(String, usize)>,
}

/// Reads and checks the index at `path`. The shards it names are not looked for.
///
/// # Errors
///
/// [`Error::Io`], [`Error::NotACheckpoint`] for a well-known file of another kind, otherwise
/// [`Error::Format`].
pub fn read(path: &Path) -> Result<Index> {
    let refuse = |message: String| Err(Error::NotACheckpoint { path: path.to_owned(), message });
    let stat = fs::metadata(path).map_err(|e| Error::io(path, "look up", e))?;
    if !stat.is_file() {
        return refuse("the index is not a file".into());
    }
    let file = files::open(path).map_err(|e| Error::io(path, "open", e))?;
    if !file.metadata().map_err(|e| Error::io(path, "look up", e))?.is_file() {
        return refuse("the index is not a file".into());
    }
    let mut json = Vec::new();
    file.take(MAX_INDEX + 1)
        .read_to_end(&mut json)
        .map_err(|e| Error::io(path, "read the index", e))?;
    if json.len() as u64 > MAX_INDEX {
        return refuse(format!("the index is longer than the cap of {MAX_INDEX} bytes"));
    }
    let first = &json[..json.len().min(foreign::ENOUGH)];
    match foreign::recognise(first).filter(|_| !first.starts_with(b"{")) {
        Some(message) => refuse(message),
        None => parse(path, &json),
    }
}

/// Checks `json`, an index, without touching any file. `path` is copied to errors.
///
/// # Errors
///
/// [`Error::Format`] with the tensor and the offset concerned.
pub fn parse(path: &Path, json: &[u8]) -> Result<Index> {
    let place = Place::default();
    let seed = IndexVisitor(&place);
    let WeightMap { mut shards, mut tensors } = json::parse(path, json, 0, "index", &place, seed)?;

    let mut order: Vec<usize> = (0..shards.len()).collect();
    order.sort_by(|&a, &b| shards[a].cmp(&shards[b]));
    let mut rank = vec![0; order.len()];
    for (position, &shard) in order.iter().enumerate() {
        rank[shard] = position;
    }
    shards.sort();
    for (_, shard) in &mut tensors {
        *shard = rank[*shard];
    }
    tensors.sort();
    Ok(Index { shards, tensors })
}

/// Compares the index with `found`, the tensors of all its shards sorted by name and then shard.
///
/// A tensor that is listed and lacking, found and not listed, or found elsewhere, is an error:
/// nothing is dropped silently.
pub(super) fn compare(path: &Path, index: &Index, found: &[Tensor]) -> Result<()> {
    let shard_name = |shard: usize| index.shards.get(shard).map_or_else(String::new, |s| quote(s));
    let refuse = |name: &str, message: String| Err(Error::format(path, Some(name), None, message));
    let mut found = found.iter().peekable();
    for (name, listed) in &index.tensors {
        if let Some(extra) = found.next_if(|tensor| tensor.name < *name) {
            return refuse(&extra.name, not_listed(&shard_name(extra.shard)));
        }
        match found.next_if(|tensor| tensor.name == *name) {
            None => {
                let message = format!(
                    "the index places it in {}, which does not hold it",
                    shard_name(*listed)
                );
                return refuse(name, message);
            }
            Some(tensor) if tensor.shard != *listed => {
                let message = format!(
                    "the index places it in {}, but it is in {}",
                    shard_name(*listed),
                    shard_name(tensor.shard)
                );
                return refuse(name, message);
            }
            Some(_) => {}
        }
    }
    match found.next() {
        Some(extra) => refuse(&extra.name, not_listed(&shard_name(extra.shard))),
        None => Ok(()),
    }
}

fn not_listed(shard: &str) -> String {
    format!("shard {shard} holds it, but the index does not list it")
}

/// Why `name` can not be the name of a shard, if it can not.
///
/// A shard is named by a plain relative path, so that an index can not point out of its folder.
fn check_name(name: &str) -> Result<(), &'static str> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.is_empty() {
        Err("is empty")
    } else if name.contains(char::is_control) {
        // NUL ends a path early, and an escape sequence in a path would reach the terminal.
        Err("holds a NUL or another control character")
    } else if name.starts_with('/') || drive {
        Err("is not relative to the folder of the index")
    } else if name.contains('\\') {
        Err("holds a backslash")
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Err("is not a plain path: it has a part that is empty, \".\" or \"..\"")
    } else {
        Ok(())
    }
}

/// The weight map in the order of the file.
struct WeightMap {
    shards: Vec<String>,
    tensors: Vec<(String, usize)>,
}

struct IndexVisitor<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for IndexVisitor<'_> {
    type Value = WeightMap;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<WeightMap, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for IndexVisitor<'_> {
    type Value = WeightMap;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with weight_map")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut weight_map = None;
        let mut keys = Keys::default();
        while let Some(key) = keys.next(&mut map, self.0, false)? {
            if key == "weight_map" {
                let seed = WeightMapVisitor(self.0);
                weight_map = Some(self.0.within("weight_map", || map.next_value_seed(seed))?);
            } else {
                // Sizes, parameter counts, notes of the writer: nothing here depends on them.
                map.next_value::<IgnoredAny>()?;
            }
        }
        match weight_map {
            None => Err(de::Error::custom("the field weight_map is missing: this is no index")),
            Some(WeightMap { tensors, .. }) if tensors.is_empty() => {
                Err(de::Error::custom("weight_map: it lists no tensor"))
            }
            Some(weight_map) => Ok(weight_map),
        }
    }
}

struct WeightMapVisitor<'a>(&'a Place);

impl<'de> DeserializeSeed<'de> for WeightMapVisitor<'_> {
    type Value = WeightMap;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<WeightMap, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMapVisitor<'_> {
    type Value = WeightMap;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of shard names by tensor name")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut positions = HashMap::new();
        let mut tensors = Vec::new();
        let mut keys = Keys::default();
        while let Some(name) = keys.next(&mut map, self.0, true)? {
            let Text(shard) = map.next_value().inspect_err(|_| self.0.blame(&name))?;
            let next = positions.len();
            let position = match positions.get(&shard) {
                Some(&position) => position,
                None => {
                    check_name(&shard).map_err(|why| {
                        self.0.blame(&name);
                        de::Error::custom(format_args!("shard name {} {why}", quote_short(&shard)))
                    })?;
                    positions.insert(shard, next);
                    next
                }
            };
            tensors.push((name.into_owned(), position));
        }
        let mut shards = vec![String::new(); positions.len()];
        for (shard, position) in positions {
            shards[position] = shard.into_owned();
        }
        Ok(WeightMap { shards, tensors })
    }
}
