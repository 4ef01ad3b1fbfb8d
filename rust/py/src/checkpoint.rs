//! Opened checkpoints.

use std::path::PathBuf;
use std::sync::Arc;

use parentage_core::checkpoint;
use pyo3::prelude::*;

use crate::errors::to_python;

/// The parts of a shard: path, name, bytes, offset of the data, modification time, metadata.
type Shard = (PathBuf, String, u64, u64, Option<i128>, Vec<(String, String)>);
/// The parts of a tensor: name, dtype, shape, shard, first byte, byte past the last.
type Tensor = (String, &'static str, Vec<u64>, usize, u64, u64);

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

    /// Per tensor, by name: name, dtype, shape, shard, first byte, byte past the last.
    fn tensors(&self) -> Vec<Tensor> {
        let tensors = self.0.tensors.iter();
        tensors
            .map(|t| (t.name.clone(), t.dtype.name(), t.shape.clone(), t.shard, t.begin, t.end))
            .collect()
    }

    /// Raises ReadError if a file is not as it was when its header was read.
    fn verify_unchanged(&self) -> PyResult<()> {
        self.0.verify_unchanged().map_err(|error| to_python(&error))
    }
}
