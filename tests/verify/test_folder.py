"""Files of a bundle are held against its manifest, whatever lies there."""

import os

import pytest
from common.bundles import FILES
from parentage.bundle import CUSTODY, EVIDENCE, MANIFEST, manifest_text
from parentage.support import EvidenceError
from parentage.verify.folder import Folder, check_files, read_table


def found(folder):
    held = Folder(folder)
    return held, list(check_files(held))


def test_all_files_are_taken_over(made):
    held, findings = found(made)
    assert held.files.keys() == {*FILES} - {MANIFEST}
    assert [(each.check, each.status) for each in findings] == [("digests", "ok")]
    assert len(held.manifest) == 64
    assert held.where("x") == str(made / "x")


@pytest.mark.parametrize("what", ["folder", "pipe", "link"])
def test_what_is_no_file_is_told_and_waited_for_by_nobody(bundle, what):
    path = bundle / "facts.json"
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    _, findings = found(bundle)
    assert [(each.file, each.status) for each in findings] == [("facts.json", "failed")]


def test_a_manifest_that_names_no_evidence_or_nothing_is_told(bundle):
    (bundle / MANIFEST).write_text(manifest_text({"recipe.yaml": b""}), "utf-8")
    _, findings = found(bundle)
    assert (f"does not name {EVIDENCE}", MANIFEST) in {(each.text, each.file) for each in findings}
    (bundle / MANIFEST).write_text("{}", "utf-8")
    held, findings = found(bundle)
    assert not held.files
    assert findings[0].file == MANIFEST


def test_what_is_no_part_is_told_and_what_always_lies_there_is_not(bundle):
    (bundle / "more").mkdir()
    _, findings = found(bundle)
    assert [each.file for each in findings if each.check == "others"] == ["more"]
    assert (bundle / CUSTODY).exists()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 40 + b"PAR1", b"\xff" * 100])
def test_what_is_no_table_is_an_error_that_names_it(data):
    with pytest.raises(EvidenceError, match=r"^x\.parquet: is no table"):
        read_table(data, "x.parquet")
