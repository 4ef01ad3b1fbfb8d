//! Files opened without waiting for anything.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Opens a file for reading. What is no regular file is opened as well, and at once: to open a pipe
/// that nobody writes to would wait for ever, deaf to Ctrl-C. It is for the caller to look at its kind.
pub(crate) fn open(path: &Path) -> Result<File> {
    without_waiting(OpenOptions::new().read(true)).open(path)
}

/// Opens a regular file for writing.
///
/// # Errors
///
/// Those of the system, and one that says so if it is no regular file.
pub(crate) fn open_to_write(path: &Path) -> Result<File> {
    let file = without_waiting(OpenOptions::new().write(true)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    // Of no effect on a regular file.
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK)
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
