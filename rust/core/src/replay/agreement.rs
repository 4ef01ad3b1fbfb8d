//! Which elements of a block have the child's bits.

use super::operations::{Register, Work, ZERO, decode};
use super::{BLOCK, scalar};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, bf16_bits};

/// Per element of a block: whether all results, and whether any, have the child's bits, as 0 or 1.
pub(super) struct Agreement {
    pub(super) all: [u32; BLOCK],
    pub(super) any: [u32; BLOCK],
}

impl Agreement {
    /// That of no result: all of none agree, and none does.
    pub(super) const NONE: Self = Self { all: [1; BLOCK], any: [0; BLOCK] };
}

/// Adds one result to an agreement: equal bits after `$bits`, or two NaN.
macro_rules! agree {
    ($agree:ident, $child:ident, $result:ident, $bits:expr) => {
        for k in 0..BLOCK {
            let nan = $child[k].is_nan() & $result[k].is_nan();
            let same = u32::from(($bits($result[k]) == $child[k].to_bits()) | nan);
            $agree.all[k] &= same;
            $agree.any[k] |= same;
        }
    };
}

impl Work<'_> {
    /// Whether every element of a whole block of the child has the bits of the only result. `false` may
    /// also mean that this was not looked at: there are several results, the child's dtype is not among
    /// those of large checkpoints, or some element is NaN.
    #[inline(always)]
    pub(super) fn all_equal(&self, registers: &[Register], child: &Column<'_>) -> bool {
        let [result] = self.program.results() else {
            return false;
        };
        let result = self.result(registers, *result);
        let mut differ = 0;
        match child.dtype {
            Dtype::Bf16 => {
                for (value, bytes) in result.iter().zip(child.bytes.as_chunks::<2>().0) {
                    differ |= (bf16_bits(*value) >> 16) ^ u32::from(u16::from_le_bytes(*bytes));
                }
            }
            Dtype::F16 => {
                let (mut rounded, mut stored) = (*result, ZERO.0);
                self.level.round_f16(&mut rounded);
                self.level.widen_f16(child.bytes, &mut stored);
                for (value, stored) in rounded.iter().zip(&stored) {
                    differ |= value.to_bits() ^ stored.to_bits();
                }
            }
            Dtype::F32 => {
                for (value, bytes) in result.iter().zip(child.bytes.as_chunks::<4>().0) {
                    differ |= value.to_bits() ^ u32::from_le_bytes(*bytes);
                }
            }
            _ => return false,
        }
        differ == 0
    }

    /// Compares the results with the `n` elements of a block of the child, and returns how many
    /// elements agree with all of them, and with any.
    #[inline(always)]
    pub(super) fn compare(
        &self,
        registers: &[Register],
        child: &Column<'_>,
        n: usize,
        agree: &mut Agreement,
    ) -> (u32, u32) {
        *agree = Agreement::NONE;
        let mut stored = ZERO;
        let simple = matches!(child.dtype, Dtype::Bf16 | Dtype::F16 | Dtype::F32);
        if simple {
            decode(self.level, child, &mut stored.0);
        }
        let stored = &stored.0;
        for &result in self.program.results() {
            let result = self.result(registers, result);
            match child.dtype {
                Dtype::Bf16 => agree!(agree, stored, result, bf16_bits),
                Dtype::F16 => {
                    let mut rounded = *result;
                    self.level.round_f16(&mut rounded);
                    agree!(agree, stored, rounded, f32::to_bits);
                }
                Dtype::F32 => agree!(agree, stored, result, f32::to_bits),
                _ => {
                    for (k, value) in result[..n].iter().enumerate() {
                        let same = u32::from(scalar::equal(child, k, *value));
                        agree.all[k] &= same;
                        agree.any[k] |= same;
                    }
                }
            }
        }
        let all = agree.all[..n].iter().sum();
        let any = agree.any[..n].iter().sum();
        (all, any)
    }
}
