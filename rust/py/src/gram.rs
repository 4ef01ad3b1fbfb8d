//! Streaming a plan.

#![expect(clippy::too_many_arguments, reason = "a class is made from all its fields")]

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods};
use parentage_core::gram::{BINS, Counts, Level, WEIGHTS, pairs};
use parentage_core::plan::BLOCKS;
use parentage_core::statistics;
use parentage_core::stream::{self, Options};
use pyo3::prelude::*;

use crate::checkpoint::Checkpoint;
use crate::digest::Digests;
use crate::errors::to_python;
use crate::pickle::{Reduced, by_fields};
use crate::plan::Plan;
use crate::program::{Replay, inner};
use crate::replay::Replayed;
use crate::run::{options, run};

/// Sufficient statistics of S slices over C columns, with P = C (C + 1) / 2.
#[pyclass(frozen, get_all, new = "from_fields", module = "parentage._core")]
pub(crate) struct Statistics {
    /// (S, BLOCKS, P) float64: upper triangles by rows of the Gram matrix of each block.
    gram: Py<PyArray3<f64>>,
    /// (S,) float64: the sum of ulp(c)^2 / 12 of the child.
    energy: Py<PyArray1<f64>>,
    /// (S, C - 2, WEIGHTS + 1) float64: what rounding does to simulated blends, and sums of d^2.
    bias: Py<PyArray3<f64>>,
    /// (S,) uint64: most significand bits of a sampled value of the child, the first not counted.
    precision: Py<PyArray1<u64>>,
    /// (S,) uint64: elements not finite in some column, left out of `gram`.
    excluded: Py<PyArray1<u64>>,
    /// (S,) uint64: elements where a parent or control is not the base.
    moved: Py<PyArray1<u64>>,
    /// (S,) uint64: elements where all of them are, and the child is not.
    stray: Py<PyArray1<u64>>,
    /// (S, C - 1) uint64: elements whose value, cast to the child's dtype, has the child's bits.
    equal: Py<PyArray2<u64>>,
    /// (S, C) uint64: NaN values.
    nan: Py<PyArray2<u64>>,
    /// (S, C) uint64: infinite values.
    inf: Py<PyArray2<u64>>,
    /// (S, C - 2, BINS) uint64: sampled displacements in units of the child's last place.
    histogram: Py<PyArray3<u64>>,
    /// What the replays reproduce.
    replayed: Py<Replayed>,
}

#[pymethods]
impl Statistics {
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        by_fields(
            slf,
            &[
                "gram",
                "energy",
                "bias",
                "precision",
                "excluded",
                "moved",
                "stray",
                "equal",
                "nan",
                "inf",
                "histogram",
                "replayed",
            ],
        )
    }
}

/// Streams slices `first` to `last` (exclusive) of `plan` once and returns their statistics.
///
/// Every replay is compared with the child in the same pass, and `digests` are carried on.
/// `progress`, if given, is called with the bytes read so far.
#[pyfunction]
#[pyo3(signature = (plan, first, last, *, threads, tile_bytes=None, io="mmap", level=None, replays=Vec::new(), digests=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn gram(
    py: Python<'_>,
    plan: &Plan,
    first: usize,
    last: usize,
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    level: Option<&str>,
    replays: Vec<PyRef<'_, Replay>>,
    digests: Option<PyRef<'_, Digests>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Statistics> {
    let plan = &plan.0;
    let options = Options {
        digests: digests.as_deref().map(|digests| digests.0.as_ref()),
        ..options(threads, tile_bytes, io, level)?
    };
    let replays = inner(&replays);
    let sums =
        run(py, progress, |watch| statistics::gram(plan, first..last, &replays, &options, watch))?;

    let (slices, columns) = (sums.counts.len(), plan.columns());
    let scalars = |count: fn(&Counts) -> u64| -> Py<PyArray1<u64>> {
        sums.counts.iter().map(count).collect::<Vec<_>>().into_pyarray(py).unbind()
    };
    let table = |width: usize, count: fn(&Counts, usize) -> u64| -> Py<PyArray2<u64>> {
        Array2::from_shape_fn((slices, width), |(slice, column)| count(&sums.counts[slice], column))
            .into_pyarray(py)
            .unbind()
    };
    let precision: Vec<u64> = sums.precision.into_iter().map(u64::from).collect();
    Ok(Statistics {
        replayed: Py::new(py, Replayed::new(py, &sums.replayed, slices, replays.len())?)?,
        bias: sums.bias.into_pyarray(py).reshape((slices, columns - 2, WEIGHTS + 1))?.unbind(),
        precision: precision.into_pyarray(py).unbind(),
        excluded: scalars(|counts| counts.excluded),
        moved: scalars(|counts| counts.moved),
        stray: scalars(|counts| counts.stray),
        equal: table(columns - 1, |counts, column| counts.equal[column]),
        nan: table(columns, |counts, column| counts.nan[column]),
        inf: table(columns, |counts, column| counts.inf[column]),
        histogram: sums.histogram.into_pyarray(py).reshape((slices, columns - 2, BINS))?.unbind(),
        gram: sums.gram.into_pyarray(py).reshape((slices, BLOCKS, pairs(columns)))?.unbind(),
        energy: sums.energy.into_pyarray(py).unbind(),
    })
}

/// Reads slices `first` to `last` (exclusive) of `plan` once and returns a checksum of the bytes.
#[pyfunction]
#[pyo3(signature = (plan, first, last, *, threads, tile_bytes=None, io="mmap", progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn read(
    py: Python<'_>,
    plan: &Plan,
    first: usize,
    last: usize,
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<u64> {
    let plan = &plan.0;
    let options = options(threads, tile_bytes, io, None)?;
    run(py, progress, |watch| stream::read(plan, first..last, &options, watch))
}

/// Whether tensors of two checkpoints, (P, 2) by position, have one dtype and the same bytes; no more
/// than the first `most` bytes of each are read.
#[pyfunction]
#[pyo3(signature = (first, second, pairs, *, threads, most=None, io="mmap"))]
pub(crate) fn same_bytes<'py>(
    py: Python<'py>,
    first: &Checkpoint,
    second: &Checkpoint,
    pairs: Vec<(usize, usize)>,
    threads: usize,
    most: Option<u64>,
    io: &str,
) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let options = options(threads, None, io, None)?;
    let most = most.unwrap_or(u64::MAX);
    let same = run(py, None, |watch| {
        stream::same_bytes(&first.0, &second.0, &pairs, most, &options, watch)
    })?;
    Ok(same.into_pyarray(py))
}

/// The instruction set in use: the one PARENTAGE_LEVEL names, or the fastest this CPU has.
#[pyfunction]
pub(crate) fn simd_level() -> PyResult<&'static str> {
    Level::detect().map(Level::name).map_err(|error| to_python(&error))
}

/// The instruction sets that this CPU has, slowest first.
#[pyfunction]
pub(crate) fn levels() -> Vec<&'static str> {
    Level::available().into_iter().map(Level::name).collect()
}

/// Whether this system can map files and fault in their pages on demand; where it can not, they are
/// read with pread.
#[pyfunction]
pub(crate) fn can_map() -> bool {
    parentage_core::can_map()
}

/// The number of CPUs that this process may use.
#[pyfunction]
pub(crate) fn threads() -> usize {
    parentage_core::threads::available()
}
