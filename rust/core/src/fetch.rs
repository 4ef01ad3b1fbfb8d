//! Files that are on no disk of this machine: their bytes are fetched by whoever opened them.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::progress::Stop;

/// What went wrong where bytes were fetched.
pub type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// Fetches bytes of one file. All of it is called from several threads at a time.
pub trait Fetch: Any + Debug + Send + Sync {
    /// Says which ranges will be asked for, ascending and perhaps more than once: what lies near each other
    /// can be fetched in one go.
    ///
    /// # Errors
    ///
    /// Whatever the fetcher says.
    fn plan(&self, ranges: &[Range<u64>]) -> Result<(), FetchError>;

    /// Begins to fetch a range that will soon be asked for. What fails is told when it is.
    fn expect(&self, range: Range<u64>);

    /// Fills `out` with the bytes at `range`; `false` if they have not come within a moment, and are to be
    /// asked for again. In between, the caller looks whether it is to stop.
    ///
    /// # Errors
    ///
    /// Whatever the fetcher says: it has tried what it could.
    fn read(&self, range: Range<u64>, out: &mut [u8]) -> Result<bool, FetchError>;
}

/// A file that is fetched.
#[derive(Clone, Debug)]
pub struct Remote(pub Arc<dyn Fetch>);

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Remote {}

impl Remote {
    /// Fills `out` with the bytes at `range`, however long it takes.
    ///
    /// # Errors
    ///
    /// [`Error::Fetch`], and [`Error::Interrupted`] as soon as the caller is to stop.
    pub(crate) fn read(
        &self,
        path: &Path,
        range: Range<u64>,
        out: &mut [u8],
        stop: &Stop,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        loop {
            stop.check()?;
            match self.0.read(range.clone(), out) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(source) => {
                    let path = path.to_owned();
                    let offset = Some(range.start);
                    return Err(Error::Fetch { path, tensor: None, offset, source });
                }
            }
        }
    }
}
