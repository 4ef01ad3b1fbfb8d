"""What a command does that is called by name and no more."""

import click
from click.testing import CliRunner
from parentage.cli.alone import HelpAlone


@click.command(cls=HelpAlone)
@click.option("--word", default="nothing")
def command(word):
    """Print a word."""
    click.echo(word)


def test_a_command_alone_shows_its_help():
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 2
    assert "Print a word." in done.output


def test_with_an_argument_it_does_what_it_is_for():
    assert CliRunner().invoke(command, ["--word", "x"]).output == "x\n"
