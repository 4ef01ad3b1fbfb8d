//! Tensors that lie in memory, laid out as the file that they would be saved as.
//!
//! The file is that of the safetensors library: its header, and then the tensors by falling dtype and
//! rising name. It is on no disk and in no buffer: a window of it is lent from where the tensor lies, and
//! copied only where its elements do not lie side by side, or where it holds parts of several.
#![expect(unsafe_code, reason = "lending memory that others own")]

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::ptr::{NonNull, copy_nonoverlapping};
use std::sync::Arc;

use crate::checkpoint::Dtype;
use crate::checkpoint::header::{self, MAX_HEADER, PREFIX};
use crate::error::{Error, Result};

/// What keeps memory from being given back.
pub type Owner = Arc<dyn Any + Send + Sync>;

/// A tensor that lies in memory.
pub struct Lent {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    strides: Vec<isize>,
    address: NonNull<u8>,
    owner: Owner,
}

// SAFETY: the memory is only read, and by the promise of `Lent::new` any thread may do that.
unsafe impl Send for Lent {}

impl Lent {
    /// A tensor whose first element lies at `address`, and whose next one along each dimension lies
    /// `strides` bytes on. Elements are little-endian, of `dtype`.
    ///
    /// # Safety
    ///
    /// As long as `owner` lives, every element inside `shape` can be read by any thread. Others may write to
    /// it meanwhile: bytes are loaded as plain integers, and no decision on memory safety is taken from them.
    pub unsafe fn new(
        name: String,
        dtype: Dtype,
        shape: Vec<u64>,
        strides: Vec<isize>,
        address: NonNull<u8>,
        owner: Owner,
    ) -> Self {
        Self { name, dtype, shape, strides, address, owner }
    }

    /// Bytes of all elements; `None` where no file could hold them, or dtype and strides do not fit.
    fn bytes(&self) -> Option<u64> {
        if self.strides.len() != self.shape.len() || !self.dtype.bits().is_multiple_of(8) {
            return None;
        }
        let width = self.dtype.bits() / 8;
        self.shape.iter().try_fold(width, |bytes, &size| bytes.checked_mul(size))
    }
}

/// Tensors in memory as a file of safetensors.
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
    /// Lays tensors out, and returns what the header of the file says of them.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for two tensors of one name, and for what no file of safetensors could hold.
    pub(crate) fn lay_out(path: &Path, mut tensors: Vec<Lent>) -> Result<(Self, header::Header)> {
        tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        let too_large = |name: &str| {
            let message = "it is larger than a file can be, or is not laid out by dtype and shape";
            Error::format(path, Some(name), None, message)
        };
        let mut spans = Vec::with_capacity(tensors.len());
        let mut at = 0_u64;
        for tensor in &tensors {
            let end = tensor.bytes().and_then(|bytes| at.checked_add(bytes));
            let end = end.filter(|&end| end <= i64::MAX as u64 - 2 * MAX_HEADER);
            let end = end.ok_or_else(|| too_large(&tensor.name))?;
            spans.push(at..end);
            at = end;
        }
        let json = header_of(path, &tensors, &spans)?;
        let start = PREFIX + json.len() as u64;
        let bytes = start + at;
        let parsed = header::parse(path, 0, &json, bytes)?;
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend(json);
        let header: Arc<[u8]> = header.into();
        let address = NonNull::from(header.as_ref()).cast();
        let mut pieces = vec![Piece { begin: 0, end: start, address, strided: None }];
        let mut owners: Vec<Owner> = Vec::with_capacity(tensors.len() + 1);
        owners.push(Arc::new(header));
        for (tensor, span) in tensors.into_iter().zip(spans).filter(|(_, span)| !span.is_empty()) {
            let Lent { dtype, shape, strides, address, owner, .. } = tensor;
            let strided = Strided::of(dtype.bits() / 8, &shape, &strides);
            pieces.push(Piece {
                begin: start + span.start,
                end: start + span.end,
                address,
                strided,
            });
            owners.push(owner);
        }
        let laid = Laid { pieces, bytes, _owners: owners };
        Ok((Self(Some(Arc::new(laid))), parsed))
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

/// The header of a file of tensors in this order, as the safetensors library writes it: no space between
/// words, and after the last as many as make its length a multiple of eight.
fn header_of(path: &Path, tensors: &[Lent], spans: &[Range<u64>]) -> Result<Vec<u8>> {
    let mut json = vec![b'{'];
    for (number, (tensor, span)) in tensors.iter().zip(spans).enumerate() {
        if number > 0 {
            json.push(b',');
        }
        let Lent { name, dtype, shape, .. } = tensor;
        let said = serde_json::to_vec(name).and_then(|name| Ok((name, serde_json::to_vec(shape)?)));
        let (name, shape) =
            said.map_err(|error| Error::format(path, Some(name), None, error.to_string()))?;
        json.extend(name);
        json.extend(format!(r#":{{"dtype":"{dtype}","shape":"#).into_bytes());
        json.extend(shape);
        json.extend(format!(r#","data_offsets":[{},{}]}}"#, span.start, span.end).into_bytes());
    }
    json.push(b'}');
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER {
        let message =
            format!("names and shapes take {} bytes, and {MAX_HEADER} is the most", json.len());
        return Err(Error::format(path, None, None, message));
    }
    Ok(json)
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
