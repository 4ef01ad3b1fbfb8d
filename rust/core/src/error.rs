//! The one error type of the core.
//!
//! Every message that concerns bytes names the file, the tensor where there is one, and the byte
//! offset where there is one. Names that come from a checkpoint are escaped ([`quote`]), so that a
//! tensor name can not move the cursor or forge a line of output.

use std::path::{Path, PathBuf};

/// The result of everything that can fail in the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the place where it did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused or failed.
    #[error("{}: {action}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as in "open" or "read 4096 bytes at offset 512".
        action: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A checkpoint is not what its format says it must be.
    #[error("{}: {}{}{message}", .path.display(), tensor_part(.tensor.as_deref()), offset_part(*.offset))]
    Format {
        /// The file.
        path: PathBuf,
        /// The tensor concerned, if there is one.
        tensor: Option<String>,
        /// The byte offset in the file, if there is one.
        offset: Option<u64>,
        /// What is wrong.
        message: String,
    },
    /// A file changed or shrank while it was being read.
    #[error("{}: {}{}{message}", .path.display(), tensor_part(.tensor.as_deref()), offset_part(*.offset))]
    Changed {
        /// The file.
        path: PathBuf,
        /// The tensor being read, if known.
        tensor: Option<String>,
        /// The byte offset in the file, if known.
        offset: Option<u64>,
        /// What was noticed.
        message: String,
    },
    /// Bytes that are on no disk of this machine could not be fetched.
    #[error("{}: {}{}{source}", .path.display(), tensor_part(.tensor.as_deref()), offset_part(*.offset))]
    Fetch {
        /// Where the file is.
        path: PathBuf,
        /// The tensor being read, if known.
        tensor: Option<String>,
        /// The byte offset in the file, if known.
        offset: Option<u64>,
        /// What whoever fetches them said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The path names nothing that can be opened as a checkpoint.
    #[error("{}: {message}", .path.display())]
    NotACheckpoint {
        /// The path as given.
        path: PathBuf,
        /// Why, and what to do.
        message: String,
    },
    /// A dtype that has no arithmetic was asked to take part in it.
    #[error("{}: tensor {}: dtype {dtype} has no arithmetic here", .path.display(), quote(.tensor))]
    UnsupportedDtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype by its safetensors name.
        dtype: &'static str,
    },
    /// A plan that does not fit its checkpoints.
    #[error("plan: {0}")]
    Plan(String),
    /// An option outside its range.
    #[error("{0}")]
    Argument(String),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: &Path, action: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io { path: path.to_owned(), action: action.into(), source: source.into() }
    }

    /// An [`Error::Format`] for `path`, with the tensor and offset where known.
    pub fn format(
        path: &Path,
        tensor: Option<&str>,
        offset: Option<u64>,
        message: impl Into<String>,
    ) -> Self {
        Self::Format {
            path: path.to_owned(),
            tensor: tensor.map(str::to_owned),
            offset,
            message: message.into(),
        }
    }
}

impl Error {
    /// Adds the tensor's name to the error of a source, which knows its file only.
    pub(crate) fn of_tensor(mut self, name: &str) -> Self {
        if let Self::Changed { tensor, .. } | Self::Fetch { tensor, .. } = &mut self {
            *tensor = Some(name.to_owned());
        }
        self
    }
}

/// `name` in double quotes, with control characters and quotes escaped.
///
/// ```
/// assert_eq!(parentage_core::error::quote("a\u{1b}[2J\"b"), r#""a\u{1b}[2J\"b""#);
/// ```
pub fn quote(name: &str) -> String {
    format!("{name:?}")
}

fn tensor_part(tensor: Option<&str>) -> String {
    tensor.map_or_else(String::new, |name| format!("tensor {}: ", quote(name)))
}

fn offset_part(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |at| format!("at byte {at}: "))
}
