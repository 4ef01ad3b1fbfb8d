//! Properties of the header and index parsers over random input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use parentage_core::checkpoint::{Dtype, Tensor, header, index};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// Bytes that a shape of this dtype takes, or `None` where they are not whole.
fn bytes_of(dtype: Dtype, shape: &[u64]) -> Option<u64> {
    let bits = shape.iter().product::<u64>() * dtype.bits();
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// A valid header: the tensors in the order of their data, and the JSON that declares them in
/// another order, padded with spaces.
fn valid() -> impl Strategy<Value = (Vec<Tensor>, Vec<(String, String)>, Vec<u8>)> {
    let tensor = (select(Dtype::ALL), vec(0u64..5, 0..4));
    let tensors = btree_map(any::<String>(), (tensor, any::<u32>()), 0..12);
    let metadata = btree_map(any::<String>(), any::<String>(), 0..3);
    (tensors, metadata, 0usize..9).prop_map(|(declared, metadata, padding)| {
        let mut by_place: Vec<_> = declared.into_iter().collect();
        by_place.sort_by_key(|(_, (_, place))| *place);
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut end = 0;
        for (name, ((dtype, mut shape), _)) in by_place {
            if name == "__metadata__" {
                continue;
            }
            if bytes_of(dtype, &shape).is_none() {
                shape.push(8);
            }
            let begin = end;
            end += bytes_of(dtype, &shape).unwrap();
            tensors.push(Tensor { name, dtype, shape, shard: 0, begin, end });
        }
        let mut map = serde_json::Map::new();
        for t in &tensors {
            let entry = json!({
                "shape": t.shape, "dtype": t.dtype.name(), "data_offsets": [t.begin, t.end],
            });
            map.insert(t.name.clone(), entry);
        }
        if !metadata.is_empty() {
            map.insert("__metadata__".into(), json!(metadata));
        }
        let mut json = serde_json::to_vec(&map).unwrap();
        json.resize(json.len() + padding, b' ');
        let start = 8 + json.len() as u64;
        for tensor in &mut tensors {
            tensor.begin += start;
            tensor.end += start;
        }
        (tensors, metadata.into_iter().collect(), json)
    })
}

fn end_of(tensors: &[Tensor], json: &[u8]) -> u64 {
    tensors.iter().map(|tensor| tensor.end).max().unwrap_or(8 + json.len() as u64)
}

/// What every accepted header must hold to, checked from the outside.
fn assert_sound(json: &[u8], file_len: u64) -> Result<(), TestCaseError> {
    let Ok(header) = header::parse(Path::new("x"), 0, json, file_len) else { return Ok(()) };
    let mut at = header.data_start;
    prop_assert_eq!(at, 8 + json.len() as u64);
    for tensor in &header.tensors {
        prop_assert_eq!(tensor.begin, at);
        prop_assert_eq!(tensor.bytes() * 8, tensor.elements() * tensor.dtype.bits());
        at = tensor.end;
    }
    prop_assert_eq!(at, file_len);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_header_is_read_back((tensors, metadata, json) in valid()) {
        let len = end_of(&tensors, &json);
        let header = header::parse(Path::new("x"), 0, &json, len).unwrap();
        let key = |t: &Tensor| (t.begin, t.end, t.name.clone());
        let (mut got, mut expected) = (header.tensors, tensors);
        prop_assert!(got.is_sorted_by_key(|t| (t.begin, t.end)));
        got.sort_by_key(key);
        expected.sort_by_key(key);
        prop_assert_eq!(got, expected);
        prop_assert_eq!(header.metadata, metadata);
        prop_assert_eq!(header.data_start, 8 + json.len() as u64);
    }

    #[test]
    fn any_other_file_length_is_refused((tensors, _, json) in valid(), other in any::<u64>()) {
        let len = end_of(&tensors, &json);
        for other in [other, len + 1, len - 1] {
            prop_assert_eq!(header::parse(Path::new("x"), 0, &json, other).is_ok(), other == len);
        }
    }

    #[test]
    fn a_mutated_header_is_sound_or_refused(
        (tensors, _, mut json) in valid(),
        edits in vec((any::<Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let len = end_of(&tensors, &json);
        for (at, byte, kind) in edits {
            let at = at.index(json.len());
            match kind {
                0 => json[at] = byte,
                1 => json[at] = b"0123456789[]{},:\"-.e"[usize::from(byte) % 20],
                _ => json[at] ^= 1 << (byte % 8),
            }
        }
        assert_sound(&json, len)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), len in any::<u64>()) {
        assert_sound(&bytes, len)?;
        assert_sound(&[b"{\"", &bytes[..]].concat(), len)?;
        let _ = header::json_len(Path::new("x"), &bytes, len);
        let _ = index::parse(Path::new("x"), &bytes);
        let _ = index::parse(Path::new("x"), &[b"{\"weight_map\":{", &bytes[..]].concat());
    }

    #[test]
    fn an_index_is_read_back(map in btree_map(any::<String>(), "[a-z]{1,3}(/[a-z]{1,3})?", 1..20)) {
        let json = json!({"weight_map": map}).to_string();
        let index = index::parse(Path::new("x"), json.as_bytes()).unwrap();
        prop_assert!(index.shards.is_sorted_by(|a, b| a < b));
        let got: Vec<_> =
            index.tensors.iter().map(|(name, at)| (name.clone(), index.shards[*at].clone())).collect();
        prop_assert_eq!(got, map.into_iter().collect::<Vec<_>>());
    }
}
