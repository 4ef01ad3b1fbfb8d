"""Nothing is made of a bundle whose files are not what it says."""

import json

import pytest
from common.bundles import FILES, edit_document, put, resealed
from parentage.bundle import CUSTODY, EVIDENCE, MANIFEST, check_folder, read_bundle, read_file
from parentage.bundle.reading import as_utc
from parentage.support import EvidenceError, ReadError


def test_a_bundle_is_read_with_the_time_that_its_log_says(made):
    found = read_bundle(made)
    time = json.loads((made / CUSTODY).read_text("utf-8").splitlines()[0])["time"]
    assert found.created == time.replace("+00:00", "Z")
    assert found.told["schema"] == found.document.schema
    assert set(found.files) < set(FILES)


@pytest.mark.parametrize("name", ["facts.json", "sums.parquet", EVIDENCE])
def test_an_altered_file_is_an_error_that_names_it(bundle, name):
    (bundle / name).write_bytes((bundle / name).read_bytes() + b" ")
    with pytest.raises(EvidenceError, match=rf"{name}: is altered: .* parentage verify"):
        read_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(EvidenceError):
        read_bundle(bundle)


def test_what_is_no_bundle_is_an_error(bundle, tmp_path):
    (bundle / MANIFEST).unlink()
    with pytest.raises(EvidenceError, match=r"manifest\.json: is missing"):
        read_bundle(bundle)
    with pytest.raises(EvidenceError, match="does not exist"):
        check_folder(tmp_path / "nowhere")


def test_without_a_log_the_time_is_now_and_a_log_with_no_time_is_an_error(bundle):
    (bundle / CUSTODY).unlink()
    assert read_bundle(bundle).created.endswith("Z")
    with pytest.raises(EvidenceError, match="is no time"):
        as_utc("yesterday", CUSTODY)


def test_a_newer_schema_is_an_error(bundle):
    edit_document(bundle, lambda told: put(told, "schema", "parentage.evidence/7"))
    resealed(bundle, statements=False)
    with pytest.raises(EvidenceError, match="a newer one made it"):
        read_bundle(bundle)


def test_a_file_without_end_is_none_of_a_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("parentage.bundle.reading.MOST_BYTES", 3)
    (tmp_path / "x").write_bytes(b"1234")
    with pytest.raises(ReadError, match="more than 3 bytes"):
        read_file(tmp_path / "x")
    with pytest.raises(ReadError, match="no regular file"):
        read_file(tmp_path.joinpath("/dev/null"))
