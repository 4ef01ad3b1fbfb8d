//! Replays over a plan: compared with the child, or written out.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use super::program::{Factors, Inputs, Program, is_rounded_to};
use super::{Counts, Machine, Place, replay_chunk, write_chunk};
use crate::checkpoint::dtype::Dtype;
use crate::error::{Error, Result};
use crate::files;
use crate::gram::Column;
use crate::plan::{ChunkRange, Plan};
use crate::progress::Progress;
use crate::stream::{Options, tiles};

/// A program and what it needs to know about each slice.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What is computed.
    pub program: Program,
    /// Of what.
    pub inputs: Inputs,
}

impl Replay {
    /// Makes sure that the inputs are those of `slices` of `plan`.
    pub(crate) fn check(&self, plan: &Plan, slices: &Range<usize>) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(format!("replay: {what}")));
        let Self { program, inputs } = self;
        if slices.start > slices.end || slices.end > plan.slices() {
            return wrong(format!("slices {slices:?} of a plan of {}", plan.slices()));
        }
        if program.columns() >= plan.columns() {
            return wrong(format!(
                "a program that reads {} columns of a plan of {}, the child included",
                program.columns(),
                plan.columns()
            ));
        }
        for (what, found, each) in [
            ("scalars", inputs.scalars.len(), program.scalars()),
            ("matrices", inputs.factors.len(), program.factors()),
        ] {
            let expected = slices.len() * each;
            if found != expected {
                return wrong(format!("{found} {what}, not {expected}"));
            }
        }
        if !inputs.applies.is_empty() && inputs.applies.len() != slices.len() {
            return wrong(format!("{} of {} slices", inputs.applies.len(), slices.len()));
        }
        for (index, factors) in inputs.factors.iter().enumerate() {
            let slice = slices.start + index / program.factors().max(1);
            if let Some(Factors { left, right, columns, offset }) = factors {
                let rank = right.len().checked_div(*columns).unwrap_or(0);
                let rows = left.len().checked_div(rank).unwrap_or(0);
                let fits = offset
                    .checked_add(plan.elements(slice))
                    .is_some_and(|end| end <= rows as u64 * *columns as u64)
                    && rank * columns == right.len()
                    && rows * rank == left.len();
                if !fits {
                    return wrong(format!("a matrix that is not of the shape of slice {slice}"));
                }
            }
        }
        for (index, slice) in slices.clone().enumerate() {
            let child = plan.extents(slice)[plan.columns() - 1].dtype;
            if self.applies(index) && !is_rounded_to(child) {
                return wrong(format!("slice {slice} of the child is {}", child.name()));
            }
        }
        Ok(())
    }

    fn applies(&self, index: usize) -> bool {
        self.inputs.applies.get(index).copied().unwrap_or(true)
    }

    /// Where a chunk of slice number `index` lies; `None` if nothing is said about the slice.
    pub(crate) fn place(&self, index: usize, chunk: &ChunkRange) -> Option<Place<'_>> {
        let (scalars, factors) = (self.program.scalars(), self.program.factors());
        self.applies(index).then(|| Place {
            scalars: &self.inputs.scalars[index * scalars..][..scalars],
            factors: &self.inputs.factors[index * factors..][..factors],
            start: chunk.elements.start,
            block: chunk.block,
        })
    }
}

/// Streams `slices` once and returns what every replay reproduces, shape (slices, replays).
///
/// # Errors
///
/// As [`crate::statistics::gram`].
pub fn replay(
    plan: &Plan,
    slices: Range<usize>,
    replays: &[Replay],
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<Counts>> {
    for replay in replays {
        replay.check(plan, &slices)?;
    }
    let found = tiles(plan, slices.clone(), options, progress, |tile, columns| {
        let mut machine = Machine::default();
        let mut counts = vec![Counts::default(); replays.len()];
        for chunk in &tile.chunks {
            let window = parts(columns, chunk, tile.elements().start);
            for (replay, counts) in replays.iter().zip(&mut counts) {
                progress.check()?;
                if let Some(place) = replay.place(tile.slice - slices.start, chunk) {
                    let program = &replay.program;
                    counts.add(&replay_chunk(
                        options.level,
                        &mut machine,
                        program,
                        &window,
                        &place,
                    ));
                }
            }
        }
        Ok(counts)
    })?;
    let mut total = vec![Counts::default(); slices.len() * replays.len()];
    for (tile, counts) in &found {
        let slice = (tile.slice - slices.start) * replays.len();
        for (sum, counts) in total[slice..].iter_mut().zip(counts) {
            sum.add(counts);
        }
    }
    Ok(total)
}

/// Where the result of a slice goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Position in the list of files.
    pub file: usize,
    /// First byte in the file.
    pub begin: u64,
    /// How the elements are stored.
    pub dtype: Dtype,
}

/// Carries a replay out and writes what it gives into existing files, slice by slice.
///
/// The plan's last column is not read from; its dtypes play no part. `targets` is one per slice.
///
/// # Errors
///
/// As [`crate::statistics::gram`], and [`Error::Io`] from writing.
pub fn write(
    plan: &Plan,
    slices: Range<usize>,
    replay: &Replay,
    files: &[PathBuf],
    targets: &[Target],
    options: &Options<'_>,
    progress: &Progress,
) -> Result<()> {
    replay.check(plan, &slices)?;
    if targets.len() != slices.len() || targets.iter().any(|target| target.file >= files.len()) {
        return Err(Error::Argument("replay: a file for every slice".into()));
    }
    if let Some(target) = targets.iter().find(|target| !is_rounded_to(target.dtype)) {
        return Err(Error::Argument(format!("replay: can not write {}", target.dtype.name())));
    }
    let mut open = Vec::with_capacity(files.len());
    for path in files {
        let file = files::open_to_write(path);
        open.push(file.map_err(|error| Error::io(path, "open", error))?);
    }
    tiles(plan, slices.clone(), options, progress, |tile, columns| {
        let target = &targets[tile.slice - slices.start];
        let mut machine = Machine::default();
        let mut out = Vec::new();
        for chunk in &tile.chunks {
            progress.check()?;
            let window = parts(columns, chunk, tile.elements().start);
            if let Some(place) = replay.place(tile.slice - slices.start, chunk) {
                let (program, dtype) = (&replay.program, target.dtype);
                write_chunk(options.level, &mut machine, program, &window, &place, dtype, &mut out);
            }
        }
        let offset = target.begin + tile.elements().start * (target.dtype.bits() / 8);
        write_at(&open[target.file], &out, offset)
            .map_err(|error| Error::io(&files[target.file], "write", error))
    })?;
    for (file, path) in open.iter().zip(files) {
        file.sync_all().map_err(|error| Error::io(path, "write", error))?;
    }
    Ok(())
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// The elements of `chunk` of columns whose first element is `first`.
pub(super) fn parts<'a>(columns: &[Column<'a>], chunk: &ChunkRange, first: u64) -> Vec<Column<'a>> {
    let range = (chunk.elements.start - first) as usize..(chunk.elements.end - first) as usize;
    columns.iter().map(|column| column.part(range.clone())).collect()
}
