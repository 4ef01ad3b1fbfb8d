"""What other commands left beside the evidence, as blocks: sentences, tables, and lines.

Nothing is known of it but that it is JSON: lists of objects become tables, texts sentences, and the
rest is told line by line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ROWS = 200
"""Rows of a table that are shown."""

MOST_COLUMNS = 12
"""Columns of a table that are shown."""

MOST_TEXT = 600
"""Characters of a cell or sentence that are shown."""

MOST_INSIDE = 8
"""Entries of a list or object in a cell that are shown."""

FIRST = ("level", "note", "summary", "sentences", "claims", "prompts")
"""Keys whose content is shown at once, in this order; that of others is folded."""


@dataclass(frozen=True)
class Block:
    """A part of what is shown: sentences, a table, or lines of nested JSON."""

    title: str
    sentences: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    lines: Any = None
    left: int = 0
    """Rows or sentences that are not shown."""


def blocks_of(value: Any, title: str) -> tuple[list[Block], list[Block]]:
    """Return what is shown at once of a JSON value, and what is folded."""
    if not isinstance(value, dict):
        return [_block(title, value)], []
    first = [_block(key, value[key]) for key in FIRST if value.get(key)]
    rest = [_block(str(key), each) for key, each in value.items() if key not in FIRST and each]
    return (first, rest) if first else (rest, [])


def _block(title: str, value: Any) -> Block:
    name = cell_text(title).replace("_", " ")
    if isinstance(value, str):
        return Block(name, sentences=[cell_text(value)])
    if isinstance(value, list) and value:
        shown, left = value[:MOST_ROWS], max(0, len(value) - MOST_ROWS)
        if all(isinstance(each, str) for each in value):
            return Block(name, sentences=[cell_text(each) for each in shown], left=left)
        if all(isinstance(each, dict) for each in value):
            titles = _titles(shown)
            rows = [[cell_text(each.get(key)) for key in titles] for each in shown]
            told = [cell_text(each).replace("_", " ") for each in titles]
            return Block(name, titles=told, rows=rows, left=left)
    return Block(name, lines=value)


def _titles(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the keys of objects that hold something in any of them, in their order."""
    found: dict[str, None] = {}
    for row in rows:
        for key, value in row.items():
            if value not in (None, "", [], {}):
                found.setdefault(key)
    return list(found)[:MOST_COLUMNS]


def cell_text(value: Any, depth: int = 0) -> str:
    r"""Return a JSON value as the text of a cell.

    >>> cell_text({"standing": "agrees", "by": ["a", "b"]}), cell_text(None), cell_text("a\x1b")
    ('standing: agrees; by: a, b', '', 'a\\x1b')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        told = "\n".join(printable(line) for line in value[: MOST_TEXT + 1].split("\n"))
    elif isinstance(value, dict | list) and depth > 1:
        told = f"{len(value):,} entries"
    elif isinstance(value, dict):
        told = "; ".join(
            f"{printable(str(key))}: {cell_text(each, depth + 1)}"
            for key, each in list(value.items())[:MOST_INSIDE]
        )
    elif isinstance(value, list):
        told = ", ".join(cell_text(each, depth + 1) for each in value[:MOST_INSIDE])
    else:
        told = json.dumps(value)
    if isinstance(value, dict | list) and depth <= 1 and len(value) > MOST_INSIDE:
        told += f" and {len(value) - MOST_INSIDE:,} more"
    return told if len(told) <= MOST_TEXT else f"{told[:MOST_TEXT]}…"
