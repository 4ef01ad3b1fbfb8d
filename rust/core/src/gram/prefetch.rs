//! Lines that are asked for before they are needed.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a vendor intrinsic"))]

use super::LINE;

/// Bytes of each column between what is computed and what is brought into the second-level cache.
///
/// A core can wait for few lines in its first-level cache, too few to hide memory; for more in its second.
#[cfg(target_arch = "x86_64")]
const FAR: usize = 8192;
/// Bytes of each column between what is computed and what is brought into the first-level cache.
#[cfg(target_arch = "x86_64")]
const NEAR: usize = 1024;

/// Starts to bring what comes some time after a line into the caches.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch(line: &[u8; LINE]) {
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
    let at = line.as_ptr();
    // SAFETY: every x86-64 CPU has the instruction; of any address it has no effect but on the cache.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(FAR).cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(NEAR).cast());
    }
}

/// Stable Rust has no prefetch for Arm; its hardware prefetchers follow such streams.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn prefetch(_line: &[u8; LINE]) {}
