"""What commands have in common, and which options do not go together."""

import click
import parentage
import pytest
from click.testing import CliRunner
from conftest import family_path
from parentage.cli import run
from parentage.cli.alone import HelpAlone
from parentage.cli.commands.trace import refused
from parentage.cli.options import (
    PortionType,
    Size,
    check_output,
    reading_options,
    terminal_options,
)
from parentage.support import WriteError

REFUSED = {
    "a digest of a sample": {"digest": "sha256", "sample": "50%"},
    "a digest until sure": {"digest": "sha256", "until_sure": True},
    "going on with nothing": {"resume": True},
    "going on with a sample": {"resume": True, "output": True, "sample": "50%"},
    "going on until sure": {"resume": True, "output": True, "until_sure": True},
}


def words(options):
    """Return options of Python as the command line has them."""
    for name, value in options.items():
        yield "--" + name.replace("_", "-")
        if value is not True:
            yield str(value)


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_the_command_refuses_what_python_refuses(capsys, tmp_path, options):
    options = {name: tmp_path if name == "output" else x for name, x in options.items()}
    family = {"base": family_path("base"), "parents": [family_path("parent")]}
    with pytest.raises(ValueError, match=r"digest|resume"):
        parentage.trace(family_path("child"), **family, **options)
    arguments = ["trace", "child", "-b", "base", *words(options)]
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "Usage" in err
    assert "--digest is" in err or "--resume " in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", [None, "sha256"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_full_pass_with_a_place_for_what_was_read_is_refused_nothing(tmp_path, digest, resume):
    assert refused(digest, tmp_path, resume=resume, is_sampled=False) is None


@click.command(cls=HelpAlone)
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


def test_a_command_alone_shows_its_help():
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 2
    assert "Print what a command is given." in done.output


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
