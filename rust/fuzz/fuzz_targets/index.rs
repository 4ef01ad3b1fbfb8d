//! Indexes: JSON. What is accepted must be sorted, complete and inside its folder.

#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use parentage_core::checkpoint::index;

fuzz_target!(|json: &[u8]| {
    let index = match index::parse(Path::new("x"), json) {
        Ok(index) => index,
        // The message is built from hostile strings as well.
        Err(error) => return assert!(!error.to_string().contains(char::is_control)),
    };
    assert!(index.shards.is_sorted_by(|a, b| a < b), "shards are sorted and unique");
    assert!(index.tensors.is_sorted_by(|a, b| a.0 < b.0), "tensors are sorted and unique");
    let mut named = vec![false; index.shards.len()];
    for (_, shard) in &index.tensors {
        named[*shard] = true;
    }
    assert!(named.iter().all(|named| *named), "every shard holds something");
    for shard in &index.shards {
        let path = Path::new(shard);
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{shard:?}");
        assert!(!shard.contains('\0'));
    }
});
