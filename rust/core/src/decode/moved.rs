//! Elements in another order: bytes are moved, and nothing is computed.

use std::ops::Range;

use super::Lender;
use crate::checkpoint::coding::Coding;
use crate::error::Result;

/// Bytes of a row from which on it is asked for by itself: shorter ones are asked for with what lies between.
const RUN: u64 = 4096;

/// Rows and columns of a matrix, by lists of which each is.
pub(super) fn gather(
    coding: &Coding,
    width: u64,
    rows: Option<&[u32]>,
    columns: Option<&[u32]>,
    elements: Range<u64>,
    lender: &mut dyn Lender,
    out: &mut [u8],
) -> Result<()> {
    let size = coding.dtype.bits() / 8;
    let across = columns.map_or(width, |columns| columns.len() as u64);
    let (mut at, mut out) = (elements.start, out);
    while at < elements.end {
        let (row, first) = (at / across, at % across);
        let mut last = across.min(first + elements.end - at);
        let from = rows.map_or(row, |rows| u64::from(rows[row as usize]));
        let (begin, end) = match columns {
            Some(_) => (from * width, (from + 1) * width),
            // Rows that follow one another are one run, where no list says otherwise.
            None if rows.is_none() => {
                last = first + elements.end - at;
                (from * width + first, from * width + last)
            }
            None => (from * width + first, from * width + last),
        };
        let bytes = lender.lend(0, begin * size..end * size)?;
        let (into, rest) = out.split_at_mut(((last - first) * size) as usize);
        match columns {
            Some(columns) => {
                let columns = &columns[first as usize..last as usize];
                pick(size, bytes, columns.iter().map(|&column| column as usize), into);
            }
            None => into.copy_from_slice(bytes),
        }
        (at, out) = (at + last - first, rest);
    }
    Ok(())
}

/// Copies the elements of `size` bytes that `places` names.
#[inline(always)]
fn pick(size: u64, bytes: &[u8], places: impl Iterator<Item = usize>, out: &mut [u8]) {
    macro_rules! of {
        ($size:literal) => {{
            let (from, _) = bytes.as_chunks::<$size>();
            for (out, place) in out.as_chunks_mut::<$size>().0.iter_mut().zip(places) {
                *out = from[place];
            }
        }};
    }
    match size {
        1 => of!(1),
        2 => of!(2),
        4 => of!(4),
        _ => of!(8),
    }
}

/// Elements at multiples of strides: transposed matrices, and every other row or column.
///
/// What is read is cut into planes of the last two dimensions; of each, as much is asked for at a time as lies
/// between the first and the last element that is wanted.
pub(super) fn strided(
    coding: &Coding,
    first: u64,
    shape: &[u64],
    strides: &[u64],
    elements: Range<u64>,
    lender: &mut dyn Lender,
    out: &mut [u8],
) -> Result<()> {
    let size = coding.dtype.bits() / 8;
    let last = shape.len().saturating_sub(1);
    let (across, step) = match shape.last() {
        Some(&across) => (across.max(1), strides[last]),
        None => (1, 1),
    };
    let (down, stride) = match last {
        0 => (1, 0),
        _ => (shape[last - 1].max(1), strides[last - 1]),
    };
    let (mut at, mut out) = (elements.start, out);
    while at < elements.end {
        // Whole rows of one plane, or a part of one row.
        let (row, column) = (at / across, at % across);
        let left = elements.end - at;
        let in_plane = down - row % down;
        let rows = if column > 0 || left < across { 1 } else { (left / across).min(in_plane) };
        let columns = if rows > 1 { across } else { left.min(across - column) };
        let begin = first + column * step + start(row, &shape[..last], &strides[..last]);
        let reach = (rows - 1) * stride + (columns - 1) * step + 1;
        let (into, rest) = out.split_at_mut((rows * columns * size) as usize);
        if step == 1 && columns * size >= RUN {
            for (row, into) in into.chunks_exact_mut((columns * size) as usize).enumerate() {
                let begin = begin + row as u64 * stride;
                let bytes = lender.lend(0, begin * size..(begin + columns) * size)?;
                into.copy_from_slice(bytes);
            }
        } else {
            let bytes = lender.lend(0, begin * size..(begin + reach) * size)?;
            plane(size, bytes, (rows, stride), (columns, step), into);
        }
        (at, out) = (at + rows * columns, rest);
    }
    Ok(())
}

/// Where row `row` begins, counted over all dimensions but the last.
fn start(row: u64, shape: &[u64], strides: &[u64]) -> u64 {
    let (mut row, mut begin) = (row, 0);
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        begin += row % size.max(1) * stride;
        row /= size.max(1);
    }
    begin
}

/// Copies a plane: rows and columns, each with how far apart they are, in elements.
///
/// Squares of it are copied one by one, so that lines of what is read and of what is written stay in the cache.
fn plane(size: u64, bytes: &[u8], rows: (u64, u64), columns: (u64, u64), out: &mut [u8]) {
    const SQUARE: usize = 32;
    macro_rules! of {
        ($size:literal) => {{
            let (from, _) = bytes.as_chunks::<$size>();
            let (to, _) = out.as_chunks_mut::<$size>();
            let (down, stride) = (rows.0 as usize, rows.1 as usize);
            let (across, step) = (columns.0 as usize, columns.1 as usize);
            for top in (0..down).step_by(SQUARE) {
                for left in (0..across).step_by(SQUARE) {
                    for row in top..down.min(top + SQUARE) {
                        let right = across.min(left + SQUARE);
                        let to = &mut to[row * across + left..row * across + right];
                        for (to, column) in to.iter_mut().zip(left..) {
                            *to = from[row * stride + column * step];
                        }
                    }
                }
            }
        }};
    }
    match size {
        1 => of!(1),
        2 => of!(2),
        4 => of!(4),
        _ => of!(8),
    }
}
