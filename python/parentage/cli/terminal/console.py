"""The terminal: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from parentage.cli.terminal.grid import Grid
from parentage.cli.terminal.progress import Bar
from parentage.stream import SILENT, Progress
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from parentage.checkpoint import Traffic


REASONS_SHOWN = 6
"""Lines of reasons why tensors were left out, before the others are counted."""

LEAST_WIDTH = 40
"""Columns below which a terminal does not say how wide it is, as one of none does."""

PIPE_WIDTH = 120
"""Columns of a file or a pipe, which have no width: eighty would only fold tables."""

_WORDS = frozenset({"a tensor of it", "dtype", "shape", "component", "file"})
"""Headers of columns of words, which are set flush left."""


class Terminal:
    """Prints results and messages; knows whether to be quiet and whether to use colour."""

    def __init__(self, *, quiet: bool = False, color: bool = True) -> None:
        self.quiet = quiet
        self.out = _console(color=color, stderr=False)
        self._folds = is_terminal(sys.stdout) or "COLUMNS" in os.environ
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

    def indent(self, lines: Iterable[str], by: int = 4) -> None:
        """Print lines that belong to the one above; in files and pipes, none of them is folded."""
        for line in lines:
            if self._folds:
                self.prose(line, by)
            else:
                self.out.print(Text(" " * by + line), soft_wrap=True)

    def table(self, grid: Grid) -> None:
        """Print a table, which fits as it is."""
        self.out.print(grid, crop=False)

    def prose(self, line: str, by: int = 2, style: str = "") -> None:
        """Print a line, folded where it is too long, all of it indented."""
        self.out.print(Padding(Text(line, style=style), (0, 0, 0, by)))

    def error(self, message: str) -> None:
        """Print an error message."""
        self.err.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a message that is no result, unless quiet."""
        if not self.quiet:
            self.err.print(Text(printable(message)), soft_wrap=True)

    @contextmanager
    def watching(self, traffic: Traffic | None = None) -> Iterator[Progress]:
        """Give a progress that shows a bar, on terminals, and first looks; nothing if quiet.

        ``traffic`` is shown with it, and told at the end, if there was any.
        """
        if self.quiet:
            yield SILENT
            return
        bar = Bar(self.err, traffic)
        try:
            yield bar
        finally:
            bar.stop()
            if traffic is not None and traffic.requests:
                self.note(f"network: {traffic}")


class _Stripped:
    """A stream of text that is written without the blanks at the ends of lines."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text of whole lines."""
        self._stream.write(_BLANKS.sub(r"\1", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_BLANKS = re.compile(r"[ \t]+((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)
"""Blanks before the end of a line, and the end of their colour."""


def _console(*, color: bool, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    is_plain = not color or bool(os.environ.get("NO_COLOR"))
    console = Console(
        stderr=stderr,
        file=None if stderr or stream is None else cast("IO[str]", _Stripped(stream)),
        # Without a colour system there are no escapes at all, and no terminal moves its cursor.
        color_system=None if is_plain else "auto",
        force_terminal=False if is_plain else None,
        no_color=True if is_plain else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if is_terminal(stream) or "COLUMNS" in os.environ:
        console.width = max(console.width, LEAST_WIDTH)
    else:
        console.width = PIPE_WIDTH
    return console


def is_terminal(stream: IO[str] | None) -> bool:
    """Return whether somebody sees what is written to a stream as it comes."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def new_table(*headers: str) -> Grid:
    """Return an empty table: numbers flush right, the first column and words flush left."""
    words = [at for at, header in enumerate(headers) if at == 0 or header in _WORDS]
    return Grid([printable(header) for header in headers], words)


def as_text(name: str) -> Text:
    """Return a name with everything escaped that could act on a terminal."""
    return Text(printable(name))


def counted(number: int, noun: str) -> str:
    """Return a number of things, the noun in its plural where there is not one.

    >>> counted(1, "file"), counted(2000, "tensor")
    ('1 file', '2,000 tensors')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def as_number(value: float | None, form: str) -> str:
    """Return a number in a format, a dash for none.

    >>> as_number(-1e-12, ".2f"), as_number(None, ".2f")
    ('0.00', '-')
    """
    # Adding zero turns a negative zero, and what rounds to it, into a plain one.
    return "-" if value is None else format(round(value, 9) + 0.0, form)


def as_share(part: int, whole: int) -> str:
    """Return a share in percent that says 100 % only of all.

    >>> as_share(1, 3), as_share(99_999, 100_000), as_share(3, 3), as_share(0, 0)
    ('33.3%', '99.999%', '100 %', '-')
    """
    if whole == 0:
        return "-"
    if part == whole:
        return "100 %"
    return f"{min(part / whole, 0.99999):.3%}" if part / whole > 0.999 else f"{part / whole:.1%}"


def reason_lines(
    rows: Iterable[tuple[str, str, str]], where: str = "in evidence.json"
) -> list[str]:
    """Return a line for each reason why tensors were left out, those of most tensors first.

    Rows are (checkpoint, reason, tensor). ``where`` says where the reasons are that are not shown.
    """
    tensors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for checkpoint, reason, tensor in rows:
        tensors[checkpoint, reason].append(tensor)
    lines = [
        f"{len(names):,} of {printable(checkpoint)}: {printable(reason)} (as {printable(names[0])})"
        for (checkpoint, reason), names in sorted(tensors.items(), key=lambda item: -len(item[1]))
    ]
    rest = len(lines) - REASONS_SHOWN
    more = [f"... and {rest:,} more reasons; all are {where}"] if rest > 0 else []
    return lines[:REASONS_SHOWN] + more
