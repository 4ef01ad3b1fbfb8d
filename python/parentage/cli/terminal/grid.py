"""Tables that fit: no line is wider than the terminal, and no number is broken over two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions
    from rich.text import Text

GAP = "   "
"""Between columns."""

NAMES = 16
"""Characters that names are not cut below, to make a table fit."""

LONGEST = 200
"""Characters of a name from which on it is cut in any table."""

_HEADER = Style(bold=True)


class Grid:
    """A table that is laid out when it is printed, for the width that there is.

    Headers fold at their blanks. If that is not enough, names are cut in their middle. If that is
    not enough either, the columns are told in several tables, each with the names in front.

    Parameters
    ----------
    headers
        What the columns are.
    words
        The positions of columns of words, which are set flush left and may be cut; all others hold
        numbers, are set flush right, and never cut.
    """

    def __init__(self, headers: Sequence[str], words: Sequence[int] = (0,)) -> None:
        self.headers = [" ".join(header.split()) for header in headers]
        self.words = frozenset(words)
        self.rows: list[list[str]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; names in it are to be printable."""
        self.rows.append(
            [
                cut(str(cell), LONGEST) if position in self.words else str(cell)
                for position, cell in enumerate(cells)
            ]
        )

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Lay it out for a console."""
        rule = "-" if options.ascii_only else "\u2500"
        for columns, widths in self.blocks(options.max_width):
            yield Segment("\n")
            for line in self._header(columns, widths):
                yield Segment(line, _HEADER)
                yield Segment("\n")
            yield Segment(f" {rule * (sum(widths) + len(GAP) * (len(widths) - 1))}\n")
            # One piece: a checkpoint may have a hundred thousand tensors, with a row for each.
            lines = (
                self._line([row[column] for column in columns], columns, widths) + "\n"
                for row in self.rows
            )
            yield Segment("".join(lines))
        yield Segment("\n")

    def blocks(self, width: int) -> list[tuple[list[int], list[int]]]:
        """Return the columns of every table that this one is told in, and their widths."""
        cells = [
            max((_length(row[column]) for row in self.rows), default=0)
            for column in range(len(self.headers))
        ]
        blocks: list[tuple[list[int], list[int]]] = []
        rest = list(range(1, len(self.headers)))
        while True:
            taken = len(rest)
            while True:
                columns = [0, *rest[:taken]]
                widths = self._widths(columns, cells, width)
                if widths is not None or taken <= 1:
                    break
                taken -= 1
            blocks.append((columns, widths or self._least(columns, cells)))
            rest = rest[taken:]
            if not rest:
                return blocks

    def _widths(self, columns: Sequence[int], cells: Sequence[int], width: int) -> list[int] | None:
        """Return widths with which columns fit; ``None`` if there are none."""
        room = width - 1 - len(GAP) * (len(columns) - 1)
        for lines in (1, 2):
            widths = [max(cells[i], _folded(self.headers[i], lines)) for i in columns]
            if sum(widths) <= room:
                return widths
        # Names give way, the longest first.
        widths = [max(cells[i], _word_of(self.headers[i])) for i in columns]
        names = [at for at, i in enumerate(columns) if i in self.words]
        floors = {at: self._floor(columns[at], cells) for at in names}
        while sum(widths) > room:
            longest = max(names, key=lambda at: widths[at] - floors[at])
            if widths[longest] <= floors[longest]:
                return None
            widths[longest] -= 1
        return widths

    def _least(self, columns: Sequence[int], cells: Sequence[int]) -> list[int]:
        """Return the widths below which nothing can be told: numbers stay whole."""
        return [
            self._floor(i, cells) if i in self.words else max(cells[i], _word_of(self.headers[i]))
            for i in columns
        ]

    def _floor(self, column: int, cells: Sequence[int]) -> int:
        return max(min(cells[column], NAMES), _word_of(self.headers[column]))

    def _header(self, columns: Sequence[int], widths: Sequence[int]) -> list[str]:
        """Return the lines of the header, the last of every column on the lowest."""
        folded = [_fold(self.headers[i], width) for i, width in zip(columns, widths, strict=True)]
        height = max(map(len, folded))
        lines = [[""] * (height - len(each)) + each for each in folded]
        return [self._line(list(line), columns, widths) for line in zip(*lines, strict=True)]

    def _line(self, cells: Sequence[str], columns: Sequence[int], widths: Sequence[int]) -> str:
        parts = []
        for cell, column, width in zip(cells, columns, widths, strict=True):
            is_word = column in self.words
            shown = cut(cell, width) if is_word else cell
            blanks = " " * (width - _length(shown))
            parts.append(shown + blanks if is_word else blanks + shown)
        return (" " + GAP.join(parts)).rstrip()


def cut(text: str, width: int) -> str:
    """Return text that is no wider than ``width``, without its middle if need be.

    >>> cut("model.layers.0.mlp.up_proj.weight", 16)
    'model.l…j.weight'
    """
    if _length(text) <= width:
        return text
    if text.isascii():
        tail = width // 2
        return f"{text[: width - tail - 1]}\u2026{text[len(text) - tail :]}"
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "\u2026"


def _length(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _longest_word(header: str) -> int:
    return max((_length(word) for word in header.split(" ")), default=0)


def _word_of(header: str) -> int:
    """Return the width below which a header is not folded; its words may be names, and are cut."""
    return min(_longest_word(header), NAMES)


def _fold(header: str, width: int) -> list[str]:
    """Return a header in lines no wider than ``width``, where its words allow that."""
    lines = [""]
    for word in header.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if _length(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(cut(word, width))
    return [line for line in lines if line] or [""]


def _folded(header: str, lines: int) -> int:
    """Return the least width with which a header takes no more than so many lines."""
    width = _longest_word(header)
    while len(_fold(header, width)) > lines:
        width += 1
    return width
