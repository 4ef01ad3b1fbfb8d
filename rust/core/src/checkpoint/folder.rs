//! Which files of a folder make up its checkpoint, and that none of them lies outside.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::foreign;
use crate::error::quote;
use crate::{Error, Result};

/// The name preferred among several indexes.
const USUAL_INDEX: &str = "model.safetensors.index.json";

/// How many folders are looked into for a hint where the checkpoint may be instead.
const MAX_HINTS: usize = 256;

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The file name of the index.
    Index(String),
    /// The names of the safetensors files, sorted.
    Files(Vec<String>),
}

/// Finds the index or the safetensors files directly in `folder`. Hidden files are passed over.
pub(super) fn survey(folder: &Path) -> Result<Layout> {
    let names = list(folder)?;
    let ending = |suffix: &str| -> Vec<&String> {
        names.iter().filter(|name| name.ends_with(suffix)).collect()
    };
    let mut indexes = ending(".safetensors.index.json");
    if let Some(at) = indexes.iter().position(|name| *name == USUAL_INDEX) {
        indexes = vec![indexes[at]];
    }
    match indexes[..] {
        [] => {}
        [index] => return Ok(Layout::Index(index.clone())),
        _ => {
            let message = format!(
                "the folder holds several indexes: {}; name one of them instead of the folder",
                join(&indexes)
            );
            return Err(Error::NotACheckpoint { path: folder.to_owned(), message });
        }
    }
    let files: Vec<String> = ending(".safetensors").into_iter().cloned().collect();
    if !files.is_empty() {
        return Ok(Layout::Files(files));
    }
    Err(Error::NotACheckpoint { path: folder.to_owned(), message: explain(folder, &names) })
}

/// The names in `folder`, hidden ones left out, sorted.
fn list(folder: &Path) -> Result<Vec<String>> {
    let failed = |e| Error::io(folder, "list the folder", e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let shown = name.to_string_lossy();
        let plain = name.to_str().is_some() && !shown.contains(char::is_control);
        if shown.starts_with('.') {
            continue;
        } else if plain {
            names.push(shown.into_owned());
        } else if shown.ends_with(".safetensors") {
            let message = format!(
                "the file name {} is not UTF-8 or holds control characters: rename it",
                quote(&shown)
            );
            return Err(Error::NotACheckpoint { path: folder.to_owned(), message });
        }
    }
    names.sort();
    Ok(names)
}

/// Why a folder without safetensors is no checkpoint, and where one may be.
fn explain(folder: &Path, names: &[String]) -> String {
    let mut message = "the folder holds no .safetensors file".to_owned();
    let others: Vec<&String> = names.iter().filter(|name| foreign::is_other_format(name)).collect();
    if !others.is_empty() {
        message += &format!(
            "; it holds {}, and nothing in it that is read: {}",
            join(&others),
            if others.iter().any(|name| name.ends_with(".gguf") || name.contains(".np")) {
                "convert it to safetensors first"
            } else {
                foreign::CONVERT
            }
        );
    }
    if let Some(below) = find_below(folder, names) {
        message += &format!("; {} does", quote(&below.to_string_lossy()));
    }
    message
}

/// A folder with safetensors one or two levels below `folder`, as in a Hugging Face cache.
fn find_below(folder: &Path, names: &[String]) -> Option<PathBuf> {
    let mut queue: Vec<(PathBuf, usize)> =
        names.iter().map(|name| (folder.join(name), 1)).collect();
    let mut at = 0;
    let mut looked_into = 0;
    while let Some((path, depth)) = queue.get(at).cloned() {
        at += 1;
        // Links are not followed: a hint is not worth a walk through the whole disk.
        if !fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_dir()) {
            continue;
        }
        looked_into += 1;
        let Ok(below) = list(&path) else { continue };
        if below.iter().any(|name| name.ends_with(".safetensors")) {
            return Some(path);
        }
        if looked_into == MAX_HINTS {
            return None;
        }
        if depth == 1 {
            queue.extend(below.iter().map(|name| (path.join(name), 2)));
        }
    }
    None
}

/// Up to four names for a message.
fn join(names: &[&String]) -> String {
    let mut text = names.iter().take(4).map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if names.len() > 4 {
        text += &format!(" and {} more", names.len() - 4);
    }
    text
}

/// The path of `name` in `folder`, after a check that no symbolic link leads out of the folder.
///
/// The one way out that is allowed is that of a Hugging Face cache, where
/// `snapshots/<revision>/<file>` is a link to `blobs/<hash>` beside `snapshots`.
/// `asked_by` is the file that names the shard, or the folder itself.
pub(super) fn resolve(asked_by: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let home = fs::canonicalize(folder).map_err(|e| Error::io(folder, "look up", e))?;
    let target = fs::canonicalize(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let dangling = fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_symlink());
            let why = if dangling {
                "is a symbolic link to a file that does not exist"
            } else {
                "does not exist"
            };
            let mut message = format!("shard {} {why}", quote(name));
            // An index that was left behind names files that will never come.
            let there = if asked_by.is_dir() { Vec::new() } else { list(folder).unwrap_or_default() };
            let others: Vec<&String> =
                there.iter().filter(|each| each.ends_with(".safetensors")).collect();
            if others.is_empty() {
                message += ": is the download complete?";
            } else {
                message += &format!(
                    ", though the index names it; the folder holds {}: is the download complete, or \
                     is the index of other files? Name the files, or remove the index",
                    join(&others)
                );
            }
            Error::format(asked_by, None, None, message)
        }
        _ => Error::io(&path, "look up", error),
    })?;
    if target.starts_with(&home) || is_cache_blob(&home, &target) {
        return Ok(path);
    }
    let message = format!(
        "shard {} is a symbolic link out of the folder, to {}",
        quote(name),
        quote(&target.to_string_lossy())
    );
    Err(Error::format(asked_by, None, None, message))
}

/// Whether `target` lies directly in the blobs of the cache entry whose snapshot holds `home`.
/// Both are canonical.
fn is_cache_blob(home: &Path, target: &Path) -> bool {
    home.ancestors()
        .filter_map(Path::parent)
        .find(|parent| parent.file_name().is_some_and(|name| name == "snapshots"))
        .and_then(Path::parent)
        .is_some_and(|entry| target.parent() == Some(&entry.join("blobs")))
}
