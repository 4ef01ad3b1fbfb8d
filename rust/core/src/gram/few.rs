//! Few columns as they are stored: one loop compares lines and multiplies their rows.

#![expect(clippy::needless_range_loop, reason = "a piece of every column, not of one")]

use super::BLOCK;
use super::compare::{Comparing, StoredLines};
use super::products::{Arithmetic, Beside, Rows, add_values};
use super::simd::{Simd, Vectorize};
use super::sums::Sums;
use super::tally::Tally;

/// A block of one column as it is stored: what is multiplied by one call of `products`.
pub(super) trait Piece<'a>: StoredLines + Copy {
    /// Its bytes in memory, those of [`BLOCK`] elements.
    type Bytes: 'a;

    /// The piece that has these bytes.
    fn of(bytes: &'a Self::Bytes) -> Self;
}

/// Adds the products of the pieces of each column to `sums` and, if there is a `tally`, counts to it where
/// columns differ. Does nothing and returns false if there are more columns than are added up in registers.
#[inline(always)]
pub(super) fn add_few<'a, S: Simd, A: Arithmetic, P: Piece<'a> + Rows<A>>(
    simd: S,
    arithmetic: A,
    columns: &[&'a [P::Bytes]],
    sums: &mut Sums,
    tally: Option<&mut Tally>,
) -> bool {
    macro_rules! add {
        ($($column:ident),*) => {{
            let columns = [$($column),*];
            simd.call(Few::<'_, 'a, S, A, P, _> { simd, arithmetic, columns, sums, tally });
            true
        }};
    }
    match *columns {
        [base, child] => add!(base, child),
        [base, one, child] => add!(base, one, child),
        [base, one, two, child] => add!(base, one, two, child),
        _ => false,
    }
}

/// The work of [`add_few`] for N columns, compiled as a function of its own.
struct Few<'s, 'a, S, A, P: Piece<'a>, const N: usize> {
    simd: S,
    arithmetic: A,
    columns: [&'a [P::Bytes]; N],
    sums: &'s mut Sums,
    tally: Option<&'s mut Tally>,
}

impl<'a, S: Simd, A: Arithmetic, P: Piece<'a> + Rows<A>, const N: usize> Vectorize
    for Few<'_, 'a, S, A, P, N>
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { simd, arithmetic, columns, sums, tally } = self;
        let Some(tally) = tally else {
            return add::<A, P, (), N>(arithmetic, &columns, sums, &mut ());
        };
        let mut comparing = Comparing::new(simd);
        add::<A, P, _, N>(arithmetic, &columns, sums, &mut comparing);
        comparing.add_to(P::WIDTH, N - 1, tally);
    }
}

#[inline(always)]
fn add<'a, A: Arithmetic, P: Piece<'a> + Rows<A>, B: Beside<A, P>, const N: usize>(
    arithmetic: A,
    columns: &[&'a [P::Bytes]; N],
    sums: &mut Sums,
    beside: &mut B,
) {
    for number in 0..columns[0].len() {
        let mut pieces = [P::of(&columns[0][number]); N];
        for column in 1..N {
            pieces[column] = P::of(&columns[column][number]);
        }
        add_values(arithmetic, &pieces, BLOCK / A::LANES, sums, beside);
    }
}
