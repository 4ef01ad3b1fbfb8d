"""The family around a checkpoint as a tree of nearest relatives, as a table and as Mermaid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.support import Floats

TREE = {
    "first": pl.String,
    "second": pl.String,
    "distance": pl.Float64,
    "order": pl.String,
}
"""Columns of a tree: ``order`` says which of the two came first, where that was decided."""

_ENTITIES = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "#": "#35;"}


def tree(
    names: Sequence[str], gram: Floats, scale: float, ancestors: Mapping[str, bool]
) -> pl.DataFrame:
    """Return the shortest tree over relatives and the child, an edge a row.

    Parameters
    ----------
    names
        K + 1 names, the child's last.
    gram
        (K, K) inner products of the others' differences from the child.
    scale
        Length of the child, that distances are told as a share of.
    ancestors
        By name, those for which a test decided who came first: whether it was before the child.

    Returns
    -------
    polars.DataFrame
        The tree of least total distance (Prim 1957). An edge is no descent; only edges at the
        child may say an order.
    """
    count = len(gram)
    full = np.zeros((count + 1, count + 1))
    full[:count, :count] = gram
    squares = np.diagonal(full)
    distance = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2.0 * full, 0.0))
    inside, rows = [count], []
    while len(inside) <= count:
        outside = [at for at in range(count + 1) if at not in inside]
        part = distance[np.ix_(inside, outside)]
        row, column = np.unravel_index(int(part.argmin()), part.shape)
        first, second = inside[int(row)], outside[int(column)]
        order = None
        if first == count and names[second] in ancestors:
            earlier = names[second] if ancestors[names[second]] else names[count]
            order = f"{earlier} first"
        length = float(part[row, column]) / scale if scale > 0 else 0.0
        rows.append((names[first], names[second], length, order))
        inside.append(second)
    return pl.DataFrame(rows, schema=TREE, orient="row")


def mermaid(table: pl.DataFrame, child: str) -> str:
    """Return a tree as a Mermaid flow chart; lines have arrows only where an order was decided.

    >>> frame = pl.DataFrame([("a", "b", 0.5, None)], schema=TREE, orient="row")
    >>> print(mermaid(frame, "a"))
    graph TD
      n0["a"]:::child
      n1["b"]
      n0 -- "0.5" --- n1
      classDef child stroke-width:3px
    """
    names = list(dict.fromkeys([child, *table["first"].to_list(), *table["second"].to_list()]))
    numbers = {name: f"n{at}" for at, name in enumerate(names)}
    lines = ["graph TD"]
    for name, number in numbers.items():
        mark = ":::child" if name == child else ""
        lines.append(f'  {number}["{escaped(name)}"]{mark}')
    for first, second, distance, order in table.iter_rows():
        ends = (numbers[first], numbers[second])
        if order is not None and order == f"{second} first":
            ends = ends[::-1]
        line = "---" if order is None else "-->"
        lines.append(f'  {ends[0]} -- "{distance:.3g}" {line} {ends[1]}')
    lines.append("  classDef child stroke-width:3px")
    return "\n".join(lines)


def escaped(name: str) -> str:
    """Return a name that means nothing to Mermaid, or to what shows it.

    >>> escaped('<b>"x"')
    '#lt;b#gt;#quot;x#quot;'
    """
    return "".join(_ENTITIES.get(each, each) for each in printable(name))
