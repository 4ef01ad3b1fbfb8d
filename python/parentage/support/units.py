"""Amounts of data as people write them: ``8MiB``, ``5GB``, ``0.2%``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

_UNITS = {
    "": 1,
    **{f"{letter}{i}": (1024 if i else 1000) ** power
       for power, letter in enumerate("kmgt", 1) for i in ("", "i")},
}  # fmt: skip


def size(text: str) -> int:
    """Return the number of bytes that ``text`` says.

    Raises
    ------
    ValueError
        If it is no size.

    Examples
    --------
    >>> size("8MiB"), size("1.5GB"), size("4096")
    (8388608, 1500000000, 4096)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text, re.IGNORECASE)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or ("." in found[1] and unit == 1):
        raise ValueError(f"{text!r} is no size; write 8MiB, 500kB or a number of bytes")
    return int(Fraction(found[1]) * unit)


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of everything is to be read: so many bytes, or a share.

    >>> Portion.parse("5GB").bytes, Portion.parse("0.2%").share, Portion.parse(1 << 20).bytes
    (5000000000, 0.002, 1048576)
    """

    asked: int | str
    """As it was asked for."""
    bytes: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, given: int | str | Portion) -> Portion:
        """Return a portion: of a number of bytes, a size like ``"5GB"`` or a share like ``"0.2%"``.

        Raises
        ------
        ValueError
            If it is neither, or nothing, or more than everything.
        TypeError
            If it is neither a number nor text.
        """
        if isinstance(given, Portion):
            return given
        found = _portion(given)
        return cls(given, found) if isinstance(found, int) else cls(given, share=found)

    def bytes_of(self, total: int) -> int:
        """Return how many bytes it is of ``total``."""
        return self.bytes if self.bytes is not None else int((self.share or 0.0) * total)


def _portion(given: int | str) -> int | float:
    """Return bytes as ``int``, or a share as ``float``."""
    if isinstance(given, str) and given.strip().endswith("%"):
        try:
            percent = float(given.strip()[:-1])
        except ValueError:
            raise ValueError(f"{given!r} is no share; write 0.2% or 5GB") from None
        if not (math.isfinite(percent) and 0 < percent <= 100):
            raise ValueError(f"a sample of {given.strip()} is none: write more than 0%, up to 100%")
        return percent / 100
    if isinstance(given, str):
        try:
            given = size(given)
        except ValueError:
            raise ValueError(
                f"{given!r} is neither a size nor a share; write 5GB, 500MiB or 0.2%"
            ) from None
    elif isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"a sample is bytes as an int, or text like '5GB' or '0.2%', not {given!r}")
    if given < 1:
        raise ValueError(f"a sample of {given} bytes is none")
    return given
