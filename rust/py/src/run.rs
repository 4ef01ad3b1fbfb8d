//! How long calls run: their options, and the one place where the GIL is released and Ctrl-C is heard.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use parentage_core::gram::Level;
use parentage_core::progress::Progress;
use parentage_core::stream::Options;
use parentage_core::{Error, Io, Result};
use pyo3::prelude::*;

use crate::errors::to_python;

/// How often signals are polled and progress is told.
const INTERVAL: Duration = Duration::from_millis(50);

/// The options of a pass, from the keyword arguments that all passes share.
pub(crate) fn options(
    threads: usize,
    tile_bytes: Option<u64>,
    io: &str,
    level: Option<&str>,
) -> PyResult<Options<'static>> {
    let level = level.map_or_else(Level::detect, Level::named);
    let options = level.and_then(|level| {
        let io: Io = io.parse()?;
        Ok(Options { threads, tile_bytes, io, level, digests: None })
    });
    options.map_err(|error| to_python(&error))
}

/// Runs `work` on a thread of its own while this one listens.
///
/// `report`, if given, is called with the bytes read so far, about twenty times a second and once at
/// the end. If it raises, or a signal handler does, the work is cancelled and waited for, and that
/// first exception is the one that is raised.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    report: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = Progress::new();
    let report = report.map(|report| report.clone().unbind());
    let tell = |py: Python<'_>| -> PyResult<()> {
        py.check_signals()?;
        match &report {
            Some(report) => report.call1(py, (progress.bytes(),)).map(drop),
            None => Ok(()),
        }
    };
    py.detach(|| {
        let mut raised = None;
        let result = std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let worker = std::thread::Builder::new().name("parentage".into());
            let worker = worker.spawn_scoped(scope, || {
                let result = work(&progress);
                drop(sender);
                result
            });
            let worker = worker
                .map_err(|error| Error::Argument(format!("no thread could be started: {error}")))?;
            loop {
                let finished: std::result::Result<(), _> = receiver.recv_timeout(INTERVAL);
                if raised.is_none()
                    && let Err(exception) = Python::attach(tell)
                {
                    progress.cancel();
                    raised = Some(exception);
                }
                if finished == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        match raised {
            Some(exception) => Err(exception),
            None => result.map_err(|error| to_python(&error)),
        }
    })
}
