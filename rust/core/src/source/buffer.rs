//! Memory that windows are read into.
#![expect(unsafe_code, reason = "memory straight from the system")]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// What the address and the length of a read past the page cache are multiples of: the largest block
/// of a disk.
pub(super) const PAGE: usize = 4096;
/// Bytes in a huge page.
const HUGE: usize = 2 << 20;

/// A window's bytes where they must be copied.
///
/// A disk is asked for at most some hundred pieces of memory at once: pages that lie anywhere make small
/// requests of large reads. Huge pages are pieces of two megabytes, and where a disk serves so many
/// requests per second and no more, they make it several times as fast.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Option<Room>);

impl Buffer {
    /// Room for `length` bytes, on a page. What was in it before may be lost.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        if self.0.as_ref().is_none_or(|room| room.length < length) {
            // Two are not held at a time.
            self.0 = None;
        }
        &mut self.0.get_or_insert_with(|| Room::new(length)).bytes()[..length]
    }
}

/// Memory of our own.
///
/// Invariant: `mapped` bytes from `address` on are mapped until drop, and nobody else knows of them;
/// they hold `length` bytes from `start` on.
#[derive(Debug)]
struct Room {
    address: NonNull<c_void>,
    mapped: usize,
    start: usize,
    length: usize,
}

// SAFETY: the memory belongs to the value, as that of a `Vec` does.
unsafe impl Send for Room {}

impl Room {
    fn new(length: usize) -> Self {
        // Huge pages are whole, and lie at multiples of their length.
        let is_huge = length > HUGE / 2;
        let length = length.max(1).next_multiple_of(if is_huge { HUGE } else { PAGE });
        let mapped = length + if is_huge { HUGE } else { 0 };
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose a free range.
        let address =
            unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) };
        let Some(address) = address.ok().and_then(NonNull::new) else {
            handle_alloc_error(Layout::from_size_align(mapped, PAGE).unwrap_or(Layout::new::<u8>()))
        };
        let start = if is_huge { address.as_ptr().align_offset(HUGE) } else { 0 };
        let this = Self { address, mapped, start, length };
        if is_huge {
            this.ask_for_huge_pages();
        }
        this
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

    fn bytes(&mut self) -> &mut [u8] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_lies_on_pages_and_holds_what_is_written() {
        let mut buffer = Buffer::default();
        let sizes = [1, PAGE, PAGE + 1, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE + 5, 0, 7, 5 * HUGE];
        for (byte, length) in (1..).zip(sizes) {
            let room = buffer.room(length);
            assert_eq!(room.len(), length);
            assert!((room.as_ptr() as usize).is_multiple_of(PAGE));
            assert!(length < HUGE || (room.as_ptr() as usize).is_multiple_of(HUGE));
            room.fill(byte);
            assert!(room.iter().all(|&found| found == byte));
        }
    }
}
