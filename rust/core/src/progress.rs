//! How far a long call has come, and the wish to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Shared between a running call and whoever watches it. All of it is safe to use from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Nothing done, nothing cancelled.
    pub const fn new() -> Self {
        Self { bytes: AtomicU64::new(0), cancelled: AtomicBool::new(false) }
    }

    /// Bytes of tensor data read so far, over all checkpoints.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds to the bytes read.
    pub fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Asks the call to stop before its next chunk.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails after [`Progress::cancel`].
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Whether [`Progress::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
