//! How computed numbers are stored.

use crate::checkpoint::dtype::Dtype;
use crate::gram::{Vectorize, bf16_bits, encode};

/// Writes float32 as another dtype.
pub(super) struct Store<'a> {
    pub(super) dtype: Dtype,
    pub(super) values: &'a [f32],
    pub(super) out: &'a mut [u8],
}

impl Vectorize for Store<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.dtype {
            Dtype::Bf16 => {
                for (out, value) in self.out.as_chunks_mut().0.iter_mut().zip(self.values) {
                    *out = ((bf16_bits(*value) >> 16) as u16).to_le_bytes();
                }
            }
            Dtype::F16 => {
                for (out, value) in self.out.as_chunks_mut().0.iter_mut().zip(self.values) {
                    let bits = encode(Dtype::F16, f64::from(*value)).unwrap_or(0);
                    *out = (bits as u16).to_le_bytes();
                }
            }
            _ => {
                for (out, value) in self.out.as_chunks_mut().0.iter_mut().zip(self.values) {
                    *out = value.to_le_bytes();
                }
            }
        }
    }
}
