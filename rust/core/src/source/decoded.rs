//! Tensors that are computed from what other sources lend.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Buffer, Io, Source, no_room, open};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::coding::{Coding, Kind};
use crate::decode::{self, Lender};
use crate::error::Result;
use crate::gram::{Level, prefetch};
use crate::progress::Stop;

/// Opens what a tensor's `shard` stands for: a file, or a coding.
pub(crate) fn open_place(
    checkpoint: &Checkpoint,
    place: usize,
    io: Io,
    stop: &Stop,
) -> Result<Box<dyn Source>> {
    match checkpoint.shards.get(place) {
        Some(shard) => open(shard, io, stop),
        None => Ok(Box::new(Decoded::open(checkpoint, place - checkpoint.shards.len(), io, stop)?)),
    }
}

/// A coding whose files are open. Its bytes are those of its elements, from 0 on.
struct Decoded {
    coding: Arc<Coding>,
    /// What each window is read from.
    sources: Vec<Arc<dyn Source>>,
    path: PathBuf,
    level: Level,
    io: Io,
    /// Buffers of windows, that whoever lends takes and puts back.
    spare: Mutex<Vec<Vec<Buffer>>>,
}

impl Decoded {
    fn open(checkpoint: &Checkpoint, number: usize, io: Io, stop: &Stop) -> Result<Self> {
        let coding = Arc::clone(&checkpoint.codings[number]);
        // Decoders ask for little at a time, and some for the same again: past the page cache, each request would be
        // one of the disk.
        let inner = if io == Io::Direct { Io::Mmap } else { io };
        let mut sources: Vec<Arc<dyn Source>> = Vec::with_capacity(coding.windows.len());
        for (at, window) in coding.windows.iter().enumerate() {
            // A coding may have several windows of one file, which is opened once.
            let earlier = coding.windows[..at].iter().position(|each| each.shard == window.shard);
            sources.push(match earlier {
                Some(earlier) => Arc::clone(&sources[earlier]),
                None => open_place(checkpoint, window.shard, inner, stop)?.into(),
            });
        }
        let io = match (io, sources.first()) {
            (Io::Direct, _) | (_, None) => io,
            (_, Some(source)) => source.io(),
        };
        let path = checkpoint.path.clone();
        let spare = Mutex::default();
        Ok(Self { coding, sources, path, level: Level::detect()?, io, spare })
    }
}

impl Decoded {
    /// Whether what is asked for next lies behind what was, a little at a time. What only lies in another order is
    /// asked for as it comes, and by planes.
    fn reads_on(&self) -> bool {
        !matches!(self.coding.kind, Kind::Gather { .. } | Kind::Strided { .. } | Kind::LowRank(_))
    }

    /// Bytes that will be asked for after those that are, probably.
    fn ahead(&self) -> u64 {
        match self.coding.kind {
            // The next row may lie anywhere.
            Kind::Gather { rows: Some(_), .. } => 0,
            _ => AHEAD,
        }
    }
}

/// Bytes of a window up to which all of it is mapped as long as its coding is open.
const KEPT: u64 = 16 << 20;
/// Bytes of a larger window that are mapped at a time: decoders ask for some thousand elements after the other, and
/// each time the system is asked costs as much as decoding those.
const AHEAD: u64 = 1 << 20;

/// Lends windows of a coding.
struct Windows<'a> {
    decoded: &'a Decoded,
    buffers: Vec<Buffer>,
    /// Per window, what of it is mapped: which bytes of the file, and these.
    mapped: Vec<Option<(Range<u64>, &'a [u8])>>,
}

impl Windows<'_> {
    /// Gives back what is mapped of a window; what is small stays mapped, and is asked whether it was its file's.
    fn give_back(&mut self, number: usize) -> Result<()> {
        let Some((range, _)) = self.mapped[number].take() else { return Ok(()) };
        let window = &self.decoded.coding.windows[number];
        let range = if window.bytes() <= KEPT { range.start..range.start } else { range };
        self.decoded.sources[number].release(range)
    }
}

impl Lender for Windows<'_> {
    fn lend(&mut self, number: usize, range: Range<u64>) -> Result<&[u8]> {
        let decoded = self.decoded;
        let window = decoded.coding.windows[number];
        let (begin, end) = (window.begin + range.start, window.begin + range.end);
        assert!(begin <= end && end <= window.end, "bytes of the window");
        let is_mapped = |mapped: &Option<(Range<u64>, &[u8])>| {
            mapped.as_ref().is_some_and(|(range, _)| range.start <= begin && end <= range.end)
        };
        if !is_mapped(&self.mapped[number]) {
            self.give_back(number)?;
            let wanted = if window.bytes() <= KEPT {
                window.begin..window.end
            } else {
                begin..end.max(window.end.min(begin + decoded.ahead()))
            };
            let bytes = decoded.sources[number].map(wanted.clone())?;
            self.mapped[number] = bytes.map(|bytes| (wanted, bytes));
        }
        match &self.mapped[number] {
            Some((range, bytes)) => {
                let bytes = &bytes[(begin - range.start) as usize..(end - range.start) as usize];
                if decoded.reads_on() {
                    bytes.as_chunks().0.iter().for_each(prefetch);
                }
                Ok(bytes)
            }
            None => decoded.sources[number].lend(begin..end, &mut self.buffers[number]),
        }
    }
}

impl Decoded {
    /// Where bytes lie in the first window's file, if all that the coding does is to name them.
    fn lying(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let begin = self.coding.windows.first()?.begin;
        self.coding.is_lying().then(|| begin + range.start..begin + range.end)
    }
}

impl Source for Decoded {
    fn io(&self) -> Io {
        self.io
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        if let Some(range) = self.lying(&range) {
            return self.sources[0].lend(range, buffer);
        }
        let length = (range.end - range.start) as usize;
        let out = buffer.room(length).map_err(|error| no_room(&self.path, &range, error))?;
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = spare().pop();
        let buffers = taken
            .unwrap_or_else(|| self.coding.windows.iter().map(|_| Buffer::default()).collect());
        let mapped = self.coding.windows.iter().map(|_| None).collect();
        let mut windows = Windows { decoded: self, buffers, mapped };
        let width = self.coding.dtype.bits() / 8;
        let elements = range.start / width..range.end / width;
        decode::elements(&self.coding, elements, &mut windows, self.level, out)?;
        (0..self.coding.windows.len()).try_for_each(|number| windows.give_back(number))?;
        spare().push(windows.buffers);
        Ok(out)
    }

    fn release(&self, range: Range<u64>) -> Result<()> {
        match self.lying(&range) {
            Some(range) => self.sources[0].release(range),
            // What was lent is a buffer; the bytes that it was computed from were given back already.
            None => Ok(()),
        }
    }
}
