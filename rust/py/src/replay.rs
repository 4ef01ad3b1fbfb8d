//! Passes of cells and replays.

use std::path::PathBuf;

use numpy::ndarray::Array2;
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use parentage_core::Result;
use parentage_core::cells::{self, Query};
use parentage_core::plan::BLOCKS;
use parentage_core::replay::{self, Counts, Target, ULPS};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::pickle::{Reduced, by_fields};
use crate::plan::Plan;
use crate::program::{Replay, inner, named_dtype};
use crate::run::{options, run};

/// What R replays reproduce of S slices.
#[pyclass(frozen, get_all, new = "from_fields", module = "parentage._core")]
pub(crate) struct Replayed {
    /// (S, R) uint64: elements of which every result has the child's bits.
    reproduced: Py<PyArray2<u64>>,
    /// (S, R) uint64: elements of which some result has them, and some has not.
    explained: Py<PyArray2<u64>>,
    /// (S, R) uint64: elements of which no result has them.
    mismatched: Py<PyArray2<u64>>,
    /// (S, R) uint64: the mismatched where both are zeros, of different sign.
    zero_signs: Py<PyArray2<u64>>,
    /// (S, R, ULPS) uint64: the mismatched by distance in units of the child's last place.
    ulps: Py<PyArray3<u64>>,
    /// (S, R, BLOCKS) uint64: the mismatched by block of the slice.
    blocks: Py<PyArray3<u64>>,
    /// (S, R) int64: the first mismatched element of the slice, -1 if there is none.
    first: Py<PyArray2<i64>>,
}

#[pymethods]
impl Replayed {
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        by_fields(
            slf,
            &["reproduced", "explained", "mismatched", "zero_signs", "ulps", "blocks", "first"],
        )
    }
}

impl Replayed {
    pub(crate) fn new(
        py: Python<'_>,
        counts: &[Counts],
        slices: usize,
        replays: usize,
    ) -> PyResult<Self> {
        let table = |count: fn(&Counts) -> u64| -> Py<PyArray2<u64>> {
            Array2::from_shape_fn((slices, replays), |(s, r)| count(&counts[s * replays + r]))
                .into_pyarray(py)
                .unbind()
        };
        let deep = |width: usize, count: fn(&Counts) -> &[u64]| -> PyResult<Py<PyArray3<u64>>> {
            let all: Vec<u64> = counts.iter().flat_map(|c| count(c).iter().copied()).collect();
            Ok(all.into_pyarray(py).reshape((slices, replays, width))?.unbind())
        };
        Ok(Self {
            reproduced: table(|c| c.reproduced),
            explained: table(|c| c.explained),
            mismatched: table(|c| c.mismatched),
            zero_signs: table(|c| c.zero_signs),
            ulps: deep(ULPS, |c| &c.ulps)?,
            blocks: deep(BLOCKS, |c| &c.blocks)?,
            first: counts
                .iter()
                .map(|c| c.first.map_or(-1, |first| first as i64))
                .collect::<Vec<_>>()
                .into_pyarray(py)
                .reshape((slices, replays))?
                .unbind(),
        })
    }
}

/// Replays slices `first` to `last` (exclusive) of `plan` and compares them with the child.
#[pyfunction]
#[pyo3(signature = (plan, first, last, replays, *, threads, tile_bytes=None, io="mmap", level=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn replay_slices(
    py: Python<'_>,
    plan: &Plan,
    first: usize,
    last: usize,
    replays: Vec<PyRef<'_, Replay>>,
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    level: Option<&str>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Replayed> {
    let options = options(threads, tile_bytes, io, level)?;
    let plan = &plan.0;
    let replays = inner(&replays);
    let counts =
        run(py, progress, |watch| replay::replay(plan, first..last, &replays, &options, watch))?;
    Replayed::new(py, &counts, last - first, replays.len())
}

/// Counts, by slice and replay, results in the cells of codes, codes that tell anything, and results in the middle of
/// these: (S, R, 3).
///
/// The last three columns of `plan` are what codes stand for and the ends of their cells. `room` is (S, 2): how far
/// beyond them a result may lie, as a share of the code's number, and of how many of its steps as well.
#[pyfunction]
#[pyo3(signature = (plan, replays, dtypes, room, *, threads, tile_bytes=None, io="mmap", level=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn replay_in_cells(
    py: Python<'_>,
    plan: &Plan,
    replays: Vec<PyRef<'_, Replay>>,
    dtypes: Vec<String>,
    room: Vec<(f32, f32)>,
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    level: Option<&str>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyArray3<u64>>> {
    let options = options(threads, tile_bytes, io, level)?;
    if dtypes.len() != replays.len() {
        return Err(PyValueError::new_err("a dtype for every replay"));
    }
    let dtypes = dtypes.iter().map(|dtype| named_dtype(dtype)).collect::<Result<Vec<_>>>();
    let dtypes = dtypes.map_err(|error| to_python(&error))?;
    let replays: Vec<_> = inner(&replays).into_iter().zip(dtypes).collect();
    let room: Vec<_> =
        room.into_iter().map(|(share, steps)| replay::Room { share, steps }).collect();
    let plan = &plan.0;
    let found = run(py, progress, |watch| {
        replay::in_cells(plan, 0..plan.slices(), &replays, &room, &options, watch)
    })?;
    let counts: Vec<u64> =
        found.iter().flat_map(|each| [each.inside, each.telling, each.centred]).collect();
    Ok(counts.into_pyarray(py).reshape((plan.slices(), replays.len(), 3))?.unbind())
}

/// Writes what a replay gives of every slice of `plan` into existing files.
///
/// `targets` are, by slice, the number of the file, the first byte in it and the dtype.
#[pyfunction]
#[pyo3(signature = (plan, replay, files, targets, *, threads, tile_bytes=None, io="mmap", level=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn write_replay(
    py: Python<'_>,
    plan: &Plan,
    replay: PyRef<'_, Replay>,
    files: Vec<PathBuf>,
    targets: Vec<(usize, u64, String)>,
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    level: Option<&str>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let options = options(threads, tile_bytes, io, level)?;
    let target = |(file, begin, dtype): (usize, u64, String)| {
        named_dtype(&dtype).map(|dtype| Target { file, begin, dtype })
    };
    let targets = targets.into_iter().map(target).collect::<Result<Vec<_>>>();
    let targets = targets.map_err(|error| to_python(&error))?;
    let (plan, replay) = (&plan.0, replay.replay.clone());
    run(py, progress, |watch| {
        replay::write(plan, 0..plan.slices(), &replay, &files, &targets, &options, watch)
    })
}

/// Cell spectra of G groups; the second axis is (all intervals, narrow ones).
#[pyclass(frozen, get_all, new = "from_fields", module = "parentage._core")]
pub(crate) struct Spectrum {
    /// (G, 2, bins) uint32: intervals over each bin.
    coverage: Py<PyArray3<u32>>,
    /// (G, 2) uint64: intervals in all.
    intervals: Py<PyArray2<u64>>,
    /// (G,) uint64: elements that the weight does not change.
    fixed: Py<PyArray1<u64>>,
    /// (G,) uint64: of those, the ones that the other weights put into their cell.
    fixed_admitted: Py<PyArray1<u64>>,
}

#[pymethods]
impl Spectrum {
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        by_fields(slf, &["coverage", "intervals", "fixed", "fixed_admitted"])
    }
}

/// Counts which weights of column `axis` the rounding cells of slices `first` to `last` admit.
///
/// `weights` is (slices, columns - 1), `groups` by slice, `windows` (groups, 2).
#[pyfunction]
#[pyo3(signature = (plan, first, last, *, weights, axis, groups, windows, bins, threads, widen=0.0, dtype=None, io="mmap"))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn spectrum(
    py: Python<'_>,
    plan: &Plan,
    first: usize,
    last: usize,
    weights: PyReadonlyArray2<'_, f64>,
    axis: usize,
    groups: Vec<usize>,
    windows: PyReadonlyArray2<'_, f64>,
    bins: usize,
    threads: usize,
    widen: f64,
    dtype: Option<&str>,
    io: &str,
) -> PyResult<Spectrum> {
    let options = options(threads, None, io, None)?;
    if windows.shape()[1] != 2 {
        return Err(PyValueError::new_err("windows must have shape (groups, 2)"));
    }
    let count = windows.shape()[0];
    let query = Query {
        weights: weights.as_array().iter().copied().collect(),
        axis,
        groups,
        windows: windows.as_array().rows().into_iter().map(|row| (row[0], row[1])).collect(),
        bins,
        widen,
        dtype: dtype.map(named_dtype).transpose().map_err(|error| to_python(&error))?,
    };
    let plan = &plan.0;
    let found = run(py, None, |watch| cells::spectrum(plan, first..last, &query, &options, watch))?;
    Ok(Spectrum {
        coverage: found.coverage.into_pyarray(py).reshape((count, 2, bins))?.unbind(),
        intervals: found.intervals.into_pyarray(py).reshape((count, 2))?.unbind(),
        fixed: found.fixed.into_pyarray(py).unbind(),
        fixed_admitted: found.fixed_admitted.into_pyarray(py).unbind(),
    })
}

/// Elements of slices `first` to `last` (exclusive) of `plan`, decoded: (elements, columns) float64.
///
/// For samples: everything that is asked for is held in memory.
#[pyfunction]
#[pyo3(signature = (plan, first, last, *, threads, io="mmap"))]
pub(crate) fn elements(
    py: Python<'_>,
    plan: &Plan,
    first: usize,
    last: usize,
    threads: usize,
    io: &str,
) -> PyResult<Py<PyArray2<f64>>> {
    let options = options(threads, None, io, None)?;
    let plan = &plan.0;
    let columns = plan.columns();
    let found = run(py, None, |watch| {
        parentage_core::stream::elements(plan, first..last, &options, watch)
    })?;
    let rows = found.len() / columns;
    Ok(found.into_pyarray(py).reshape((rows, columns))?.unbind())
}
