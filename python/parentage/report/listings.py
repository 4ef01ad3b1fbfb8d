"""Tables of a report that are written out, and text that others left, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parentage.report.facts import RELATIONS, TESTS
from parentage.report.shares import share_of
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.report.document import Document
    from parentage.report.figure import Figure

MOST_ROWS = 200
"""Rows of a table that is written out."""

MOST_LINES = 400
"""Lines of what other commands left beside the evidence that are shown."""

MOST_DEPTH = 4
"""Depth to which these are shown by lines."""

MOST_TEXT = 2000
"""Characters of a text in them."""

MOST_RATIO = 1e4
"""Residuals in units of rounding beyond which a table says no more than that."""

NOTHING = "\u2013"
"""What stands for what is not known."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    is_number: bool = False


def shown_figure(figure: Figure) -> dict[str, Any]:
    """Return a picture as the template takes it, with its table."""
    chosen = figure.frame.select([name for name, _ in figure.columns]).head(MOST_ROWS)
    left = figure.frame.height - chosen.height
    return {
        "name": figure.name,
        "title": figure.title,
        "alt": figure.alt,
        "caption": figure.caption,
        "wide": figure.is_wide,
        "titles": [title for _, title in figure.columns],
        "rows": [
            [Cell(number(x), isinstance(x, float | int)) for x in row] for row in chosen.rows()
        ],
        "cut": f": the first {chosen.height:,} of {figure.frame.height:,} rows" if left else "",
    }


def number(value: Any) -> str:
    """Return a value in few characters."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, float | int):
        return printable(str(value))
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.5g}"


def components_table(document: Document) -> dict[str, Any]:
    """Return the table of parts of the model, the whole of it first."""
    parents = [each.name for each in document.inputs.parents]
    titles = ["part", "elements", "same bits as the base"]
    titles += [f"weight of {printable(name)}" for name in parents]
    titles += ["R²", "left over ÷ rounding", "reproduced"]
    rows = []
    base = document.inputs.base.name
    for name, each in [("all of it", document.model), *document.components.items()]:
        equal = each.bit_equal.get(base)
        row = [
            printable(name),
            f"{each.n:,}",
            NOTHING if equal is None or not each.n else share_of(equal / each.n),
        ]
        for parent in parents:
            weight = each.weights.get(parent)
            row.append(
                NOTHING
                if weight is None
                else _weight(
                    weight.cells, weight.cells_half_width, weight.ols, weight.standard_error
                )
            )
        ratio = each.residual_rms_free / each.rounding_rms if each.rounding_rms else None
        row += [
            NOTHING if each.r2 is None else f"{each.r2:.5f}",
            _ratio(ratio),
            NOTHING if each.exact_share is None else share_of(each.exact_share),
        ]
        rows.append([Cell(text) for text in row])
    return {"titles": titles, "rows": rows}


def _ratio(value: float | None) -> str:
    """Return a residual in units of rounding as text."""
    if value is None:
        return NOTHING
    return f"{value:.3g}" if value < MOST_RATIO else f"more than {MOST_RATIO:,.0f}"


def _weight(cells: float | None, half: float | None, ols: float | None, se: float | None) -> str:
    """Return a weight with what it is from, and how sure it is."""
    if cells is not None:
        return f"{cells:.4f} ± {half or 0.0:.1g} (cells)"
    if ols is not None:
        return f"{ols:.4f} ± {2 * (se or 0.0):.1g} (least squares)"
    return NOTHING


def relations_table(document: Document) -> list[dict[str, str]]:
    """Return what each checkpoint is to the child, and what decided it."""
    roles = {each.name: role for role, each in document.others}
    return [
        {
            "name": printable(each.checkpoint),
            "role": roles.get(each.checkpoint, NOTHING),
            "relation": f"{each.relation}: {RELATIONS[each.relation]}"
            if each.relation in RELATIONS
            else printable(each.relation),
            "test": "nothing" if each.test is None else TESTS.get(each.test, printable(each.test)),
        }
        for each in document.relations
    ]


def printable_lines(text: str) -> str:
    """Return text whose lines can be shown."""
    return "\n".join(printable(line) for line in text.split("\n"))


def walk(value: Any) -> Iterator[tuple[int, str, str]]:
    """Yield (depth, key, text) of nested JSON, so many lines of it as are shown.

    >>> list(walk({"a": {"b": 1}, "c": [True]}))
    [(0, 'a', ''), (1, 'b', '1'), (0, 'c', ''), (1, '1', 'true')]
    """
    for count, line in enumerate(_lines(value, 0)):
        if count >= MOST_LINES:
            yield 0, "…", "and more, in the file"
            return
        yield line


def _lines(value: Any, depth: int) -> Iterator[tuple[int, str, str]]:
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = [(str(number), each) for number, each in enumerate(value, 1)]
    else:
        entries = [("", value)]
    for key, each in entries:
        name = printable(str(key))[:MOST_TEXT]
        if isinstance(each, dict | list) and each and depth < MOST_DEPTH:
            yield depth, name, ""
            yield from _lines(each, depth + 1)
            continue
        text = each if isinstance(each, str) else json.dumps(each, ensure_ascii=False, default=str)
        yield (
            depth,
            name,
            printable_lines(text[:MOST_TEXT]) + ("…" if len(text) > MOST_TEXT else ""),
        )
