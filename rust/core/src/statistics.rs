//! The pass over all tiles: Gram matrices, counters and replays, merged in the order of the plan.

use std::ops::Range;

use crate::error::Result;
use crate::floats::Ieee;
use crate::gram::{BINS, Column, Counts, Level, MAX_COLUMNS, SAMPLED, Sampled, WEIGHTS, pairs};
use crate::plan::{BLOCKS, Plan, Tile};
use crate::progress::Progress;
use crate::replay::{self, Machine, Replay, replay_chunk};
use crate::stream::{Options, tiles};

/// The statistics of a range of slices that suffice for every fit.
///
/// Arrays are row-major. `S` slices, `C` columns, `P = C (C + 1) / 2` entries of the upper triangle
/// of the Gram matrix by rows.
#[derive(Debug)]
pub struct Statistics {
    /// Gram matrices, shape (S, [`BLOCKS`], P): one per block of a slice.
    pub gram: Vec<f64>,
    /// Rounding energy of the child's dtype, shape (S,).
    pub energy: Vec<f64>,
    /// Sums of [`crate::gram::Sampled::bias`], shape (S, C - 2, [`WEIGHTS`] + 1).
    pub bias: Vec<f64>,
    /// Sums of [`crate::gram::Sampled::histogram`], shape (S, C - 2, [`BINS`]).
    pub histogram: Vec<u64>,
    /// The largest [`crate::gram::Sampled::precision`], shape (S,).
    pub precision: Vec<u32>,
    /// Counters, shape (S,).
    pub counts: Vec<Counts>,
    /// What every replay reproduces, shape (S, replays).
    pub replayed: Vec<replay::Counts>,
}

/// Streams `slices` of the plan once and returns their statistics, and what `replays` reproduce.
///
/// The inputs of a replay start with the first of `slices`.
///
/// # Errors
///
/// [`Io`](crate::Error::Io) and [`Changed`](crate::Error::Changed) from reading,
/// [`Interrupted`](crate::Error::Interrupted) after [`Progress::cancel`],
/// [`Argument`](crate::Error::Argument) for options out of range or replays that do not fit the plan.
/// No result is returned then.
pub fn gram(
    plan: &Plan,
    slices: Range<usize>,
    replays: &[Replay],
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Statistics> {
    for replay in replays {
        replay.check(plan, &slices)?;
    }
    let results = tiles(plan, slices.clone(), options, progress, |tile, columns| {
        TileSums::of(tile, columns, replays, tile.slice - slices.start, options.level, progress)
    })?;
    let _ieee = Ieee::set();
    // Tiles come in the order of the plan, so sums run over chunks in order, whichever tile a chunk was
    // in and whichever thread computed it.
    let mut total = Statistics::zero(slices.len(), plan.columns(), replays.len());
    for (tile, sums) in &results {
        total.add(tile, sums, tile.slice - slices.start, plan.columns());
    }
    Ok(total)
}

/// What was seen in a chunk, of the columns that there are: every slice has one such chunk at least, and
/// all are held until the sums are made.
struct Seen {
    bias: Box<[f64]>,
    histogram: Box<[u16]>,
    precision: u32,
}

impl Seen {
    fn of(sampled: &Sampled, columns: usize) -> Self {
        let histogram = sampled.histogram[1..columns - 1].as_flattened().iter();
        Self {
            bias: sampled.bias[1..columns - 1].as_flattened().into(),
            // Counts of `SAMPLED` elements at most.
            histogram: histogram.map(|&count| count as u16).collect(),
            precision: sampled.precision,
        }
    }
}

const _: () = assert!(SAMPLED <= u16::MAX as usize);

/// What one tile adds: matrices and energies by chunk, since their order of addition counts.
#[derive(Default)]
struct TileSums {
    gram: Vec<f64>,
    energy: Vec<f64>,
    sampled: Vec<Seen>,
    counts: Counts,
    replayed: Vec<replay::Counts>,
}

impl TileSums {
    /// Computes every chunk of a tile, whose slice has the inputs number `slice` of the replays.
    fn of(
        tile: &Tile,
        columns: &[Column<'_>],
        replays: &[Replay],
        slice: usize,
        level: Level,
        progress: &Progress,
    ) -> Result<Self> {
        let count = columns.len();
        let first = tile.elements().start;
        let mut machine = Machine::default();
        let replayed = vec![replay::Counts::default(); replays.len()];
        let mut sums = Self { replayed, ..Self::default() };
        for chunk in &tile.chunks {
            let (start, end) = (chunk.elements.start - first, chunk.elements.end - first);
            let mut window = [Column { bytes: &[], ..columns[0] }; MAX_COLUMNS];
            for (part, column) in window.iter_mut().zip(columns) {
                *part = column.part(start as usize..end as usize);
            }
            let window = &window[..count];
            progress.check()?;
            let result = level.chunk(window, chunk.elements.start, chunk.first);
            sums.gram.extend_from_slice(&result.gram[..pairs(count)]);
            sums.energy.push(result.energy);
            sums.sampled.extend(result.sampled.map(|sampled| Seen::of(&sampled, count)));
            sums.counts.add(&result.counts);
            for (replay, counts) in replays.iter().zip(&mut sums.replayed) {
                progress.check()?;
                if let Some(place) = replay.place(slice, chunk) {
                    counts.add(&replay_chunk(level, &mut machine, &replay.program, window, &place));
                }
            }
        }
        Ok(sums)
    }
}

impl Statistics {
    /// Those of nothing.
    fn zero(slices: usize, columns: usize, replays: usize) -> Self {
        Self {
            gram: vec![0.0; slices * BLOCKS * pairs(columns)],
            energy: vec![0.0; slices],
            bias: vec![0.0; slices * (columns - 2) * (WEIGHTS + 1)],
            histogram: vec![0; slices * (columns - 2) * BINS],
            precision: vec![0; slices],
            counts: vec![Counts::default(); slices],
            replayed: vec![replay::Counts::default(); slices * replays],
        }
    }

    /// Adds the sums of a tile of `columns` columns to slice number `slice`.
    fn add(&mut self, tile: &Tile, sums: &TileSums, slice: usize, columns: usize) {
        self.counts[slice].add(&sums.counts);
        let replayed = row(&mut self.replayed, slice, sums.replayed.len());
        for (sum, counts) in replayed.iter_mut().zip(&sums.replayed) {
            sum.add(counts);
        }
        for seen in &sums.sampled {
            let parents = columns - 2;
            let bias = row(&mut self.bias, slice, parents * (WEIGHTS + 1));
            for (sum, part) in bias.iter_mut().zip(&seen.bias) {
                *sum += part;
            }
            let histogram = row(&mut self.histogram, slice, parents * BINS);
            for (sum, part) in histogram.iter_mut().zip(&seen.histogram) {
                *sum += u64::from(*part);
            }
            let precision = &mut self.precision[slice];
            *precision = seen.precision.max(*precision);
        }
        for (index, chunk) in tile.chunks.iter().enumerate() {
            self.energy[slice] += sums.energy[index];
            let block = row(&mut self.gram, slice * BLOCKS + chunk.block, pairs(columns));
            for (sum, part) in block.iter_mut().zip(&sums.gram[index * pairs(columns)..]) {
                *sum += part;
            }
        }
    }
}

/// Row `number` of a matrix of `width` columns.
fn row<T>(matrix: &mut [T], number: usize, width: usize) -> &mut [T] {
    &mut matrix[number * width..][..width]
}
