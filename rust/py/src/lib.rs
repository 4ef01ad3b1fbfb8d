//! `parentage._core`: the core as a Python module. This file is its list of contents.

#![allow(clippy::needless_pass_by_value, reason = "arguments of Python functions come by value")]

mod checkpoint;
mod coding;
mod digest;
mod errors;
mod gram;
mod memory;
mod pickle;
mod plan;
mod program;
mod remote;
mod replay;
mod run;

use pyo3::prelude::*;

/// Streamed Gram matrices over safetensors checkpoints.
#[pymodule(gil_used = true)]
mod _core {
    use parentage_core::{cells, checkpoint::header, gram as kernel, plan, replay, stream};
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::checkpoint::{Checkpoint, index_files};
    #[pymodule_export]
    use crate::coding::coding_elements;
    #[pymodule_export]
    use crate::digest::Digests;
    #[pymodule_export]
    use crate::errors::{CheckpointError, ParentageError, PlanError, ReadError};
    #[pymodule_export]
    use crate::gram::{Statistics, can_map, gram, levels, read, same_bytes, simd_level, threads};
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::program::Replay;
    #[pymodule_export]
    use crate::replay::{
        Replayed, Spectrum, elements, replay_in_cells, replay_slices, spectrum, write_replay,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("build_profile", profile)?;
        module.add("DEFINITION", kernel::DEFINITION)?;
        module.add("BLOCKS", plan::BLOCKS)?;
        module.add("BINS", kernel::BINS)?;
        module.add("NARROW", cells::NARROW)?;
        module.add("ULPS", replay::ULPS)?;
        module.add("MAX_OPS", replay::MAX_OPS)?;
        module.add("MAX_RESULTS", replay::Program::MAX_RESULTS)?;
        module.add("WEIGHTS", kernel::WEIGHTS)?;
        module.add("CHUNK", kernel::CHUNK)?;
        module.add("MAX_COLUMNS", kernel::MAX_COLUMNS)?;
        module.add("MIN_TILE_BYTES", stream::MIN_TILE_BYTES)?;
        module.add("MAX_TILE_BYTES", stream::MAX_TILE_BYTES)?;
        module.add("MAX_HEADER", header::MAX_HEADER)
    }
}
