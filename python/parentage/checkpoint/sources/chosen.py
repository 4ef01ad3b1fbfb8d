"""Chooses the kind of place by what is given."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from parentage.checkpoint.sources import local
from parentage.checkpoint.sources.memory import not_a_checkpoint
from parentage.checkpoint.sources.names import may_be_repository, scheme_of
from parentage.support import CheckpointError, printable

if TYPE_CHECKING:
    from os import PathLike

    from parentage.checkpoint.network.network import Network
    from parentage.checkpoint.sources.source import Opened, Source

REMOTE = {
    "hf": "hub",
    "http": "web",
    "https": "web",
    "s3": "buckets",
    "gs": "buckets",
    "az": "buckets",
}
"""Which module opens what stands before ``://``; imported when it is."""


def source_of(given: str | PathLike[str]) -> Source:
    """Return the kind of place that a checkpoint is in.

    Raises
    ------
    CheckpointError
        If it begins as an address that nothing here reads, or is no name of anything.
    """
    if not isinstance(given, str | os.PathLike):
        raise not_a_checkpoint(given)
    scheme = scheme_of(given)
    if not scheme:
        return _remote("hub") if may_be_repository(given) else local
    if scheme not in REMOTE:
        known = ", ".join(f"{each}://" for each in REMOTE)
        raise CheckpointError(
            f"{printable(scheme)}://: no place that checkpoints are read from; those are paths, "
            f"{known} and org/name"
        )
    return _remote(REMOTE[scheme])


def _remote(module: str) -> Source:
    found: Source = import_module(f"parentage.checkpoint.sources.{module}")
    return found


def open_source(given: str | PathLike[str], network: Network | None = None) -> Opened:
    """Read the headers of a checkpoint, wherever it is."""
    return source_of(given).open(given, network)
