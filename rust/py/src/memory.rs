//! Arrays of Python as tensors of the core.
#![expect(unsafe_code, reason = "lending the memory of arrays")]

use std::ptr::NonNull;
use std::sync::Arc;

use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use parentage_core::Lent;
use parentage_core::checkpoint::{Dtype, LentTensor};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A tensor: name, dtype, array of unsigned integers that have its bits, and what else keeps the array's memory where it is.
pub(crate) type Given<'py> = (String, String, Bound<'py, PyUntypedArray>, Bound<'py, PyAny>);

/// An array and its keepers.
struct Kept(#[expect(dead_code, reason = "kept")] (Py<PyUntypedArray>, Py<PyAny>));

/// An array as a tensor of the core, which keeps it.
///
/// Nobody else has the array, or it can not be given other memory: `tensors` of
/// `parentage.checkpoint.live` sees to that.
pub(crate) fn lent((name, dtype, array, keepers): Given<'_>) -> PyResult<LentTensor> {
    let unknown = || PyValueError::new_err(format!("no dtype is called {dtype:?}"));
    let dtype = Dtype::from_name(&dtype).ok_or_else(unknown)?;
    let address = match dtype.bits() {
        8 => address::<u8>(&array)?,
        16 => address::<u16>(&array)?,
        32 => address::<u32>(&array)?,
        64 => address::<u64>(&array)?,
        _ => {
            return Err(PyValueError::new_err(format!(
                "{name:?}: no array has elements of {dtype}"
            )));
        }
    };
    let shape = array.shape().iter().map(|&size| size as u64).collect();
    let strides = array.strides().to_vec();
    let owner = Arc::new(Kept((array.unbind(), keepers.unbind())));
    // SAFETY: an array has every element of its shape, at its strides, as long as it lives, and it lives as
    // long as its owner. Without elements, none is read.
    let elements = unsafe { Lent::new(dtype.bits() / 8, shape, strides, address, owner) };
    let too_large = || PyValueError::new_err(format!("{name:?}: it is larger than a file can be"));
    let elements = elements.ok_or_else(too_large)?;
    Ok(LentTensor { name, dtype, elements })
}

/// Where the elements of an array of unsigned integers are.
fn address<T: Element>(array: &Bound<'_, PyUntypedArray>) -> PyResult<NonNull<u8>> {
    let data = array.cast::<PyArrayDyn<T>>()?.data();
    // An array without elements may have no memory, of which none is read.
    Ok(NonNull::new(data.cast()).unwrap_or(NonNull::dangling()))
}
