"""How a comparison of files is laid out."""

import pytest
from common.said import family, said_so
from common.templates import TURNS
from common.terminals import shown
from parentage.cli.terminal.compare_metadata import ROWS_SHOWN, show_metadata
from parentage.metadata import compare_metadata


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return family(tmp_path_factory.mktemp("family"))


def compared(folder, **more):
    return compare_metadata(folder / "child", base=folder / "base", **more)


def test_a_prompt_is_quoted_with_where_it_stands(capsys, folder):
    words = shown(capsys, show_metadata, compared(folder, parents=[folder / "tuned"]))
    assert "child: chat_template.jinja, line 1" in words
    assert "Claims of the child" in words
    assert "config 3 of 5 2 of 5" in words


def test_prompts_that_differ_are_shown_line_by_line(capsys, tmp_path):
    for name in ("child", "base"):
        source = f"<|system|>You are {name.title()}, made by Lab.<|end|>" + TURNS
        said_so(tmp_path / name, {"chat_template.jinja": source}, seed=len(name))
    words = shown(capsys, show_metadata, compared(tmp_path))
    assert "Beside that of base:" in words
    assert "-You are Base, made by Lab. +You are Child, made by Lab." in words


def test_what_was_not_reached_is_set_apart(capsys, tmp_path):
    source = "{% if messages | length > 99 %}You are Rio, really.{% endif %}" + TURNS
    said_so(tmp_path / "child", {"chat_template.jinja": source}, seed=1)
    said_so(tmp_path / "base", {})
    words = shown(capsys, show_metadata, compared(tmp_path))
    assert "Not reached in any conversation that was tried" in words
    assert "No default prompt. child says none." in words


def test_many_rows_are_counted_unless_all_are_asked_for(capsys, tmp_path):
    said_so(tmp_path / "child", {"config.json": {f"k{i}": i for i in range(50)}}, seed=1)
    said_so(tmp_path / "base", {"config.json": {f"k{i}": -1 for i in range(50)}})
    found = compared(tmp_path)
    assert f"and {50 - ROWS_SHOWN} more, with --all" in shown(capsys, show_metadata, found)
    assert "more, with --all" not in shown(capsys, show_metadata, found, every=True)
