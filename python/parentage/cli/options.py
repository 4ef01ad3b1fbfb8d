"""What commands have in common: kinds of values, options, and what is checked before the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from parentage.support import Portion, WriteError, nearest_existing, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from parentage.cli.terminal.console import Terminal

_F = TypeVar("_F", bound="Callable[..., Any]")


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 8MiB, 500kB, 4096."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        try:
            return size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PortionType(click.ParamType):  # type: ignore[type-arg]
    """Bytes, or a share of everything: 5GB, 0.2%."""

    name = "portion"

    def convert(self, value: Any, param: Any, ctx: Any) -> Portion:
        """Return the portion that the text says."""
        try:
            return Portion.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class HelpAlone(click.Command):
    """A command that shows its help and ends with status 2 if nothing is said.

    What click itself makes of that hangs on its version.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, if there are any."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


def checkpoint_option(
    help_text: str, *names: str, required: bool = False, multiple: bool = False
) -> Callable[[_F], _F]:
    """Return an option that takes a checkpoint."""
    return click.option(
        *names,
        required=required,
        multiple=multiple,
        metavar="CHECKPOINT",
        type=click.Path(path_type=Path),
        help=help_text,
    )


def reading_options(io: tuple[str, ...], default: str, help_text: str) -> Callable[[_F], _F]:
    """Return the options that say how to read: they change no digit of a result."""

    def add(command: _F) -> _F:
        for option in (
            click.option(
                "--tile-size", type=Size(), metavar="SIZE",
                help="Bytes of each checkpoint that a thread reads at once. "
                "[default: 8MiB, mapped]",
            ),
            click.option(
                "--io", type=click.Choice(io), default=default, show_default=True, help=help_text,
            ),
            threads_option,
        ):  # fmt: skip
            command = option(command)
        return command

    return add


threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), help="Default: one per CPU."
)


def display_options(command: _F) -> _F:
    """Add the options that say what is shown beside the result."""
    for option in (
        click.option("--no-color", "--no-colour", is_flag=True, help="Plain text."),
        click.option("-q", "--quiet", is_flag=True, help="No progress and no messages."),
    ):
        command = option(command)
    return command


def terminal_of(*, quiet: bool, no_color: bool) -> Terminal:
    """Return what results and messages are shown on; it takes a while to import."""
    from parentage.cli.terminal.console import Terminal

    return Terminal(quiet=quiet, color=not no_color)


def check_output(folder: Path) -> None:
    """Refuse a folder that can not be written before hours are spent on what would go there."""
    existing = nearest_existing(folder / "file")
    if not existing.is_dir():
        raise WriteError(f"{folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise WriteError(f"{folder}: {existing} can not be written to")
