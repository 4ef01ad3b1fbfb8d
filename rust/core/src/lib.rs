//! Streamed Gram matrices over safetensors checkpoints.
//!
//! The stages, in the order in which bytes pass through them:
//!
//! 1. [`checkpoint`]: headers and indexes, no tensor byte is read;

pub mod checkpoint;
pub mod error;

pub use error::{Error, Result};
