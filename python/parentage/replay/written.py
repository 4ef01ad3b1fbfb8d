"""What was written of a recipe, tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of what is written."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    reason: str | None
    """Why it is a copy of the base's; ``None`` where the recipe gives it."""
    file: int = 0
    begin: int = 0
    """First byte in the file."""
    source: str = ""
    """The base's tensor that it has the shape and, if it is a copy, the bytes of."""

    @property
    def made(self) -> str:
        """``"replayed"`` or ``"copied"``."""
        return "replayed" if self.reason is None else "copied"


@dataclass(frozen=True)
class Written:
    """What was written, and where."""

    folder: Path
    files: tuple[tuple[str, int], ...]
    """Name and bytes of every file."""
    tensors: pl.DataFrame
    """One row per tensor: tensor, dtype, shape, file, bytes, made, reason, sha256 of its data;
    child_sha256 and agrees, null where no child was given; and non_finite, the numbers that are not
    finite and made of such that are."""
    left_out: tuple[tuple[str, str], ...]
    """Checkpoint and tensor of what the base does not have, and what is not written therefore."""
    child: str | None
    """The child that digests are compared with."""
    unwritten: tuple[str, ...]
    """Tensors of the child that are not among those written."""

    @property
    def replayed(self) -> int:
        """Tensors that the recipe gives."""
        return int((self.tensors["made"] == "replayed").sum())

    @property
    def copied(self) -> pl.DataFrame:
        """The tensors that are the base's byte for byte, with reasons."""
        return self.tensors.filter(pl.col("made") == "copied")

    @property
    def agreeing(self) -> int | None:
        """Tensors with the child's dtype, shape and bytes; ``None`` without a child."""
        return None if self.child is None else int(self.tensors["agrees"].sum())

    @property
    def agrees(self) -> bool | None:
        """Whether all tensors are the child's, and the child has no others."""
        if self.child is None:
            return None
        return self.agreeing == self.tensors.height and not self.unwritten

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it; where the folder is is not part of it."""
        return {
            "files": [{"name": name, "bytes": size} for name, size in self.files],
            "replayed": self.replayed,
            "copied": self.copied.height,
            "tensors": self.tensors.to_dicts(),
            "left_out": [{"checkpoint": one, "tensor": other} for one, other in self.left_out],
            "child": self.child,
            "agreeing": self.agreeing,
            "agrees": self.agrees,
            "unwritten": list(self.unwritten),
        }

    def __repr__(self) -> str:
        return (
            f"<Written {self.folder.name}: {self.tensors.height:,} tensors, "
            f"{self.replayed:,} replayed>"
        )
