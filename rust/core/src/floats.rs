//! How the CPU rounds while this crate computes, whatever the calling process has set.
//!
//! A library built with `-ffast-math`, or `torch.set_flush_denormal(True)`, has a thread take subnormal
//! numbers for zeros, and `fesetround` has it round elsewhere than to the nearest; threads inherit both
//! from the thread that starts them. Every bit that is promised here is one of IEEE 754 as it stands.
#![expect(unsafe_code, reason = "the control register of floating-point arithmetic")]

use std::marker::PhantomData;

/// Arithmetic of this thread is that of IEEE 754, rounding to nearest even, until this is dropped.
///
/// What was set before is back then. Not to be sent to another thread, which has a register of its own.
pub(crate) struct Ieee(Word, PhantomData<*const ()>);

impl Ieee {
    /// Sets the register of this thread.
    pub(crate) fn set() -> Self {
        let before = read();
        // Most threads have it so; to write it stops the CPU for a moment.
        if before & CONTROL != STANDARD {
            write(STANDARD);
        }
        Self(before, PhantomData)
    }
}

impl Drop for Ieee {
    fn drop(&mut self) {
        if self.0 & CONTROL != STANDARD {
            write(self.0);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod register {
    use std::arch::asm;

    pub(super) type Word = u32;
    /// All but the flags of what has happened: flushing, masks of exceptions, rounding.
    pub(super) const CONTROL: Word = 0xFFC0;
    /// Every exception masked, rounding to nearest even, subnormal numbers as they are.
    pub(super) const STANDARD: Word = 0x1F80;

    pub(super) fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: stores the 32 bits of MXCSR at an address that is valid for them.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: loads MXCSR from 32 valid bits. No reserved bit is set: the value is `STANDARD` or was
        // read from the register. Compiled code takes arithmetic to be standard, and finds it so between
        // a call of `Ieee::set` and the drop; before and after, it finds what it found anyway. Memory is
        // taken to change, so that no load or store of an operand or a result moves across.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    use std::arch::asm;

    pub(super) type Word = u64;
    /// Everything that FPCR holds; what has happened is in another register.
    pub(super) const CONTROL: Word = Word::MAX;
    /// No exception trapped, rounding to nearest even, subnormal numbers and NaN as they are.
    pub(super) const STANDARD: Word = 0;

    pub(super) fn read() -> Word {
        let word: Word;
        // SAFETY: every program may read FPCR.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) };
        word
    }

    pub(super) fn write(word: Word) {
        // SAFETY: every program may write FPCR; the value is `STANDARD` or was read from the register.
        // Compiled code takes arithmetic to be standard, and finds it so between a call of `Ieee::set`
        // and the drop; before and after, it finds what it found anyway. Memory is taken to change, so
        // that no load or store of an operand or a result moves across.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub(super) type Word = u32;
    pub(super) const CONTROL: Word = 0;
    pub(super) const STANDARD: Word = 0;

    pub(super) fn read() -> Word {
        STANDARD
    }

    pub(super) fn write(_word: Word) {}
}

use register::{CONTROL, STANDARD, Word, read, write};

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Flushes subnormal numbers and rounds upwards.
    #[cfg(target_arch = "x86_64")]
    const ODD: Word = STANDARD | 0x8040 | 0x4000;
    #[cfg(target_arch = "aarch64")]
    const ODD: Word = 1 << 24 | 1 << 22;

    /// Not inlined: arithmetic has no order with respect to what sets the register, calls have.
    #[inline(never)]
    fn halves_and_thirds() -> (u32, u64) {
        let half = black_box(f32::from_bits(3)) * black_box(0.5);
        let third = black_box(1.0_f64) / black_box(3.0);
        (black_box(half).to_bits(), black_box(third).to_bits())
    }

    #[test]
    fn arithmetic_is_standard_while_set_and_what_it_was_afterwards() {
        let expected = halves_and_thirds();
        write(ODD);
        let odd = halves_and_thirds();
        let inside = {
            let _ieee = Ieee::set();
            halves_and_thirds()
        };
        let (register, after) = (read() & CONTROL, halves_and_thirds());
        write(STANDARD);
        assert_ne!(odd, expected);
        assert_eq!(inside, expected);
        assert_eq!((register, after), (ODD & CONTROL, odd));
    }
}
