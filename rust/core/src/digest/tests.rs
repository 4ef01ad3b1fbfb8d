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
