"""What every kind of place has to offer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from parentage.support import ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from parentage import _core
    from parentage.checkpoint.encodings import Encoding
    from parentage.checkpoint.network.network import Network
    from parentage.checkpoint.network.ranged import RangedFile


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint was published, and what was said of it there."""

    where: str
    """Its name, without revision and without anything secret."""
    revision: str | None = None
    """The commit, where there are any."""
    published: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of files, by name, as they were published; nobody has computed them here."""
    names: tuple[str, ...] = ()
    """What else lies in the folder, if it was listed."""
    texts: Mapping[str, bytes] = field(default_factory=dict)
    """Small files beside it that were fetched already, by name."""
    beside: Mapping[str, RangedFile] = field(default_factory=dict)
    """Small files beside it, by name, that can be fetched."""

    def text(self, name: str, most: int = 1 << 26) -> bytes | None:
        """Return a small file beside it, fetched if need be; ``None`` if there is none.

        Raises
        ------
        ReadError
            If it has more than ``most`` bytes, or can not be fetched.
        """
        if name in self.texts:
            return self.texts[name]
        found = self.beside.get(name)
        if found is None:
            return None
        if found.place.bytes > most:
            raise ReadError(f"{found.place.name}: {found.place.bytes:,} bytes are not fetched")
        return found.bytes_of(0, found.place.bytes)


@dataclass(frozen=True)
class Opened:
    """A checkpoint whose headers were read."""

    path: Path
    """Where it is, as messages have it."""
    name: str
    """What reports call it, unless they are told otherwise."""
    core: _core.Checkpoint
    """Its headers, and the way to its bytes."""
    encodings: dict[str, Encoding] = field(default_factory=dict)
    """What the bytes of tensors stand for that are not stored as numbers, by name."""
    choices: tuple[str, ...] = ()
    """What was chosen among what is there, and what was left: clauses of a sentence."""
    origin: Origin | None = None
    """Where it was published, if that is known."""


class Source(Protocol):
    """A kind of place that checkpoints are opened from."""

    def serves(self, given: str | PathLike[str]) -> bool:
        """Return whether a checkpoint that is named so is of this kind of place."""

    def open(self, given: str | PathLike[str], network: Network | None = None) -> Opened:
        """Read the headers of a checkpoint; over ``network``, if it is on no disk.

        Raises
        ------
        CheckpointError
            If it is no checkpoint or breaks the format; names file, tensor and byte offset.
        ReadError
            If it can not be read.
        """
