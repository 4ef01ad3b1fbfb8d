"""What a notebook shows of a trace."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from parentage.evidence.tables import rows_of

if TYPE_CHECKING:
    from parentage.checkpoint import Columns
    from parentage.evidence.tables import Tables
    from parentage.verdict import Verdict

_SHOWN = ("component", "n", "r2", "cosine")


def html(verdict: Verdict, tables: Tables, columns: Columns) -> str:
    """Return the verdict and a table of components; markup in names is inert."""
    head = (*_SHOWN, *(f"ols {name}" for name in columns.parents))
    rows = (
        [*(row[name] for name in _SHOWN), *(single[name]["ols"] for name in columns.parents)]
        for row, single in rows_of(tables.components, columns)
    )
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_short(x))}</td>" for x in row) + "</tr>" for row in rows
    )
    return (
        f"<p><b>{escape(verdict.kind)}</b> ({escape(verdict.level)}): "
        f"{escape(verdict.text)}</p><table><tr>{titles}</tr>{body}</table>"
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
