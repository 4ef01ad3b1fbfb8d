//! Blends of float16, carried out in float32 and compared with what a child stores.

#![expect(clippy::needless_range_loop, reason = "a term is a column and a weight")]

use super::simd::{Simd, Vectorize};

/// Elements of a block.
pub(crate) const BLENDED: usize = 256;
/// The bytes of a block, in rows of sixteen elements.
pub(crate) type Halves = [[u8; 32]; BLENDED / 16];

/// A sum of products of columns with weights, over one block of float16.
#[derive(Clone, Copy)]
pub(crate) struct Blend<'a, const TERMS: usize> {
    /// Columns and their weights, in the order in which they are added.
    pub(crate) terms: [(&'a Halves, f32); TERMS],
    /// What fused multiply-adds begin with; `None` if every product and every sum is rounded.
    pub(crate) start: Option<f32>,
    /// What is stored of the result, rounded to float16.
    pub(crate) child: &'a Halves,
}

/// Whether all of a blend has the child's bits.
pub(super) struct Blending<'a, S, const TERMS: usize> {
    pub(super) simd: S,
    pub(super) blend: Blend<'a, TERMS>,
}

impl<S: Simd, const TERMS: usize> Vectorize for Blending<'_, S, TERMS> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { simd, blend } = self;
        match blend.start {
            Some(start) => differing::<S, TERMS, true>(simd, &blend, start) == 0,
            None => differing::<S, TERMS, false>(simd, &blend, 0.0) == 0,
        }
    }
}

/// Some bits, all zero if every element has the child's bits.
#[inline(always)]
fn differing<S: Simd, const TERMS: usize, const FUSED: bool>(
    simd: S,
    blend: &Blend<'_, TERMS>,
    start: f32,
) -> u32 {
    let weights = blend.terms.map(|(_, weight)| simd.narrow_splat(weight));
    // Added to a product, negative zero leaves it as it is, whatever its sign.
    let (start, nothing) = (simd.narrow_splat(start), simd.narrow_splat(-0.0));
    let mut differing = 0;
    for row in 0..BLENDED / 16 {
        for pass in 0..S::PASSES {
            let mut sum = start;
            for term in 0..TERMS {
                let x = simd.narrow_f16(&blend.terms[term].0[row], pass);
                sum = if FUSED {
                    simd.narrow_mul_add(x, weights[term], sum)
                } else {
                    let product = simd.narrow_mul_add(x, weights[term], nothing);
                    if term == 0 { product } else { simd.narrow_plus(product, sum) }
                };
            }
            differing |= simd.f16_differ(sum, &blend.child[row], pass);
        }
    }
    differing
}
