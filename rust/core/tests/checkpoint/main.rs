//! Opening checkpoints from files, indexes and folders: what is accepted, and what each error says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use parentage_core::Error;
use parentage_core::checkpoint::{Checkpoint, Dtype, header, index};
use serde_json::{Map, Value, json};
use tempfile::{TempDir, tempdir};

/// A safetensors file with one U8 tensor per name, `size` bytes each.
fn file_of(names: &[&str], size: u64) -> Vec<u8> {
    let entry = |i: u64| json!({"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]});
    let map: Map<String, Value> =
        names.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), entry(i))).collect();
    let json = serde_json::to_vec(&map).unwrap();
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(&json);
    bytes.resize(bytes.len() + names.len() * size as usize, 0);
    bytes
}

fn write(folder: &Path, name: &str, names: &[&str]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file_of(names, 4)).unwrap();
}

fn write_index(folder: &Path, name: &str, map: &[(&str, &str)]) {
    let map: Map<String, Value> =
        map.iter().map(|(tensor, shard)| ((*tensor).to_owned(), json!(shard))).collect();
    let index = json!({"metadata": {"total_size": 8}, "weight_map": map});
    fs::write(folder.join(name), index.to_string()).unwrap();
}

const INDEX: &str = "model.safetensors.index.json";

/// A folder with an index, two shards and the tensors a, b (first shard) and c (second).
fn sharded() -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), "model-1.safetensors", &["a", "b"]);
    write(folder.path(), "model-2.safetensors", &["c"]);
    let map =
        [("a", "model-1.safetensors"), ("b", "model-1.safetensors"), ("c", "model-2.safetensors")];
    write_index(folder.path(), INDEX, &map);
    folder
}

/// The message of the error that opening `path` ends in, after a check that it holds all `parts`.
#[track_caller]
fn refused(path: &Path, parts: &[&str]) -> Error {
    let error = match Checkpoint::open(path) {
        Err(error) => error,
        Ok(_) => panic!("{} was accepted", path.display()),
    };
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    error
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

fn shards(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.shards.iter().map(|shard| shard.name.as_str()).collect()
}

#[test]
fn a_single_file_is_read_with_absolute_offsets() {
    let folder = tempdir().unwrap();
    write(folder.path(), "x.safetensors", &["b", "a"]);
    let path = folder.path().join("x.safetensors");
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(names(&checkpoint), ["a", "b"]);
    assert_eq!(shards(&checkpoint), ["x.safetensors"]);
    let shard = &checkpoint.shards[0];
    let b = &checkpoint.tensors[checkpoint.find("b").unwrap()];
    assert_eq!((b.begin, b.end), (shard.data_start, shard.data_start + 4));
    assert_eq!((b.dtype, &b.shape[..], b.elements(), b.bytes()), (Dtype::U8, &[4][..], 4, 4));
    assert_eq!(shard.bytes, fs::metadata(&path).unwrap().len());
    assert!(shard.modified_ns.is_some());
    assert_eq!((checkpoint.find(""), checkpoint.find("c")), (None, None));
}

#[test]
fn header_tensors_are_in_the_order_of_their_data() {
    let json = br#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},
        "b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
        "__metadata__":{"k":"v"}}"#;
    let header = header::parse(Path::new("x"), 3, json, 8 + json.len() as u64 + 5).unwrap();
    let got: Vec<_> = header.tensors.iter().map(|t| (&*t.name, t.shard, t.elements())).collect();
    assert_eq!(got, [("b", 3, 1), ("a", 3, 1)]);
    assert_eq!(header.metadata, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(header.data_start, 8 + json.len() as u64);
}

#[test]
fn an_index_is_opened_by_folder_and_by_name() {
    let folder = sharded();
    let by_folder = Checkpoint::open(folder.path()).unwrap();
    let by_name = Checkpoint::open(&folder.path().join(INDEX)).unwrap();
    assert_eq!(names(&by_folder), ["a", "b", "c"]);
    assert_eq!(by_folder.shards, by_name.shards);
    assert_eq!(by_folder.tensors, by_name.tensors);
    assert_eq!(by_folder.index.as_deref(), Some(&*folder.path().join(INDEX)));
    assert_eq!(by_folder.tensors[2].shard, 1);
    assert!(by_folder.verify_unchanged().is_ok());
}

#[test]
fn a_file_beside_the_index_is_not_part_of_it() {
    let folder = sharded();
    write(folder.path(), "model.safetensors", &["a", "z"]);
    assert_eq!(names(&Checkpoint::open(folder.path()).unwrap()), ["a", "b", "c"]);
}

#[test]
fn a_folder_without_index_is_all_its_files() {
    let folder = tempdir().unwrap();
    write(folder.path(), "2.safetensors", &["a"]);
    write(folder.path(), "1.safetensors", &["b"]);
    fs::write(folder.path().join("._1.safetensors"), "a Mac's leavings").unwrap();
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(shards(&checkpoint), ["1.safetensors", "2.safetensors"]);
    assert_eq!(names(&checkpoint), ["a", "b"]);
    assert_eq!(checkpoint.tensors[0].shard, 1);
    assert_eq!(checkpoint.index, None);
}

#[test]
fn a_tensor_in_two_files_names_both() {
    let folder = tempdir().unwrap();
    write(folder.path(), "1.safetensors", &["a", "b"]);
    write(folder.path(), "2.safetensors", &["b"]);
    let parts = ["2.safetensors: ", "tensor \"b\": ", "\"1.safetensors\"", "at byte "];
    refused(folder.path(), &parts);
}

#[test]
fn several_indexes_are_listed_unless_one_is_the_usual() {
    let folder = sharded();
    for name in ["x.safetensors.index.json", "y.safetensors.index.json"] {
        fs::copy(folder.path().join(INDEX), folder.path().join(name)).unwrap();
    }
    assert!(Checkpoint::open(folder.path()).is_ok());
    fs::remove_file(folder.path().join(INDEX)).unwrap();
    refused(folder.path(), &["several indexes", "\"x.safe", "\"y.safe"]);
    fs::remove_file(folder.path().join("y.safetensors.index.json")).unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
}

#[test]
fn a_missing_shard_is_named() {
    let folder = sharded();
    fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
    refused(folder.path(), &[INDEX, "\"model-2.safetensors\" does not exist"]);
}

#[test]
fn a_tensor_that_its_shard_lacks_is_named() {
    let folder = sharded();
    write(folder.path(), "model-1.safetensors", &["a"]);
    refused(folder.path(), &[INDEX, "tensor \"b\": ", "\"model-1.safetensors\", which does not"]);
}

#[test]
fn a_tensor_that_the_index_does_not_list_is_named() {
    for extra in ["0", "bb", "z"] {
        let folder = sharded();
        write(folder.path(), "model-2.safetensors", &["c", extra]);
        let tensor = format!("tensor {extra:?}: ");
        refused(folder.path(), &[INDEX, &tensor, "\"model-2.safetensors\"", "does not list"]);
    }
}

#[test]
fn a_tensor_in_another_shard_than_listed_is_named() {
    let folder = sharded();
    write(folder.path(), "model-1.safetensors", &["a"]);
    write(folder.path(), "model-2.safetensors", &["b", "c"]);
    let parts = ["tensor \"b\": ", "\"model-1.safetensors\"", "it is in \"model-2.safetensors\""];
    refused(folder.path(), &parts);
}

#[test]
fn a_bad_shard_is_named_with_tensor_and_offset() {
    let folder = sharded();
    let path = folder.path().join("model-1.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, &bytes).unwrap();
    let at = format!("at byte {}: ", bytes.len() - 3);
    refused(folder.path(), &["model-1.safetensors: ", "tensor \"b\": ", &at, "cut short"]);
}

#[test]
fn shard_names_can_not_point_out_of_the_folder() {
    for (name, why) in [
        ("../x.safetensors", "not a plain path"),
        ("a/../../x.safetensors", "not a plain path"),
        ("./x.safetensors", "not a plain path"),
        ("a//x.safetensors", "not a plain path"),
        ("", "is empty"),
        ("/etc/passwd", "not relative"),
        ("C:x.safetensors", "not relative"),
        ("a\\x.safetensors", "backslash"),
        ("x\0.safetensors", "NUL"),
        ("x\u{1b}[2J.safetensors", "control character"),
    ] {
        let json = json!({"weight_map": {"t": name}}).to_string();
        let error = index::parse(Path::new("i.json"), json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("i.json: tensor \"t\": at byte "), "{error}");
        assert!(error.contains(why) && !error.contains(char::is_control), "{error}");
    }
}

#[test]
fn a_shard_in_a_folder_below_is_allowed() {
    let folder = tempdir().unwrap();
    write(folder.path(), "part/x.safetensors", &["a"]);
    write_index(folder.path(), INDEX, &[("a", "part/x.safetensors")]);
    assert_eq!(shards(&Checkpoint::open(folder.path()).unwrap()), ["part/x.safetensors"]);
}

#[test]
fn invalid_indexes_are_refused() {
    let deep = format!("{{\"metadata\":{}", "[".repeat(1_000_000));
    for (json, why) in [
        ("", "is empty"),
        ("[]", "not a JSON object"),
        ("{}", "weight_map is missing"),
        ("{\"weight_map\":{}}", "lists no tensor"),
        ("{\"weight_map\":[]}", "weight_map: invalid type: sequence"),
        ("{\"weight_map\":{\"t\":1}}", "weight_map: invalid type: integer"),
        ("{\"weight_map\":{\"t\":\"x\",\"t\":\"x\"}}", "tensor \"t\": at byte 25: weight_map: the"),
        (
            "{\"weight_map\":{\"t\":\"x\"},\"weight_map\":{\"t\":\"y\"}}",
            "\"weight_map\" appears twice",
        ),
        ("{\"metadata\":{},\"metadata\":{}}", "\"metadata\" appears twice"),
        ("{\n\"weight_map\":\n{\"t\":\"x\"}\n", "at byte 26: the index is not valid JSON"),
        (&deep, "not valid JSON"),
    ] {
        let error = index::parse(Path::new("i.json"), json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("i.json: ") && error.contains(why), "{error}");
    }
    let error = index::parse(Path::new("i.json"), b"{\"\xff").unwrap_err().to_string();
    assert!(error.contains("at byte 2: the index is not UTF-8"), "{error}");
}

#[test]
fn what_an_index_says_besides_is_passed_over() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let json = format!("{{\"x\":{deep},\"weight_map\":{{\"b\":\"2\",\"a\":\"1\",\"c\":\"2\"}}}}");
    let index = index::parse(Path::new("i.json"), json.as_bytes()).unwrap();
    assert_eq!(index.shards, ["1", "2"]);
    assert_eq!(index.tensors, [("a".into(), 0), ("b".into(), 1), ("c".into(), 1)]);
}

#[test]
fn a_json_file_that_is_no_index_says_so() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, "{\"hidden_size\": 8}").unwrap();
    refused(&path, &["config.json: ", "this is no index"]);
    fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid").unwrap();
    refused(&path, &["config.json: ", "git lfs pull"]);
}

#[test]
fn an_index_above_the_cap_is_not_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(INDEX);
    File::create(&path).unwrap().set_len(index::MAX_INDEX + 1).unwrap();
    refused(&path, &["longer than the cap"]);
}

#[test]
fn a_deeply_nested_header_does_not_overflow_the_stack() {
    for json in [
        format!("{{\"a\":{}", "[".repeat(5_000_000)),
        format!("{{\"a\":{{\"shape\":{}", "[".repeat(5_000_000)),
        format!("{{\"a\":{{\"x\":{}", "{\"a\":".repeat(1_000_000)),
        "{\"__metadata__\":".repeat(1_000_000),
    ] {
        assert!(header::parse(Path::new("x"), 0, json.as_bytes(), 1 << 30).is_err());
    }
}

#[test]
fn messages_stay_short_whatever_the_header_holds() {
    let long = "x".repeat(1_000_000);
    for json in [
        format!("{{\"__metadata__\":{{\"{long}\":1,\"{long}\":1}}}}"),
        format!("{{\"__metadata__\":\"{long}\"}}"),
        format!("{{\"a\":{{\"{long}\":1}}}}"),
        format!("{{\"a\":{{\"dtype\":\"{long}\"}}}}"),
        format!("{{\"a\":\"{}\"}}", "é".repeat(1_000)),
    ] {
        let error = header::parse(Path::new("x"), 0, json.as_bytes(), 1 << 30).unwrap_err();
        assert!(error.to_string().len() < 800, "{}", error.to_string().len());
    }
}

#[test]
fn a_name_can_not_forge_the_place_of_an_error() {
    let json = br#"{"a":{"b at line 9 column 9999999":1}}"#;
    let error = header::parse(Path::new("x"), 0, json, 1 << 30).unwrap_err().to_string();
    assert!(error.contains("unknown field \"b at line 9 column 9999999\""), "{error}");
    let Error::Format { offset: Some(at), .. } =
        header::parse(Path::new("x"), 0, json, 1 << 30).unwrap_err()
    else {
        panic!("no offset")
    };
    assert!(at < 8 + json.len() as u64, "{at}");
}

#[test]
fn a_header_at_the_cap_is_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let mut bytes = header::MAX_HEADER.to_le_bytes().to_vec();
    bytes.extend(b"{}");
    bytes.resize(8 + header::MAX_HEADER as usize, b' ');
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Checkpoint::open(&path).unwrap().tensors, []);
}

#[test]
fn a_folder_without_safetensors_says_what_it_holds() {
    let folder = tempdir().unwrap();
    refused(folder.path(), &["holds no .safetensors file"]);
    for name in ["pytorch_model-1.bin", "model.pt", "a.pth", "b.ckpt", "c.npz"] {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(name), "").unwrap();
        refused(folder.path(), &[name, "safetensors"]);
    }
    fs::write(folder.path().join("model.gguf"), "").unwrap();
    refused(folder.path(), &["\"model.gguf\"", "convert"]);
    fs::remove_file(folder.path().join("model.gguf")).unwrap();
    for i in 0..6 {
        fs::write(folder.path().join(format!("pytorch_model-{i}.bin")), "").unwrap();
    }
    refused(folder.path(), &["and 2 more", "weights_only=True"]);
}

#[test]
fn a_folder_below_with_safetensors_is_pointed_at() {
    let folder = tempdir().unwrap();
    write(folder.path(), "snapshots/abc/model.safetensors", &["a"]);
    let error = refused(folder.path(), &["snapshots/abc"]);
    assert!(matches!(error, Error::NotACheckpoint { .. }));
}

#[test]
fn a_path_that_is_not_there_says_so() {
    let folder = tempdir().unwrap();
    let error = refused(&folder.path().join("none"), &["none: there is no such file or folder"]);
    assert!(matches!(error, Error::NotACheckpoint { .. }));
}

#[test]
fn a_file_in_the_way_of_a_folder_says_so() {
    let folder = sharded();
    let path = folder.path().join("model-1.safetensors/x");
    assert!(matches!(refused(&path, &["model-1.safetensors/x: "]), Error::Io { .. }));
}

#[test]
fn a_pickle_given_as_a_file_says_what_to_do() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    fs::write(&path, b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\x12\0").unwrap();
    refused(&path, &["pytorch_model.bin: ", "PyTorch", "save_file"]);
}

#[test]
fn tensors_of_files_of_any_format_are_put_in_order_and_checked() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs::write(&path, [0; 16]).unwrap();
    let tensor = |name: &str, begin: u64, end: u64, shard: usize| header::Tensor {
        name: name.to_owned(),
        dtype: Dtype::U8,
        shape: vec![4],
        shard,
        begin,
        end,
    };
    let over = |tensors: Vec<header::Tensor>| {
        let files = vec![(path.clone(), "a.gguf".to_owned(), Vec::new())];
        Checkpoint::over(&path, None, files, tensors)
    };
    // Tied weights lie in one place.
    let found = over(vec![tensor("b", 3, 7, 0), tensor("a", 3, 7, 0)]).unwrap();
    assert_eq!(found.find("a"), Some(0));
    assert_eq!((found.shards[0].bytes, found.shards[0].data_start), (16, 0));
    assert!(found.verify_unchanged().is_ok());
    for (tensors, why) in [
        (vec![tensor("a", 14, 18, 0)], "tensor \"a\": at byte 14: it leaves the data"),
        (vec![tensor("a", 4, 7, 0)], "do not have its bytes"),
        (vec![tensor("a", 7, 3, 0)], "do not have its bytes"),
        (vec![tensor("a", 0, 4, 1)], "a shard that is not there"),
        (vec![tensor("a", 0, 4, 0), tensor("a", 4, 8, 0)], "only one can be meant"),
    ] {
        let error = over(tensors).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(over(Vec::new()), Err(Error::Io { .. })));
}

#[test]
fn a_folder_in_place_of_a_shard_is_refused() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("x.safetensors")).unwrap();
    refused(folder.path(), &["x.safetensors: this is a folder"]);
}

#[test]
fn a_changed_file_is_noticed() {
    let folder = sharded();
    let path = folder.path().join("model-2.safetensors");
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let shard = &checkpoint.shards[1];
    assert!(shard.verify_unchanged().is_ok());

    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    let error = shard.verify_unchanged().unwrap_err();
    assert!(matches!(&error, Error::Changed { .. }), "{error}");
    assert!(error.to_string().contains("model-2.safetensors: the file was written to"), "{error}");

    file.set_len(shard.bytes - 1).unwrap();
    let error = checkpoint.verify_unchanged().unwrap_err().to_string();
    assert!(error.contains(&format!("had {} bytes", shard.bytes)), "{error}");

    fs::remove_file(&path).unwrap();
    let error = shard.verify_unchanged().unwrap_err();
    assert!(matches!(&error, Error::Changed { .. }), "{error}");
    assert!(error.to_string().contains("removed"), "{error}");
}

#[test]
fn times_before_1970_are_negative() {
    let folder = sharded();
    let file = File::options().append(true).open(folder.path().join("model-2.safetensors"));
    let time = SystemTime::UNIX_EPOCH - Duration::from_nanos(1_500_000_000);
    file.unwrap().set_modified(time).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.shards[1].modified_ns, Some(-1_500_000_000));
}

#[cfg(unix)]
mod unix;

#[test]
fn what_headers_said_is_restored_without_a_file_and_checked_before_one_is_read() {
    let folder = sharded();
    let opened = Checkpoint::open(folder.path()).unwrap();
    fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
    let Checkpoint { path, index, shards, tensors, codings: _ } = opened.clone();
    let restored = Checkpoint::restore(path, index, shards, tensors, Vec::new()).unwrap();
    assert_eq!(restored, opened);
    let error = restored.verify_unchanged().unwrap_err().to_string();
    assert!(error.contains("model-2.safetensors") && error.contains("removed"), "{error}");
}

#[test]
fn parts_that_contradict_each_other_are_not_restored() {
    let folder = sharded();
    let opened = Checkpoint::open(folder.path()).unwrap();
    let refused = |spoil: &dyn Fn(&mut Checkpoint), part: &str| {
        let mut parts = opened.clone();
        spoil(&mut parts);
        let Checkpoint { path, index, shards, tensors, codings: _ } = parts;
        let error =
            Checkpoint::restore(path, index, shards, tensors, Vec::new()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&|parts| parts.tensors[1].shard = 2, "a shard that is not there");
    refused(&|parts| parts.tensors[1].end = parts.shards[0].bytes + 1, "leaves the data");
    refused(&|parts| parts.tensors[1].begin = 3, "leaves the data");
    refused(&|parts| parts.tensors[1].shape = vec![3], "do not have its bytes");
    refused(&|parts| parts.tensors[1].shape = vec![u64::MAX, 4], "do not have its bytes");
    refused(&|parts| parts.tensors[1].end = parts.tensors[1].begin - 1, "do not have its bytes");
    refused(&|parts| parts.tensors.swap(0, 1), "do not ascend");
    refused(&|parts| parts.tensors[1].name = "a".into(), "do not ascend");
}
