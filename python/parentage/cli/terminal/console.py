"""The terminal: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parentage.cli.terminal.progress import Bar
from parentage.stream import SILENT, Progress
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


REASONS_SHOWN = 6


class Terminal:
    """Where results and messages go; knows whether to be quiet and whether to use colour."""

    def __init__(self, *, quiet: bool = False, color: bool = True) -> None:
        self.quiet = quiet
        self.out = _console(color=color, stderr=False)
        self.err = _console(color=color, stderr=True)

    def say(self, lead: str, text: str) -> None:
        """Print a line of explanation."""
        self.out.print()
        self.out.print(Text.assemble((lead, "bold"), " " if lead else "", text))

    def code(self, text: str) -> None:
        """Print something to type."""
        self.out.print()
        for line in text.splitlines():
            self.out.print(Text("    " + line, style="cyan"), soft_wrap=True)

    def error(self, message: str) -> None:
        """Print an error message."""
        self.err.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a message that is no result."""
        if not self.quiet:
            self.err.print(Text(printable(message)), soft_wrap=True)

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Give what shows progress, on terminals, and first looks; nothing of it if quiet."""
        if self.quiet:
            yield SILENT
            return
        bar = Bar(self.err)
        try:
            yield bar
        finally:
            bar.stop()


def _console(*, color: bool, stderr: bool) -> Console:
    console = Console(
        stderr=stderr,
        no_color=None if color else True,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # A file or a pipe has no width; eighty columns would only fold tables.
        console.width = 120
    return console


def new_table(*headers: str) -> Table:
    """Return an empty table: numbers to the right, the first column and text to the left."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for position, header in enumerate(headers):
        text = header in {"a tensor of it", "dtype", "shape", "component", "file"}
        left = position == 0 or text
        table.add_column(Text(header), justify="left" if left else "right", overflow="fold")
    return table


def as_text(name: str) -> Text:
    """Return a name with everything escaped that could act on a terminal."""
    return Text(printable(name))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def as_number(value: float | None, form: str) -> str:
    """Return a number in a format, a dash for none."""
    # Adding zero turns a negative zero, and what rounds to it, into a plain one.
    return "-" if value is None else format(round(value, 9) + 0.0, form)


def as_share(count: int, of: int) -> str:
    """Return a share that says 100 % only of all."""
    if of == 0:
        return "-"
    if count == of:
        return "100 %"
    return f"{min(count / of, 0.99999):.3%}" if count / of > 0.999 else f"{count / of:.1%}"


def reason_lines(
    rows: Iterable[tuple[str, str, str]], where: str = "in evidence.json"
) -> list[str]:
    """Fold tensors with one reason into one line."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for checkpoint, reason, tensor in rows:
        found[checkpoint, reason].append(tensor)
    lines = [
        f"{len(names):,} of {printable(checkpoint)}: {printable(reason)} (as {printable(names[0])})"
        for (checkpoint, reason), names in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    rest = len(lines) - REASONS_SHOWN
    more = [f"... and {rest:,} more reasons; all are {where}"] if rest > 0 else []
    return lines[:REASONS_SHOWN] + more
