"""The family around a checkpoint as a picture: a tree whose lines are as long as distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from parentage.report import FORMATS, Figure, drawn
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.relatives.found import Found

ROW = 26
"""Pixels from a node of the tree to the one below."""

MOST_NAME = 60
"""Characters of a name that are drawn."""

MOST_ORDERS = 3
"""Orders that are told in words; the arrows have all."""

SHAPE = {
    "kind": pl.String,
    "line": pl.Int64,
    "at": pl.Int64,
    "x": pl.Float64,
    "y": pl.Float64,
    "name": pl.String,
    "said": pl.String,
    "mark": pl.String,
}
"""Columns of what is drawn: corners of ``line``, in the order ``at``; ``node``; ``arrow``."""


def picture(found: Found, file_format: str = "svg", theme: str = "light") -> bytes | None:
    """Return the tree of a family as the bytes of a picture; ``None`` without relatives.

    Parameters
    ----------
    found
        What a search found.
    file_format
        ``"svg"`` or ``"png"``.
    theme
        ``"light"`` or ``"dark"``.

    Raises
    ------
    ReportError
        If what draws pictures can not be loaded.
    ValueError
        If there is no such format.
    """
    if file_format not in FORMATS:
        raise ValueError(f"a picture is {' or '.join(FORMATS)}, not {file_format!r}")
    if not len(found.tree):
        return None
    return drawn(_figure(found), file_format, theme)


def _figure(found: Found) -> Figure:
    frame = laid_out(found)
    count = len(found.tree)
    first = found.tree.row(0, named=True)
    orders = [shortened(each) for each in found.tree["order"].drop_nulls().to_list()]
    if len(orders) > MOST_ORDERS:
        orders = [*orders[:MOST_ORDERS], f"{len(orders) - MOST_ORDERS} more"]
    told = (
        f"Arrows go from what came first, where that was tested: {listed(orders)}."
        if orders
        else "No order is decided: a line has no direction."
    )
    relatives = "1 relative" if count == 1 else f"{count} relatives"
    alt = (
        f"The shortest tree over {shortened(found.child)} and {relatives} in a library of "
        f"{found.searched:,}; {shortened(str(first['second']))} is the nearest, at "
        f"{first['distance']:.3g} of the child's length. {told} A line is no descent."
    )
    return Figure(
        name="family",
        title=f"Relatives of {shortened(found.child)}",
        caption="Distances are summed from left to right; up and down means nothing.",
        alt=alt,
        frame=frame,
        subject="relatives",
        spec=_spec(float(frame["y"].max() or 0.0)),  # type: ignore[arg-type]
        columns=(("name", "name"), ("said", "what is known")),
    )


def laid_out(found: Found) -> pl.DataFrame:
    """Return where everything is drawn, as rows of :data:`SHAPE`.

    A node lies as far to the right as the lines from the child to it are long, and has a row of its
    own, so that names do not meet.
    """
    children: dict[str, list[str]] = {}
    edges: dict[str, tuple[str, float, str | None]] = {}
    for first, second, distance, order in found.tree.iter_rows():
        children.setdefault(first, []).append(second)
        edges[second] = (first, float(distance), order)
    root = found.called
    x, y = {root: 0.0}, _heights(root, children)
    for first, second, distance, _ in found.tree.iter_rows():
        x[second] = x[first] + float(distance)
    weights = dict(found.blend) if len(found.blend) > 1 else {}
    rows: list[tuple[object, ...]] = []
    for number, (name, (first, _, order)) in enumerate(edges.items()):
        corners = ((x[first], y[first]), (x[first], y[name]), (x[name], y[name]))
        rows += [("line", number, at, *corner, "", "", "") for at, corner in enumerate(corners)]
        if order is not None:
            mark = "to the left" if order == f"{name} first" else "to the right"
            middle = (x[first] + x[name]) / 2
            rows.append(("arrow", number, 0, middle, y[name], "", printable(order), mark))
    for number, name in enumerate(x):
        said = [f"{weights[name]:.3f} in the blend"] if name in weights else []
        said += ["lines meet here"] if name == found.base else []
        mark = "child" if name == root else "relative"
        rows.append(("node", number, 0, x[name], y[name], shortened(name), ", ".join(said), mark))
    return pl.DataFrame(rows, schema=SHAPE, orient="row")


def _heights(root: str, children: Mapping[str, list[str]]) -> dict[str, float]:
    """Return the rows of nodes, each below what it hangs on, and the nearest branches first."""
    y: dict[str, float] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        y[node] = float(len(y))
        stack.extend(reversed(children.get(node, ())))
    return y


def shortened(name: str) -> str:
    """Return a name as it is drawn: nothing in it acts, and it is not endless.

    >>> shortened("a" * 100) == "a" * 59 + "…"
    True
    """
    text = printable(name)
    return text if len(text) <= MOST_NAME else f"{text[: MOST_NAME - 1]}…"


def _spec(bottom: float) -> dict[str, Any]:
    """Return the chart of Vega-Lite, without data; names are data of it, and no part."""
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "distance along the tree, as a share of the child's length",
        "axis": {"grid": False, "tickCount": 5},
        "scale": {"zero": True, "nice": False},
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [bottom + 0.5, -0.5], "nice": False},
    }
    place = {"x": x, "y": y}
    nodes = [_only("node")]
    text = {"type": "text", "align": "left", "baseline": "middle"}

    def marked(field: str, names: list[str], values: list[Any]) -> dict[str, Any]:
        scale = {"domain": names, "range": values}
        return {"field": field, "type": "nominal", "scale": scale, "legend": None}

    ends = ["child", "relative"]
    return {
        "data": {"name": "rows"},
        "height": ROW * (bottom + 1.0),
        "layer": [
            {
                "transform": [_only("line")],
                "mark": {"type": "line", "color": "@muted", "strokeWidth": 1.5},
                "encoding": {
                    **place,
                    "detail": {"field": "line", "type": "nominal"},
                    "order": {"field": "at", "type": "quantitative"},
                },
            },
            {
                "transform": [_only("arrow")],
                "mark": {"type": "point", "shape": "triangle-right", "filled": True, "size": 90,
                         "color": "@ink", "opacity": 1},
                "encoding": {
                    **place,
                    "angle": marked("mark", ["to the right", "to the left"], [0, 180]),
                },
            },
            {
                "transform": nodes,
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {
                    **place,
                    "size": marked("mark", ends, [110, 60]),
                    "color": marked("mark", ends, ["@parent", "@base"]),
                },
            },
            {
                "transform": nodes,
                "mark": {**text, "dx": 9, "dy": -7, "fontSize": 12},
                "encoding": {**place, "text": {"field": "name"}},
            },
            {
                "transform": nodes,
                "mark": {**text, "dx": 9, "dy": 6, "fontSize": 10, "color": "@muted"},
                "encoding": {**place, "text": {"field": "said"}},
            },
        ],
    }  # fmt: skip


def _only(kind: str) -> dict[str, Any]:
    return {"filter": {"field": "kind", "equal": kind}}
