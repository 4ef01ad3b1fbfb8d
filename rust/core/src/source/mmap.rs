//! Windows of a memory-mapped file.
#![expect(unsafe_code, reason = "mapping a file and lending slices of the mapping")]

use std::ffi::c_void;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::guard::{self, Guard};
use super::{Buffer, Io, Source};
use crate::checkpoint::Shard;
use crate::error::{Error, Result};

/// A read-only shared mapping of a whole file, and the guard over its address range.
///
/// Invariant: `address .. address + length` is mapped until drop. A window is faulted in before it
/// is lent, and a page that disappears afterwards (the file was cut short) is replaced by the guard,
/// which [`Source::release`] reports.
pub(super) struct Mmap {
    path: PathBuf,
    address: NonNull<c_void>,
    length: usize,
    guard: Guard,
    /// What was given back, and is still this process's.
    idle: Mutex<Idle>,
}

/// Windows that were given back.
///
/// To take pages from a process, the system interrupts every CPU that it runs on. That takes as long as reading some
/// hundred kilobytes, however few the pages are: they are taken many at a time.
#[derive(Debug, Default)]
struct Idle {
    /// Where they lie. Neighbours are one; where there would be too many, all are, with what lies between.
    ranges: Vec<Range<usize>>,
    /// How much was given back.
    bytes: usize,
}

impl Idle {
    /// Bytes that are kept back, at most.
    const MOST: usize = 8 << 20;
    /// Places that are told apart.
    const PLACES: usize = 16;

    /// Adds a window, and returns what is to be taken now.
    fn add(&mut self, range: Range<usize>) -> Vec<Range<usize>> {
        if range.is_empty() {
            return Vec::new();
        }
        self.bytes += range.len();
        let neighbour =
            self.ranges.iter_mut().find(|each| each.start <= range.end && range.start <= each.end);
        match neighbour {
            Some(each) => *each = each.start.min(range.start)..each.end.max(range.end),
            None => self.ranges.push(range),
        }
        if self.ranges.len() > Self::PLACES {
            let start = self.ranges.iter().map(|each| each.start).min();
            let end = self.ranges.iter().map(|each| each.end).max();
            self.ranges = start.zip(end).map(|(start, end)| start..end).into_iter().collect();
        }
        if self.bytes < Self::MOST {
            return Vec::new();
        }
        self.bytes = 0;
        std::mem::take(&mut self.ranges)
    }
}

// SAFETY: the mapping is read-only memory that lives as long as the value; threads only read it.
unsafe impl Send for Mmap {}
// SAFETY: as above.
unsafe impl Sync for Mmap {}

impl Mmap {
    /// Maps the file, or `None` where the system refuses to map it, to fault in pages on demand
    /// (Linux before 5.14), or to guard one more mapping: `pread` serves then.
    pub(super) fn new(shard: &Shard, file: &File) -> Option<Self> {
        let length = usize::try_from(shard.bytes).ok()?;
        // SAFETY: a null hint lets the kernel choose a free range.
        let address = unsafe {
            mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, 0)
        };
        let address = NonNull::new(address.ok()?)?;
        let guard = Guard::new(address.as_ptr() as usize, length);
        let this = guard.map(|guard| Self {
            path: shard.path.clone(),
            address,
            length,
            guard,
            idle: Mutex::default(),
        });
        let Some(this) = this else {
            // SAFETY: the range was mapped above, and nothing borrows from it.
            let _ = unsafe { munmap(address.as_ptr(), length) };
            return None;
        };
        this.advise(0..length.min(1), Advice::LinuxPopulateRead).ok()?;
        Some(this)
    }

    /// Advises on all pages that `range` touches.
    fn advise(&self, range: Range<usize>, advice: Advice) -> Result<(), Errno> {
        let start = range.start - range.start % rustix::param::page_size();
        // SAFETY: the range lies in the mapping; the advice used here changes no byte of it.
        unsafe { madvise(self.address.as_ptr().byte_add(start), range.end - start, advice) }
    }

    /// Whether the page at `offset` is in the page cache.
    fn is_cached(&self, offset: usize) -> bool {
        let page = rustix::param::page_size();
        let mut state = 0_u8;
        // SAFETY: the page lies in the mapping, and `state` holds the one byte that is written.
        let result = unsafe {
            let address = self.address.as_ptr().byte_add(offset / page * page);
            libc::mincore(address, page, std::ptr::from_mut(&mut state).cast())
        };
        result == 0 && state & 1 == 1
    }

    fn changed(&self, offset: u64, message: String) -> Error {
        Error::Changed { path: self.path.clone(), tensor: None, offset: Some(offset), message }
    }

    /// Says why a window could not be faulted in.
    fn explain(&self, range: &Range<u64>, errno: Errno) -> Error {
        match std::fs::metadata(&self.path) {
            Ok(now) if now.len() < range.end => self.changed(
                range.start,
                format!("the file was cut to {} bytes while it was read", now.len()),
            ),
            _ => {
                let action = format!(
                    "read {} mapped bytes at offset {}",
                    range.end - range.start,
                    range.start
                );
                Error::io(&self.path, action, errno)
            }
        }
    }
}

/// Whether the system faults in pages on demand: Linux before 5.14 does not, nor do some sandboxes.
pub(super) fn is_possible() -> bool {
    let page = rustix::param::page_size();
    // SAFETY: a fresh page of memory, which nobody else knows of, until it is unmapped again.
    unsafe {
        let flags = MapFlags::PRIVATE;
        let Ok(address) = mmap_anonymous(std::ptr::null_mut(), page, ProtFlags::READ, flags) else {
            return false;
        };
        let works = madvise(address, page, Advice::LinuxPopulateRead).is_ok();
        let _ = munmap(address, page);
        works
    }
}

impl Source for Mmap {
    fn io(&self) -> Io {
        Io::Mmap
    }

    fn lend<'a>(&'a self, range: Range<u64>, _buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        Ok(self.map(range)?.unwrap_or_default())
    }

    fn map(&self, range: Range<u64>) -> Result<Option<&[u8]>> {
        let (start, end) = (range.start as usize, range.end as usize);
        assert!(start <= end && end <= self.length, "a window inside the file");
        if start == end {
            return Ok(Some(&[]));
        }
        // Another library may have put a handler of its own in place of the guard's.
        if !guard::watch() {
            let errno = Errno::NOTSUP;
            return Err(Error::io(&self.path, "guard the mapped file against SIGBUS", errno));
        }
        loop {
            match self.advise(start..end, Advice::LinuxPopulateRead) {
                Ok(()) => break,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(self.explain(&range, errno)),
            }
        }
        // SAFETY: the range lies in the mapping, which outlives the borrow. Its bytes belong to a
        // file that others may write; a change is undefined to Rust in principle. The bytes are only
        // ever loaded as plain integers into vectors and copied, no decision on memory safety is
        // taken from them, and `verify_unchanged` after the pass turns a change into an error.
        Ok(Some(unsafe {
            std::slice::from_raw_parts(self.address.as_ptr().cast::<u8>().add(start), end - start)
        }))
    }

    fn expect(&self, range: Range<u64>) {
        let (start, end) = (range.start as usize, range.end as usize);
        if start < end && !self.is_cached(start) {
            // The result is of no consequence: the pages would be read when they are wanted.
            let _ = self.advise(start..end, Advice::WillNeed);
        }
    }

    fn release(&self, range: Range<u64>) -> Result<()> {
        let page = rustix::param::page_size();
        let window = range.start as usize..range.end as usize;
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).add(window);
        for range in taken {
            // A page that another window has as well is faulted in again there, from the page cache.
            let (start, end) = (range.start.next_multiple_of(page), range.end / page * page);
            if start < end {
                // The result is of no consequence: the pages would merely stay.
                let _ = self.advise(start..end, Advice::LinuxDontNeed);
            }
        }
        if self.guard.faulted() {
            return Err(
                self.changed(range.start, "the file was cut short while it was read".into())
            );
        }
        Ok(())
    }
}

impl Drop for Mmap {
    fn drop(&mut self) {
        self.guard.disarm();
        // SAFETY: the range was mapped in `new`, and no borrow outlives `self`.
        let _ = unsafe { munmap(self.address.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;

    #[test]
    fn neighbours_are_taken_as_one_and_places_are_bounded() {
        let mut idle = Idle::default();
        // Windows that threads give back out of order are one range in the end.
        for (start, end) in [(0, 1 << 20), (2 << 20, 3 << 20), (1 << 20, 2 << 20), (5, 5)] {
            assert!(idle.add(start..end).is_empty());
        }
        assert_eq!(idle.ranges, [0..2 << 20, 2 << 20..3 << 20]);
        let taken = idle.add(3 << 20..Idle::MOST);
        assert_eq!(taken, [0..2 << 20, 2 << 20..Idle::MOST]);
        assert!(idle.ranges.is_empty() && idle.bytes == 0);
        // Many places become the range of all of them.
        for place in 0..2 * Idle::PLACES {
            assert!(idle.add(place << 30..(place << 30) + 8192).is_empty());
            assert!(idle.ranges.len() <= Idle::PLACES);
        }
        let taken = idle.add(1 << 40..(1 << 40) + Idle::MOST);
        assert_eq!(taken.iter().map(|each| each.start).min(), Some(0));
        assert_eq!(taken.iter().map(|each| each.end).max(), Some((1 << 40) + Idle::MOST));
        assert!(taken.len() <= Idle::PLACES);
    }
}
