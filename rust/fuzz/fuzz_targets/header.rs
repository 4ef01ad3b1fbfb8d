//! Headers: 4 bytes with the length of the data, then JSON. What is accepted must be sound.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use parentage_core::checkpoint::header;

fuzz_target!(|input: &[u8]| {
    let path = Path::new("x");
    let _ = header::json_len(path, input, input.len() as u64);
    let Some((data_len, json)) = input.split_first_chunk::<4>() else { return };
    let file_len = 8 + json.len() as u64 + u64::from(u32::from_le_bytes(*data_len));
    let header = match header::parse(path, 1, json, file_len) {
        Ok(header) => header,
        // The message is built from hostile strings as well.
        Err(error) => return assert!(!error.to_string().contains(char::is_control)),
    };
    let mut at = 8 + json.len() as u64;
    assert_eq!(header.data_start, at);
    for tensor in &header.tensors {
        assert_eq!(tensor.begin, at, "tensors tile the data");
        assert_eq!(tensor.bytes() * 8, tensor.elements() * tensor.dtype.bits());
        at = tensor.end;
    }
    assert_eq!(at, file_len, "to the end of the file");
    let mut names: Vec<_> = header.tensors.iter().map(|tensor| &tensor.name).collect();
    names.sort();
    assert!(names.is_sorted_by(|a, b| a < b), "names are unique");
});
