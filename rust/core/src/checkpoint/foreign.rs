//! What a file is that is not safetensors, and what its owner can do about it.

/// Files that hold checkpoints in other formats, by the end of their names.
const OTHER_FORMATS: &[&str] =
    &[".bin", ".pt", ".pth", ".ckpt", ".gguf", ".npz", ".npy", ".h5", ".msgpack", ".onnx", ".pkl"];

/// The first bytes of a file that are enough for [`recognise`].
pub(super) const ENOUGH: usize = 64;

/// How to get safetensors out of a pickle without running the code in it.
pub(super) const CONVERT: &str = "convert it with safetensors.torch.save_file after \
     torch.load(..., weights_only=True)";

/// What to do with a file of a format that is read where it is named, and not as one of a folder's
/// `.safetensors` files.
const ITSELF: &str = "name the file itself instead of its folder";

/// The pickled number that files of `torch.save` began with before they were zip archives.
const OLD_TORCH: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

/// What the file that begins with `first` is and what to do, if it is something well known.
///
/// To be asked only about a file that is not safetensors: eight bytes of a valid header length can
/// spell any of these.
pub(super) fn recognise(first: &[u8]) -> Option<String> {
    let lower = first.to_ascii_lowercase();
    let begins = |magic: &[u8]| first.starts_with(magic);
    if begins(b"version https://git-lfs.github.com/spec/v1") {
        return Some("this is a git-lfs pointer, not the file itself: run `git lfs pull`".into());
    }
    if begins(b"PK\x03\x04") {
        return Some(format!(
            "this is a zip archive, not safetensors: {ITSELF} if PyTorch or NumPy wrote it, or {CONVERT}"
        ));
    }
    if begins(OLD_TORCH) {
        return Some(format!(
            "this is a file of PyTorch's from before version 1.6, a pickle and no zip archive, \
             which is never loaded: {CONVERT}"
        ));
    }
    if matches!(first, [0x80, 2..=5, ..]) {
        return Some(format!(
            "this is a Python pickle, which can run code and is never loaded: {CONVERT}"
        ));
    }
    if lower.starts_with(b"<!doctype") || lower.starts_with(b"<html") {
        return Some(
            "this looks like a web page, probably saved in place of the file: \
             download the file again, signed in if it is gated"
                .into(),
        );
    }
    for (magic, name) in [(&b"GGUF"[..], "a GGUF file"), (b"\x93NUMPY", "a NumPy array file")] {
        if begins(magic) {
            return Some(format!("this is {name}, not safetensors: {ITSELF}"));
        }
    }
    let name = if begins(b"\x89HDF\r\n\x1a\n") {
        "an HDF5 file"
    } else if begins(b"\x1f\x8b") {
        "a gzip archive"
    } else if begins(b"{") {
        return Some(
            "this looks like JSON, not safetensors: an index is recognised by a name that \
             ends in .json"
                .into(),
        );
    } else {
        return None;
    };
    Some(format!("this is {name}, not safetensors: convert it to safetensors first"))
}

/// Whether `name` is that of a checkpoint, or a part of one, in another format.
pub(super) fn is_other_format(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    OTHER_FORMATS.iter().any(|suffix| lower.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_named_with_its_remedy() {
        for (first, named, remedy) in [
            (&b"PK\x03\x04\0\0"[..], "zip archive", "weights_only=True"),
            (OLD_TORCH, "before version 1.6", "weights_only=True"),
            (b"\x80\x02}q\0", "pickle", "weights_only=True"),
            (b"\x80\x05", "pickle", "save_file"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs", "git lfs pull"),
            (b"<!DOCTYPE html>", "web page", "download"),
            (b"<html>", "web page", "download"),
            (b"GGUF\x03\0\0\0", "GGUF", "name the file itself"),
            (b"\x93NUMPY\x01", "NumPy", "name the file itself"),
            (b"\x89HDF\r\n\x1a\n", "HDF5", "convert"),
            (b"\x1f\x8b\x08", "gzip", "convert"),
            (b"{\"a\": 1}", "JSON", ".json"),
        ] {
            let text = recognise(first).unwrap();
            assert!(text.contains(named) && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn other_bytes_are_not_guessed_at() {
        for first in [&b""[..], b"\x80", b"\x80\x06", b"PK", b"version https://", b"\0\0\0\0"] {
            assert_eq!(recognise(first), None);
        }
    }

    #[test]
    fn names_of_other_formats() {
        assert!(is_other_format("pytorch_model-00001-of-00002.bin"));
        assert!(is_other_format("Model.GGUF"));
        assert!(!is_other_format("model.safetensors"));
        assert!(!is_other_format("config.json"));
    }
}
