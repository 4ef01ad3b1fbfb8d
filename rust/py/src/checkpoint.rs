//! Opened checkpoints.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use parentage_core::Memory;
use parentage_core::checkpoint::{self, Dtype, names::take_apart};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};

use crate::coding::{self, CodingState};
use crate::errors::to_python;
use crate::memory::{self, Given};
use crate::remote::{self, fetcher};
use crate::run::run;

/// The parts of a shard: path, name, bytes, offset of the data, modification time, metadata.
type Shard = (PathBuf, String, u64, u64, Option<i128>, Vec<(String, String)>);
/// The parts of a tensor: position, name, dtype, shape, shard, first byte, byte past the last.
type Tensor<'py> =
    (usize, Bound<'py, PyString>, Bound<'py, PyString>, Bound<'py, PyTuple>, usize, u64, u64);

/// What is pickled: path, index, shards, tensors and codings, with paths as text, which any system can read.
type State<'py> =
    (OsString, Option<OsString>, Vec<ShardState>, Bound<'py, PyList>, Vec<CodingState>);
/// As [`Shard`], the path as text, who fetches it, if it is on no disk, and whether it was in memory.
type ShardState =
    (OsString, String, u64, u64, Option<i128>, Vec<(String, String)>, Option<Py<PyAny>>, bool);
/// As [`Tensor`].
type TensorState = (usize, String, String, Vec<u64>, usize, u64, u64);

/// Templates, which of them (T,), numbers (N,), the first of each (T,).
type Templates<'py> =
    (Vec<String>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// Makes tensors of Python. They have few dtypes and shapes, so that one object of each will do.
struct Tensors<'py, 'a> {
    py: Python<'py>,
    shapes: HashMap<&'a [u64], Bound<'py, PyTuple>>,
}

impl<'py, 'a> Tensors<'py, 'a> {
    fn new(py: Python<'py>) -> Self {
        Self { py, shapes: HashMap::new() }
    }

    fn make(&mut self, index: usize, tensor: &'a checkpoint::Tensor) -> PyResult<Tensor<'py>> {
        let shape = match self.shapes.get(tensor.shape.as_slice()) {
            Some(shape) => shape.clone(),
            None => {
                let shape = PyTuple::new(self.py, &tensor.shape)?;
                self.shapes.insert(&tensor.shape, shape.clone());
                shape
            }
        };
        // Relatives have the same names.
        let name = PyString::intern(self.py, &tensor.name);
        let dtype = PyString::intern(self.py, tensor.dtype.name());
        Ok((index, name, dtype, shape, tensor.shard, tensor.begin, tensor.end))
    }
}

/// Tensors as the core has them.
fn described(tensors: Vec<TensorState>) -> PyResult<Vec<checkpoint::Tensor>> {
    let tensor = |(_, name, dtype, shape, shard, begin, end): TensorState| {
        let unknown = || PyValueError::new_err(format!("no dtype is called {dtype:?}"));
        let dtype = Dtype::from_name(&dtype).ok_or_else(unknown)?;
        Ok(checkpoint::Tensor { name, dtype, shape, shard, begin, end })
    };
    tensors.into_iter().map(tensor).collect()
}

/// A checkpoint whose headers are read and checked.
#[pyclass(frozen, module = "parentage._core")]
pub(crate) struct Checkpoint(pub(crate) Arc<checkpoint::Checkpoint>);

#[pymethods]
impl Checkpoint {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| checkpoint::Checkpoint::open(&path));
        opened.map(|opened| Self(Arc::new(opened))).map_err(|error| to_python(&error))
    }

    /// The path it was opened by.
    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path.clone()
    }

    /// The index file, if there is one.
    #[getter]
    fn index(&self) -> Option<PathBuf> {
        self.0.index.clone()
    }

    /// Per shard, by name: path, name, bytes, offset of the data, mtime in ns, metadata.
    fn shards(&self) -> Vec<Shard> {
        let shards = self.0.shards.iter().cloned();
        shards.map(|s| (s.path, s.name, s.bytes, s.data_start, s.modified_ns, s.metadata)).collect()
    }

    /// How many tensors there are.
    fn __len__(&self) -> usize {
        self.0.tensors.len()
    }

    /// The names of the tensors that end in one of `endings`, or of all; sorted.
    #[pyo3(signature = (*endings))]
    fn names<'py>(&self, py: Python<'py>, endings: Vec<String>) -> PyResult<Bound<'py, PyList>> {
        let is_asked_for = |name: &str| {
            endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending.as_str()))
        };
        let found = PyList::empty(py);
        for tensor in &self.0.tensors {
            if is_asked_for(&tensor.name) {
                found.append(PyString::intern(py, &tensor.name))?;
            }
        }
        Ok(found)
    }

    /// The templates of all names, which one is that of each, the numbers of all names, and where those
    /// of each begin.
    fn templates<'py>(&self, py: Python<'py>) -> Templates<'py> {
        let found = take_apart(self.0.tensors.iter().map(|tensor| tensor.name.as_str()));
        let which: Vec<_> = found.which.iter().map(|&which| which as i64).collect();
        let starts: Vec<_> = found.starts.iter().map(|&start| start as i64).collect();
        let numbers: Vec<_> = found.numbers.iter().map(|&number| i64::from(number)).collect();
        (found.templates, which.into_pyarray(py), numbers.into_pyarray(py), starts.into_pyarray(py))
    }

    /// Elements of all tensors.
    #[getter]
    fn elements(&self) -> u64 {
        self.0.elements()
    }

    /// The position of the tensor called `name`, if there is one.
    fn find(&self, name: &str) -> Option<usize> {
        self.0.find(name)
    }

    /// One tensor: position, name, dtype, shape, shard, first byte, byte past the last.
    fn tensor<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Tensor<'py>> {
        match self.0.tensors.get(index) {
            Some(tensor) => Tensors::new(py).make(index, tensor),
            None => Err(PyIndexError::new_err(format!("there is no tensor number {index}"))),
        }
    }

    /// All tensors, by name, each as by `tensor`.
    fn tensors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut tensors = Tensors::new(py);
        let found = PyList::empty(py);
        for (index, tensor) in self.0.tensors.iter().enumerate() {
            found.append(tensors.make(index, tensor)?)?;
        }
        Ok(found)
    }

    /// Per tensor, the position in `other` of that of the same name, shape and class of dtype, or -1.
    fn mates<'py>(
        &self,
        py: Python<'py>,
        other: PyRef<'_, Self>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let other = other.0.clone();
        let found = py.detach(|| self.0.mates(&other));
        let found: Vec<i64> =
            found.into_iter().map(|mate| mate.map_or(-1, |at| at as i64)).collect();
        Ok(found.into_pyarray(py))
    }

    /// Raises ReadError if a file is not as it was when its header was read.
    fn verify_unchanged(&self) -> PyResult<()> {
        self.0.verify_unchanged().map_err(|error| to_python(&error))
    }

    /// What its headers said, so that unpickling opens no file. The paths of shards are made absolute:
    /// another process may have another working directory.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, State<'py>)> {
        let this = slf.get();
        let text = |path: &Path| path.as_os_str().to_owned();
        let shards = this.0.shards.iter().map(|shard| {
            let fetcher = shard.remote.as_ref().and_then(|remote| fetcher(slf.py(), remote));
            let in_memory = shard.memory.is_some();
            let path = match fetcher {
                _ if in_memory => shard.path.clone(),
                Some(_) => shard.path.clone(),
                None => absolute(&shard.path).unwrap_or_else(|_| shard.path.clone()),
            };
            let (name, metadata) = (shard.name.clone(), shard.metadata.clone());
            let (bytes, start) = (shard.bytes, shard.data_start);
            (text(&path), name, bytes, start, shard.modified_ns, metadata, fetcher, in_memory)
        });
        let state = (
            text(&this.0.path),
            this.0.index.as_deref().map(text),
            shards.collect(),
            this.tensors(slf.py())?,
            this.codings(),
        );
        Ok((slf.get_type().getattr("restored")?, state))
    }

    /// The checkpoint of a pickled state.
    #[classmethod]
    fn restored(
        _cls: &Bound<'_, PyType>,
        path: PathBuf,
        index: Option<PathBuf>,
        shards: Vec<ShardState>,
        tensors: Vec<TensorState>,
        codings: Vec<CodingState>,
    ) -> PyResult<Self> {
        let shard = |state: ShardState| {
            let (path, name, bytes, data_start, modified_ns, metadata, fetcher, in_memory) = state;
            let (path, remote) = (path.into(), fetcher.map(remote::remote));
            // Another machine knows nothing of this one's files, nor a copy of what it was made from.
            let identity = None;
            // Nor of its memory.
            let memory = in_memory.then(Memory::gone);
            checkpoint::Shard {
                path,
                name,
                bytes,
                data_start,
                modified_ns,
                identity,
                metadata,
                remote,
                memory,
            }
        };
        let shards = shards.into_iter().map(shard).collect();
        let tensors = described(tensors)?;
        let codings = codings
            .into_iter()
            .map(|each| coding::of(each).map(Arc::new))
            .collect::<PyResult<_>>()?;
        let found = checkpoint::Checkpoint::restore(path, index, shards, tensors, codings);
        found.map(|found| Self(Arc::new(found))).map_err(|error| to_python(&error))
    }

    /// How tensors are computed that no file holds, in order: kind, dtype, part, windows, numbers, lists.
    fn codings(&self) -> Vec<CodingState> {
        self.0.codings.iter().map(|coding| coding::state(coding)).collect()
    }

    /// Bytes of what each coding gives.
    fn computed(&self) -> Vec<u64> {
        let bytes = |coding: &checkpoint::Coding| {
            coding.elements().unwrap_or(0) * (coding.dtype.bits() / 8)
        };
        self.0.codings.iter().map(|coding| bytes(coding)).collect()
    }

    /// Tensors of files of any format, whose headers were read elsewhere: files are paths, names and
    /// metadata, and tensors as by `tensor`, in any order.
    #[classmethod]
    fn over(
        _cls: &Bound<'_, PyType>,
        py: Python<'_>,
        path: PathBuf,
        index: Option<PathBuf>,
        files: Vec<checkpoint::Described>,
        tensors: Vec<TensorState>,
    ) -> PyResult<Self> {
        let tensors = described(tensors)?;
        let found =
            py.detach(|| checkpoint::Checkpoint::over(&path, index.as_deref(), files, tensors));
        found.map(|found| Self(Arc::new(found))).map_err(|error| to_python(&error))
    }

    /// The checkpoint of safetensors files that are fetched: `files` are path, name, bytes and fetcher;
    /// `index` is the path and the text of the index that names them.
    #[classmethod]
    #[pyo3(signature = (path, files, index=None))]
    fn remote(
        _cls: &Bound<'_, PyType>,
        py: Python<'_>,
        path: PathBuf,
        files: Vec<(PathBuf, String, u64, Py<PyAny>)>,
        index: Option<(PathBuf, Vec<u8>)>,
    ) -> PyResult<Self> {
        let files: Vec<_> = files.into_iter().map(remote::file).collect();
        let index = index.as_ref().map(|(path, json)| (path.as_path(), json.as_slice()));
        let found =
            run(py, None, |watch| checkpoint::Checkpoint::remote(&path, index, &files, watch))?;
        Ok(Self(Arc::new(found)))
    }

    /// Per shard, who fetches it; None for files on disk.
    fn fetchers(&self, py: Python<'_>) -> Vec<Option<Py<PyAny>>> {
        let shards = self.0.shards.iter();
        shards.map(|shard| shard.remote.as_ref().and_then(|each| fetcher(py, each))).collect()
    }

    /// The checkpoint of tensors in memory, laid out as one file called `name`: `tensors` are name, dtype, an
    /// array whose elements are as wide, and whatever else keeps its memory where it is.
    #[classmethod]
    fn in_memory(
        _cls: &Bound<'_, PyType>,
        path: PathBuf,
        name: String,
        tensors: Vec<Given<'_>>,
    ) -> PyResult<Self> {
        let tensors = tensors.into_iter().map(memory::lent).collect::<PyResult<_>>()?;
        let found = checkpoint::Checkpoint::in_memory(&path, name, tensors);
        found.map(|found| Self(Arc::new(found))).map_err(|error| to_python(&error))
    }

    /// Per shard, whether it is in memory, or was when it was opened.
    fn lies_in_memory(&self) -> Vec<bool> {
        self.0.shards.iter().map(|shard| shard.memory.is_some()).collect()
    }

    /// Itself without its tensors, if they are in memory: that is not kept any longer.
    fn released(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let this = &slf.get().0;
        if this.shards.iter().all(|shard| shard.memory.as_ref().is_none_or(|each| !each.is_here()))
        {
            return Ok(slf);
        }
        Bound::new(slf.py(), Self(Arc::new(this.released())))
    }

    /// Whether some file of both is the same tensors in memory.
    fn shares_memory(&self, other: PyRef<'_, Self>) -> bool {
        let lent = |of: &Arc<checkpoint::Checkpoint>| -> Vec<Memory> {
            of.shards.iter().filter_map(|shard| shard.memory.clone()).collect()
        };
        let theirs = lent(&other.0);
        lent(&self.0).iter().any(|mine| theirs.iter().any(|each| mine.is_same(each)))
    }

    /// Bytes of a file that is in memory.
    fn copied<'py>(
        &self,
        py: Python<'py>,
        shard: usize,
        begin: u64,
        end: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let copied = py.detach(|| self.0.copied(shard, begin, end));
        copied.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| to_python(&error))
    }

    /// Other tensors, by name, over the same files, as they were when their headers were read. Those of
    /// shard `number of files + k` are what coding `k` gives. Codings are the first `kept` of this one's, or
    /// all, and then `codings`.
    #[pyo3(signature = (tensors, codings = Vec::new(), *, kept = None))]
    fn seen_as(
        &self,
        tensors: Vec<TensorState>,
        codings: Vec<CodingState>,
        kept: Option<usize>,
    ) -> PyResult<Self> {
        let kept = kept.unwrap_or(self.0.codings.len());
        let codings = codings.into_iter().map(coding::of).collect::<PyResult<_>>()?;
        let found = self.0.seen_as(described(tensors)?, kept, codings);
        found.map(|found| Self(Arc::new(found))).map_err(|error| to_python(&error))
    }

    /// Tensors over the files of this one and of `other`: shards are this one's files, the other's, this
    /// one's codings, the other's, then `codings`.
    fn joined(
        &self,
        other: PyRef<'_, Self>,
        tensors: Vec<TensorState>,
        codings: Vec<CodingState>,
    ) -> PyResult<Self> {
        let codings = codings.into_iter().map(coding::of).collect::<PyResult<_>>()?;
        let found = self.0.joined(&other.0, described(tensors)?, codings);
        found.map(|found| Self(Arc::new(found))).map_err(|error| to_python(&error))
    }

    /// Itself: it never changes.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Itself: it never changes.
    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }
}

/// The names of the files that an index names, sorted; `path` is what messages call it.
#[pyfunction]
pub(crate) fn index_files(path: PathBuf, json: Vec<u8>) -> PyResult<Vec<String>> {
    let found = checkpoint::index::parse(&path, &json);
    found.map(|index| index.shards).map_err(|error| to_python(&error))
}
