"""How numbers are stored that are not stored as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the bytes of a tensor stand for that is stored as codes, or in another order.

    Such a tensor has dtype ``"U8"`` and shape ``(bytes,)`` in its checkpoint. Its bytes are
    compared with those of another that is encoded alike, and never read as numbers.

    >>> str(Encoding("Q4_K", (2, 256)))
    'encoded as Q4_K'
    """

    kind: str
    """By the name that its format has for it, as in ``"Q4_K"``; or what is special about it."""
    shape: tuple[int, ...]
    """Of the numbers, slowest dimension first."""

    def __str__(self) -> str:
        """Return what is said of such a tensor."""
        return f"encoded as {self.kind}"
