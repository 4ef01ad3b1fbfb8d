"""Shows what checkpoints are to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from parentage.cli.terminal.console import as_number, as_text, new_table
from parentage.support import printable

if TYPE_CHECKING:
    import polars as pl

    from parentage.cli.terminal.console import Terminal
    from parentage.cli.terminal.grid import Grid
    from parentage.kinship import Comparison, Pair

STYLES = {
    "identical": "bold red",
    "re-encoded": "bold red",
    "close relatives": "bold yellow",
    "one family": "bold yellow",
    "unrelated": "bold green",
    "undetermined": "bold blue",
    "not compared": "bold blue",
}

SHORT = {
    "identical": "identical",
    "re-encoded": "re-encoded",
    "close relatives": "close",
    "one family": "family",
    "unrelated": "unrelated",
    "undetermined": "?",
    "not compared": "-",
}
"""How relations are called in a matrix."""


def show_comparison(terminal: Terminal, found: Comparison, *, layers: bool = False) -> None:
    """Print relations, with a row for every layer if ``layers``; of more than one pair a matrix."""
    if len(found.pairs) > 1:
        terminal.out.print()
        terminal.table(_matrix(found))
    for each in found.pairs:
        _show_pair(terminal, each, tables=len(found.pairs) == 1, layers=layers)


def _show_pair(terminal: Terminal, found: Pair, *, tables: bool, layers: bool) -> None:
    terminal.out.print()
    terminal.out.print(
        Text.assemble(
            (printable(f"{found.first} and {found.second}: "), "bold"),
            (found.relation, STYLES[found.relation]),
            f" ({found.level})",
        ),
        soft_wrap=True,
    )
    terminal.prose(printable(found.text))
    if tables and len(found.components):
        terminal.table(_groups("component", found.components))
    if layers and len(found.layers):
        terminal.table(_groups("layer", found.layers))


def _groups(key: str, table: pl.DataFrame) -> Grid:
    """Return a row for every component or layer."""
    rows = new_table(key, "elements", "equal", "cosine", "distance", "relation")
    for each in table.iter_rows(named=True):
        rows.add_row(
            as_text(str(each[key])),
            f"{each['elements']:,}",
            as_number(None if each["equal"] is None else 100 * each["equal"], ".2f") + "%"
            if each["equal"] is not None
            else "-",
            as_number(each["cosine"], ".4f"),
            as_number(each["distance"], ".4f"),
            as_text(each["relation"]),
        )
    return rows


def _matrix(found: Comparison) -> Grid:
    """Return relations and cosines of all pairs, each in the upper half."""
    rows = new_table("", *found.names)
    by_pair = {(each.first, each.second): each for each in found.pairs}
    for first in found.names:
        cells = []
        for second in found.names:
            pair = by_pair.get((first, second))
            if pair is None:
                cells.append("")
                continue
            is_known = pair.cosine == pair.cosine
            cosine = f" {as_number(pair.cosine, '.3f')}" if is_known else ""
            cells.append(f"{SHORT[pair.relation]}{cosine}")
        rows.add_row(as_text(first), *cells)
    return rows
