use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::*;
use crate::checkpoint::{Identity, Shard};
use crate::progress::Stop;

/// A shard over a file of `bytes`, whatever they are.
pub(super) fn shard(path: &Path, bytes: &[u8]) -> Shard {
    File::create(path).unwrap().write_all(bytes).unwrap();
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let identity = Identity::said(&std::fs::metadata(path).unwrap());
    Shard {
        path: path.to_owned(),
        name: "a".into(),
        bytes: bytes.len() as u64,
        data_start: 0,
        modified_ns: Some(modified.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128),
        identity,
        metadata: Vec::new(),
        remote: None,
        memory: None,
    }
}

fn sources(shard: &Shard) -> Vec<Box<dyn Source>> {
    [Io::Mmap, Io::Pread, Io::Direct].map(|io| open(shard, io, &Stop::default()).unwrap()).into()
}

#[test]
fn both_ways_lend_the_same_bytes_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..20_000_u32).map(|x| (x * 31 % 251) as u8).collect();
    let shard = shard(&folder.path().join("a"), &bytes);
    for source in sources(&shard) {
        let mut buffer = Buffer::default();
        for range in [0..1, 1..4097, 4095..4097, 8192..12288, 19_999..20_000, 7..7, 0..20_000] {
            let lent = source.lend(range.clone(), &mut buffer).unwrap();
            assert_eq!(lent, &bytes[range.start as usize..range.end as usize]);
            source.release(range).unwrap();
        }
    }
}

#[test]
fn a_file_cut_short_before_the_window_is_lent_is_an_error_with_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 100_000]);
    for source in sources(&shard) {
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(20_000).unwrap();
        let error = source.lend(50_000..60_000, &mut Buffer::default()).unwrap_err().to_string();
        assert!(error.contains("at byte 50000"), "{error}");
        assert!(matches!(shard.verify_unchanged(), Err(Error::Changed { .. })));
        std::fs::write(&path, [7; 100_000]).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_cut_short_while_a_window_is_lent_is_an_error_not_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 100_000]);
    let source = open(&shard, Io::Mmap, &Stop::default()).unwrap();
    let mut buffer = Buffer::default();
    let lent = source.lend(40_000..90_000, &mut buffer).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    let sum: u64 = lent.iter().map(|&byte| u64::from(byte)).sum();
    assert_eq!(sum, 0, "the pages are gone, and zeros stand for them");
    let error = source.release(40_000..90_000).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");
}

#[test]
fn a_file_replaced_after_its_header_was_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 1000]);
    std::fs::write(&path, [7; 1001]).unwrap();
    for io in [Io::Mmap, Io::Pread] {
        assert!(matches!(open(&shard, io, &Stop::default()), Err(Error::Changed { .. })));
    }
}

#[test]
fn direct_reads_are_large_and_their_buffers_bounded() {
    for columns in 2..=10 {
        for threads in [1, 2, 8, 64] {
            let workers = Io::Direct.workers(threads, columns, 0);
            let bytes = Io::Direct.tile_bytes(columns, workers);
            // What lies on no page still fits into one request.
            assert!((bytes + (8 << 10)).is_power_of_two());
            assert!(threads > 2 || bytes > 1 << 20, "{columns} columns, {threads} threads");
            assert!(bytes * (columns * workers) as u64 <= 192 << 20);
        }
    }
}

#[test]
fn reading_ahead_can_be_switched_off() {
    assert!(is_on(None) && is_on(Some("".as_ref())) && is_on(Some("1".as_ref())));
    assert!(!is_on(Some("0".as_ref())));
}

#[test]
fn buffers_are_bounded_however_many_threads_there_are() {
    for io in [Io::Pread, Io::Direct] {
        for (threads, least) in [(1, 1 << 17), (64, 1 << 18), (1024, 1 << 19)] {
            for columns in [2, 10] {
                let workers = io.workers(threads, columns, least);
                let window = io.tile_bytes(columns, workers).max(least);
                let bytes = window * (workers * columns) as u64;
                assert!(workers > 0 && bytes <= 192 << 20, "{io:?} {threads} {columns} {bytes}");
            }
        }
    }
}

/// Puts back the time of last modification that the file had.
fn set_modified(path: &Path, modified: std::time::SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_replaced_by_one_of_the_same_length_and_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 1000]);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let other = folder.path().join("b");
    std::fs::write(&other, [8; 1000]).unwrap();
    set_modified(&other, modified);
    // Opened before, and looked up by its path after.
    for io in [Io::Mmap, Io::Pread, Io::Direct] {
        open(&shard, io, &Stop::default()).unwrap();
    }
    std::fs::rename(&other, &path).unwrap();
    let expected = "a: another file was put in its place";
    assert!(shard.verify_unchanged().unwrap_err().to_string().contains(expected));
    for io in [Io::Mmap, Io::Pread, Io::Direct] {
        assert!(open(&shard, io, &Stop::default()).err().unwrap().to_string().contains(expected));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_was_written_to_and_given_its_time_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 1000]);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(&path, [8; 1000]).unwrap();
    set_modified(&path, modified);
    let error = shard.verify_unchanged().unwrap_err().to_string();
    assert!(error.contains("a: the file was written to, linked"), "{error}");
    assert!(matches!(open(&shard, Io::Mmap, &Stop::default()), Err(Error::Changed { .. })));
}

#[cfg(unix)]
#[test]
fn a_shard_that_is_known_by_length_and_time_alone_may_be_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = Shard { identity: None, ..shard(&path, &[7; 1000]) };
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, [7; 1000]).unwrap();
    set_modified(&path, modified);
    shard.verify_unchanged().unwrap();
    open(&shard, Io::Mmap, &Stop::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_pipe_put_in_place_of_a_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let shard = shard(&path, &[7; 1000]);
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for io in [Io::Mmap, Io::Pread, Io::Direct] {
            let _ = sender
                .send(open(&shard, io, &Stop::default()).err().map(|error| error.to_string()));
        }
    });
    for _ in 0..3 {
        let found = receiver.recv_timeout(std::time::Duration::from_secs(5)).unwrap().unwrap();
        assert!(found.contains("no file, but a folder, pipe or device"), "{found}");
    }
}

/// Hands over the bytes of a file in memory, some of them late, and remembers what it was told.
#[derive(Debug, Default)]
struct Elsewhere {
    bytes: Vec<u8>,
    /// How often it says that bytes have not come yet.
    late: std::sync::atomic::AtomicUsize,
    planned: std::sync::Mutex<Vec<Range<u64>>>,
    expected: std::sync::Mutex<Vec<Range<u64>>>,
    fails: bool,
}

impl crate::Fetch for Elsewhere {
    fn plan(&self, ranges: &[Range<u64>]) -> Result<(), crate::FetchError> {
        self.planned.lock().unwrap().extend_from_slice(ranges);
        Ok(())
    }

    fn expect(&self, range: Range<u64>) {
        self.expected.lock().unwrap().push(range);
    }

    fn read(&self, range: Range<u64>, out: &mut [u8]) -> Result<bool, crate::FetchError> {
        use std::sync::atomic::Ordering;
        let count = |late: usize| late.checked_sub(1);
        if self.late.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok() {
            return Ok(false);
        }
        if self.fails {
            return Err("the line is dead".into());
        }
        out.copy_from_slice(&self.bytes[range.start as usize..range.end as usize]);
        Ok(true)
    }
}

/// A safetensors file of bf16 tensors of as many elements, whose values are their numbers.
fn safetensors(elements: &[u64]) -> Vec<u8> {
    let mut at = 0;
    let entries: Vec<String> = (elements.iter().enumerate())
        .map(|(number, count)| {
            let entry = format!(
                r#""t{number}":{{"dtype":"BF16","shape":[{count}],"data_offsets":[{at},{}]}}"#,
                at + 2 * count
            );
            at += 2 * count;
            entry
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..at).map(|byte| if byte % 2 == 0 { (byte % 199) as u8 } else { 0x3f }));
    bytes
}

fn elsewhere(fetch: Elsewhere) -> (std::sync::Arc<Elsewhere>, crate::checkpoint::RemoteFile) {
    let fetch = std::sync::Arc::new(fetch);
    let file = crate::checkpoint::RemoteFile {
        path: "hf://org/name/a.safetensors".into(),
        name: "a.safetensors".into(),
        bytes: fetch.bytes.len() as u64,
        remote: crate::Remote(fetch.clone()),
    };
    (fetch, file)
}

fn opened(file: crate::checkpoint::RemoteFile) -> Result<crate::checkpoint::Checkpoint> {
    let progress = crate::progress::Progress::new();
    crate::checkpoint::Checkpoint::remote(Path::new("hf://org/name"), None, &[file], &progress)
}

#[test]
fn what_is_fetched_has_the_sums_of_what_is_on_disk_however_late_it_comes() {
    let bytes = safetensors(&[300_000, 77]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    let here = crate::checkpoint::Checkpoint::open(&path).unwrap();
    let (fetch, file) = elsewhere(Elsewhere { bytes, late: 7.into(), ..Elsewhere::default() });
    let there = opened(file).unwrap();
    assert_eq!(there.tensors, here.tensors);
    there.verify_unchanged().unwrap();
    let sums = |checkpoint: crate::checkpoint::Checkpoint| {
        let checkpoint = std::sync::Arc::new(checkpoint);
        let both = vec![checkpoint.clone(), checkpoint];
        let tensors = [0, 0, 1, 1];
        let plan = crate::plan::Plan::new(both, vec![300_000, 77], &tensors, &[0; 4]).unwrap();
        let options = crate::stream::Options::detect().unwrap();
        let progress = crate::progress::Progress::new();
        crate::statistics::gram(&plan, 0..2, &[], &options, &progress).unwrap().gram
    };
    assert_eq!(sums(there), sums(here));
    let planned = fetch.planned.lock().unwrap();
    assert!(!planned.is_empty());
    assert!(fetch.expected.lock().unwrap().iter().all(|range| planned.contains(range)));
}

#[test]
fn what_can_not_be_fetched_is_an_error_with_file_tensor_and_offset() {
    let bytes = safetensors(&[100]);
    let (_, file) = elsewhere(Elsewhere { bytes, ..Elsewhere::default() });
    let mut found = opened(file).unwrap();
    let (_, dead) = elsewhere(Elsewhere { fails: true, ..Elsewhere::default() });
    found.shards[0].remote = Some(dead.remote);
    let begin = found.tensors[0].begin;
    let found = std::sync::Arc::new(found);
    let plan = crate::plan::Plan::new(vec![found.clone(), found], vec![100], &[0; 2], &[0; 2]);
    let options = crate::stream::Options::detect().unwrap();
    let progress = crate::progress::Progress::new();
    let found = crate::statistics::gram(&plan.unwrap(), 0..1, &[], &options, &progress);
    let expected =
        format!("hf://org/name/a.safetensors: tensor \"t0\": at byte {begin}: the line is dead");
    assert_eq!(found.err().unwrap().to_string(), expected);
}

#[test]
fn whoever_waits_for_what_never_comes_can_be_stopped() {
    let bytes = safetensors(&[100]);
    let (_, file) = elsewhere(Elsewhere { bytes, late: usize::MAX.into(), ..Elsewhere::default() });
    let progress = crate::progress::Progress::new();
    let (path, files) = (Path::new("hf://org/name"), [file]);
    let open = || crate::checkpoint::Checkpoint::remote(path, None, &files, &progress);
    std::thread::scope(|scope| {
        let opening = scope.spawn(open);
        std::thread::sleep(std::time::Duration::from_millis(20));
        progress.cancel();
        assert!(matches!(opening.join().unwrap(), Err(Error::Interrupted)));
    });
}
