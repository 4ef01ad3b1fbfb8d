//! The headers of tests/golden/headers.json, which Rust and Python read alike.
//!
//! Each case is a file: `header` behind its length, or the bytes in `hex`, then `data_len` zeros.
//! `error` is a part of the message, or null for a valid file; `tensor` and `offset` must be named
//! in the message where the case has them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use parentage_core::Error;
use parentage_core::checkpoint::{Checkpoint, header};
use parentage_core::error::quote;
use serde_json::Value;

fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/headers.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes_of(case: &Value) -> Vec<u8> {
    let mut bytes = match (case["header"].as_str(), case["hex"].as_str()) {
        (Some(header), None) => {
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
        }
        (None, Some(hex)) => (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect(),
        _ => panic!("{case}: exactly one of header and hex"),
    };
    bytes.resize(bytes.len() + case["data_len"].as_u64().unwrap() as usize, 0);
    bytes
}

#[test]
fn every_case_is_read_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for (number, case) in cases().iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let path: PathBuf = folder.path().join(format!("case-{number}.safetensors"));
        fs::write(&path, bytes_of(case)).unwrap();
        let got = header::read(&path, 0);
        assert_eq!(got.is_ok(), Checkpoint::open(&path).is_ok(), "{name}");
        let Some(part) = case["error"].as_str() else {
            if let Err(error) = got {
                failures.push(format!("{name}: {error}"));
            }
            continue;
        };
        let Err(error) = got else {
            failures.push(format!("{name}: accepted"));
            continue;
        };
        let text = error.to_string();
        let mut parts = vec![part.to_owned(), path.display().to_string()];
        parts.extend(case["tensor"].as_str().map(|tensor| format!("tensor {}: ", quote(tensor))));
        parts.extend(case["offset"].as_u64().map(|offset| format!("at byte {offset}: ")));
        failures.extend(
            parts
                .iter()
                .filter(|part| !text.contains(*part))
                .map(|part| format!("{name}: no {part:?} in: {text}")),
        );
        if text.contains('\n') || text.chars().any(char::is_control) {
            failures.push(format!("{name}: a control character in {text:?}"));
        }
        if !matches!(error, Error::Format { .. } | Error::NotACheckpoint { .. }) {
            failures.push(format!("{name}: {error:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn names_are_unique_and_both_outcomes_are_there() {
    let cases = cases();
    let mut names: Vec<_> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(cases.iter().filter(|case| case["error"].is_null()).count() >= 10);
    assert!(cases.iter().filter(|case| case["error"].is_string()).count() >= 40);
}
