//! Plans.

use std::sync::Arc;

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use parentage_core::plan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::checkpoint::Checkpoint;
use crate::errors::to_python;

/// What a plan is made from: checkpoints, elements, tensors and starts.
type Tables<'py> = (
    Vec<Py<Checkpoint>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray2<u64>>,
    Bound<'py, PyArray2<u64>>,
);

/// Slices of one child and the same elements of the other checkpoints.
#[pyclass(frozen, module = "parentage._core")]
pub(crate) struct Plan(pub(crate) Arc<plan::Plan>, Vec<Py<Checkpoint>>);

#[pymethods]
impl Plan {
    #[new]
    fn new(
        checkpoints: Vec<Py<Checkpoint>>,
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
            checkpoints.iter().map(|checkpoint| checkpoint.get().0.clone()).collect(),
            elements.as_array().iter().copied().collect(),
            &tensors.as_array().iter().copied().collect::<Vec<_>>(),
            &starts.as_array().iter().copied().collect::<Vec<_>>(),
        );
        plan.map(|plan| Self(Arc::new(plan), checkpoints)).map_err(|error| to_python(&error))
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

    /// What it was made from. The checkpoints are the objects that it was given, so that plans of the
    /// same checkpoints share them when they are pickled together.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, Tables<'py>)> {
        let (py, Self(plan, checkpoints)) = (slf.py(), slf.get());
        let (elements, tensors, starts) = plan.tables();
        let table =
            |table: Vec<u64>| table.into_pyarray(py).reshape((plan.slices(), plan.columns()));
        let checkpoints = checkpoints.iter().map(|each| each.clone_ref(py)).collect();
        let tables = (checkpoints, elements.into_pyarray(py), table(tensors)?, table(starts)?);
        Ok((slf.get_type(), tables))
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
