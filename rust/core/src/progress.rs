//! How far a long call has come, and the wish to stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Shared between a running call and whoever watches it. All of it is safe to use from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    stop: Stop,
}

/// The wish to stop, for whoever waits for something while a call runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Fails after [`Progress::cancel`].
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

impl Progress {
    /// Nothing done, nothing cancelled.
    pub fn new() -> Self {
        Self::default()
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
        self.stop.0.store(true, Ordering::Relaxed);
    }

    /// Fails after [`Progress::cancel`].
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`].
    pub(crate) fn check(&self) -> Result<()> {
        self.stop.check()
    }

    /// The wish alone, for sources that wait.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Whether [`Progress::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.stop.0.load(Ordering::Relaxed)
    }
}
