//! SHA-256 of shards.

use std::sync::Arc;

use parentage_core::{Io, digest};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::checkpoint::Checkpoint;
use crate::errors::to_python;
use crate::run::run;

/// SHA-256 of the shards of checkpoints, carried on by the passes that it is given to.
#[pyclass(frozen, module = "parentage._core")]
pub(crate) struct Digests(pub(crate) Arc<digest::Digests>);

#[pymethods]
impl Digests {
    #[new]
    fn new(checkpoints: Vec<PyRef<'_, Checkpoint>>) -> Self {
        let checkpoints = checkpoints.iter().map(|checkpoint| checkpoint.0.clone()).collect();
        Self(Arc::new(digest::Digests::new(checkpoints)))
    }

    /// Hashes what is left, and returns the digests by checkpoint and shard.
    #[pyo3(signature = (*, threads, io="mmap", progress=None))]
    fn finish(
        &self,
        py: Python<'_>,
        threads: usize,
        io: &str,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Vec<String>>> {
        let io: Io = io.parse().map_err(|error| to_python(&error))?;
        run(py, progress, |watch| self.0.finish(threads, io, watch))
    }

    /// The digests that are complete: checkpoint, shard and hexadecimal digits.
    fn complete(&self) -> Vec<(usize, usize, String)> {
        self.0.complete()
    }

    /// Takes over a digest that was complete before.
    fn restore(&self, checkpoint: usize, shard: usize, digest: String) -> PyResult<()> {
        self.0.restore(checkpoint, shard, digest).map_err(|error| to_python(&error))
    }

    /// Raises TypeError.
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "digests can not be pickled or copied: they are hashes in the making, which passes of this \
             process carry on",
        ))
    }
}
