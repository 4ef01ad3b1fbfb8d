"""What options several commands have, and what they are given of them."""

import os
import subprocess
import sys
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from conftest import family_path
from parentage.checkpoint.sources import chosen, local
from parentage.cli import run
from parentage.cli.options import (
    PortionType,
    Size,
    check_output,
    named,
    reading_options,
    terminal_options,
)
from parentage.support import WriteError


@click.command()
@click.argument("word")
@reading_options("auto", "mmap", help_text="How.")
@terminal_options
def command(word, reading, terminal):
    """Print what a command is given."""
    click.echo(f"{word} {sorted(reading.items())} {terminal.quiet} {terminal.out.no_color}")


def test_commands_are_given_how_files_are_read_and_a_terminal():
    given = CliRunner().invoke(command, ["x"], env={"NO_COLOR": None}).output
    assert given == "x [('io', 'auto'), ('threads', None), ('tile_bytes', None)] False False\n"
    options = ["--threads", "3", "--io", "mmap", "--tile-size", "1MiB", "--quiet", "--no-color"]
    given = CliRunner().invoke(command, ["x", *options]).output
    assert given == "x [('io', 'mmap'), ('threads', 3), ('tile_bytes', 1048576)] True True\n"


def test_options_stand_in_help_in_the_order_they_are_given_in():
    text = CliRunner().invoke(command, ["--help"]).output
    names = ["--threads", "--io", "--tile-size", "--quiet", "--no-color", "--help"]
    places = [text.index(name) for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(Size(), "8MiB", 8 << 20), (Size(), "500kB", 500_000), (Size(), 4096, 4096)],
)
def test_sizes_are_bytes(kind, text, value):
    assert kind.convert(text, None, None) == value


def test_portions_are_bytes_or_a_share():
    assert PortionType().convert("5GB", None, None).bytes == 5_000_000_000
    assert PortionType().convert("0.2%", None, None).share == 0.002


@pytest.mark.parametrize(("kind", "text"), [(Size(), "big"), (PortionType(), "200%")])
def test_what_is_no_amount_is_a_usage_error(kind, text):
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_a_folder_that_can_be_made_can_be_written_to(tmp_path):
    check_output(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="is not a folder"):
        check_output(tmp_path / "file" / "b")


def test_what_names_a_checkpoint_reaches_its_source_as_it_was_given(monkeypatch, capsys):
    given = []

    def open_there(text, _network=None):
        given.append(text)
        return local.open(family_path(text[13:]))

    source = SimpleNamespace(serves=lambda _text: True, open=open_there)
    monkeypatch.setitem(sys.modules, "parentage.checkpoint.sources.store", source)
    monkeypatch.setitem(chosen.REMOTE, "store", "store")
    assert run(["inspect", "store://host/child"]) == 0
    assert run(["trace", "store://host/child", "--base", "store://host/base", "--json"]) == 0
    assert "store://host/base" in given
    assert '"verdict"' in capsys.readouterr().out


def test_a_checkpoint_is_named_unless_it_is_a_path_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=3").mkdir()
    cases = {
        "lr=3": (None, "lr=3"),
        "lr=4": ("lr", "4"),
        "ours=lr=3": ("ours", "lr=3"),
        "org/name=/a/b": ("org/name", "/a/b"),
        "./lr=4": (None, "./lr=4"),
        f"{tmp_path}/x=y": (None, f"{tmp_path}/x=y"),
        "hf://a/b?c=d": (None, "hf://a/b?c=d"),
        "ours=hf://a/b?c=d": ("ours", "hf://a/b?c=d"),
        "=x": (None, "=x"),
        "plain": (None, "plain"),
    }
    assert {given: named(given) for given in cases} == cases
    with pytest.raises(click.UsageError, match="no path"):
        named("ours=")


@pytest.mark.parametrize(
    ("text", "fits"),
    [("4096", True), ("4095", False), ("0", False), ("1GiB", True), ("2GiB", False)],
)
def test_a_size_has_bounds(text, fits):
    size = Size(4096, 1 << 30)
    if fits:
        assert size.convert(text, None, None) >= 4096
    else:
        with pytest.raises(click.BadParameter, match="4,096 bytes at least"):
            size.convert(text, None, None)


def test_libraries_keep_to_the_threads_that_are_asked_for():
    code = (
        "import os, sys\n"
        "from parentage.cli.options import bind_libraries\n"
        "bind_libraries(None)\n"
        "assert 'OPENBLAS_NUM_THREADS' not in os.environ\n"
        "bind_libraries(3)\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['POLARS_MAX_THREADS'])\n"
        "import polars\n"
        "bind_libraries(2)\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'], polars.thread_pool_size())\n"
    )
    bound = ("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in bound}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["3"] * 4
