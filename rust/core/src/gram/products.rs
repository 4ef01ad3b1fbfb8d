//! The products of all pairs of columns, in either arithmetic, with vectors of any width.
//!
//! ```text
//! up to DIRECT columns:
//!     for each row of lanes:
//!         subtract the base from the other columns
//!         entries += X_i * X_j                                  (fused, in registers)
//! beyond:
//!     for each three columns, for each row of lanes:
//!         subtract the base, and keep what that gives in the cache
//!         entries += X_i * X_j of these three
//!     for each other 3 x 3 block of the Gram matrix, for each row of lanes:
//!         entries += X_i * X_j                                  (of what was kept)
//! ```

#![expect(clippy::needless_range_loop, reason = "matrices are read best by row and column")]

use super::sums::{Lanes, Sums};
use super::{MAX_COLUMNS, pair, pairs};

/// Most columns whose products are all added up at once, in registers.
pub(super) const DIRECT: usize = 4;
/// Sums of so many columns.
pub(super) type FewSums = Sums<[Lanes; pairs(DIRECT)]>;
/// Columns of a block of the matrix whose products are.
const SIDE: usize = 3;

/// How lanes are multiplied and added. Holding a value is the proof that the CPU can.
pub(super) trait Arithmetic: Copy {
    /// Some lanes.
    type Vector: Copy;
    /// Vectors to a row.
    const PASSES: usize;
    /// Rows after which a sum of the base's squares ends.
    const SQUARES: usize;

    fn zero(self) -> Self::Vector;
    /// a - b, rounded once.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The largest power of two not above the magnitude of each lane; 0 for 0.
    fn binade(self, value: Self::Vector) -> Self::Vector;
    /// What sums of products start from.
    fn begin(self, sum: &Lanes, pass: usize) -> Self::Vector;
    /// Takes such a sum over.
    fn end(self, sum: &mut Lanes, pass: usize, value: Self::Vector);
}

/// Elements of one column, as rows of lanes.
pub(super) trait Rows<A: Arithmetic> {
    /// Part `pass < PASSES` of a row.
    fn load(&self, arithmetic: A, row: usize, pass: usize) -> A::Vector;

    /// Brings near what comes after the row, some time after it.
    ///
    /// A line with the row that begins it: what is asked for evenly arrives evenly.
    #[inline(always)]
    fn expect(&self, _arithmetic: A, _row: usize, _pass: usize) {}
}

/// What is done with rows beside their products, while they are at hand.
pub(super) trait Beside<R> {
    /// Comes before all of so many rows.
    fn all<const N: usize>(&mut self, columns: &[R; N], rows: usize);
    /// Comes before part `pass` of a row, in the order of rows.
    fn row<const N: usize>(&mut self, columns: &[R; N], row: usize, pass: usize);
}

impl<R> Beside<R> for () {
    #[inline(always)]
    fn all<const N: usize>(&mut self, _columns: &[R; N], _rows: usize) {}
    #[inline(always)]
    fn row<const N: usize>(&mut self, _columns: &[R; N], _row: usize, _pass: usize) {}
}

/// Part `pass < PASSES` of some rows.
#[derive(Clone, Copy)]
struct Part {
    rows: usize,
    pass: usize,
}

/// Rows of lanes that can be written.
pub(super) trait Room<A: Arithmetic>: Rows<A> {
    /// Writes part `pass < PASSES` of a row.
    fn store(&mut self, arithmetic: A, row: usize, pass: usize, value: A::Vector);
}

/// Adds the products of all pairs of at most [`DIRECT`] columns, which hold values: the base is
/// subtracted, and the binades of the child, the last of them, are squared, on the way. `beside` comes before
/// every row.
#[inline(always)]
pub(super) fn add_values<A: Arithmetic, R: Rows<A>, B: Beside<R>, const N: usize>(
    arithmetic: A,
    columns: &[R; N],
    rows: usize,
    sums: &mut Sums,
    beside: &mut B,
) {
    const { assert!(N <= DIRECT) };
    let room = &mut [Nowhere; N];
    beside.all(columns, rows);
    for pass in 0..A::PASSES {
        let part = Part { rows, pass };
        triangle::<A, R, Nowhere, B, N, true>(arithmetic, columns, room, 0, part, sums, beside);
    }
}

/// Room for what need not be kept.
#[derive(Clone, Copy)]
struct Nowhere;

impl<A: Arithmetic> Rows<A> for Nowhere {
    #[inline(always)]
    fn load(&self, arithmetic: A, _row: usize, _pass: usize) -> A::Vector {
        arithmetic.zero()
    }
}

impl<A: Arithmetic> Room<A> for Nowhere {
    #[inline(always)]
    fn store(&mut self, _arithmetic: A, _row: usize, _pass: usize, _value: A::Vector) {}
}

/// Adds the products of all pairs of more than [`DIRECT`] columns, as [`add_values`] does.
///
/// `room` has as many columns, and gets the base and all displacements.
#[inline(always)]
pub(super) fn add_many<A: Arithmetic, R: Rows<A>, D: Room<A>>(
    arithmetic: A,
    columns: &[R],
    room: &mut [D],
    rows: usize,
    sums: &mut Sums,
) {
    let room = &mut room[..columns.len().min(MAX_COLUMNS)];
    for pass in 0..A::PASSES {
        add_part(arithmetic, columns, room, Part { rows, pass }, sums);
    }
}

/// Adds the products of one part of the rows of more than [`DIRECT`] columns.
#[inline(always)]
fn add_part<A: Arithmetic, R: Rows<A>, D: Room<A>>(
    arithmetic: A,
    columns: &[R],
    room: &mut [D],
    part: Part,
    sums: &mut Sums,
) {
    let (count, none) = (room.len(), &mut ());
    triangle::<A, R, D, (), SIDE, false>(arithmetic, columns, room, 0, part, sums, none);
    for i in (SIDE..count).step_by(SIDE) {
        match count - i {
            1 => triangle::<A, R, D, (), 1, true>(arithmetic, columns, room, i, part, sums, none),
            2 => triangle::<A, R, D, (), 2, true>(arithmetic, columns, room, i, part, sums, none),
            3 => triangle::<A, R, D, (), 3, true>(arithmetic, columns, room, i, part, sums, none),
            _ => triangle::<A, R, D, (), 3, false>(arithmetic, columns, room, i, part, sums, none),
        }
    }
    for i in (0..count).step_by(SIDE) {
        for j in (i + SIDE..count).step_by(SIDE) {
            let (corner, gram) = ((i, j), &mut sums.gram);
            match count - j {
                1 => rectangle::<A, D, 1>(arithmetic, room, corner, part, gram),
                2 => rectangle::<A, D, 2>(arithmetic, room, corner, part, gram),
                _ => rectangle::<A, D, 3>(arithmetic, room, corner, part, gram),
            }
        }
    }
}

/// The N x N block of the matrix on the diagonal at `first`, whose columns are displaced on the way,
/// and with `CHILD` the squares of the binades of the last of them.
#[inline(always)]
fn triangle<
    A: Arithmetic,
    R: Rows<A>,
    D: Room<A>,
    B: Beside<R>,
    const N: usize,
    const CHILD: bool,
>(
    arithmetic: A,
    columns: &[R],
    room: &mut [D],
    first: usize,
    Part { rows, pass }: Part,
    sums: &mut Sums,
    beside: &mut B,
) {
    let entry = |i: usize, j: usize| pair(columns.len(), first + i, first + j);
    let (before, from_here) = room.split_at_mut(first);
    let (Some(block), Some(kept)) =
        (columns[first..].first_chunk::<N>(), from_here.first_chunk_mut::<N>())
    else {
        return;
    };
    let mut entries = [[arithmetic.zero(); N]; N];
    for i in 0..N {
        for j in i..N {
            entries[i][j] = arithmetic.begin(&sums.gram[entry(i, j)], pass);
        }
    }
    let mut energy = arithmetic.begin(&sums.energy, pass);
    for from in (0..rows).step_by(A::SQUARES) {
        for row in from..rows.min(from + A::SQUARES) {
            beside.row(block, row, pass);
            let mut values = [arithmetic.zero(); N];
            for i in 0..N {
                block[i].expect(arithmetic, row, pass);
                values[i] = block[i].load(arithmetic, row, pass);
            }
            if CHILD {
                let binade = arithmetic.binade(values[N - 1]);
                energy = arithmetic.mul_add(binade, binade, energy);
            }
            match before.first() {
                None => {
                    for i in 1..N {
                        values[i] = arithmetic.sub(values[i], values[0]);
                    }
                }
                Some(base) => {
                    let base = base.load(arithmetic, row, pass);
                    for i in 0..N {
                        values[i] = arithmetic.sub(values[i], base);
                    }
                }
            }
            for i in 0..N {
                kept[i].store(arithmetic, row, pass, values[i]);
            }
            for i in 0..N {
                for j in i..N {
                    entries[i][j] = arithmetic.mul_add(values[i], values[j], entries[i][j]);
                }
            }
        }
        if first == 0 {
            // The sum of the base's squares ends.
            arithmetic.end(&mut sums.gram[0], pass, entries[0][0]);
            entries[0][0] = arithmetic.begin(&sums.gram[0], pass);
        }
    }
    for i in 0..N {
        for j in i..N {
            if first > 0 || j > 0 {
                arithmetic.end(&mut sums.gram[entry(i, j)], pass, entries[i][j]);
            }
        }
    }
    if CHILD {
        arithmetic.end(&mut sums.energy, pass, energy);
    }
}

/// The 3 x N block of the matrix whose first entry is `corner`, above the diagonal.
#[inline(always)]
fn rectangle<A: Arithmetic, R: Rows<A>, const N: usize>(
    arithmetic: A,
    columns: &[R],
    corner: (usize, usize),
    Part { rows, pass }: Part,
    gram: &mut [Lanes],
) {
    let entry = |i: usize, j: usize| pair(columns.len(), corner.0 + i, corner.1 + j);
    let (Some(left), Some(right)) =
        (columns[corner.0..].first_chunk::<SIDE>(), columns[corner.1..].first_chunk::<N>())
    else {
        return;
    };
    let mut entries = [[arithmetic.zero(); N]; SIDE];
    for i in 0..SIDE {
        for j in 0..N {
            entries[i][j] = arithmetic.begin(&gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows {
        let mut values = [arithmetic.zero(); N];
        for j in 0..N {
            values[j] = right[j].load(arithmetic, row, pass);
        }
        for i in 0..SIDE {
            let value = left[i].load(arithmetic, row, pass);
            for j in 0..N {
                entries[i][j] = arithmetic.mul_add(value, values[j], entries[i][j]);
            }
        }
    }
    for i in 0..SIDE {
        for j in 0..N {
            arithmetic.end(&mut gram[entry(i, j)], pass, entries[i][j]);
        }
    }
}
