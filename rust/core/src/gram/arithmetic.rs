//! Wide and narrow arithmetic, as vectors of an instruction set carry it out.

use super::products::Arithmetic;
use super::simd::Simd;
use super::sums::Lanes;
use super::{BLOCK, LANES, SQUARES, WIDE_LANES};

/// Float64 arithmetic on eight lanes.
#[derive(Clone, Copy)]
pub(super) struct Wide<S>(pub(super) S);

impl<S: Simd> Arithmetic for Wide<S> {
    type Vector = S::Wide;
    const PASSES: usize = S::PASSES;
    const SQUARES: usize = BLOCK / WIDE_LANES;

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
}

/// Float32 arithmetic on sixteen lanes.
#[derive(Clone, Copy)]
pub(super) struct Narrow<S>(pub(super) S);

impl<S: Simd> Arithmetic for Narrow<S> {
    type Vector = S::Narrow;
    const PASSES: usize = S::PASSES;
    const SQUARES: usize = SQUARES / LANES;

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
}
