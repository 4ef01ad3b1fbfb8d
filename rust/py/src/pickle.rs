//! How results are pickled.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// A class and the arguments that make an object of it again.
pub(crate) type Reduced<'py> = (Bound<'py, PyType>, Bound<'py, PyTuple>);

/// What pickle asks of a result: its class, which is made from all its fields in order.
pub(crate) fn by_fields<'py, T>(result: &Bound<'py, T>, fields: &[&str]) -> PyResult<Reduced<'py>> {
    let values =
        fields.iter().map(|field| result.as_any().getattr(*field)).collect::<PyResult<Vec<_>>>()?;
    Ok((result.as_any().get_type(), PyTuple::new(result.py(), values)?))
}
