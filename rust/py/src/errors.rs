//! Core errors as Python exceptions.

use parentage_core::Error;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyValueError};
use pyo3::{PyErr, Python, create_exception};

create_exception!(
    parentage,
    ParentageError,
    PyException,
    "Anything that went wrong with checkpoints, plans or files. The base of the others."
);
create_exception!(
    parentage,
    CheckpointError,
    ParentageError,
    "A path that is no checkpoint, or a checkpoint that is not what its format demands."
);
create_exception!(
    parentage,
    ReadError,
    ParentageError,
    "Reading failed, or a file changed while it was read."
);
create_exception!(
    parentage,
    PlanError,
    ParentageError,
    "Checkpoints or slices that can not be compared."
);

/// The exception for `error`; a function, since neither type is this crate's.
pub(crate) fn to_python(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Format { .. } | Error::NotACheckpoint { .. } | Error::UnsupportedDtype { .. } => {
            CheckpointError::new_err(message)
        }
        // What Python raised that is no error of ours is raised as it is.
        Error::Fetch { source, .. } => match source.downcast_ref::<PyErr>() {
            Some(raised) => Python::attach(|py| raised.clone_ref(py)),
            None => ReadError::new_err(message),
        },
        Error::Io { .. } | Error::Changed { .. } => ReadError::new_err(message),
        Error::Plan(_) => PlanError::new_err(message),
        Error::Argument(_) => PyValueError::new_err(message),
        Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        _ => ParentageError::new_err(message),
    }
}
