"""Tables fit any width, and no number is broken over lines."""

import io
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.cli.terminal.grid import LONGEST, Grid, cut
from rich.cells import cell_len
from rich.console import Console

NAMES = st.text(string.ascii_lowercase + "._/ ", max_size=300)
NUMBERS = st.decimals(-(10**9), 10**9, places=4).map(lambda x: f"{x:,}")


def printed(grid, width, encoding="utf-8"):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, no_color=True, markup=False)
    console.print(grid)
    out.seek(0)
    return out.read()


@given(
    names=st.lists(NAMES, min_size=1, max_size=5),
    headers=st.lists(NAMES, min_size=1, max_size=9),
    width=st.sampled_from([40, 60, 80, 120]),
    data=st.data(),
)
def test_a_table_fits_and_every_number_is_whole(names, headers, width, data):
    grid = Grid(["name", *headers])
    numbers = []
    for name in names:
        row = [data.draw(NUMBERS) for _ in headers]
        numbers += row
        grid.add_row(name, *row)
    text = printed(grid, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert all(line == line.rstrip() for line in text.splitlines())
    # Names hold no digits, and so all that do are numbers.
    assert sorted(re.findall(r"-?[0-9][0-9.,]*", text)) == sorted(numbers)


def test_headers_fold_before_names_are_cut_and_names_before_columns_move_down():
    grid = Grid(["tensor", "mean of all squares", "n"])
    grid.add_row("model.layers.0.mlp.weight", "0.123456", "1,000")
    assert "mean of all squares" in printed(grid, 80)
    assert "mean of all\n" in printed(grid, 50)
    assert "model.layers.0.mlp.weight" in printed(grid, 50)
    assert "\u2026" in printed(grid, 42)
    grid = Grid(["tensor", "a", "b", "c"])
    grid.add_row("name", *["123,456,789.123456"] * 3)
    assert printed(grid, 50).count("tensor") == 2


def test_what_is_ascii_is_told_without_lines():
    grid = Grid(["a", "b"])
    grid.add_row("x", "1")
    assert "\u2500" in printed(grid, 60)
    assert " ---" in printed(grid, 60, "ascii")


@pytest.mark.parametrize("text", ["short", "x" * 500, "\u6f22" * 90, "e\u0301" * 300])
def test_what_is_cut_is_no_wider_than_asked_for(text):
    for width in (16, 40, LONGEST):
        assert cell_len(cut(text, width)) <= width
    assert cut("short", 16) == "short"
