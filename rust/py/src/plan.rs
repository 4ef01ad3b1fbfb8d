//! Plans.

use std::sync::Arc;

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use parentage_core::plan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::checkpoint::Checkpoint;
use crate::errors::to_python;

/// Slices of one child and the same elements of the other checkpoints.
#[pyclass(frozen, module = "parentage._core")]
pub(crate) struct Plan(pub(crate) Arc<plan::Plan>);

#[pymethods]
impl Plan {
    #[new]
    fn new(
        checkpoints: Vec<PyRef<'_, Checkpoint>>,
        elements: PyReadonlyArray1<'_, u64>,
        tensors: PyReadonlyArray2<'_, u64>,
        starts: PyReadonlyArray2<'_, u64>,
    ) -> PyResult<Self> {
        let shape = [elements.len(), checkpoints.len()];
        if tensors.shape() != shape || starts.shape() != shape {
            return Err(PyValueError::new_err(format!(
                "tensors and starts must have shape {shape:?}, not {:?} and {:?}",
                tensors.shape(),
                starts.shape()
            )));
        }
        let plan = plan::Plan::new(
            checkpoints.iter().map(|checkpoint| checkpoint.0.clone()).collect(),
            elements.as_array().iter().copied().collect(),
            &tensors.as_array().iter().copied().collect::<Vec<_>>(),
            &starts.as_array().iter().copied().collect::<Vec<_>>(),
        );
        plan.map(|plan| Self(Arc::new(plan))).map_err(|error| to_python(&error))
    }

    /// How many slices there are.
    #[getter]
    fn slices(&self) -> usize {
        self.0.slices()
    }

    /// How many checkpoints there are.
    #[getter]
    fn columns(&self) -> usize {
        self.0.columns()
    }

    /// Bytes that streaming slices `first` to `last` (exclusive) reads, over all checkpoints.
    fn bytes(&self, first: usize, last: usize) -> PyResult<u64> {
        if first > last || last > self.0.slices() {
            let slices = self.0.slices();
            return Err(PyValueError::new_err(format!("slices {first} to {last} of {slices}")));
        }
        Ok(self.0.bytes(first..last))
    }

    /// Ranges of slices, in order, of at most `chunks` chunks each, or of one slice.
    fn ranges(&self, chunks: usize) -> Vec<(usize, usize)> {
        self.0.ranges(chunks).into_iter().map(|range| (range.start, range.end)).collect()
    }
}
