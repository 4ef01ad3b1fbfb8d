//! Wide and narrow arithmetic, as vectors of an instruction set carry it out.

use std::marker::PhantomData;

use super::products::Arithmetic;
use super::simd::Simd;
use super::sums::Lanes;
use super::{BLOCK, LANES, WIDE_LANES};

/// Float64 arithmetic on eight lanes.
#[derive(Clone, Copy)]
pub(super) struct Wide<S>(pub(super) S);

impl<S: Simd> Arithmetic for Wide<S> {
    type Vector = S::Wide;
    type Squares = S::Wide;
    const LANES: usize = WIDE_LANES;
    const UNROLLED: [usize; 5] = [BLOCK / WIDE_LANES; 5];
    const PASSES: usize = S::PASSES;

    #[inline(always)]
    fn zero(self) -> S::Wide {
        self.0.splat(0.0)
    }

    #[inline(always)]
    fn sub(self, a: S::Wide, b: S::Wide) -> S::Wide {
        self.0.sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::Wide, b: S::Wide, c: S::Wide) -> S::Wide {
        self.0.mul_add(a, b, c)
    }

    #[inline(always)]
    fn binade(self, value: S::Wide) -> S::Wide {
        self.0.binade(value)
    }

    #[inline(always)]
    fn begin(self, sum: &Lanes, pass: usize) -> S::Wide {
        self.0.load(&sum.0.as_chunks().0[0], pass)
    }

    #[inline(always)]
    fn end(self, sum: &mut Lanes, pass: usize, value: S::Wide) {
        self.0.store(&mut sum.0.as_chunks_mut().0[0], pass, value);
    }

    #[inline(always)]
    fn begin_squares(self, sum: &Lanes, pass: usize) -> S::Wide {
        self.begin(sum, pass)
    }

    #[inline(always)]
    fn add_square(self, _row: usize, value: S::Wide, sum: S::Wide) -> S::Wide {
        self.mul_add(value, value, sum)
    }

    #[inline(always)]
    fn end_squares(self, sum: &mut Lanes, pass: usize, value: S::Wide) {
        self.end(sum, pass, value);
    }
}

/// A dtype, as narrow arithmetic sees it.
pub(super) trait Squared {
    /// Whether elements of one lane are squared in pairs.
    const PAIRED: bool;
}

/// Float32 arithmetic on sixteen lanes, on elements of dtype `F`.
pub(super) struct Narrow<S, F>(pub(super) S, pub(super) PhantomData<F>);

impl<S: Copy, F> Clone for Narrow<S, F> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Copy, F> Copy for Narrow<S, F> {}

/// A sum of squares in float32, and one of the errors that were made in rounding it.
#[derive(Clone, Copy)]
pub(super) struct Compensated<V> {
    sum: V,
    error: V,
    /// The first square of a pair.
    first: V,
}

impl<S: Simd, F: Squared> Arithmetic for Narrow<S, F> {
    type Vector = S::Narrow;
    type Squares = Compensated<S::Narrow>;
    const LANES: usize = LANES;
    const UNROLLED: [usize; 5] = S::UNROLLED;
    const PASSES: usize = S::PASSES;

    #[inline(always)]
    fn zero(self) -> S::Narrow {
        self.0.narrow_splat(0.0)
    }

    #[inline(always)]
    fn sub(self, a: S::Narrow, b: S::Narrow) -> S::Narrow {
        self.0.narrow_sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::Narrow, b: S::Narrow, c: S::Narrow) -> S::Narrow {
        self.0.narrow_mul_add(a, b, c)
    }

    #[inline(always)]
    fn binade(self, value: S::Narrow) -> S::Narrow {
        self.0.narrow_binade(value)
    }

    #[inline(always)]
    fn begin(self, _sum: &Lanes, _pass: usize) -> S::Narrow {
        self.zero()
    }

    #[inline(always)]
    fn end(self, sum: &mut Lanes, pass: usize, value: S::Narrow) {
        self.0.narrow_add(&mut sum.0, pass, value);
    }

    #[inline(always)]
    fn begin_squares(self, _sum: &Lanes, _pass: usize) -> Self::Squares {
        Compensated { sum: self.zero(), error: self.zero(), first: self.zero() }
    }

    #[inline(always)]
    fn add_square(self, row: usize, x: S::Narrow, squares: Self::Squares) -> Self::Squares {
        let Compensated { sum: before, error, first } = squares;
        let simd = self.0;
        if F::PAIRED && row.is_multiple_of(2) {
            return Compensated { first: self.mul_add(x, x, self.zero()), ..squares };
        }
        let (sum, missed);
        if F::PAIRED {
            let pair = self.mul_add(x, x, first);
            sum = simd.narrow_plus(before, pair);
            missed = self.sub(pair, self.sub(sum, before));
        } else {
            sum = self.mul_add(x, x, before);
            missed = simd.narrow_mul_sub(x, x, self.sub(sum, before));
        }
        Compensated { sum, error: simd.narrow_plus(error, missed), first }
    }

    #[inline(always)]
    fn end_squares(self, sum: &mut Lanes, pass: usize, value: Self::Squares) {
        self.end(sum, pass, value.sum);
        self.end(sum, pass, value.error);
    }
}
