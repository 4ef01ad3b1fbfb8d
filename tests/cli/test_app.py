"""The group of commands, which imports none of them until it is used."""

import subprocess
import sys

import pytest
from click.testing import CliRunner
from parentage.cli import cli, run
from parentage.cli.app import COMMANDS

HEAVY = {"numpy", "polars", "rich", "msgspec", "yaml", "parentage.pipeline"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_says_what_the_commands_say(name):
    command = cli.get_command(None, name)
    assert command.name == name
    assert command.get_short_help_str(1000) == COMMANDS[name]


def test_the_list_is_in_order():
    assert list(COMMANDS) == sorted(COMMANDS) == cli.list_commands(None)


def imported(*arguments):
    code = (
        "import sys\n"
        "from parentage.cli import run\n"
        "status = run(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    assert not HEAVY & imported(*arguments)


def test_help_imports_no_command():
    rooms = ("parentage.cli.commands.", "parentage.cli.options", "parentage.cli.terminal")
    assert not {name for name in imported("--help") if name.startswith(rooms)}


def test_what_is_no_command_is_a_usage_error(capsys):
    assert run(["traces"]) == 2
    assert "traces" in capsys.readouterr().err


def test_completion_lists_the_commands():
    environment = {
        "_PARENTAGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "parentage ",
        "COMP_CWORD": "1",
    }
    found = CliRunner().invoke(cli, prog_name="parentage", env=environment)
    assert found.exit_code == 0
    assert all(name in found.output for name in COMMANDS)


def test_the_package_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "parentage", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("parentage ")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a/" * 3000])
@pytest.mark.parametrize(
    "before",
    [["inspect"], ["bench", "--folder"], ["replay", "--against", "none"],
     ["trace", "none", "-b", "none", "-o"]],
    ids=lambda before: before[0],
)  # fmt: skip
def test_names_that_are_too_long_are_errors_in_a_line(name, before, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run([*before, name]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["inspect", ""], ["trace", "a", "-b", "b", "-o", ""], ["trace", "", "-b", "b"],
     ["replay", "", "--against", "x"], ["replay", "x", "--write", ""]],
    ids=" ".join,
)  # fmt: skip
def test_a_path_without_a_name_is_a_usage_error(arguments, capsys):
    assert run(arguments) == 2
    assert "no path is given" in capsys.readouterr().err


@pytest.mark.usefixtures("permissions_hold")
def test_places_that_may_not_be_looked_at_are_errors_in_a_line(tmp_path, capsys):
    folder = tmp_path / "closed"
    (folder / "x").mkdir(parents=True)
    folder.chmod(0)
    place = str(folder / "x")
    try:
        for arguments in (
            ["inspect", place],
            ["inspect", str(folder)],
            ["trace", place, "-b", place, "-o", str(folder / "z")],
            ["replay", str(folder / "recipe.json"), "--against", place],
            ["bench", "--folder", place],
        ):
            assert run(arguments) == 1
            said = capsys.readouterr().err
            assert said.startswith("error: ")
            assert len(said.splitlines()) == 1
    finally:
        folder.chmod(0o755)
