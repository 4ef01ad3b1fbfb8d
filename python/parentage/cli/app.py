"""The command line. Results go to stdout, progress and messages to stderr.

Exit status: 0 done, 1 error, 2 usage, 3 a verdict or a mismatch that --fail-on or
--fail-on-mismatch names, or evidence that verify refutes, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress

import click

from parentage.cli.alone import HelpAlone
from parentage.support import ParentageError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""

COMMANDS = {
    "bench": "Measure how fast checkpoints are read, compared, replayed and hashed here.",
    "capture": "Keep what can be kept of CHECKPOINT in a folder, before it is gone.",
    "compare": "Say what CHECKPOINTS are to each other, two or more, with no base.",
    "compare-metadata": "Say what CHILD's files say of it, beside those of other checkpoints.",
    "completion": "Print a completion script for SHELL.",
    "demo": "Trace a small real family that comes with the package, step by step.",
    "export": "Print the evidence in DIR in a format of other tools.",
    "identify": "Ask a served model who it is, and count which names its answers claim.",
    "inspect": "Show what is in CHECKPOINTS, from their headers alone.",
    "join": "Make the evidence of a trace of all its parts.",
    "library": "Keep sketches in a folder, for parentage search.",
    "replay": "Carry out RECIPE: compare what it gives with a child, or write it.",
    "report": "Make the report of the evidence in DIR again.",
    "search": "Say who in a library the relatives of CHILD are, and which of them explain it best.",
    "sketch": "Write a sketch of CHECKPOINT: one small file that can stand in its place.",
    "trace": "Say what CHILD is made of.",
    "verify": "Check whether the evidence in DIR agrees with itself, and with the checkpoints.",
}
"""Commands, and the first sentence of their help: their files are imported when they are used."""


class _Commands(HelpAlone, click.Group):
    """All commands, each in a file of its own below ``commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"parentage.cli.commands.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=text).get_short_help_str(limit))
                    for name, text in COMMANDS.items()
                ]
            )


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(package_name="parentage", message="%(prog)s %(version)s")
def cli() -> None:
    """A parentage test for model checkpoints.

    Say what a checkpoint is made of, from its weights: whether it is a copy, a blend of others or a
    fine-tune, how much of each, and how sure that is.

    \b
    Start here:
      parentage demo                     a guided tour on a small real family, offline
      parentage inspect CHECKPOINT       what is in a checkpoint
      parentage trace CHILD --base BASE --parent PARENT
      parentage compare A B              what two checkpoints are to each other
      parentage search CHILD             who its relatives are, of a library of sketches
      parentage replay RECIPE --against CHILD
      parentage compare-metadata CHILD --base BASE --parent PARENT
      parentage verify EVIDENCE          whether evidence agrees with itself, and with checkpoints
      parentage report DIR               the evidence of a trace as a page for people
      parentage bench                    how fast all of this is here

    A CHECKPOINT is a folder of safetensors files, with or without an index, one such file, or an
    index file; or the same of PyTorch's zip archives, GGUF, ONNX or NumPy's .npz; or a folder of a
    diffusers pipeline. Nothing in it is executed.

    Exit status: 0 done, 1 error, 2 wrong usage, 3 a verdict or mismatch that --fail-on or
    --fail-on-mismatch names, or evidence that verify refutes, 130 interrupted.
    """


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        # The custody log says by which command evidence was made.
        status = cli.main(
            arguments, prog_name="parentage", standalone_mode=False, obj=["parentage", *given]
        )
        if sys.stdout is not None:  # closed before we began
            sys.stdout.flush()
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        # What click makes of an interrupt follows the one that says what is kept.
        kept = str(error if isinstance(error, KeyboardInterrupt) else error.__context__ or "")
        click.echo(f"interrupted; {kept or 'nothing was written'}", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _give_up_output()
        return 1
    except (ParentageError, ValueError, OSError, MemoryError) as error:
        if isinstance(error, OSError):
            _give_up_output()
        from parentage.cli.terminal.console import Terminal

        with suppress(OSError):
            Terminal().error(_told(error))
        return 1


def _told(error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError):
        # What has no name is what we print on.
        where = "output" if error.filename is None else str(error.filename)
        return f"{where}: {error.strerror or error}"
    return str(error)


def _give_up_output() -> None:
    """Have what is left of our output go nowhere, so that no flush at the exit fails again."""
    if sys.stdout is None:
        return
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
