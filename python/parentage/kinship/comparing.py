"""Compares checkpoints with each other, each pair by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import polars as pl

from parentage import _core
from parentage.checkpoint import as_checkpoint, distinct_names
from parentage.kinship.pairwise import pair_of
from parentage.stream import SILENT, Options, choose_io
from parentage.support import printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.checkpoint import Given
    from parentage.kinship.pairwise import Pair
    from parentage.relatives import Degrees
    from parentage.stream import Progress

SCHEMA = "parentage.comparison/1"

MATRIX = {
    "first": pl.String,
    "second": pl.String,
    "relation": pl.String,
    "level": pl.String,
    "cosine": pl.Float64,
    "equal": pl.Float64,
    "distance": pl.Float64,
    "null": pl.Float64,
    "elements": pl.Int64,
}
"""Columns of :attr:`Comparison.table`."""


@dataclass(frozen=True)
class Comparison:
    """What checkpoints are to each other, pair by pair. No order is tested, and none is said."""

    names: tuple[str, ...]
    """The checkpoints, in the order in which they were given."""
    pairs: tuple[Pair, ...]
    """Each two of them, the earlier one first."""

    @property
    def table(self) -> pl.DataFrame:
        """One row per pair: relation, cosine, share that is equal, distance, null."""
        rows = [[getattr(each, name) for name in MATRIX] for each in self.pairs]
        frame = pl.DataFrame(rows, schema=MATRIX, orient="row")
        return frame.with_columns(pl.selectors.float().fill_nan(None))

    def relation(self, first: str, second: str) -> str:
        """Return the relation of two checkpoints, by name in any order.

        Raises
        ------
        KeyError
            If there is no such pair.
        """
        for each in self.pairs:
            if {each.first, each.second} == {first, second}:
                return each.relation
        raise KeyError((first, second))

    @property
    def document(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "schema": SCHEMA,
            "checkpoints": list(self.names),
            "pairs": [each.as_dict() for each in self.pairs],
        }

    def to_json(self) -> str:
        """Return :attr:`document` as JSON text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def __repr__(self) -> str:
        said = (
            f"{printable(each.first)} and {printable(each.second)}: {each.relation}"
            for each in self.pairs
        )
        return f"<Comparison {'; '.join(said)}>"


def compare(
    first: Given,
    second: Given,
    *more: Given,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    degrees: Degrees | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Say what checkpoints are to each other; no base is needed, and no order is said.

    Parameters
    ----------
    first, second, more
        Checkpoints or sketches, or mappings of tensors in memory. Each two of them are compared in
        one pass over both, and in a second one where they are stored in different dtypes.
    threads, tile_bytes, io
        As in :func:`parentage.trace`.
    degrees
        The thresholds between the degrees (:class:`parentage.relatives.Degrees`).
    progress
        Told of the bytes of each pair.

    Returns
    -------
    Comparison
        A relation for each pair, with tables by component, layer and slice.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable, or given twice.

    Examples
    --------
    >>> import parentage
    >>> from parentage.demo import family
    >>> found = parentage.compare(family("parent"), family("sibling"))
    >>> found.pairs[0].relation
    'close relatives'
    """
    found = [as_checkpoint(each) for each in (first, second, *more)]
    names = distinct_names(found)
    found = [replace(each, name=name) for each, name in zip(found, names, strict=True)]
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, sum(each.disk_bytes for each in found)),
    )
    pairs = tuple(pair_of(a, b, options, progress, degrees) for a, b in combinations(found, 2))
    return Comparison(tuple(names), pairs)
