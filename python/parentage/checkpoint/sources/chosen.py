"""Chooses the kind of place by what is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint.sources import local

if TYPE_CHECKING:
    from os import PathLike

    from parentage.checkpoint.sources.source import Opened, Source

SOURCES: tuple[Source, ...] = (local,)
"""In the order in which they are asked; the last one takes what is left."""


def open_source(given: str | PathLike[str]) -> Opened:
    """Read the headers of a checkpoint, wherever it is."""
    source = next(source for source in SOURCES if source.serves(given))
    return source.open(given)
