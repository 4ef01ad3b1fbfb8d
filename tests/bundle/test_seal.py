"""A bundle is made of files, in the same way every time."""

import json

from common.bundles import FILES, files_of, traced
from parentage.bundle import EVIDENCE, MANIFEST, STATEMENTS, read_manifest, sealed, statements_of
from parentage.bundle.seal import recipe_of


def test_the_document_is_the_last_and_everything_is_in_the_manifest(made):
    files = {name: data for name, data in files_of(made).items() if name in FILES}
    del files[MANIFEST], files[STATEMENTS]
    again = sealed({**files, "more.txt": b"x"})
    assert list(again)[-1] == EVIDENCE
    assert again[STATEMENTS] == (made / STATEMENTS).read_bytes()
    named = read_manifest(again[MANIFEST], MANIFEST)
    assert named.keys() == again.keys() - {MANIFEST}
    assert sealed(dict(reversed(files.items())))[MANIFEST] == (made / MANIFEST).read_bytes()


def test_two_traces_give_the_same_files_but_for_the_log(made, tmp_path):
    traced(tmp_path, threads=3, tile_bytes=4096, io="pread", level="scalar")
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes(), name


def test_without_digests_there_are_no_statements(tmp_path):
    traced(tmp_path, digest=None)
    files = files_of(tmp_path)
    assert STATEMENTS not in files
    assert statements_of(files) is None


def test_the_recipe_is_that_of_the_document(made):
    told = json.loads((made / EVIDENCE).read_text("utf-8"))
    assert recipe_of((made / EVIDENCE).read_bytes()) == told["recipe"]
