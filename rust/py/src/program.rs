//! Programs of replays.

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use parentage_core::checkpoint::dtype::Dtype;
use parentage_core::replay::{self, Factors, Inputs, Op};
use parentage_core::{Error, Result};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use crate::errors::to_python;

/// An operation as Python tells it: its name and its operands; a dtype's name for `round`.
type Operation = (String, Vec<usize>, Option<String>);
/// A slice's low-rank matrices: left (rows, rank) and right (rank, columns), float64, and the element
/// of the matrix that is the slice's first.
type Matrix<'py> = (PyReadonlyArray2<'py, f64>, PyReadonlyArray2<'py, f64>, u64);
type Matrices<'py> = Vec<Vec<Option<Matrix<'py>>>>;

/// The arguments of [`Replay`].
type Arguments<'py> = (
    Vec<Operation>,
    Bound<'py, PyList>,
    Bound<'py, PyArray2<f32>>,
    Option<Vec<Vec<Option<OwnMatrix<'py>>>>>,
    Option<Bound<'py, PyArray1<bool>>>,
);
/// As [`Matrix`].
type OwnMatrix<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>, u64);

/// A recipe's arithmetic, with what it needs to know about every slice.
#[pyclass(frozen, module = "parentage._core")]
pub(crate) struct Replay {
    pub(crate) replay: replay::Replay,
    slices: usize,
}

#[pymethods]
impl Replay {
    /// `operations` are (name, operands, dtype); `results` the numbers of those that are results;
    /// `scalars` is (slices, scalars) float32; `matrices` by slice; `applies` by slice.
    #[new]
    #[pyo3(signature = (operations, results, scalars, matrices=None, applies=None))]
    fn new(
        operations: Vec<Operation>,
        results: Vec<u8>,
        scalars: PyReadonlyArray2<'_, f32>,
        matrices: Option<Matrices<'_>>,
        applies: Option<PyReadonlyArray1<'_, bool>>,
    ) -> PyResult<Self> {
        let program = operations
            .iter()
            .map(|(name, operands, dtype)| operation(name, operands, dtype.as_deref()))
            .collect::<Result<Vec<_>>>()
            .and_then(|ops| replay::Program::new(ops, results))
            .map_err(|error| to_python(&error))?;
        if scalars.shape()[1] != program.scalars() {
            return Err(PyValueError::new_err(format!(
                "scalars must have shape (slices, {}), not {:?}",
                program.scalars(),
                scalars.shape()
            )));
        }
        let slices = scalars.shape()[0];
        let factors = match matrices {
            Some(matrices) => matrices
                .iter()
                .flatten()
                .map(|pair| {
                    pair.as_ref().map(|(left, right, offset)| Factors {
                        left: left.as_array().iter().copied().collect(),
                        right: right.as_array().iter().copied().collect(),
                        columns: right.shape()[1],
                        offset: *offset,
                    })
                })
                .collect(),
            None => vec![None; slices * program.factors()],
        };
        let inputs = Inputs {
            scalars: scalars.as_array().iter().copied().collect(),
            factors,
            applies: applies.map_or_else(Vec::new, |a| a.as_array().iter().copied().collect()),
        };
        Ok(Self { replay: replay::Replay { program, inputs }, slices })
    }

    /// The arguments that make it again.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, Arguments<'py>)> {
        let (py, Self { replay, slices }) = (slf.py(), slf.get());
        let replay::Replay { program, inputs } = replay;
        let matrix = |factors: &Factors| -> PyResult<OwnMatrix<'py>> {
            let Factors { left, right, columns, offset } = factors;
            let rank = right.len().checked_div(*columns).unwrap_or(0);
            let rows = left.len().checked_div(rank).unwrap_or(0);
            let left = left.clone().into_pyarray(py).reshape((rows, rank))?;
            Ok((left, right.clone().into_pyarray(py).reshape((rank, *columns))?, *offset))
        };
        let of_slice = |factors: &[Option<Factors>]| {
            factors.iter().map(|each| each.as_ref().map(matrix).transpose()).collect()
        };
        let matrices = match program.factors() {
            0 => None,
            each => Some(inputs.factors.chunks(each).map(of_slice).collect::<PyResult<_>>()?),
        };
        let applies = &inputs.applies;
        let arguments = (
            program.ops().iter().map(described).collect(),
            PyList::new(py, program.results())?,
            inputs.scalars.clone().into_pyarray(py).reshape((*slices, program.scalars()))?,
            matrices,
            (!applies.is_empty()).then(|| applies.clone().into_pyarray(py)),
        );
        Ok((slf.get_type(), arguments))
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

fn operation(name: &str, operands: &[usize], dtype: Option<&str>) -> Result<Op> {
    let wrong = || Error::Argument(format!("program: no operation {name} of {operands:?}"));
    let small = |&operand: &usize| u8::try_from(operand).map_err(|_| wrong());
    let operands = operands.iter().map(small).collect::<Result<Vec<_>>>()?;
    Ok(match (name, operands.as_slice()) {
        ("column", &[a]) => Op::Column(a),
        ("reversed", &[a]) => Op::Reversed(a),
        ("scalar", &[a]) => Op::Scalar(a),
        ("low_rank", &[a]) => Op::LowRank(a),
        ("add", &[a, b]) => Op::Add(a, b),
        ("sub", &[a, b]) => Op::Sub(a, b),
        ("mul", &[a, b]) => Op::Mul(a, b),
        ("div", &[a, b]) => Op::Div(a, b),
        ("fma", &[a, b, c]) => Op::Fma(a, b, c),
        ("abs", &[a]) => Op::Abs(a),
        ("max", &[a, b]) => Op::Max(a, b),
        ("min", &[a, b]) => Op::Min(a, b),
        ("greater", &[a, b]) => Op::Greater(a, b),
        ("greater_equal", &[a, b]) => Op::GreaterEqual(a, b),
        ("select", &[a, b, c]) => Op::Select(a, b, c),
        ("round", &[a]) => Op::Round(a, named_dtype(dtype.ok_or_else(wrong)?)?),
        _ => return Err(wrong()),
    })
}

/// What [`operation`] makes an operation from.
fn described(op: &Op) -> Operation {
    let (name, dtype) = match *op {
        Op::Column(_) => ("column", None),
        Op::Reversed(_) => ("reversed", None),
        Op::Scalar(_) => ("scalar", None),
        Op::LowRank(_) => ("low_rank", None),
        Op::Add(..) => ("add", None),
        Op::Sub(..) => ("sub", None),
        Op::Mul(..) => ("mul", None),
        Op::Div(..) => ("div", None),
        Op::Fma(..) => ("fma", None),
        Op::Abs(_) => ("abs", None),
        Op::Max(..) => ("max", None),
        Op::Min(..) => ("min", None),
        Op::Greater(..) => ("greater", None),
        Op::GreaterEqual(..) => ("greater_equal", None),
        Op::Select(..) => ("select", None),
        Op::Round(_, dtype) => ("round", Some(dtype.name().to_owned())),
    };
    let operands = match *op {
        Op::Column(a) | Op::Reversed(a) | Op::Scalar(a) | Op::LowRank(a) => vec![usize::from(a)],
        _ => op.operands().map(usize::from).collect(),
    };
    (name.to_owned(), operands, dtype)
}

pub(crate) fn named_dtype(name: &str) -> Result<Dtype> {
    Dtype::from_name(name).ok_or_else(|| Error::Argument(format!("no dtype is called {name:?}")))
}

/// The core's replays of Python's.
pub(crate) fn inner(replays: &[PyRef<'_, Replay>]) -> Vec<replay::Replay> {
    replays.iter().map(|each| each.replay.clone()).collect()
}
