//! Memory that windows are read into.

use std::io::Result;

#[cfg(unix)]
use super::room::Room;

/// A window's bytes where they must be copied.
///
/// A disk is asked for at most some hundred pieces of memory at once: pages that lie anywhere make small
/// requests of large reads. Huge pages are pieces of two megabytes, and where a disk serves so many
/// requests per second and no more, they make it several times as fast.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Option<Room>);

impl Buffer {
    /// Room for `length` bytes, on a page. What was in it before may be lost.
    ///
    /// # Errors
    ///
    /// If the system has no such memory.
    pub(super) fn room(&mut self, length: usize) -> Result<&mut [u8]> {
        if self.0.as_ref().is_some_and(|room| room.length() < length) {
            // Two are not held at a time.
            self.0 = None;
        }
        let room = match self.0.take() {
            Some(room) => room,
            None => Room::new(length)?,
        };
        Ok(&mut self.0.insert(room).bytes()[..length])
    }
}

/// Memory of the allocator, where no other is asked for and nothing is read past a page cache.
#[cfg(not(unix))]
#[derive(Debug)]
struct Room(Vec<u8>);

#[cfg(not(unix))]
impl Room {
    fn new(length: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        bytes.resize(length, 0);
        Ok(Self(bytes))
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::super::room::{HUGE, PAGE};
    use super::*;

    #[test]
    fn room_grows_lies_on_pages_and_holds_what_is_written() {
        let mut buffer = Buffer::default();
        let sizes = [1, PAGE, PAGE + 1, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE + 5, 0, 7, 5 * HUGE];
        for (byte, length) in (1..).zip(sizes) {
            let room = buffer.room(length).expect("memory");
            assert_eq!(room.len(), length);
            let address = room.as_ptr() as usize;
            assert!(address.is_multiple_of(PAGE));
            assert!(length < HUGE || address.is_multiple_of(HUGE));
            room.fill(byte);
            assert!(room.iter().all(|&found| found == byte));
        }
    }

    #[test]
    fn memory_that_there_is_not_is_an_error_and_what_there_is_can_be_had_afterwards() {
        let mut buffer = Buffer::default();
        for length in [usize::MAX / 2, usize::MAX - 5, 1 << 60] {
            assert!(buffer.room(length).is_err());
        }
        assert_eq!(buffer.room(7).expect("memory").len(), 7);
    }
}
