"""Files that a header names lie in its folder."""

import pytest
from parentage.checkpoint.containers.places import inside, is_inside
from parentage.support import CheckpointError


@pytest.fixture
def asked_by(tmp_path):
    (tmp_path / "m" / "data").mkdir(parents=True)
    (tmp_path / "m" / "data" / "a.bin").write_bytes(b"a")
    (tmp_path / "secret").write_bytes(b"s")
    return tmp_path / "m" / "model.onnx"


def test_a_file_in_the_folder_or_below_is_found(asked_by):
    assert inside(asked_by, "data/a.bin") == asked_by.parent / "data" / "a.bin"


@pytest.mark.parametrize(
    "name",
    ["../secret", "data/../../secret", "/etc/passwd", "", ".", "data//a.bin", "C:x", "..\\secret",
     "a\x1b[2J", "a\0"],
)  # fmt: skip
def test_what_is_no_plain_path_is_refused(asked_by, name):
    with pytest.raises(CheckpointError, match="no plain path") as raised:
        inside(asked_by, name, "w")
    assert 'tensor "w"' in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_link_out_of_the_folder_is_refused(asked_by):
    (asked_by.parent / "x").symlink_to("../secret")
    with pytest.raises(CheckpointError, match="a link out of the folder"):
        inside(asked_by, "x")


def test_what_is_not_there_is_refused(asked_by):
    with pytest.raises(CheckpointError, match="does not exist"):
        inside(asked_by, "y")


def test_links_to_blobs_of_a_hugging_face_cache_are_followed(tmp_path):
    snapshot = tmp_path / "models--o--n" / "snapshots" / "1" / "vae"
    snapshot.mkdir(parents=True)
    blob = tmp_path / "models--o--n" / "blobs" / "ab"
    blob.parent.mkdir()
    blob.write_bytes(b"x")
    (snapshot / "a.bin").symlink_to("../../../blobs/ab")
    assert inside(snapshot / "index.json", "a.bin") == snapshot / "a.bin"


def test_what_a_path_leads_to_is_inside_or_not(asked_by):
    folder = asked_by.parent
    (folder / "out").symlink_to("../secret")
    (folder / "in").symlink_to("data/a.bin")
    assert is_inside(folder, folder / "data" / "a.bin")
    assert is_inside(folder, folder / "in")
    assert not is_inside(folder, folder / "out")
    assert not is_inside(folder, folder)
