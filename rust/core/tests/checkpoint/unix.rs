//! What only file systems of Unix let a checkpoint be made of: links, pipes, names and rights.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::*;

/// A cache entry of one sharded model, with its blobs beside the snapshots.
fn cache() -> (TempDir, std::path::PathBuf) {
    let cache = tempdir().unwrap();
    let entry = cache.path().join("models--org--name");
    let snapshot = entry.join("snapshots/0123");
    fs::create_dir_all(&snapshot).unwrap();
    write(&entry, "blobs/aaaa", &["a"]);
    write(&entry, "blobs/bbbb", &["b"]);
    write_index(&entry.join("blobs"), "cccc", &[("a", "1.safetensors"), ("b", "2.safetensors")]);
    for (name, blob) in [("1.safetensors", "aaaa"), ("2.safetensors", "bbbb"), (INDEX, "cccc")] {
        symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
    }
    (cache, snapshot)
}

#[test]
fn a_hugging_face_cache_is_opened_by_folder_index_and_file() {
    let (_cache, snapshot) = cache();
    for path in [snapshot.clone(), snapshot.join(INDEX)] {
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(shards(&checkpoint), ["1.safetensors", "2.safetensors"]);
    }
    assert!(Checkpoint::open(&snapshot.join("2.safetensors")).is_ok());
}

#[test]
fn a_folder_inside_a_snapshot_may_use_its_blobs() {
    let (_cache, snapshot) = cache();
    let part = snapshot.join("transformer");
    fs::create_dir(&part).unwrap();
    symlink("../../../blobs/aaaa", part.join("x.safetensors")).unwrap();
    assert_eq!(names(&Checkpoint::open(&part).unwrap()), ["a"]);
}

#[test]
fn a_blob_that_is_not_downloaded_is_named() {
    let (_cache, snapshot) = cache();
    fs::remove_file(snapshot.join("../../blobs/bbbb")).unwrap();
    refused(&snapshot, &["\"2.safetensors\" is a symbolic link to a file that does not exist"]);
}

#[test]
fn links_out_of_the_folder_are_refused() {
    let outside = tempdir().unwrap();
    write(outside.path(), "secret", &["c"]);
    let folder = sharded();
    let link = folder.path().join("model-2.safetensors");
    fs::remove_file(&link).unwrap();
    symlink(outside.path().join("secret"), &link).unwrap();
    let parts = [INDEX, "\"model-2.safetensors\" is a symbolic link out", "secret"];
    refused(folder.path(), &parts);

    fs::remove_file(folder.path().join(INDEX)).unwrap();
    refused(folder.path(), &["\"model-2.safetensors\" is a symbolic link out"]);

    symlink(outside.path().join("secret"), folder.path().join(INDEX)).unwrap();
    refused(folder.path(), &["index.json\" is a symbolic link out"]);
}

#[test]
fn a_snapshot_may_use_no_other_blobs() {
    for target in ["../../../blobs/x", "../../blobs/deep/x", "../../notblobs/x", "../other/x"] {
        let (_cache, snapshot) = cache();
        let blob = snapshot.join(target);
        write(blob.parent().unwrap(), "x", &["a"]);
        let link = snapshot.join("1.safetensors");
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        refused(&snapshot, &["\"1.safetensors\" is a symbolic link out"]);
    }
}

#[test]
fn a_linked_folder_below_is_followed_to_the_end() {
    let outside = tempdir().unwrap();
    write(outside.path(), "x.safetensors", &["a"]);
    let folder = tempdir().unwrap();
    symlink(outside.path(), folder.path().join("part")).unwrap();
    write_index(folder.path(), INDEX, &[("a", "part/x.safetensors")]);
    refused(folder.path(), &["\"part/x.safetensors\" is a symbolic link out"]);
}

#[test]
fn links_within_the_folder_and_to_the_folder_are_followed() {
    let folder = tempdir().unwrap();
    write(folder.path(), "data", &["a"]);
    symlink("data", folder.path().join("x.safetensors")).unwrap();
    let link = tempdir().unwrap();
    symlink(folder.path(), link.path().join("model")).unwrap();
    assert_eq!(names(&Checkpoint::open(&link.path().join("model")).unwrap()), ["a"]);
    let file = link.path().join("y.safetensors");
    symlink(folder.path().join("data"), &file).unwrap();
    assert_eq!(names(&Checkpoint::open(&file).unwrap()), ["a"]);
}

#[test]
fn dangling_and_circular_links_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    symlink("gone", &path).unwrap();
    refused(&path, &["x.safetensors: this is a symbolic link to \"gone\""]);
    fs::remove_file(&path).unwrap();
    symlink("x.safetensors", &path).unwrap();
    for path in [&path, folder.path()] {
        let error = refused(path, &["x.safetensors: ", "symbolic links"]);
        assert!(matches!(error, Error::Io { .. }));
    }
}

#[test]
fn pipes_sockets_and_devices_are_refused_without_waiting() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("x.safetensors");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&pipe, &["x.safetensors: ", "pipe"]);
    refused(folder.path(), &["x.safetensors: ", "pipe"]);
    let pipe = folder.path().join(INDEX);
    fs::rename(folder.path().join("x.safetensors"), &pipe).unwrap();
    refused(&pipe, &[INDEX, "pipe"]);
    refused(folder.path(), &[INDEX, "not a file"]);
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    refused(&socket, &["socket"]);
    refused(Path::new("/dev/zero"), &["/dev/zero: ", "device"]);
}

#[test]
fn a_file_without_permission_is_an_error_of_the_system() {
    let folder = sharded();
    let path = folder.path().join("model-1.safetensors");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let error = refused(folder.path(), &["model-1.safetensors: open: "]);
    assert!(matches!(error, Error::Io { .. }));
}

#[test]
fn file_names_that_can_not_be_shown_are_refused() {
    // APFS takes no name that is not UTF-8.
    let bad = [&b"x\x1b[2J.safetensors"[..], b"x\xff.safetensors"];
    for name in &bad[..if cfg!(target_os = "macos") { 1 } else { 2 }] {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(name)), file_of(&["a"], 1)).unwrap();
        let error = refused(folder.path(), &["the file name", "rename it"]).to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
