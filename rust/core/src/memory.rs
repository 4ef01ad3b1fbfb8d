//! Tensors that lie in memory, one behind the other as in a file.
//!
//! The file is on no disk and in no buffer: a window of it is lent from where the tensor lies, and copied only
//! where its elements do not lie side by side, or where it holds parts of several.
#![expect(unsafe_code, reason = "lending memory that others own")]

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::ptr::{NonNull, copy_nonoverlapping};
use std::sync::Arc;

use crate::error::{Error, Result};

/// What keeps memory from being given back.
pub type Owner = Arc<dyn Any + Send + Sync>;

/// The elements of a tensor that lie in memory.
pub struct Lent {
    width: u64,
    shape: Vec<u64>,
    strides: Vec<isize>,
    address: NonNull<u8>,
    owner: Owner,
}

// SAFETY: the memory is only read, and by the promise of `Lent::new` any thread may do that.
unsafe impl Send for Lent {}

impl Lent {
    /// A tensor whose first element lies at `address`, and whose next one along each dimension lies
    /// `strides` bytes on. Elements are little-endian, of `width` bytes each. `None` if there is no stride for
    /// every dimension, or more bytes than can be counted.
    ///
    /// # Safety
    ///
    /// As long as `owner` lives, every element inside `shape` can be read by any thread. Others may write to
    /// it meanwhile: bytes are loaded as plain integers, and no decision on memory safety is taken from them.
    pub unsafe fn new(
        width: u64,
        shape: Vec<u64>,
        strides: Vec<isize>,
        address: NonNull<u8>,
        owner: Owner,
    ) -> Option<Self> {
        let this = Self { width, shape, strides, address, owner };
        (this.strides.len() == this.shape.len() && this.bytes().is_some()).then_some(this)
    }

    /// Bytes of an element.
    pub(crate) fn width(&self) -> u64 {
        self.width
    }

    /// The shape, slowest dimension first.
    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of all elements; `None` if they can not be counted.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.width, |bytes, &size| bytes.checked_mul(size))
    }
}

/// Tensors in memory as a file: a header, and the bytes of one after the other.
#[derive(Clone)]
pub struct Memory(Option<Arc<Laid>>);

/// The file: its parts in order, without a gap.
struct Laid {
    pieces: Vec<Piece>,
    bytes: u64,
    /// What the pieces are of.
    _owners: Vec<Owner>,
}

// SAFETY: all memory is only read. The header's is never written to after it was made, and the other can be
// read by any thread as long as its owner lives, by the promise of `Lent::new`. All owners live as long as `self`.
unsafe impl Send for Laid {}
// SAFETY: as above.
unsafe impl Sync for Laid {}

/// A part of the file that is not empty.
#[derive(Clone, PartialEq, Eq)]
struct Piece {
    begin: u64,
    end: u64,
    address: NonNull<u8>,
    /// How its elements lie, if not side by side.
    strided: Option<Strided>,
}

/// Elements that do not lie side by side. No dimension is 0 or 1, and none can be joined with the next.
#[derive(Clone, PartialEq, Eq)]
struct Strided {
    /// Bytes of what does lie side by side: an element, or all along the last dimension.
    run: u64,
    /// Sizes of dimensions, slowest first, and bytes from one to the next.
    dimensions: Vec<(u64, isize)>,
}

impl Strided {
    /// How elements of a shape lie; `None` if side by side.
    fn of(width: u64, shape: &[u64], strides: &[isize]) -> Option<Self> {
        let mut dimensions: Vec<(u64, isize)> = Vec::new();
        for (&size, &stride) in shape.iter().zip(strides).filter(|&(&size, _)| size != 1) {
            match dimensions.last_mut() {
                // The next one along the slower dimension follows the last along this one.
                Some((before, step)) if *step == stride.wrapping_mul(size as isize) => {
                    *before *= size;
                    *step = stride;
                }
                _ => dimensions.push((size, stride)),
            }
        }
        let mut run = width;
        if let Some(&(size, stride)) = dimensions.last()
            && stride == width as isize
        {
            run *= size;
            dimensions.pop();
        }
        (!dimensions.is_empty()).then_some(Self { run, dimensions })
    }

    /// Fills `out` with bytes from `from` on of what begins at `address`.
    ///
    /// # Safety
    ///
    /// All elements can be read, and there are that many bytes of them.
    unsafe fn copy(&self, address: NonNull<u8>, from: u64, out: &mut [u8]) {
        let mut place = vec![0; self.dimensions.len()];
        let mut number = from / self.run;
        let mut offset = 0_isize;
        for (at, &(size, stride)) in place.iter_mut().zip(&self.dimensions).rev() {
            *at = number % size;
            number /= size;
            offset += *at as isize * stride;
        }
        let mut skip = (from % self.run) as usize;
        let run = self.run as usize;
        let mut rest = out;
        while !rest.is_empty() {
            let take = (run - skip).min(rest.len());
            let (now, later) = rest.split_at_mut(take);
            // SAFETY: the offset is that of a run inside the shape, of which `skip + take` bytes are read.
            let source = unsafe { address.as_ptr().byte_offset(offset).add(skip) };
            // SAFETY: as above; `now` is a buffer of ours. A copy of a known length needs no call.
            unsafe {
                match take {
                    2 => copy_nonoverlapping(source.cast::<[u8; 2]>(), now.as_mut_ptr().cast(), 1),
                    4 => copy_nonoverlapping(source.cast::<[u8; 4]>(), now.as_mut_ptr().cast(), 1),
                    8 => copy_nonoverlapping(source.cast::<[u8; 8]>(), now.as_mut_ptr().cast(), 1),
                    _ => copy_nonoverlapping(source, now.as_mut_ptr(), take),
                }
            }
            rest = later;
            skip = 0;
            for (at, &(size, stride)) in place.iter_mut().zip(&self.dimensions).rev() {
                *at += 1;
                offset = offset.wrapping_add(stride);
                if *at < size {
                    break;
                }
                *at = 0;
                offset = offset.wrapping_sub(stride.wrapping_mul(size as isize));
            }
        }
    }
}

impl Memory {
    /// The file that begins with `header`, and goes on with these tensors in order.
    ///
    /// `None` if it has more bytes than a file can have.
    pub(crate) fn of(header: Vec<u8>, tensors: Vec<Lent>) -> Option<Self> {
        let header: Arc<[u8]> = header.into();
        let address = NonNull::from(header.as_ref()).cast();
        let mut end = header.len() as u64;
        let mut pieces = vec![Piece { begin: 0, end, address, strided: None }];
        let mut owners: Vec<Owner> = Vec::with_capacity(tensors.len() + 1);
        owners.push(Arc::new(header));
        for tensor in tensors {
            let bytes = tensor.bytes()?;
            let begin = end;
            end = begin.checked_add(bytes).filter(|&end| end <= i64::MAX as u64)?;
            if bytes > 0 {
                let Lent { width, shape, strides, address, owner } = tensor;
                let strided = Strided::of(width, &shape, &strides);
                pieces.push(Piece { begin, end, address, strided });
                owners.push(owner);
            }
        }
        Some(Self(Some(Arc::new(Laid { pieces, bytes: end, _owners: owners }))))
    }

    /// What is left of tensors in the memory of another process, or of tensors that were let go of: nothing
    /// that can be read.
    pub fn gone() -> Self {
        Self(None)
    }

    /// Whether the tensors are here.
    pub fn is_here(&self) -> bool {
        self.0.is_some()
    }

    /// Bytes of the file; 0 if it is gone.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |laid| laid.bytes)
    }

    /// Whether some of its tensors do not lie side by side, and are copied a window at a time.
    pub(crate) fn is_copied(&self) -> bool {
        self.0.as_ref().is_some_and(|laid| laid.pieces.iter().any(|piece| piece.strided.is_some()))
    }

    /// Whether both lend the same bytes of memory in the same order.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // What comes first is the header, which each has for itself.
            (Some(one), Some(other)) => {
                Arc::ptr_eq(one, other)
                    || (one.bytes == other.bytes
                        && one.pieces.len() > 1
                        && one.pieces[1..] == other.pieces[1..])
            }
            _ => false,
        }
    }

    /// The bytes at `range` where they lie, if they lie side by side.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if the tensors are gone.
    pub(crate) fn lend(&self, path: &Path, range: &Range<u64>) -> Result<Option<&[u8]>> {
        let laid = self.laid(path)?;
        assert!(range.start <= range.end && range.end <= laid.bytes, "a window inside the file");
        if range.is_empty() {
            return Ok(Some(&[]));
        }
        let piece = &laid.pieces[laid.piece_at(range.start)];
        if range.end > piece.end || piece.strided.is_some() {
            return Ok(None);
        }
        let (skip, length) = (range.start - piece.begin, range.end - range.start);
        // SAFETY: the piece's bytes lie side by side, and can be read as long as `laid`, which the borrow is
        // of, has their owner. Others may write to them; a change is undefined to Rust in principle. They are
        // only ever loaded as plain integers into vectors and copied, no decision on memory safety is taken
        // from them, and the documentation calls what is computed then the caller's own affair.
        Ok(Some(unsafe {
            std::slice::from_raw_parts(piece.address.as_ptr().add(skip as usize), length as usize)
        }))
    }

    /// Fills `out` with the bytes from `from` on.
    ///
    /// # Errors
    ///
    /// As [`Self::lend`].
    pub(crate) fn copy(&self, path: &Path, from: u64, out: &mut [u8]) -> Result<()> {
        let laid = self.laid(path)?;
        assert!(from + out.len() as u64 <= laid.bytes, "a window inside the file");
        let (mut at, mut rest) = (from, out);
        let mut number = if rest.is_empty() { 0 } else { laid.piece_at(from) };
        while !rest.is_empty() {
            let piece = &laid.pieces[number];
            let length = (piece.end - at).min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at_mut(length);
            let skip = at - piece.begin;
            // SAFETY: the range lies in the piece, whose elements can be read as long as `laid` lives; `now` is
            // a buffer of ours.
            unsafe {
                match &piece.strided {
                    Some(strided) => strided.copy(piece.address, skip, now),
                    None => copy_nonoverlapping(
                        piece.address.as_ptr().add(skip as usize),
                        now.as_mut_ptr(),
                        length,
                    ),
                }
            }
            (at, rest, number) = (at + length as u64, later, number + 1);
        }
        Ok(())
    }

    fn laid(&self, path: &Path) -> Result<&Laid> {
        self.0.as_deref().ok_or_else(|| Error::Changed {
            path: path.to_owned(),
            tensor: None,
            offset: None,
            message:
                "its tensors lay in memory, and are not there any more, or are another process's"
                    .into(),
        })
    }
}

impl Laid {
    /// The piece that a byte lies in.
    fn piece_at(&self, byte: u64) -> usize {
        self.pieces.partition_point(|piece| piece.end <= byte)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(laid) => write!(f, "Memory({} bytes in {} pieces)", laid.bytes, laid.pieces.len()),
            None => f.write_str("Memory(gone)"),
        }
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Memory {}

#[cfg(test)]
mod tests;
