//! The products of all pairs of columns, in either arithmetic, with vectors of any width.
//!
//! ```text
//! for each 3 x 3 block of the Gram matrix:
//!     for each row of lanes:
//!         entries += X_i * X_j                                  (fused, in registers)
//! ```

#![expect(clippy::needless_range_loop, reason = "matrices are read best by row and column")]

use super::{Lanes, MAX_COLUMNS, Sums, pair};

/// How lanes are multiplied and added. Holding a value is the proof that the CPU can.
pub(super) trait Arithmetic: Copy {
    /// Some lanes.
    type Vector: Copy;
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
}

/// Adds the products of all pairs of at most three columns, which hold values: the base is
/// subtracted, and the binades of the child, the last of them, are squared, on the way.
#[inline(always)]
pub(super) fn add_values<A: Arithmetic, R: Rows<A>, const N: usize>(
    arithmetic: A,
    columns: &[R; N],
    rows: usize,
    pass: usize,
    sums: &mut Sums,
) {
    let mut entries = [[arithmetic.zero(); N]; N];
    let mut energy = arithmetic.begin(&sums.energy, pass);
    for i in 0..N {
        for j in i.max(1)..N {
            entries[i][j] = arithmetic.begin(&sums.gram[pair(N, i, j)], pass);
        }
    }
    for first in (0..rows).step_by(A::SQUARES) {
        let mut squares = arithmetic.begin(&sums.gram[0], pass);
        for row in first..rows.min(first + A::SQUARES) {
            let mut values = [arithmetic.zero(); N];
            for i in 0..N {
                values[i] = columns[i].load(arithmetic, row, pass);
            }
            let binade = arithmetic.binade(values[N - 1]);
            energy = arithmetic.mul_add(binade, binade, energy);
            for i in 1..N {
                values[i] = arithmetic.sub(values[i], values[0]);
            }
            squares = arithmetic.mul_add(values[0], values[0], squares);
            for i in 0..N {
                for j in i.max(1)..N {
                    entries[i][j] = arithmetic.mul_add(values[i], values[j], entries[i][j]);
                }
            }
        }
        arithmetic.end(&mut sums.gram[0], pass, squares);
    }
    for i in 0..N {
        for j in i.max(1)..N {
            arithmetic.end(&mut sums.gram[pair(N, i, j)], pass, entries[i][j]);
        }
    }
    arithmetic.end(&mut sums.energy, pass, energy);
}

/// Adds the products of all pairs of any number of columns, displaced already.
#[inline(always)]
pub(super) fn add_displaced<A: Arithmetic, R: Rows<A>>(
    arithmetic: A,
    columns: &[R],
    rows: usize,
    pass: usize,
    gram: &mut [Lanes],
) {
    let count = columns.len().min(MAX_COLUMNS);
    for i in (0..count).step_by(3) {
        match count - i {
            1 => triangle::<A, R, 1>(arithmetic, columns, i, rows, pass, gram),
            2 => triangle::<A, R, 2>(arithmetic, columns, i, rows, pass, gram),
            _ => triangle::<A, R, 3>(arithmetic, columns, i, rows, pass, gram),
        }
        for j in (i + 3..count).step_by(3) {
            match count - j {
                1 => rectangle::<A, R, 1>(arithmetic, columns, (i, j), rows, pass, gram),
                2 => rectangle::<A, R, 2>(arithmetic, columns, (i, j), rows, pass, gram),
                _ => rectangle::<A, R, 3>(arithmetic, columns, (i, j), rows, pass, gram),
            }
        }
    }
}

/// The N x N block of the matrix on the diagonal at `first`.
#[inline(always)]
fn triangle<A: Arithmetic, R: Rows<A>, const N: usize>(
    arithmetic: A,
    columns: &[R],
    first: usize,
    rows: usize,
    pass: usize,
    gram: &mut [Lanes],
) {
    let entry = |i: usize, j: usize| pair(columns.len(), first + i, first + j);
    let mut block = [&columns[first]; N];
    for i in 0..N {
        block[i] = &columns[first + i];
    }
    let mut entries = [[arithmetic.zero(); N]; N];
    for i in 0..N {
        for j in i.max(1)..N {
            entries[i][j] = arithmetic.begin(&gram[entry(i, j)], pass);
        }
    }
    // The base's squares are in the first block.
    let squares = if first == 0 { A::SQUARES } else { rows };
    for from in (0..rows).step_by(squares) {
        let mut corner = arithmetic.begin(&gram[entry(0, 0)], pass);
        for row in from..rows.min(from + squares) {
            let mut values = [arithmetic.zero(); N];
            for i in 0..N {
                values[i] = block[i].load(arithmetic, row, pass);
            }
            corner = arithmetic.mul_add(values[0], values[0], corner);
            for i in 0..N {
                for j in i.max(1)..N {
                    entries[i][j] = arithmetic.mul_add(values[i], values[j], entries[i][j]);
                }
            }
        }
        arithmetic.end(&mut gram[entry(0, 0)], pass, corner);
    }
    for i in 0..N {
        for j in i.max(1)..N {
            arithmetic.end(&mut gram[entry(i, j)], pass, entries[i][j]);
        }
    }
}

/// The 3 x N block of the matrix whose first entry is `corner`, above the diagonal.
#[inline(always)]
fn rectangle<A: Arithmetic, R: Rows<A>, const N: usize>(
    arithmetic: A,
    columns: &[R],
    corner: (usize, usize),
    rows: usize,
    pass: usize,
    gram: &mut [Lanes],
) {
    let entry = |i: usize, j: usize| pair(columns.len(), corner.0 + i, corner.1 + j);
    let mut left = [&columns[corner.0]; 3];
    let mut right = [&columns[corner.1]; N];
    for i in 0..3 {
        left[i] = &columns[corner.0 + i];
    }
    for j in 0..N {
        right[j] = &columns[corner.1 + j];
    }
    let mut entries = [[arithmetic.zero(); N]; 3];
    for i in 0..3 {
        for j in 0..N {
            entries[i][j] = arithmetic.begin(&gram[entry(i, j)], pass);
        }
    }
    for row in 0..rows {
        let mut values = [arithmetic.zero(); N];
        for j in 0..N {
            values[j] = right[j].load(arithmetic, row, pass);
        }
        for i in 0..3 {
            let value = left[i].load(arithmetic, row, pass);
            for j in 0..N {
                entries[i][j] = arithmetic.mul_add(value, values[j], entries[i][j]);
            }
        }
    }
    for i in 0..3 {
        for j in 0..N {
            arithmetic.end(&mut gram[entry(i, j)], pass, entries[i][j]);
        }
    }
}
