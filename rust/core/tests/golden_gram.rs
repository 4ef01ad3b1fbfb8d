//! The chunks of tests/golden/gram.json, which Rust and Python read alike.
//!
//! The file is written by tests/golden/make_gram.py, which carries out the definition in exact
//! rational arithmetic and shares no code with this crate. Every level must give its bits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use parentage_core::checkpoint::dtype::Dtype;
use parentage_core::gram::{BINS, Chunk, Column, Counts, DEFINITION, Level, Sampled, pairs};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/gram.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bits(value: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(text(value), 16).unwrap())
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// The bytes of a column: written down, or made as tests/golden/long_columns.py says.
fn stored(dtype: Dtype, column: &Value) -> Vec<u8> {
    let Some(made) = column.get("made") else {
        return bytes(text(&column["bytes"]));
    };
    let number = |name: &str| made[name].as_u64();
    if let Some(bits) = number("constant") {
        return (bits as u16).to_le_bytes().repeat(number("length").unwrap() as usize);
    }
    let most = number("most").unwrap();
    let (seed, moves) = (number("seed").unwrap(), number("moves").unwrap());
    let (least, spread, nan) =
        if dtype == Dtype::Bf16 { (118 << 7, 0x3FF, 0x7FC0) } else { (6 << 10, 0xFFF, 0x7E00) };
    let bits = (1..=number("length").unwrap()).map(|k| {
        let word = splitmix(seed, k);
        let moved = splitmix(moves, k) % (2 * most + 1);
        let bits = (word >> 63 << 15) + least + (word & spread) + moved - most;
        if number("nan") == Some(k - 1) { nan } else { bits as u16 }
    });
    bits.flat_map(u16::to_le_bytes).collect()
}

/// Word `k`, counted from one, of SplitMix64 (Steele et al. 2014).
fn splitmix(seed: u64, k: u64) -> u64 {
    let z = seed.wrapping_add(k.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Fills the first places of a row of counts.
fn fill(row: &mut [u64], counts: &Value) {
    for (count, value) in row.iter_mut().zip(list(counts)) {
        *count = value.as_u64().unwrap();
    }
}

fn expected(case: &Value) -> Chunk {
    let mut counts = Counts {
        excluded: case["excluded"].as_u64().unwrap(),
        moved: case["moved"].as_u64().unwrap(),
        stray: case["stray"].as_u64().unwrap(),
        ..Counts::default()
    };
    fill(&mut counts.equal, &case["equal"]);
    fill(&mut counts.nan, &case["nan"]);
    fill(&mut counts.inf, &case["inf"]);
    let mut sampled = Box::new(Sampled {
        precision: u32::try_from(case["precision"].as_u64().unwrap()).unwrap(),
        ..Sampled::default()
    });
    for (row, histogram) in sampled.histogram[1..].iter_mut().zip(list(&case["histogram"])) {
        fill(row, histogram);
    }
    for (row, sums) in sampled.bias[1..].iter_mut().zip(list(&case["bias"])) {
        for (sum, value) in row.iter_mut().zip(list(sums)) {
            *sum = bits(value);
        }
    }
    let energy = bits(&case["energy"]);
    let mut chunk = Chunk { energy, counts, sampled: Some(sampled), ..Chunk::default() };
    for (entry, value) in chunk.gram.iter_mut().zip(list(&case["gram"])) {
        *entry = bits(value);
    }
    chunk
}

#[test]
fn every_level_has_the_bits_of_every_case() {
    let golden = golden();
    assert_eq!(golden["definition"].as_u64().unwrap(), u64::from(DEFINITION));
    for case in list(&golden["cases"]) {
        let stored: Vec<(Dtype, Vec<u8>)> = list(&case["columns"])
            .iter()
            .map(|column| {
                let dtype = Dtype::from_name(text(&column["dtype"])).unwrap();
                (dtype, stored(dtype, column))
            })
            .collect();
        let columns: Vec<Column<'_>> =
            stored.iter().map(|(dtype, bytes)| Column { dtype: *dtype, bytes }).collect();
        let start = case.get("start").map_or(0, |start| start.as_u64().unwrap());
        let expected = expected(case);
        for level in Level::available() {
            let place = format!("{} at {}", text(&case["name"]), level.name());
            let chunk = level.chunk(&columns, start, true);
            let to_bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(to_bits(&chunk.gram), to_bits(&expected.gram), "{place}: Gram matrix");
            assert_eq!(chunk.energy.to_bits(), expected.energy.to_bits(), "{place}: energy");
            let (seen, sampled) = (chunk.sampled.unwrap(), expected.sampled.as_ref().unwrap());
            assert_eq!(
                to_bits(seen.bias.as_flattened()),
                to_bits(sampled.bias.as_flattened()),
                "{place}: bias"
            );
            assert_eq!(seen.histogram, sampled.histogram, "{place}: histogram");
            assert_eq!(seen.precision, sampled.precision, "{place}: precision");
            assert_eq!(chunk.counts, expected.counts, "{place}: counts");
        }
    }
}

#[test]
fn every_numeric_dtype_and_the_most_columns_are_among_the_cases() {
    let golden = golden();
    let cases = list(&golden["cases"]);
    for dtype in Dtype::ALL.iter().filter(|dtype| dtype.is_numeric()) {
        let stored_as = |case: &Value| list(&case["columns"]).last().unwrap()["dtype"].clone();
        assert!(cases.iter().any(|case| stored_as(case) == dtype.name()), "{dtype}");
    }
    for case in cases {
        let columns = list(&case["columns"]).len();
        assert_eq!(list(&case["gram"]).len(), pairs(columns), "{}", case["name"]);
        assert!(list(&case["histogram"]).iter().all(|row| list(row).len() == BINS));
    }
    let most = cases.iter().map(|case| list(&case["columns"]).len()).max();
    assert_eq!(most, Some(parentage_core::gram::MAX_COLUMNS));
}
