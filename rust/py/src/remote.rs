//! Files that Python fetches.

use std::any::Any;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::PyReadonlyArray1;
use parentage_core::checkpoint::RemoteFile;
use parentage_core::{Fetch, FetchError, Remote};
use pyo3::prelude::*;

use crate::errors::ParentageError;

/// An object with `plan(ranges)`, `expect(start, end)` and `read(start, end)`, which returns an array of
/// bytes, or None if they have not come within a moment.
#[derive(Debug)]
pub(crate) struct Fetcher(Py<PyAny>);

/// What a call of Python raised: a message if it is one of ours, else the exception, which is raised again.
fn raised(py: Python<'_>, error: PyErr) -> FetchError {
    if error.is_instance_of::<ParentageError>(py) {
        error.value(py).to_string().into()
    } else {
        Box::new(error)
    }
}

impl Fetch for Fetcher {
    fn plan(&self, ranges: &[Range<u64>]) -> Result<(), FetchError> {
        Python::attach(|py| {
            let ranges: Vec<_> = ranges.iter().map(|range| (range.start, range.end)).collect();
            let called = self.0.call_method1(py, "plan", (ranges,));
            called.map(drop).map_err(|error| raised(py, error))
        })
    }

    fn expect(&self, range: Range<u64>) {
        Python::attach(|py| {
            // It is told when the bytes are asked for.
            let _ = self.0.call_method1(py, "expect", (range.start, range.end));
        });
    }

    fn read(&self, range: Range<u64>, out: &mut [u8]) -> Result<bool, FetchError> {
        Python::attach(|py| {
            let mut read = || -> PyResult<bool> {
                let found = self.0.call_method1(py, "read", (range.start, range.end))?;
                if found.is_none(py) {
                    return Ok(false);
                }
                let found: PyReadonlyArray1<'_, u8> = found.extract(py)?;
                let found = found.as_slice()?;
                if found.len() != out.len() {
                    return Err(pyo3::exceptions::PyValueError::new_err(format!(
                        "{} bytes were fetched, and {} were asked for",
                        found.len(),
                        out.len()
                    )));
                }
                out.copy_from_slice(found);
                Ok(true)
            };
            read().map_err(|error| raised(py, error))
        })
    }
}

/// The core's file for what Python fetches.
pub(crate) fn remote(fetcher: Py<PyAny>) -> Remote {
    Remote(Arc::new(Fetcher(fetcher)))
}

/// What Python fetches a file by.
pub(crate) fn fetcher(py: Python<'_>, remote: &Remote) -> Option<Py<PyAny>> {
    let any: &dyn Any = remote.0.as_ref();
    any.downcast_ref::<Fetcher>().map(|fetcher| fetcher.0.clone_ref(py))
}

/// A file as Python describes it: path, name, bytes and fetcher.
pub(crate) fn file((path, name, bytes, fetcher): (PathBuf, String, u64, Py<PyAny>)) -> RemoteFile {
    RemoteFile { path, name, bytes, remote: remote(fetcher) }
}
