"""Root digests are those that OpenSSF's model-signing makes of the same files."""

import os

import numpy as np
import pytest
from conftest import family_path, write_checkpoint
from parentage.bundle import digest_folder, files_beside
from parentage.bundle.model_signing import file_digest, folder_of, root_digest
from parentage.checkpoint import Checkpoint
from parentage.support import ReadError

CONTENTS = {
    "a.txt": b"a\n",
    "B.txt": b"b\n",
    "sub/c.txt": b"c\n",
    "e.sig": b"e\n",
    "sub.txt": b"z\n",
}
DIGESTS = {
    "B.txt": "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f",
    "a.txt": "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7",
    "e.sig": "a2bbdb2de53523b8099b37013f251546f3d65dbe7a0774fa41af0a4176992fd4",
    "sub/c.txt": "a3a5e715f0cc574a73c3f9bebb6bc24f32ffd5b67b387244c2c909da779a1478",
    "sub.txt": "c865f6c5ab8d1b0bcd383a5e1e3879d22681c96bf462c269b7581d523fbe70ab",
}
"""What model-signing 1.1.1 lists of a folder with these files, in its order."""
ROOT = "378403be454303b18009f536870507f41234e8b65e49732d22debf56cf7a5177"
"""The digest of the subject that it signs of them."""
CHILD = "5edd3bbed0341a324cb0f3717298fbb06ab2630cc3cb823ad10808b1cad1d561"
"""The same of the shipped child's folder."""
CHILD_FILE = "5edd3bbed0341a324cb0f3717298fbb06ab2630cc3cb823ad10808b1cad1d561"
"""The same of the child's one file by itself."""


def write(folder, contents):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_the_root_digest_is_that_of_model_signing(tmp_path):
    write(tmp_path, CONTENTS)
    assert {name: file_digest(tmp_path / name) for name in CONTENTS} == DIGESTS
    assert root_digest(dict(reversed(DIGESTS.items()))) == ROOT


def test_the_root_of_a_checkpoint_is_of_its_folder_or_of_its_one_file():
    digest = file_digest(family_path("child") / "model.safetensors")
    whole = Checkpoint.open(family_path("child"))
    assert digest_folder(whole, [digest]).root == CHILD
    alone = Checkpoint.open(family_path("child") / "model.safetensors")
    assert digest_folder(alone, [digest]).root == CHILD_FILE
    assert folder_of(alone) is None


@pytest.fixture
def model(tmp_path):
    folder = write_checkpoint(tmp_path / "model", {f"{i}.w": np.ones(4) for i in range(2)}, 2)
    write(folder, {**CONTENTS, ".gitattributes": b"x", ".git/HEAD": b"x", "model.sig": b"s"})
    return folder


def test_everything_beside_the_weights_counts_but_git_and_signatures(model):
    checkpoint = Checkpoint.open(model)
    beside, is_whole = files_beside(checkpoint)
    assert is_whole
    assert [each.name for each in beside] == sorted([*CONTENTS, "model.safetensors.index.json"])
    digests = [file_digest(shard.path) for shard in checkpoint.shards]
    found = digest_folder(checkpoint, digests)
    known = {name: digest for name, _, digest in found.files}
    known |= dict(zip([each.name for each in checkpoint.shards], digests, strict=True))
    assert found.root == root_digest(known)
    assert folder_of(Checkpoint.open(model / "model.safetensors.index.json")) == model


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret", "nowhere"])
def test_a_link_that_leads_out_is_not_followed_and_leaves_no_root(model, target):
    (model.parent / "secret").write_text("secret", "utf-8")
    (model / "README.md").symlink_to(target)
    checkpoint = Checkpoint.open(model)
    beside, is_whole = files_beside(checkpoint)
    assert not is_whole
    assert "README.md" not in [each.name for each in beside]
    digests = ["00" * 32] * 2
    assert digest_folder(checkpoint, digests).root is None


def test_links_into_the_blobs_of_a_hub_are_followed(tmp_path):
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    write(blobs, {"one": b"{}"})
    source = family_path("child") / "model.safetensors"
    (blobs / "two").write_bytes(source.read_bytes())
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/one")
    (snapshot / "model.safetensors").symlink_to("../../blobs/two")
    checkpoint = Checkpoint.open(snapshot)
    beside, is_whole = files_beside(checkpoint)
    assert ([each.name for each in beside], is_whole) == (["config.json"], True)
    assert digest_folder(checkpoint, [file_digest(source)]).root is not None


def test_a_pipe_is_waited_for_by_nobody(model):
    os.mkfifo(model / "pipe")
    assert not files_beside(Checkpoint.open(model))[1]


def test_a_folder_of_too_many_files_is_no_models(model, monkeypatch):
    monkeypatch.setattr("parentage.bundle.model_signing.MOST_FILES", 3)
    with pytest.raises(ReadError, match="more than 3 files beside the weights"):
        files_beside(Checkpoint.open(model))


def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ReadError, match="gone: read"):
        file_digest(tmp_path / "gone")
