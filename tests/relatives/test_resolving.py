"""A claim is a name: nothing is opened by it but what is called so where it may be looked for."""

import os
import shutil
from types import SimpleNamespace

import parentage
import polars as pl
import pytest
from common.networks import family_on_a_hub, quick
from conftest import family_path
from parentage.checkpoint import Checkpoint
from parentage.library import Library
from parentage.library.shelf import INDEX
from parentage.relatives.resolving import NotFollowedError, Resolver, called, fits, shown


@pytest.fixture
def folder(tmp_path):
    """A child with its base beside it."""
    for name in ("child", "base"):
        shutil.copytree(family_path(name), tmp_path / name)
    return tmp_path


def resolver(folder, library="library", **options):
    return Resolver(Checkpoint.open(folder / "child"), Library(folder / library), **options)


NAMES = {
    "base": "base",
    "org/base": "org/base",
    " org/base ": "org/base",
    "/data/models/base": "base",
    "../../base": "base",
    "~/base/": "base",
    "C:\\models\\base": "base",
    "./a/b/base": "base",
    "hf://org/base@main": "org/base",
    "https://huggingface.co/org/base/tree/main": "org/base",
    "https://hf.co/org/base": "org/base",
}


@pytest.mark.parametrize(("claim", "expected"), NAMES.items(), ids=NAMES)
def test_a_claim_is_taken_as_a_name(claim, expected):
    assert called(claim) == expected


NO_NAMES = [
    "", ".", "..", "../..", "/", "~", "-rf", "https://evil.example/org/base", "http://[::1",
    "file:///etc/passwd", "s3://bucket/base", "a\nb", "org/\x1b[2J", "hf://../../x", "x" * 300,
    "https://huggingface.co/org", "https://huggingface.co/../..",
]  # fmt: skip


@pytest.mark.parametrize("claim", NO_NAMES, ids=ascii)
def test_what_is_no_name_is_not_followed(folder, claim):
    with pytest.raises(NotFollowedError):
        resolver(folder, follow=True).resolve(claim)


def test_an_address_of_the_hub_that_the_environment_names_is_a_name(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8000")
    assert called("http://127.0.0.1:8000/org/base") == "org/base"


@pytest.mark.parametrize("claim", ["base", "org/base", "/nowhere/base", "../base"])
def test_what_is_called_so_beside_the_child_is_opened(folder, claim):
    found = resolver(folder).resolve(claim)
    assert (found.checkpoint.path, found.where) == (folder / "base", "beside the child")
    assert not found.is_sketch


def test_folders_of_organisations_beside_that_of_the_child_are_looked_into(folder):
    for name, org in (("child", "one"), ("base", "two")):
        (folder / org).mkdir()
        (folder / name).rename(folder / org / name)
    child = Checkpoint.open(folder / "one" / "child")
    found = Resolver(child, Library(folder / "x")).resolve("two/base")
    assert found.checkpoint.path == folder / "two" / "base"
    with pytest.raises(NotFollowedError):
        Resolver(child, Library(folder / "x")).resolve("base")


def test_no_path_is_opened_because_somebody_wrote_it(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    shutil.copytree(family_path("base"), elsewhere)
    for claim in (str(elsewhere), os.path.relpath(elsewhere, folder / "child"), f"{elsewhere}/"):
        with pytest.raises(NotFollowedError, match="nothing is called so"):
            resolver(folder).resolve(claim)


def test_a_child_that_claims_itself_is_told_so(folder):
    with pytest.raises(NotFollowedError, match="it is the child itself"):
        resolver(folder).resolve("org/child")
    (folder / "alias").symlink_to(folder / "child")
    with pytest.raises(NotFollowedError, match="it is the child itself"):
        resolver(folder).resolve("alias")


def test_what_is_no_checkpoint_beside_the_child_is_passed_over(folder):
    (folder / "notes").mkdir()
    with pytest.raises(NotFollowedError, match="nothing is called so"):
        resolver(folder).resolve("notes")


def test_a_sketch_of_the_library_is_found_and_what_it_was_made_of(folder):
    library = Library(folder / "library")
    library.add([family_path("parent")], size=1 << 15)
    found = resolver(folder).resolve("org/parent")
    assert (found.checkpoint.path, found.is_sketch) == (family_path("parent"), False)
    made = parentage.sketch(family_path("sibling"), folder / "s.sketch.safetensors", size="32KiB")
    library.add([made])
    found = resolver(folder).resolve("sibling")
    assert (found.is_sketch, found.where) == (True, "as a sketch in the library")
    with pytest.raises(NotFollowedError):
        resolver(folder, without=frozenset({"sibling"})).resolve("sibling")


def test_what_lies_where_the_sketch_was_made_is_another_checkpoint_by_now(folder):
    library = Library(folder / "library")
    shutil.copytree(family_path("parent"), folder / "parent")
    library.add([folder / "parent"], size=1 << 15)
    sketch = library.open("parent")
    one = resolver(folder)
    assert one.whole(sketch).checkpoint.name == "parent"
    (folder / "parent" / "model.safetensors").write_bytes(
        parentage.sketch(family_path("base"), folder / "x.sketch.safetensors").read_bytes()
    )
    assert one.whole(sketch) is None
    shutil.rmtree(folder / "parent")
    assert one.whole(sketch) is None


def test_a_sketch_fits_what_it_was_made_of_by_sizes_or_by_names(folder):
    made = parentage.sketch(family_path("parent"), folder / "a.sketch.safetensors", size="32KiB")
    runs = parentage.sketch(
        family_path("parent"), folder / "b.sketch.safetensors", size="32KiB", runs_only=True
    )
    parent = Checkpoint.open(family_path("parent"))
    for path in (made, runs):
        assert fits(Checkpoint.open(path), parent)
    assert not fits(parent, parent)


def test_no_hub_is_asked_on_a_mere_claim(folder, monkeypatch):
    with family_on_a_hub(monkeypatch, folder) as double:
        with pytest.raises(NotFollowedError, match="no hub is asked on a mere claim"):
            resolver(folder).resolve("org/parent")
        assert double.counts.total == 0
        found = resolver(folder, follow=True, network=quick()).resolve("org/parent")
        assert (found.where, found.checkpoint.is_remote) == ("on the hub", True)
        asked = double.counts.total
        with pytest.raises(NotFollowedError, match="no such repository"):
            resolver(folder, follow=True, network=quick()).resolve("org/nobody")
        assert double.counts.total > asked


def test_a_child_of_a_hub_has_its_claims_looked_for_there(folder, monkeypatch):
    with family_on_a_hub(monkeypatch, folder) as double:
        child = Checkpoint.open("hf://org/child", None, quick())
        one = Resolver(child, Library(folder / "x"), network=quick())
        assert one.resolve("org/base").where == "on the hub"
        with pytest.raises(NotFollowedError, match="it is the child itself"):
            one.resolve("org/child")
        double.repositories["org/parent"].gated = True
        with pytest.raises(NotFollowedError, match="access is granted"):
            one.resolve("org/parent")


def test_what_a_library_has_of_a_hub_is_not_asked_for_either(folder, monkeypatch):
    with family_on_a_hub(monkeypatch, folder) as double:
        library = Library(folder / "library")
        library.add(["hf://org/parent"], size=1 << 15, network=quick())
        before = double.counts.total
        sketch = library.open("org/parent")
        assert resolver(folder).whole(sketch) is None
        assert double.counts.total == before
        assert resolver(folder, follow=True, network=quick()).whole(sketch).checkpoint.is_remote


def test_a_claim_is_told_short_and_escaped():
    assert shown("a\x1b[2Jb") == "a\\x1b[2Jb"
    assert len(shown("x" * 1000)) == 120


@pytest.mark.parametrize("source", ["https://127.0.0.1:1/model.safetensors", "org/base", "base"])
def test_for_a_child_of_a_hub_no_other_network_is_asked(folder, monkeypatch, source):
    with family_on_a_hub(monkeypatch, folder):
        child = Checkpoint.open("hf://org/child", None, quick())
    library = Library(folder / "library")
    library.add([folder / "base"], size=1 << 15)
    index = pl.read_parquet(library.folder / INDEX)
    crafted = index.with_columns(source=pl.lit(source))
    crafted.write_parquet(library.folder / INDEX)
    asked = []
    monkeypatch.setattr(Checkpoint, "open", lambda *given: asked.append(given))
    sketch = SimpleNamespace(name="base")
    assert Resolver(child, library).whole(sketch) is None
    assert asked == []
