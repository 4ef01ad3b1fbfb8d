//! Lines that memory is asked for before they are needed.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "a vendor intrinsic"))]

use super::LINE;

/// How far ahead of the computation, in bytes of each column, lines are brought into the second-level cache.
///
/// A core can have few requests of its first-level cache under way, too few to hide the latency of memory, and
/// some more of its second-level cache.
#[cfg(target_arch = "x86_64")]
const FAR: usize = 8192;
/// How far ahead lines are brought from the second-level cache into the first.
#[cfg(target_arch = "x86_64")]
const NEAR: usize = 1024;

/// Starts to bring the lines that lie [`FAR`] and [`NEAR`] behind a line of a column into the caches.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch(line: &[u8; LINE]) {
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
    let at = line.as_ptr();
    // SAFETY: every x86-64 CPU has the instruction. It may be given any address, mapped or not, and has no
    // effect but on the caches.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(FAR).cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(NEAR).cast());
    }
}

/// Does nothing: stable Rust has no prefetch for Arm, whose hardware prefetches what is read in order.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn prefetch(_line: &[u8; LINE]) {}
