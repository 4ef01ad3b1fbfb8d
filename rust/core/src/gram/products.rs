//! The products of all pairs of columns, in either arithmetic, with vectors of any width.
//!
//! ```text
//! up to DIRECT columns:
//!     for each row of lanes:
//!         subtract the base from the other columns
//!         entries += X_i * X_j                                  (fused, in registers)
//! beyond:
//!     for each SIDE columns, for each row of lanes:
//!         subtract the base, and keep the differences in the cache
//!         entries += X_i * X_j of these columns
//!     for each other SIDE x SIDE block of the Gram matrix, for each row of lanes:
//!         entries += X_i * X_j                                  (of what was kept)
//! ```

#![expect(clippy::needless_range_loop, reason = "matrices are read best by row and column")]

use super::sums::{Lanes, Sums};
use super::{MAX_COLUMNS, pair, pairs};

/// Most columns whose products are all added up at once, in registers.
pub(super) const DIRECT: usize = 4;
/// Sums of so many columns.
pub(super) type FewSums = Sums<[Lanes; pairs(DIRECT)]>;
/// Rows and columns of a block of the matrix, where there are more: its entries fit in registers.
const SIDE: usize = 3;

/// How lanes are multiplied and added. Holding a value is the proof that the CPU can.
pub(super) trait Arithmetic: Copy {
    /// Some lanes.
    type Vector: Copy;
    /// A sum of squares of [`Self::Vector`], which need not have its precision.
    type Squares: Copy;
    /// Lanes of a row.
    const LANES: usize;
    /// Rows in the inner of two loops, which the compiler unrolls: by the number of columns, and first of more
    /// than [`DIRECT`].
    const UNROLLED: [usize; 5];
    /// Vectors to a row.
    const PASSES: usize;

    fn zero(self) -> Self::Vector;
    /// a - b, rounded once.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The largest power of two not above the magnitude of each lane; 0 for 0.
    fn binade(self, value: Self::Vector) -> Self::Vector;
    /// What a sum of products in registers starts from.
    fn begin(self, sum: &Lanes, pass: usize) -> Self::Vector;
    /// Takes over a sum of products that is complete.
    fn end(self, sum: &mut Lanes, pass: usize, value: Self::Vector);
    /// What a sum of squares in registers starts from.
    fn begin_squares(self, sum: &Lanes, pass: usize) -> Self::Squares;
    /// Adds the square of each lane of row number `row`.
    fn add_square(self, row: usize, value: Self::Vector, sum: Self::Squares) -> Self::Squares;
    /// Takes over a sum of squares that is complete.
    fn end_squares(self, sum: &mut Lanes, pass: usize, value: Self::Squares);
}

/// Elements of one column, as rows of lanes.
pub(super) trait Rows<A: Arithmetic> {
    /// Part `pass < PASSES` of a row.
    fn load(&self, arithmetic: A, row: usize, pass: usize) -> A::Vector;

    /// Asks memory for bytes some distance behind the row. The row that begins a line asks for one line,
    /// so that requests are spread evenly over the loop: memory serves few at a time.
    #[inline(always)]
    fn expect(&self, _arithmetic: A, _row: usize, _pass: usize) {}
}

/// What else is done in the loop over rows, while they are at hand. By default nothing.
pub(super) trait Beside<A: Arithmetic, R> {
    /// Comes before all of so many rows.
    #[inline(always)]
    fn all<const N: usize>(&mut self, _columns: &[R; N], _rows: usize) {}

    /// Comes before part `pass` of a row, in the order of rows.
    #[inline(always)]
    fn row<const N: usize>(&mut self, _columns: &[R; N], _row: usize, _pass: usize) {}

    /// Gets part `pass` of a row of base and displacements.
    #[inline(always)]
    fn displaced<const N: usize>(
        &mut self,
        _arithmetic: A,
        _row: usize,
        _pass: usize,
        _values: &[A::Vector; N],
    ) {
    }
}

impl<A: Arithmetic, R> Beside<A, R> for () {}

/// Rows of lanes that can be written.
pub(super) trait Room<A: Arithmetic>: Rows<A> {
    /// Writes part `pass < PASSES` of a row.
    fn store(&mut self, arithmetic: A, row: usize, pass: usize, value: A::Vector);
}

/// Keeps base and displacements, one column in each room.
struct Keeping<'a, D>(&'a mut [D]);

impl<A: Arithmetic, R, D: Room<A>> Beside<A, R> for Keeping<'_, D> {
    #[inline(always)]
    fn displaced<const N: usize>(
        &mut self,
        arithmetic: A,
        row: usize,
        pass: usize,
        values: &[A::Vector; N],
    ) {
        for i in 0..N {
            self.0[i].store(arithmetic, row, pass, values[i]);
        }
    }
}

/// Part `pass < PASSES` of the first `rows` rows.
#[derive(Clone, Copy)]
struct Part {
    rows: usize,
    pass: usize,
}

/// Adds the products of all pairs of at most [`DIRECT`] columns, and the squared binades of the child, the
/// last of them. Columns hold values: the base is subtracted on the way.
#[inline(always)]
pub(super) fn add_values<A: Arithmetic, R: Rows<A>, B: Beside<A, R>, const N: usize>(
    arithmetic: A,
    columns: &[R; N],
    rows: usize,
    sums: &mut Sums,
    beside: &mut B,
) {
    const { assert!(N <= DIRECT && DIRECT == 4) };
    beside.all(columns, rows);
    for pass in 0..A::PASSES {
        let part = Part { rows, pass };
        first_triangle::<A, R, B, N, true>(arithmetic, columns, N, part, sums, beside);
    }
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
    let count = room.len();
    if let Some(block) = columns.first_chunk::<SIDE>() {
        let keeping = &mut Keeping(&mut *room);
        first_triangle::<A, R, _, SIDE, false>(
            arithmetic,
            block,
            columns.len(),
            part,
            sums,
            keeping,
        );
    }
    for i in (SIDE..count).step_by(SIDE) {
        match count - i {
            1 => later_triangle::<A, R, D, 1, true>(arithmetic, columns, room, i, part, sums),
            2 => later_triangle::<A, R, D, 2, true>(arithmetic, columns, room, i, part, sums),
            3 => later_triangle::<A, R, D, 3, true>(arithmetic, columns, room, i, part, sums),
            _ => later_triangle::<A, R, D, 3, false>(arithmetic, columns, room, i, part, sums),
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

/// The entries of an N x N block on the diagonal of the matrix, in registers.
#[derive(Clone, Copy)]
struct Triangle<A: Arithmetic, const N: usize> {
    squares: [A::Squares; N],
    /// Those above the diagonal.
    products: [[A::Vector; N]; N],
}

impl<A: Arithmetic, const N: usize> Triangle<A, N> {
    /// What the sums of the block are, whose first entry is that of column `first` of `count`.
    #[inline(always)]
    fn begin(arithmetic: A, gram: &[Lanes], count: usize, first: usize, pass: usize) -> Self {
        let mut squares = [arithmetic.begin_squares(&gram[0], pass); N];
        let mut products = [[arithmetic.zero(); N]; N];
        for i in 0..N {
            let entry = |j: usize| &gram[pair(count, first + i, first + j)];
            squares[i] = arithmetic.begin_squares(entry(i), pass);
            for j in i + 1..N {
                products[i][j] = arithmetic.begin(entry(j), pass);
            }
        }
        Self { squares, products }
    }

    /// Adds the products of a row.
    #[inline(always)]
    fn add(&mut self, arithmetic: A, row: usize, x: &[A::Vector; N]) {
        for i in 0..N {
            self.squares[i] = arithmetic.add_square(row, x[i], self.squares[i]);
            for j in i + 1..N {
                self.products[i][j] = arithmetic.mul_add(x[i], x[j], self.products[i][j]);
            }
        }
    }

    /// Takes over the sums, of the same block as for [`Triangle::begin`].
    #[inline(always)]
    fn end(&self, arithmetic: A, gram: &mut [Lanes], count: usize, first: usize, pass: usize) {
        for i in 0..N {
            let entry = |j: usize| pair(count, first + i, first + j);
            arithmetic.end_squares(&mut gram[entry(i)], pass, self.squares[i]);
            for j in i + 1..N {
                arithmetic.end(&mut gram[entry(j)], pass, self.products[i][j]);
            }
        }
    }
}

/// Part `pass` of a row of every column.
#[inline(always)]
fn load<A: Arithmetic, R: Rows<A>, const N: usize>(
    arithmetic: A,
    columns: &[R; N],
    row: usize,
    pass: usize,
) -> [A::Vector; N] {
    let mut x = [arithmetic.zero(); N];
    for i in 0..N {
        columns[i].expect(arithmetic, row, pass);
        x[i] = columns[i].load(arithmetic, row, pass);
    }
    x
}

/// Adds to the N x N block of the matrix at its beginning, that of base and first columns, of `count`; with
/// `CHILD` also the squared binades of the last of them.
#[inline(always)]
fn first_triangle<A: Arithmetic, R: Rows<A>, B: Beside<A, R>, const N: usize, const CHILD: bool>(
    arithmetic: A,
    columns: &[R; N],
    count: usize,
    Part { rows, pass }: Part,
    sums: &mut Sums,
    beside: &mut B,
) {
    let mut triangle = Triangle::<A, N>::begin(arithmetic, &sums.gram, count, 0, pass);
    let mut energy = arithmetic.begin(&sums.energy, pass);
    let inner = A::UNROLLED[if CHILD { N } else { 0 }];
    for from in (0..rows).step_by(inner) {
        for row in from..rows.min(from + inner) {
            beside.row(columns, row, pass);
            let mut x = load(arithmetic, columns, row, pass);
            if CHILD {
                let binade = arithmetic.binade(x[N - 1]);
                energy = arithmetic.mul_add(binade, binade, energy);
            }
            for i in 1..N {
                x[i] = arithmetic.sub(x[i], x[0]);
            }
            beside.displaced(arithmetic, row, pass, &x);
            triangle.add(arithmetic, row, &x);
        }
    }
    triangle.end(arithmetic, &mut sums.gram, count, 0, pass);
    if CHILD {
        arithmetic.end(&mut sums.energy, pass, energy);
    }
}

/// Adds to the N x N block of the matrix on its diagonal at column `first`, behind the first block. `room`
/// has the base already, and gets the displacements of these columns. `CHILD` is as for [`first_triangle`].
#[inline(always)]
fn later_triangle<A: Arithmetic, R: Rows<A>, D: Room<A>, const N: usize, const CHILD: bool>(
    arithmetic: A,
    columns: &[R],
    room: &mut [D],
    first: usize,
    Part { rows, pass }: Part,
    sums: &mut Sums,
) {
    let count = columns.len();
    let (before, from_here) = room.split_at_mut(first);
    let (Some(base), Some(block), Some(kept)) =
        (before.first(), columns[first..].first_chunk::<N>(), from_here.first_chunk_mut::<N>())
    else {
        return;
    };
    let mut triangle = Triangle::<A, N>::begin(arithmetic, &sums.gram, count, first, pass);
    let mut energy = arithmetic.begin(&sums.energy, pass);
    let inner = A::UNROLLED[0];
    for from in (0..rows).step_by(inner) {
        for row in from..rows.min(from + inner) {
            let mut x = load(arithmetic, block, row, pass);
            if CHILD {
                let binade = arithmetic.binade(x[N - 1]);
                energy = arithmetic.mul_add(binade, binade, energy);
            }
            let base = base.load(arithmetic, row, pass);
            for i in 0..N {
                x[i] = arithmetic.sub(x[i], base);
            }
            for i in 0..N {
                kept[i].store(arithmetic, row, pass, x[i]);
            }
            triangle.add(arithmetic, row, &x);
        }
    }
    triangle.end(arithmetic, &mut sums.gram, count, first, pass);
    if CHILD {
        arithmetic.end(&mut sums.energy, pass, energy);
    }
}

/// Adds to the SIDE x N block of the matrix whose first entry is `corner`, above the diagonal. `columns` are
/// the base and all displacements.
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
