//! Elements in another order: bytes are moved, and nothing is computed.

use std::ops::Range;

use super::Lender;
use crate::checkpoint::coding::{Coding, NEAR};
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
        let last = across.min(first + elements.end - at);
        let from = rows.map_or(row, |rows| u64::from(rows[row as usize]));
        let (begin, end) = match columns {
            Some(_) => (from * width, (from + 1) * width),
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
        let made = rows * columns;
        let (into, rest) = out.split_at_mut((made * size) as usize);
        if step == 1 && columns * size >= RUN {
            for (row, into) in into.chunks_exact_mut((columns * size) as usize).enumerate() {
                let begin = begin + row as u64 * stride;
                let bytes = lender.lend(0, begin * size..(begin + columns) * size)?;
                into.copy_from_slice(bytes);
            }
        } else {
            let bytes = lender.lend(0, begin * size..(begin + reach) * size)?;
            // What lies across is copied by lines; of few rows or columns, element by element.
            let (rows, columns) = ((rows, stride), (columns, step));
            let is_turned = stride <= NEAR && step > NEAR && rows.0 > 1;
            match size {
                2 if is_turned => turned::<2>(bytes, rows, columns, into),
                4 if is_turned => turned::<4>(bytes, rows, columns, into),
                _ => plane(size, bytes, rows, columns, into),
            }
        }
        (at, out) = (at + made, rest);
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

/// Columns that are turned at once.
const ACROSS: usize = 32;
/// Bytes of each column that are: what a CPU fetches of a page in one go.
const LINE: usize = 256;

/// Copies a plane of elements of `SIZE` bytes whose rows lie side by side, and whose columns lie far apart.
///
/// Strides are mostly powers of two, and lines that far apart push each other out of the cache: each is read once,
/// into a block that stays, and turned there.
fn turned<const SIZE: usize>(bytes: &[u8], rows: (u64, u64), columns: (u64, u64), out: &mut [u8]) {
    let (down, stride) = (rows.0 as usize, rows.1 as usize);
    let (across, step) = (columns.0 as usize, columns.1 as usize);
    let mut block = [[0_u8; LINE]; ACROSS];
    for left in (0..across).step_by(ACROSS) {
        let width = ACROSS.min(across - left);
        for top in (0..down).step_by(LINE / SIZE) {
            let height = (LINE / SIZE).min(down - top);
            for (column, line) in block[..width].iter_mut().enumerate() {
                let begin = SIZE * ((left + column) * step + top * stride);
                if stride == 1 {
                    line[..SIZE * height].copy_from_slice(&bytes[begin..begin + SIZE * height]);
                } else {
                    // Every other one; what follows the last may be no part of what is lent.
                    let into = &mut line.as_chunks_mut::<SIZE>().0[..height];
                    let from = bytes[begin..].as_chunks::<SIZE>().0;
                    for (into, from) in into.iter_mut().zip(from.iter().step_by(stride)) {
                        *into = *from;
                    }
                }
            }
            let into = &mut out[SIZE * (top * across + left)..];
            let (mut tall, mut wide) = (0, 0);
            if SIZE == 2 {
                (tall, wide) = (height - height % 4, width - width % 4);
                for row in (0..tall).step_by(4) {
                    for column in (0..wide).step_by(4) {
                        let four = std::array::from_fn(|at| word(&block[column + at], row));
                        for (at, four) in four_by_four(four).into_iter().enumerate() {
                            let begin = 2 * ((row + at) * across + column);
                            into[begin..begin + 8].copy_from_slice(&four.to_le_bytes());
                        }
                    }
                }
            }
            for row in 0..height {
                let first = if row < tall { wide } else { 0 };
                let into = &mut into[SIZE * (row * across + first)..];
                let into = into.as_chunks_mut::<SIZE>().0;
                for (into, line) in into.iter_mut().zip(&block[first..width]) {
                    into.copy_from_slice(&line[SIZE * row..SIZE * (row + 1)]);
                }
            }
        }
    }
}

/// Four elements of a line, from one on.
#[inline(always)]
fn word(line: &[u8; LINE], first: usize) -> u64 {
    let mut four = [0; 8];
    four.copy_from_slice(&line[2 * first..2 * first + 8]);
    u64::from_le_bytes(four)
}

/// Turns four rows of four elements: pairs of elements change places, and then pairs of pairs.
#[inline(always)]
fn four_by_four([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    const ODD: u64 = 0x0000_FFFF_0000_FFFF;
    const LOW: u64 = 0x0000_0000_FFFF_FFFF;
    let exchange = |one: &mut u64, two: &mut u64, bits: u32, mask: u64| {
        let moved = ((*one >> bits) ^ *two) & mask;
        *two ^= moved;
        *one ^= moved << bits;
    };
    exchange(&mut a, &mut b, 16, ODD);
    exchange(&mut c, &mut d, 16, ODD);
    exchange(&mut a, &mut c, 32, LOW);
    exchange(&mut b, &mut d, 32, LOW);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::{plane, turned};

    #[test]
    fn what_lies_across_is_turned_as_it_is_copied_element_by_element() {
        let bytes: Vec<_> =
            (0..1_u32 << 19).flat_map(|k| k.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect();
        // Rows and columns of one, of whole blocks, and of whole blocks and one.
        for (down, stride) in [(1, 1), (2, 2), (63, 1), (64, 2), (65, 1), (128, 1), (129, 2)] {
            for (across, step) in [(1, 300), (3, 259), (32, 1024), (33, 301), (67, 4096)] {
                let (rows, columns) = ((down, stride), (across, step));
                macro_rules! same {
                    ($size:literal) => {{
                        let elements = (down - 1) * stride + (across - 1) * step + 1;
                        let bytes = &bytes[..$size * elements as usize];
                        let mut found = vec![0; $size * (down * across) as usize];
                        let mut expected = found.clone();
                        turned::<$size>(bytes, rows, columns, &mut found);
                        plane($size, bytes, rows, columns, &mut expected);
                        assert_eq!(found, expected, "{rows:?} {columns:?}");
                    }};
                }
                same!(2);
                same!(4);
            }
        }
    }
}
