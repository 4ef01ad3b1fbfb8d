//! Memory straight from the system.
#![expect(unsafe_code, reason = "memory straight from the system")]

use std::ffi::c_void;
use std::io::{ErrorKind, Result};
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// What the address and the length of a read past the page cache are multiples of: the largest block
/// of a disk.
pub(super) const PAGE: usize = 4096;
/// Bytes in a huge page.
pub(super) const HUGE: usize = 2 << 20;

/// Memory of our own.
///
/// Invariant: `mapped` bytes from `address` on are mapped until drop, and nobody else knows of them;
/// they hold `length` bytes from `start` on.
#[derive(Debug)]
pub(super) struct Room {
    address: NonNull<c_void>,
    mapped: usize,
    start: usize,
    length: usize,
}

// SAFETY: the memory belongs to the value, as that of a `Vec` does.
unsafe impl Send for Room {}

impl Room {
    /// Room for `length` bytes.
    pub(super) fn new(length: usize) -> Result<Self> {
        // Huge pages are whole, and lie at multiples of their length.
        let is_huge = length > HUGE / 2;
        let page = if is_huge { HUGE } else { PAGE };
        let length = length.max(1).checked_next_multiple_of(page).ok_or(ErrorKind::OutOfMemory)?;
        let more = if is_huge { HUGE } else { 0 };
        let mapped = length.checked_add(more).ok_or(ErrorKind::OutOfMemory)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose a free range.
        let address =
            unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) };
        let address = NonNull::new(address?).ok_or(ErrorKind::OutOfMemory)?;
        let start = if is_huge { address.as_ptr().align_offset(HUGE) } else { 0 };
        let this = Self { address, mapped, start, length };
        if is_huge {
            this.ask_for_huge_pages();
        }
        Ok(this)
    }

    /// Bytes that there is room for.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    #[cfg(target_os = "linux")]
    fn ask_for_huge_pages(&self) {
        // SAFETY: the range lies in the mapping; it is advice on how to fill it with memory. Where the
        // system has no huge pages to give, it fills it with small ones.
        let _ = unsafe {
            let start = self.address.as_ptr().byte_add(self.start);
            rustix::mm::madvise(start, self.length, rustix::mm::Advice::LinuxHugepage)
        };
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_for_huge_pages(&self) {}

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: by the invariant, `start + length` is within what is mapped, any bytes are valid, and
        // the borrow is that of the value.
        unsafe {
            let start = self.address.as_ptr().cast::<u8>().add(self.start);
            std::slice::from_raw_parts_mut(start, self.length)
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the range was mapped in `new`, and no borrow outlives `self`.
        let _ = unsafe { munmap(self.address.as_ptr(), self.mapped) };
    }
}
