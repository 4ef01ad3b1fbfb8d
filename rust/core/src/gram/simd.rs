//! What an instruction set supplies: vectors of float64 and of float32, and how lines are compared.

use super::LANES;
use super::tally::Counting;
use super::widen::round_f16;

/// Work, mostly loops over arrays, that is to be compiled for an instruction set.
pub(crate) trait Vectorize {
    /// What comes out.
    type Output;
    /// Does it. This function, and all that it calls in loops, must be `#[inline(always)]`: what is not
    /// inlined is compiled for any CPU. It may use no operation whose result depends on the instruction set.
    fn run(self) -> Self::Output;
}

/// Most vectors to a row, of any instruction set.
pub(super) const MOST_PASSES: usize = 4;

/// The vector operations that an instruction set supplies.
///
/// Holding a value of the type is the proof that the CPU has the instructions.
pub(super) trait Simd: Copy {
    /// A vector of `WIDE_LANES / PASSES` float64.
    type Wide: Copy;
    /// A vector of `LANES / PASSES` float32.
    type Narrow: Copy;
    /// Which lanes of float32 differ.
    type Mask: Copy;
    /// How many lanes did, at most 2^32 times.
    type Differing: Copy;
    /// Vectors to a row, of eight float64 or of sixteen float32.
    const PASSES: usize;

    /// Rows that are multiplied in float32 without a jump between them, by the number of columns; the first entry
    /// is for more than four. Counted and timed: more rows save jumps, until registers run out.
    const UNROLLED: [usize; 5];
    /// Whether each line of a few columns is compared just before its rows are multiplied. That takes
    /// registers beside those of the products; without enough of them, all lines of a run or block are
    /// compared before any row is multiplied.
    const COMPARES_BESIDE: bool;
    /// Counts of where lines differ.
    type Counting: Counting<Self>;

    /// Does `work` in a function of its own, compiled for this instruction set.
    ///
    /// Were an inner loop compiled in one function with all that calls it, the compiler would keep variables
    /// of the callers in registers that the loop needs.
    fn call<W: Vectorize>(self, work: W) -> W::Output;

    /// All lanes `value`.
    fn splat(self, value: f64) -> Self::Wide;
    /// Part `pass < PASSES` of eight float64.
    fn load(self, row: &[f64; 8], pass: usize) -> Self::Wide;
    /// Part `pass < PASSES` of eight float32, widened.
    fn load_f32(self, row: &[f32; 8], pass: usize) -> Self::Wide;
    /// Part `pass < PASSES` of eight stored float32, widened.
    fn load_f32_bytes(self, row: &[u8; 32], pass: usize) -> Self::Wide;
    /// Part `pass < PASSES` of eight stored bf16, widened.
    fn load_bf16_bytes(self, row: &[u8; 16], pass: usize) -> Self::Wide;
    /// Part `pass < PASSES` of eight stored float16, widened.
    fn load_f16_bytes(self, row: &[u8; 16], pass: usize) -> Self::Wide;
    /// Writes part `pass < PASSES` of eight float64.
    fn store(self, row: &mut [f64; 8], pass: usize, value: Self::Wide);
    /// a - b, rounded once.
    fn sub(self, a: Self::Wide, b: Self::Wide) -> Self::Wide;
    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Wide, b: Self::Wide, c: Self::Wide) -> Self::Wide;
    /// [`super::widen::binade`] of each lane.
    fn binade(self, value: Self::Wide) -> Self::Wide;

    /// Sixteen bf16 as float32.
    fn widen_bf16(self, bytes: &[u8; 32], out: &mut [f32; 16]);
    /// Sixteen float16 as float32.
    fn widen_f16(self, bytes: &[u8; 32], out: &mut [f32; 16]);
    /// The nearest float16 of each, ties to even, as float32; any NaN stays one.
    #[inline(always)]
    fn round_f16(self, values: &mut [f32; 16]) {
        for value in values {
            *value = round_f16(*value);
        }
    }

    /// Some bits, all zero if each lane, rounded to float16, has the bits of part `pass < PASSES` of sixteen
    /// stored ones. A NaN may differ from another.
    #[inline(always)]
    fn f16_differ(self, value: Self::Narrow, row: &[u8; 32], pass: usize) -> u32 {
        let (mut ours, mut theirs) = ([0.0; 16], [0.0; 16]);
        self.narrow_store(&mut ours, pass, value);
        self.narrow_store(&mut theirs, pass, self.narrow_f16(row, pass));
        let lanes = LANES / Self::PASSES;
        let part = pass * lanes..(pass + 1) * lanes;
        let pairs = ours[part.clone()].iter().zip(&theirs[part]);
        pairs.fold(0, |differ, (a, b)| differ | (round_f16(*a).to_bits() ^ b.to_bits()))
    }

    /// All lanes `value`.
    fn narrow_splat(self, value: f32) -> Self::Narrow;
    /// Part `pass < PASSES` of the even, or the odd, elements of 32 bf16.
    fn narrow_bf16(self, line: &[u8; 64], odd: bool, pass: usize) -> Self::Narrow;
    /// Part `pass < PASSES` of sixteen stored float16, widened.
    fn narrow_f16(self, row: &[u8; 32], pass: usize) -> Self::Narrow;
    /// Part `pass < PASSES` of sixteen float32.
    fn narrow_load(self, row: &[f32; 16], pass: usize) -> Self::Narrow;
    /// Writes part `pass < PASSES` of sixteen float32.
    fn narrow_store(self, row: &mut [f32; 16], pass: usize, value: Self::Narrow);
    /// a + b, rounded once.
    fn narrow_plus(self, a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// a - b, rounded once.
    fn narrow_sub(self, a: Self::Narrow, b: Self::Narrow) -> Self::Narrow;
    /// a * b + c, rounded once.
    fn narrow_mul_add(self, a: Self::Narrow, b: Self::Narrow, c: Self::Narrow) -> Self::Narrow;
    /// a * b - c, rounded once.
    fn narrow_mul_sub(self, a: Self::Narrow, b: Self::Narrow, c: Self::Narrow) -> Self::Narrow;
    /// The largest power of two not above the magnitude of each lane; 0 for 0.
    fn narrow_binade(self, value: Self::Narrow) -> Self::Narrow;
    /// No lane.
    fn none(self) -> Self::Mask;
    /// The lanes whose bits differ.
    fn narrow_differ(self, a: Self::Narrow, b: Self::Narrow) -> Self::Mask;
    /// The lanes of one mask or the other.
    fn either(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// The lanes of one mask that are not in the other.
    fn only(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Nothing counted.
    fn uncounted(self) -> Self::Differing;
    /// Counts the lanes of a mask, too.
    fn counted(self, count: Self::Differing, mask: Self::Mask) -> Self::Differing;
    /// Lanes that have been counted.
    fn sum(self, count: Self::Differing) -> u64;
    /// Adds a vector of float32, widened, to part `pass < PASSES` of sixteen float64.
    fn narrow_add(self, sum: &mut [f64; 16], pass: usize, value: Self::Narrow);
}

/// Widens float16 in groups of sixteen.
pub(super) struct Widening<'a, S> {
    pub(super) simd: S,
    pub(super) groups: &'a [[u8; 32]],
    pub(super) out: &'a mut [[f32; 16]],
}

impl<S: Simd> Vectorize for Widening<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (bytes, out) in self.groups.iter().zip(self.out) {
            self.simd.widen_f16(bytes, out);
        }
    }
}

/// Rounds float32 to float16 in groups of sixteen.
pub(super) struct Halving<'a, S> {
    pub(super) simd: S,
    pub(super) groups: &'a mut [[f32; 16]],
}

impl<S: Simd> Vectorize for Halving<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for values in self.groups {
            self.simd.round_f16(values);
        }
    }
}
