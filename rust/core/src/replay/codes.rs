//! Replays whose results are to lie in the cells of codes: merges that were quantised afterwards.

use std::ops::Range;

use super::program::is_rounded_to;
use super::run::{Replay, parts};
use super::{Machine, write_chunk};
use crate::checkpoint::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gram::{Column, Vectorize, widen_bf16, widen_f16};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::stream::{Options, tiles};

/// Columns at the end of a plan that say what codes stand for, and where their cells begin and end.
const CELLS: usize = 3;

/// How far beyond the ends of a cell a number may lie, of one slice.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// As a share of what the code stands for.
    pub share: f32,
    /// Steps of the code that this is a share of as well.
    pub steps: f32,
}

/// What was found of one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InCells {
    /// Elements whose result lies in the code's cell.
    pub inside: u64,
    /// Elements whose code is neither zero nor the last on its side: with scales out of all proportion, anything
    /// lies in the cells of the others.
    pub telling: u64,
    /// Of those, the ones whose result is within an eighth of a step of what the code stands for: a quarter of them,
    /// where numbers were quantised, and all, where numbers were made of the codes.
    pub centred: u64,
}

impl InCells {
    fn add(&mut self, other: Self) {
        self.inside += other.inside;
        self.telling += other.telling;
        self.centred += other.centred;
    }
}

/// Streams `slices` once and counts, for every replay, the results that lie in the cells of codes: (slices, replays).
///
/// The last three columns of the plan are float32: what the codes stand for, and the lower and upper ends of their
/// cells. Results are rounded to the dtype beside each replay first, as tools do that store a merge before it is
/// quantised. `room` is one per slice.
///
/// # Errors
///
/// As [`crate::statistics::gram`].
pub fn in_cells(
    plan: &Plan,
    slices: Range<usize>,
    replays: &[(Replay, Dtype)],
    room: &[Room],
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<InCells>> {
    let wrong = |message: &str| Err(Error::Argument(format!("replay: {message}")));
    for (replay, dtype) in replays {
        replay.check(plan, &slices)?;
        if replay.program.columns() + CELLS > plan.columns() || room.len() != slices.len() {
            return wrong("three columns of cells at the end, and room for every slice");
        }
        if !is_rounded_to(*dtype) || !matches!(dtype, Dtype::F32 | Dtype::Bf16 | Dtype::F16) {
            return wrong("results are float32, bfloat16 or float16");
        }
    }
    let first = plan.columns() - CELLS;
    let singles =
        |slice: usize| plan.extents(slice)[first..].iter().all(|extent| extent.dtype == Dtype::F32);
    if !slices.clone().all(singles) {
        return wrong("cells are float32");
    }
    let found = tiles(plan, slices.clone(), options, progress, |tile, columns| {
        let mut machine = Machine::default();
        let (mut out, mut counts) = (Vec::new(), vec![InCells::default(); replays.len()]);
        let index = tile.slice - slices.start;
        for chunk in &tile.chunks {
            let window = parts(columns, chunk, tile.elements().start);
            let cells = [window[first], window[first + 1], window[first + 2]];
            for ((replay, dtype), count) in replays.iter().zip(&mut counts) {
                progress.check()?;
                let Some(place) = replay.place(index, chunk) else { continue };
                out.clear();
                let (level, program, dtype) = (options.level, &replay.program, *dtype);
                write_chunk(level, &mut machine, program, &window, &place, dtype, &mut out);
                let result = Column { dtype, bytes: &out };
                count.add(level.vectorize(Inside { result, cells, room: room[index] }));
            }
        }
        Ok(counts)
    })?;
    let mut total = vec![InCells::default(); slices.len() * replays.len()];
    for (tile, counts) in &found {
        let slice = (tile.slice - slices.start) * replays.len();
        for (sum, count) in total[slice..].iter_mut().zip(counts) {
            sum.add(*count);
        }
    }
    Ok(total)
}

/// Counts results inside cells.
struct Inside<'a> {
    result: Column<'a>,
    cells: [Column<'a>; CELLS],
    room: Room,
}

impl Vectorize for Inside<'_> {
    type Output = InCells;

    #[inline(always)]
    fn run(self) -> InCells {
        macro_rules! count {
            ($size:literal, |$bytes:ident| $value:expr) => {{
                let results = self.result.bytes.as_chunks::<$size>().0.iter();
                let [value, low, high] = self.cells.map(|cell| cell.bytes.as_chunks::<4>().0);
                let mut found = InCells::default();
                for (((result, value), low), high) in results.zip(value).zip(low).zip(high) {
                    let $bytes = *result;
                    let result: f32 = $value;
                    let [value, low, high] = [value, low, high].map(|x| f32::from_le_bytes(*x));
                    let step = 2.0 * (high - value).min(value - low);
                    let room = self.room.share * (value.abs() + self.room.steps * step);
                    let is_inside = (result >= low - room) & (result <= high + room);
                    let is_telling = (value != 0.0) & low.is_finite() & high.is_finite();
                    found.inside += u64::from(is_inside);
                    let is_centred = is_telling & ((result - value).abs() * 8.0 <= step);
                    found.telling += u64::from(is_telling);
                    found.centred += u64::from(is_centred);
                }
                found
            }};
        }
        match self.result.dtype {
            Dtype::Bf16 => count!(2, |bytes| widen_bf16(bytes)),
            Dtype::F16 => count!(2, |bytes| widen_f16(u16::from_le_bytes(bytes))),
            _ => count!(4, |bytes| f32::from_le_bytes(bytes)),
        }
    }
}
