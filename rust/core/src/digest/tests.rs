use super::*;
use crate::plan::Plan;
use crate::statistics;
use crate::stream::{self, Options};

/// A checkpoint of one shard: bf16 tensors of these sizes, and a tensor that no plan takes.
fn checkpoint(folder: &std::path::Path, name: &str, sizes: &[u64], seed: u8) -> Arc<Checkpoint> {
    let mut header = String::from("{");
    let mut at = 0;
    for (number, size) in sizes.iter().enumerate() {
        let end = at + 2 * size;
        header.push_str(&format!(
            r#""t{number}":{{"dtype":"BF16","shape":[{size}],"data_offsets":[{at},{end}]}},"#
        ));
        at = end;
    }
    header.push_str(&format!(
        r#""z":{{"dtype":"U8","shape":[5],"data_offsets":[{at},{}]}}}}"#,
        at + 5
    ));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..at + 5).map(|k| (k as u8).wrapping_mul(31).wrapping_add(seed) & 0x3F));
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    Arc::new(Checkpoint::open(&path).expect("a checkpoint"))
}

fn expected(checkpoint: &Checkpoint) -> String {
    hex(&Sha256::digest(std::fs::read(&checkpoint.shards[0].path).expect("the file")))
}

#[test]
fn digests_are_those_of_the_files_whatever_order_they_are_read_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let sizes = [5_000, 70_001, 33];
    let pair =
        [1, 2].map(|seed| checkpoint(folder.path(), &format!("{seed}.safetensors"), &sizes, seed));
    // Slices of one come in the order of its file, those of the other backwards.
    let tensors = [0, 2, 1, 1, 2, 0];
    let plan = Plan::new(pair.to_vec(), vec![33, 70_001, 33], &tensors, &[0; 6]);
    let plan = plan.expect("a plan");
    for io in [Io::Mmap, Io::Pread, Io::Direct] {
        for threads in [1, 3] {
            let digests = Digests::new(pair.to_vec());
            let options = Options {
                threads,
                tile_bytes: Some(stream::MIN_TILE_BYTES),
                io,
                digests: Some(&digests),
                ..Options::detect().expect("a level")
            };
            statistics::gram(&plan, 0..3, &[], &options, &Progress::new()).expect("statistics");
            let found = digests.finish(threads, io, &Progress::new()).expect("digests");
            assert_eq!(found, pair.each_ref().map(|each| vec![expected(each)]).to_vec());
            assert_eq!(digests.complete().len(), 2);
        }
    }
}

#[test]
fn what_was_complete_is_not_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = checkpoint(folder.path(), "a.safetensors", &[100], 3);
    let digests = Digests::new(vec![opened]);
    digests.restore(0, 0, "from before".into()).expect("a shard");
    assert!(digests.restore(0, 1, String::new()).is_err());
    let found = digests.finish(1, Io::Mmap, &Progress::new()).expect("digests");
    assert_eq!(found, [["from before"]]);
}

#[test]
fn cancelling_ends_in_an_interruption() {
    let folder = tempfile::tempdir().expect("a folder");
    let digests = Digests::new(vec![checkpoint(folder.path(), "a.safetensors", &[100], 3)]);
    let progress = Progress::new();
    progress.cancel();
    assert!(matches!(digests.finish(1, Io::Mmap, &progress), Err(Error::Interrupted)));
}

/// A source that does something before it lends.
struct Watched<F: Fn() + Send + Sync>(Box<dyn Source>, F);

impl<F: Fn() + Send + Sync> Source for Watched<F> {
    fn io(&self) -> Io {
        self.0.io()
    }

    fn lend<'a>(&'a self, range: Range<u64>, buffer: &'a mut Buffer) -> Result<&'a [u8]> {
        self.1();
        self.0.lend(range, buffer)
    }

    fn release(&self, range: Range<u64>) -> Result<()> {
        self.0.release(range)
    }
}

#[test]
fn what_is_hashed_on_the_way_can_be_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = checkpoint(folder.path(), "a.safetensors", &[4 << 20], 3);
    let shard = opened.shards[0].clone();
    let digests = Digests::new(vec![opened]);
    let progress = Progress::new();
    let source = source::open(&shard, Io::Mmap, &Progress::new().stop()).expect("a source");
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let source = Watched(source, || {
        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        progress.cancel();
    });
    let whole = shard.data_start..shard.bytes;
    let found = digests.advance(0, 0, &source, whole, &progress);
    assert!(matches!(found, Err(Error::Interrupted)));
    assert_eq!(calls.into_inner(), 1);
}

#[test]
fn what_comes_while_the_front_is_carried_on_is_hashed_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = checkpoint(folder.path(), "a.safetensors", &[1 << 20], 3);
    let shard = opened.shards[0].clone();
    let digests = Digests::new(vec![opened.clone()]);
    let progress = Progress::new();
    let whole = shard.data_start..shard.bytes;
    let middle = whole.start + 1000;
    let plain = source::open(&shard, Io::Mmap, &Progress::new().stop()).expect("a source");
    // While a thread is at the front, another brings the rest, and finds no more to do.
    let late = std::sync::Once::new();
    let bring = || {
        late.call_once(|| {
            let advance = || digests.advance(0, 0, plain.as_ref(), middle..whole.end, &progress);
            std::thread::scope(|scope| scope.spawn(advance).join().expect("no panic"))
                .expect("bytes");
        });
    };
    let source =
        Watched(source::open(&shard, Io::Mmap, &Progress::new().stop()).expect("a source"), bring);
    digests.advance(0, 0, &source, whole.start..middle, &progress).expect("bytes");
    assert_eq!(digests.complete().len(), 1, "nothing is left to be read again");
    assert_eq!(progress.bytes(), 0);
    let found = digests.finish(1, Io::Mmap, &progress).expect("digests");
    assert_eq!((found, progress.bytes()), (vec![vec![expected(&opened)]], 0));
}

#[test]
fn digests_of_other_checkpoints_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two, three] =
        [1, 2, 3].map(|seed| checkpoint(folder.path(), &format!("{seed}.safetensors"), &[9], seed));
    let plan =
        Plan::new(vec![one.clone(), two.clone()], vec![9], &[0; 2], &[0; 2]).expect("a plan");
    for (columns, is_right) in
        [(vec![one.clone(), two], true), (vec![one.clone()], true), (vec![one, three], false)]
    {
        let digests = Digests::new(columns);
        let options = Options { digests: Some(&digests), ..Options::detect().expect("a level") };
        let found = statistics::gram(&plan, 0..1, &[], &options, &Progress::new());
        match found {
            Ok(_) => assert!(is_right),
            Err(error) => {
                assert!(!is_right && error.to_string().contains("3.safetensors"), "{error}")
            }
        }
    }
}
