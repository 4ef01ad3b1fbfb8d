"""What a search found, as it is printed."""

import parentage
import polars as pl
from conftest import family_path
from parentage.cli.terminal.console import Terminal
from parentage.cli.terminal.search import show_found, show_library, show_sketch, sketch_document
from parentage.library import Library
from parentage.relatives import Found
from parentage.relatives.found import RELATIVES


def test_names_with_escapes_move_no_cursor(capsys):
    name = "x\x1b[2Jy"
    rows = [(1, name, "close relatives", 0.99, 0.1, 0.6, None, 10)]
    found = Found(
        name,
        "library",
        1,
        1,
        pl.DataFrame(rows, schema=RELATIVES, orient="row"),
        base=name,
        blend=((name, 0.6), ("b", 0.4)),
        command="parentage trace x",
    )
    show_found(Terminal(color=False), found, 5)
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "0.600" in out
    assert "parentage trace x" in out


def test_a_sketch_and_a_library_are_shown(capsys, tmp_path):
    path = parentage.sketch(family_path("base"), tmp_path / "b.sketch.safetensors", size="32KiB")
    library = Library(tmp_path / "library")
    library.add([path])
    opened = library.open("base")
    show_sketch(Terminal(color=False), opened)
    show_library(Terminal(color=False), library)
    out = capsys.readouterr().out
    assert "everything was read" in out
    assert "1 sketch in" in out
    document = sketch_document(opened)
    assert document["held"] == sum(each["held"] for each in document["tensors"])
