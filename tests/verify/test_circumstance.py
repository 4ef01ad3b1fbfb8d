"""What is told of files beside the weights: held against the evidence, and against the files."""

import shutil

import parentage
import pytest
from common.bundles import NAMES, PLACES, edit_metadata, put, resealed, traced
from parentage.bundle import METADATA
from parentage.report import write_report
from parentage.verify import verify


def remade(folder):
    """Make page and digests anew, as somebody does who wants the bundle to look whole."""
    write_report(folder)
    resealed(folder)


def about(folder, files=None):
    """Return what was found of what files say, by status."""
    found = verify(folder, files, slices=1) if files else verify(folder)
    return [(each.status, each.text) for each in found.findings if each.check == "metadata"]


def test_what_is_repeated_of_the_evidence_is_held_against_it(bundle):
    edit_metadata(bundle, lambda told: put(told, "weights.text", "All of it is original."))
    remade(bundle)
    assert about(bundle) == [("failed", "weights are not the verdict of the evidence")]


def test_other_checkpoints_are_found(bundle):
    edit_metadata(bundle, lambda told: told["inputs"].pop())
    remade(bundle)
    assert about(bundle) == [("failed", "inputs are not those of the evidence")]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"weights": 1, "inputs": 3}'])
def test_what_is_no_such_document_is_found(bundle, content):
    (bundle / METADATA).write_bytes(content)
    resealed(bundle)
    assert about(bundle)[0][0] == "failed"


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A bundle whose checkpoints have files beside the weights, and where these are."""
    folder = tmp_path_factory.mktemp("said")
    places = {name: shutil.copytree(PLACES[name], folder / name) for name in NAMES}
    for name in NAMES:
        (places[name] / "README.md").write_text(f"---\nlicense: mit\n---\nI am {name}.\n")
    parentage.trace(
        places["child"], base=places["base"], parents=[places["parent"]],
        controls=[places["sibling"]], output=folder / "evidence", digest="sha256", recipes=False,
    )  # fmt: skip
    return folder / "evidence", places


def test_what_files_say_is_read_again_with_the_checkpoints(said, tmp_path):
    folder, places = said
    assert [status for status, _ in about(folder, places)] == ["ok", "ok"]
    forged = shutil.copytree(folder, tmp_path / "forged")
    edit_metadata(forged, lambda told: told["rows"][0].update(child="another"))
    remade(forged)
    assert [status for status, _ in about(forged)] == ["ok"]
    assert about(forged, places)[1] == (
        "failed", "rows[0].child is another than the files beside the weights, read again, give",
    )  # fmt: skip


def test_files_that_are_others_are_told_and_not_compared(said):
    folder, places = said
    config = places["base"] / "README.md"
    before = config.read_bytes()
    config.unlink()
    try:
        told = about(folder, places)
    finally:
        config.write_bytes(before)
    assert [status for status, _ in told] == ["ok", "unchecked"]
    assert "the files beside the weights of base are not those" in told[1][1]


def test_a_digest_that_is_not_that_of_the_evidence_is_found(said, tmp_path):
    forged = shutil.copytree(said[0], tmp_path / "forged")
    edit_metadata(forged, lambda told: told["inputs"][0]["files"][0].update(sha256="0" * 64))
    remade(forged)
    ((status, text),) = about(forged)
    assert status == "failed"
    assert "of child has another SHA-256 than in the evidence" in text


def test_without_what_files_say_there_is_nothing_to_check(tmp_path):
    traced(tmp_path, digest=None)
    (tmp_path / METADATA).unlink()
    write_report(tmp_path)
    resealed(tmp_path)
    assert about(tmp_path) == []
