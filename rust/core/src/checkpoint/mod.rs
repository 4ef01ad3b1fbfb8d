//! One model's weights on disk: a file, or shards with an index. Headers are read, never tensors.
//!
//! [`Checkpoint::open`] checks everything that a header can promise. What it accepts needs no
//! further check of names, shapes or offsets; that the files stay as they were is asked for with
//! [`Checkpoint::verify_unchanged`].

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

pub mod coding;
pub mod dtype;
mod folder;
mod foreign;
pub mod header;
mod identity;
pub mod index;
mod json;
mod memory;
pub mod names;
mod remote;

pub use coding::Coding;
pub use dtype::{Dtype, DtypeClass};
pub use header::{Header, Tensor};
pub use identity::Identity;
pub use memory::LentTensor;
pub use remote::RemoteFile;

use crate::error::quote;
use crate::fetch::Remote;
use crate::memory::Memory;
use crate::{Error, Result, threads};

/// One file of a checkpoint, as it was when its header was read. No descriptor is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The path to open.
    pub path: PathBuf,
    /// The name relative to the folder of the checkpoint, with `/` between its parts.
    pub name: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The byte offset where the tensor data begins.
    pub data_start: u64,
    /// The time of the last modification in nanoseconds since 1970, where the system tells it.
    pub modified_ns: Option<i128>,
    /// Which file it was, where this process has read the header and the file system says.
    pub identity: Option<Identity>,
    /// The entries of `__metadata__`.
    pub metadata: Vec<(String, String)>,
    /// Who fetches it, if it is on no disk of this machine. Every answer is checked to be of the same file.
    pub remote: Option<Remote>,
    /// Where its tensors lie, if it is on no disk but in memory. Nobody makes sure that they stay as they are.
    pub memory: Option<Memory>,
}

impl Shard {
    /// Checks that the path still leads to the file whose header was read, and that the file has the
    /// length and the times that it had then.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if not, or if the file is gone; [`Error::Io`] if it can not be asked.
    pub fn verify_unchanged(&self) -> Result<()> {
        if self.remote.is_some() || self.memory.is_some() {
            return Ok(());
        }
        match fs::metadata(&self.path) {
            Ok(stat) => self.verify(&stat),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.changed("the file was removed after it was opened".into())
            }
            Err(e) => Err(Error::io(&self.path, "look up", e)),
        }
    }

    fn changed(&self, message: String) -> Result<()> {
        Err(Error::Changed { path: self.path.clone(), tensor: None, offset: None, message })
    }

    /// Checks that metadata, of the path or of a descriptor, are those of the file whose header was read.
    pub(crate) fn verify(&self, stat: &Metadata) -> Result<()> {
        let changed = |message| self.changed(message);
        if !stat.is_file() {
            return changed("what is there now is no file, but a folder, pipe or device".into());
        }
        if stat.len() != self.bytes {
            return changed(format!(
                "the file had {} bytes when it was opened and now has {}",
                self.bytes,
                stat.len()
            ));
        }
        if modified_ns(stat) != self.modified_ns {
            return changed("the file was written to after it was opened".into());
        }
        if let (Some(was), Some(now)) = (self.identity, Identity::said(stat))
            && was != now
        {
            return changed(if was.is_file(&now) {
                "the file was written to, linked or given other rights after it was opened".into()
            } else {
                "another file was put in its place after it was opened".into()
            });
        }
        Ok(())
    }
}

/// A file whose header somebody else has read: path, name relative to the checkpoint's folder, metadata.
pub type Described = (PathBuf, String, Vec<(String, String)>);

/// A checkpoint whose headers are read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The path it was opened by.
    pub path: PathBuf,
    /// The index, if the checkpoint has one.
    pub index: Option<PathBuf>,
    /// The files, sorted by name.
    pub shards: Vec<Shard>,
    /// The tensors of all files, sorted by name, each name once.
    ///
    /// What lies in no file has a coding: number `k` of them is called shard `shards.len() + k`.
    pub tensors: Vec<Tensor>,
    /// How tensors are computed that no file holds as they are read. Each is of files, and of codings before it.
    pub codings: Vec<Arc<Coding>>,
}

impl Checkpoint {
    /// Opens a safetensors file, an index, or a folder that holds an index or safetensors files.
    ///
    /// A folder with an index is what the index says; files beside it that it does not name are
    /// not part of the checkpoint. A folder without one is all its `.safetensors` files together,
    /// hidden files excepted.
    ///
    /// # Errors
    ///
    /// [`Error::NotACheckpoint`] if nothing at `path` can be opened, [`Error::Format`] if a file
    /// is invalid or the files contradict each other, [`Error::Io`] if the system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let stat = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let message = match fs::read_link(path) {
                    Ok(target) => format!(
                        "this is a symbolic link to {}, which does not exist",
                        quote(&target.to_string_lossy())
                    ),
                    Err(_) => "there is no such file or folder".to_owned(),
                };
                Error::NotACheckpoint { path: path.to_owned(), message }
            }
            _ => Error::io(path, "open", error),
        })?;
        let is_json =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if stat.is_dir() {
            match folder::survey(path)? {
                folder::Layout::Index(name) => {
                    Self::open_index(path, &folder::resolve(path, path, &name)?)
                }
                folder::Layout::Files(names) => Self::open_files(path, &names),
            }
        } else if stat.is_file() && is_json {
            Self::open_index(path, path)
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            let (shard, tensors) = Shard::open(path.to_owned(), name, 0)?;
            Self::assemble(path, None, vec![shard], tensors)
        }
    }

    /// The checkpoint that another process opened, from what its headers said. No file is looked at: who
    /// reads one makes sure that it has the length and modification time given here.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the parts contradict each other.
    pub fn restore(
        path: PathBuf,
        index: Option<PathBuf>,
        shards: Vec<Shard>,
        tensors: Vec<Tensor>,
        codings: Vec<Arc<Coding>>,
    ) -> Result<Self> {
        Self::require_within(&path, &shards, &codings, &tensors)?;
        if let Some([first, _]) = tensors.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            let message = "the names of tensors do not ascend from here on";
            return Err(Error::format(&path, Some(&first.name), None, message));
        }
        Ok(Self { path, index, shards, tensors, codings })
    }

    /// A checkpoint of files of any format, whose headers somebody else has read: `files` are paths, names
    /// and metadata, and `tensors`, in any order, lie in them by their numbers. Nothing of a file but its
    /// length, its times and its identity is looked at; all of it is data.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file can not be looked up, [`Error::NotACheckpoint`] where it is none, and
    /// [`Error::Format`] for a tensor that leaves its file, has not the bytes of its shape, or has the name
    /// of another.
    pub fn over(
        path: &Path,
        index: Option<&Path>,
        files: Vec<Described>,
        tensors: Vec<Tensor>,
    ) -> Result<Self> {
        let shards = files
            .into_iter()
            .map(|(path, name, metadata)| {
                let (_, stat, identity) = header::open(&path)?;
                let (bytes, modified_ns) = (stat.len(), modified_ns(&stat));
                Ok(Shard {
                    path,
                    name,
                    bytes,
                    data_start: 0,
                    modified_ns,
                    identity,
                    metadata,
                    remote: None,
                    memory: None,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Self::require_within(path, &shards, &[], &tensors)?;
        Self::assemble(path, index, shards, tensors)
    }

    /// Other tensors over the same files. Codings are the first `kept` of this one's, and then `codings`.
    ///
    /// # Errors
    ///
    /// As [`Self::restore`].
    pub fn seen_as(&self, tensors: Vec<Tensor>, kept: usize, codings: Vec<Coding>) -> Result<Self> {
        let all = self.codings.iter().take(kept).cloned();
        let all = all.chain(codings.into_iter().map(Arc::new)).collect();
        Self::restore(self.path.clone(), self.index.clone(), self.shards.clone(), tensors, all)
    }

    /// Tensors over the files of this checkpoint and of `other`, under the path of this one: what is computed from
    /// both. Shards are this one's files, the other's, this one's codings, the other's, then `codings`.
    ///
    /// # Errors
    ///
    /// As [`Self::restore`].
    pub fn joined(&self, other: &Self, tensors: Vec<Tensor>, codings: Vec<Coding>) -> Result<Self> {
        let (mine, theirs) = (self.shards.len(), other.shards.len());
        let moved = |coding: &Arc<Coding>, files: usize, before: usize, codings: usize| {
            let mut coding = Coding::clone(coding);
            for window in &mut coding.windows {
                window.shard += if window.shard < files { before } else { codings };
            }
            Arc::new(coding)
        };
        let own = self.codings.iter().map(|each| moved(each, mine, 0, theirs));
        let theirs = other.codings.iter();
        let theirs =
            theirs.map(|each| moved(each, other.shards.len(), mine, mine + self.codings.len()));
        let all = own.chain(theirs).chain(codings.into_iter().map(Arc::new)).collect();
        let shards = [self.shards.as_slice(), other.shards.as_slice()].concat();
        Self::restore(self.path.clone(), self.index.clone(), shards, tensors, all)
    }

    /// Makes sure that tensors lie in files that are there, within their data, with the bytes that shape
    /// and dtype ask for.
    fn require_within(
        path: &Path,
        shards: &[Shard],
        codings: &[Arc<Coding>],
        tensors: &[Tensor],
    ) -> Result<()> {
        let computed = check(path, shards, codings)?;
        for tensor in tensors {
            let wrong = |file: &Path, message: &str| {
                Err(Error::format(file, Some(&tensor.name), Some(tensor.begin), message))
            };
            let (file, start, end) = match shards.get(tensor.shard) {
                Some(shard) => (shard.path.as_path(), shard.data_start, shard.bytes),
                None => match computed.get(tensor.shard - shards.len()) {
                    Some(&bytes) => (path, 0, bytes),
                    None => return wrong(path, "it lies in a shard that is not there"),
                },
            };
            if tensor.begin < start || tensor.end > end {
                return wrong(file, "it leaves the data of the file");
            }
            if tensor.shape.len() > header::MAX_DIMENSIONS {
                return wrong(file, "it has more dimensions than arrays have");
            }
            let bits = tensor.shape.iter().try_fold(tensor.dtype.bits(), |n, &d| n.checked_mul(d));
            if bits != tensor.bytes().checked_mul(8) || tensor.begin > tensor.end {
                return wrong(file, "its shape and dtype do not have its bytes");
            }
            if let Some(coding) = (tensor.shard.checked_sub(shards.len())).map(|at| &codings[at])
                && (coding.dtype != tensor.dtype
                    || !tensor.begin.is_multiple_of((coding.dtype.bits() / 8).max(1)))
            {
                return wrong(file, "it is not what its coding gives");
            }
        }
        Ok(())
    }

    /// The file that a tensor's `shard` stands for: of a coding, that of its first window.
    pub fn shard(&self, place: usize) -> &Shard {
        let mut place = place;
        while place >= self.shards.len() {
            place = self.codings[place - self.shards.len()].windows[0].shard;
        }
        &self.shards[place]
    }

    /// The files that a tensor's `shard` is read from.
    pub fn files(&self, place: usize) -> Vec<usize> {
        match place.checked_sub(self.shards.len()) {
            None => vec![place],
            Some(number) => {
                let windows = &self.codings[number].windows;
                windows.iter().flat_map(|window| self.files(window.shard)).collect()
            }
        }
    }

    /// The position in `tensors` of the tensor called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()
    }

    /// For every tensor, the position of its mate in `other`: the tensor of the same name and shape,
    /// whose dtype is of the same class. Only tensors with elements, and with arithmetic, have one.
    pub fn mates(&self, other: &Self) -> Vec<Option<usize>> {
        let mut theirs = other.tensors.iter().enumerate().peekable();
        let mate = |mine: &Tensor| {
            // Both are sorted by name.
            while theirs.next_if(|(_, tensor)| tensor.name < mine.name).is_some() {}
            let (at, found) = theirs.next_if(|(_, tensor)| tensor.name == mine.name)?;
            let is_mate = found.shape == mine.shape
                && found.dtype.class() == mine.dtype.class()
                && mine.dtype.is_numeric()
                && mine.elements() > 0;
            is_mate.then_some(at)
        };
        self.tensors.iter().map(mate).collect()
    }

    /// Elements of all tensors.
    pub fn elements(&self) -> u64 {
        self.tensors.iter().map(Tensor::elements).fold(0, u64::saturating_add)
    }

    /// Checks that every file still is as it was when it was opened; see
    /// [`Shard::verify_unchanged`].
    ///
    /// # Errors
    ///
    /// Those of the first file that fails.
    pub fn verify_unchanged(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::verify_unchanged)
    }

    fn open_index(path: &Path, index_path: &Path) -> Result<Self> {
        let index = index::read(index_path)?;
        let folder = match index_path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let (shards, tensors) = open_shards(&resolve_all(index_path, folder, &index.shards)?)?;
        let checkpoint = Self::assemble(path, Some(index_path), shards, tensors)?;
        index::compare(index_path, &index, &checkpoint.tensors)?;
        Ok(checkpoint)
    }

    fn open_files(path: &Path, names: &[String]) -> Result<Self> {
        let (shards, tensors) = open_shards(&resolve_all(path, path, names)?)?;
        Self::assemble(path, None, shards, tensors)
    }

    /// Puts the tensors of all shards in order. A name in two shards is an error.
    fn assemble(
        path: &Path,
        index: Option<&Path>,
        shards: Vec<Shard>,
        mut tensors: Vec<Tensor>,
    ) -> Result<Self> {
        tensors.sort_by(|a, b| a.name.cmp(&b.name).then(a.shard.cmp(&b.shard)));
        if let Some([first, second]) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name)
        {
            let (first_shard, second_shard) = (&shards[first.shard], &shards[second.shard]);
            let message = format!(
                "shard {} holds a tensor of this name too, at byte {}: only one can be meant",
                quote(&first_shard.name),
                first.begin
            );
            let at = Some(second.begin);
            return Err(Error::format(&second_shard.path, Some(&second.name), at, message));
        }
        let (path, index) = (path.to_owned(), index.map(Path::to_owned));
        Ok(Self { path, index, shards, tensors, codings: Vec::new() })
    }
}

impl Shard {
    /// Reads the header of the file at `path`, which is number `shard` of its checkpoint.
    fn open(path: PathBuf, name: String, shard: usize) -> Result<(Self, Vec<Tensor>)> {
        let (header, stat, identity) = header::read_with_stat(&path, shard)?;
        let Header { tensors, metadata, data_start } = header;
        let modified_ns = modified_ns(&stat);
        let bytes = stat.len();
        let (remote, memory) = (None, None);
        Ok((
            Self { path, name, bytes, data_start, modified_ns, identity, metadata, remote, memory },
            tensors,
        ))
    }
}

/// Codings that lie one upon another, at most: codes, of which one is turned, in a product, whose rows are gathered.
/// So no more files are open than such a pile has windows.
const MOST_DEEP: usize = 4;

/// Bytes of what every coding gives; each is of windows inside files, or inside codings before it.
fn check(path: &Path, shards: &[Shard], codings: &[Arc<Coding>]) -> Result<Vec<u64>> {
    let mut computed: Vec<u64> = Vec::with_capacity(codings.len());
    let mut depths: Vec<usize> = Vec::with_capacity(codings.len());
    for (number, coding) in codings.iter().enumerate() {
        let wrong = |message: &str| {
            let at = coding.windows.first().map(|window| window.begin);
            let file = coding.windows.first().and_then(|window| shards.get(window.shard));
            let file = file.map_or(path, |shard| &shard.path);
            Error::format(file, None, at, format!("coding {number}: {message}"))
        };
        let mut depth = 0;
        for window in &coding.windows {
            let (start, end, dtype) = match window.shard.checked_sub(shards.len()) {
                None => (shards[window.shard].data_start, shards[window.shard].bytes, None),
                Some(at) if at < number && depths[at] < MOST_DEEP => {
                    depth = depth.max(depths[at]);
                    (0, computed[at], Some(codings[at].dtype))
                }
                Some(_) => return Err(wrong("it is computed from what is not there")),
            };
            let width = window.dtype.bits().div_ceil(8);
            let whole = window.begin <= window.end && window.bytes().is_multiple_of(width);
            if window.begin < start || window.end > end || !whole {
                return Err(wrong("a window leaves the data of its file"));
            }
            if dtype.is_some_and(|dtype| dtype != window.dtype) {
                return Err(wrong("a window reads numbers as others than they are"));
            }
        }
        let elements = coding.elements().map_err(|message| wrong(&message))?;
        depths.push(depth + 1);
        let bytes = elements.checked_mul(coding.dtype.bits() / 8);
        computed.push(bytes.ok_or_else(|| wrong("too many elements"))?);
    }
    Ok(computed)
}

/// The paths of all files, with their names: a missing one is reported before any is read.
fn resolve_all(of: &Path, folder: &Path, names: &[String]) -> Result<Vec<(PathBuf, String)>> {
    let resolve = |name: &String| Ok((folder::resolve(of, folder, name)?, name.clone()));
    names.iter().map(resolve).collect()
}

/// Opens all files, some at a time, each with its name.
fn open_shards(files: &[(PathBuf, String)]) -> Result<(Vec<Shard>, Vec<Tensor>)> {
    let open = |(): &mut (), number: usize| {
        let (path, name) = files[number].clone();
        Shard::open(path, name, number)
    };
    let opened = threads::run_ordered(threads::available(), files.len(), || (), open)?;
    let mut shards = Vec::with_capacity(opened.len());
    let mut tensors = Vec::with_capacity(opened.iter().map(|(_, found)| found.len()).sum());
    for (shard, mut found) in opened {
        shards.push(shard);
        tensors.append(&mut found);
    }
    Ok((shards, tensors))
}

/// The modification time of `stat` in nanoseconds since 1970; earlier times are negative.
fn modified_ns(stat: &Metadata) -> Option<i128> {
    let time = stat.modified().ok()?;
    Some(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    })
}
