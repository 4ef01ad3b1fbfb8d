//! Streamed Gram matrices over safetensors checkpoints.
//!
//! The stages, in the order in which bytes pass through them:
//!
//! 1. [`checkpoint`]: headers and indexes; no tensor byte is read.
//! 2. [`plan`]: which elements of which files belong together.
//! 3. `source`: windows of files, lent to whoever computes; `decode` computes those that no file holds.
//! 4. [`stream`]: tiles of the same elements of every checkpoint, over [`threads`], with [`progress`]
//!    and [`digest`].
//! 5. [`gram`], [`cells`] and [`replay`]: what is computed of each tile, bit for bit the same on
//!    every CPU; [`statistics`] adds up the tiles.
//!
//! Names and choices (which slices pair, which fit means what) are made above this crate; every
//! byte of every tensor is read in it.

pub mod cells;
pub mod checkpoint;
mod decode;
pub mod digest;
pub mod error;
mod fetch;
mod files;
mod floats;
pub mod gram;
mod memory;
pub mod plan;
pub mod progress;
pub mod replay;
mod source;
pub mod statistics;
pub mod stream;
pub mod threads;

pub use error::{Error, Result};
pub use fetch::{Fetch, FetchError, Remote};
pub use memory::{Lent, Memory, Owner};
pub use source::{Io, can_map};
