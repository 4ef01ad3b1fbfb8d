"""Libraries are whole at any time: all of what is added is there, or nothing is."""

import threading

import parentage
import polars as pl
import pytest
from conftest import family_path
from parentage.library import ENDING, Library, default_folder
from parentage.library.shelf import ENVIRONMENT, INDEX, SKETCHES
from parentage.support import CheckpointError, ReadError, WriteError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return [
        parentage.sketch(family_path(name), folder / f"{name}{ENDING}", size="32KiB")
        for name in ("base", "parent", "child")
    ]


def test_what_is_added_is_listed_opened_and_removed(made, tmp_path):
    library = Library(tmp_path / "library")
    assert library.names == ()
    assert library.add(made) == ("base", "parent", "child")
    assert library.names == ("base", "child", "parent")
    assert library.open("parent").name == "parent"
    assert library.path("base").read_bytes() == made[0].read_bytes()
    assert library.table["elements"].to_list() == [294_488] * 3
    library.remove(["base", "child"])
    assert library.names == ("parent",)
    assert [each.name[:6] for each in (tmp_path / "library" / SKETCHES).iterdir()] == ["parent"]
    with pytest.raises(ReadError, match="no sketch is called base"):
        library.open("base")


def test_a_name_that_is_taken_is_an_error_unless_it_is_replaced(made, tmp_path):
    library = Library(tmp_path)
    library.add(made[:1])
    with pytest.raises(WriteError, match="called base already"):
        library.add(made)
    assert library.names == ("base",)
    larger = parentage.sketch(family_path("base"), tmp_path / f"b{ENDING}", size="64KiB")
    library.add([larger], replace=True)
    assert library.table["bytes"].to_list() == [larger.stat().st_size]
    assert len(list((tmp_path / SKETCHES).iterdir())) == 1
    with pytest.raises(WriteError, match="two sketches are called base"):
        library.add([larger, made[0]], replace=True)


def test_of_several_of_which_one_is_none_nothing_is_added(made, tmp_path):
    library = Library(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match="none"):
        library.add([*made, tmp_path / "none"])
    with pytest.raises(ReadError):
        library.remove(["nobody"])
    assert library.names == ()


def test_an_index_that_is_none_or_names_what_lies_elsewhere_is_an_error(made, tmp_path):
    library = Library(tmp_path)
    library.add(made[:1])
    index = pl.read_parquet(tmp_path / INDEX)
    crafted = index.with_columns(file=pl.lit(f"../../x{ENDING}"))
    crafted.write_parquet(tmp_path / INDEX)
    with pytest.raises(ReadError, match="no sketch of it"):
        library.open("base")
    index.drop("keys").write_parquet(tmp_path / INDEX)
    with pytest.raises(ReadError, match="no index"):
        library.index()
    (tmp_path / INDEX).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ReadError, match="no index of sketches"):
        library.index()


def test_it_is_searched_while_it_is_written(made, tmp_path):
    library = Library(tmp_path)
    library.add(made)
    stop, seen, wrong = threading.Event(), set(), []

    def look():
        while not stop.is_set():
            try:
                seen.add(library.names)
            except Exception as error:  # the thread's end would hide it
                wrong.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(5):
        library.remove(["parent"])
        library.add(made[1:2])
    stop.set()
    reader.join()
    assert not wrong
    assert seen <= {("base", "child", "parent"), ("base", "child")}


def test_two_writers_take_turns(made, tmp_path):
    library = Library(tmp_path)
    threads = [threading.Thread(target=library.add, args=([each],)) for each in made]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert library.names == ("base", "child", "parent")


def test_where_it_is_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "parentage" / "library"


def test_names_that_no_file_can_have_are_kept_in_the_index(tmp_path):
    opened = parentage.Checkpoint.open(family_path("base"), "../org/a b\x1b[31m")
    path = parentage.sketch(opened, tmp_path / "x", size="32KiB")
    library = Library(tmp_path / "library")
    (name,) = library.add([path])
    assert name == "../org/a b\x1b[31m"
    (file,) = (tmp_path / "library" / SKETCHES).iterdir()
    assert file.name.startswith("_org_a_b_31m-")
    assert library.open(name).name == name


def test_of_a_checkpoint_a_sketch_is_made_and_where_it_is_is_known(made, tmp_path, monkeypatch):
    library = Library(tmp_path)
    monkeypatch.chdir(family_path("base").parent)
    opened = parentage.Checkpoint.open("parent", "tuned")
    assert library.add(["base", opened, made[2]]) == ("base", "tuned", "child")
    known = dict(library.index(["name", "source"]).iter_rows())
    assert known == {
        "base": str(family_path("base")), "tuned": str(family_path("parent")), "child": None,
    }  # fmt: skip
    assert library.open("base").tensors
    assert library.index(["elements"])["elements"].to_list() == [294_488] * 3


def test_an_index_of_an_older_version_is_read_and_added_to(made, tmp_path):
    library = Library(tmp_path)
    library.add(made[:1])
    pl.read_parquet(tmp_path / INDEX).drop("source").write_parquet(tmp_path / INDEX)
    assert library.names == ("base",)
    assert library.index(["source", "name"]).rows() == [(None, "base")]
    assert library.add([family_path("parent")]) == ("parent",)
    assert library.table["source"].to_list() == [None, str(family_path("parent"))]


def test_its_digest_is_of_what_is_in_it_wherever_it_lies(made, tmp_path):
    one, other = Library(tmp_path / "one"), Library(tmp_path / "other")
    assert one.digest == other.digest
    one.add(made)
    other.add(made[1:])
    assert one.digest != other.digest
    other.add(made[:1])
    assert one.digest == other.digest


def test_a_captured_folder_is_added_as_the_sketch_that_it_holds(tmp_path):
    kept = parentage.capture(family_path("base"), tmp_path / "kept", size="32KiB")
    library = Library(tmp_path / "library")
    assert library.add([kept]) == ("base",)
    assert library.index(["source"])["source"].to_list() == [None]


def test_of_one_in_memory_no_place_is_known(tmp_path, weights):
    library = Library(tmp_path)
    opened = parentage.Checkpoint.in_memory(weights["base"], "live")
    assert library.add([opened], size=1 << 15) == ("live",)
    assert library.index(["source"])["source"].to_list() == [None]
