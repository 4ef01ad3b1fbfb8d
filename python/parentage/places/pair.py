"""A slice of the child beside what it is compared with, and what all tests need of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import DTYPES, to_bf16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from parentage.support import Floats

_EXPONENT = np.int64(0x7FF0000000000000)

ARITHMETIC = 2.0
"""Units in the last place up to which a difference may be arithmetic."""

LARGEST = {name: each.largest for name, each in DTYPES.items() if each.largest is not None}
"""Values beyond which quantisers hold what they cast."""


def units(values: Floats, dtype: str) -> Floats:
    """Return the unit in the last place of values in a dtype; 1 for integers.

    >>> units(np.array([1.0, 3.0]), "BF16").tolist()
    [0.0078125, 0.015625]
    """
    digits, lowest = DTYPES[dtype].digits, DTYPES[dtype].lowest
    if digits is None or lowest is None:
        return np.ones_like(values)
    # The bits of the exponent alone are the power of two below a number.
    powers = (np.ascontiguousarray(values).view(np.int64) & _EXPONENT).view(np.float64)
    found: Floats = np.maximum(powers, 2.0**lowest) * 2.0**-digits
    return found


def cast(values: Floats, dtype: str) -> Floats:
    """Return float64 values rounded to a dtype, ties to even; integers' are left as they are.

    >>> cast(np.array([1.001, 300.0, 1e6]), "F8_E4M3").tolist()
    [1.0, 288.0, 448.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "BF16":
            return to_bf16(values)
        if dtype in ("F16", "F32"):
            narrow = values.astype(np.float16 if dtype == "F16" else np.float32)
            return narrow.astype(np.float64)
        if dtype not in LARGEST:
            return values
        unit = units(values, dtype)
        return np.clip(np.rint(values / unit) * unit, -LARGEST[dtype], LARGEST[dtype])


@dataclass(frozen=True)
class Pair:
    """One slice of the child, finite throughout, and what it is compared with: (rows, columns).

    ``name`` is that of the reference in phrases, where it has one.
    """

    child: Floats
    reference: Floats
    others: Mapping[str, Floats]
    dtype: str
    name: str = ""
    rows: NDArray[np.intp] | None = None
    """(rows,) the number of each row in the slice, where not all were read."""

    def numbered(self, lines: NDArray[np.intp], axis: int = 0) -> NDArray[np.intp]:
        """Return rows, or columns for ``axis`` 1, by their numbers in the slice."""
        return lines if axis or self.rows is None else self.rows[lines]

    @cached_property
    def stored(self) -> Floats:
        """The reference as the child's dtype stores it."""
        return cast(self.reference, self.dtype)

    @cached_property
    def differs(self) -> NDArray[np.bool_]:
        """Where child and reference are not the same number."""
        found: NDArray[np.bool_] = self.child != self.stored
        return found

    @cached_property
    def count(self) -> int:
        """Elements that differ."""
        return int(np.count_nonzero(self.differs))

    @cached_property
    def gap(self) -> Floats:
        """The child less the reference."""
        return self.child - self.stored

    @cached_property
    def unit(self) -> Floats:
        """The unit in the last place of the larger of child and reference."""
        return units(np.maximum(np.abs(self.child), np.abs(self.stored)), self.dtype)

    @cached_property
    def is_blend(self) -> bool:
        """Whether the reference was computed: it is finer than what the child's dtype stores."""
        return not np.array_equal(self.reference, self.stored)

    @cached_property
    def unit_of_terms(self) -> Floats:
        """The unit of the largest of what a blend added up; :attr:`unit` where there is no blend.

        Terms that cancel leave errors of their own size.
        """
        if not self.is_blend:
            return self.unit
        sizes = (self.child, self.stored, *self.others.values())
        return units(np.max(np.abs(sizes), axis=0), self.dtype)

    @cached_property
    def near(self) -> NDArray[np.bool_]:
        """Where they are within :data:`ARITHMETIC` units in the last place."""
        found: NDArray[np.bool_] = np.abs(self.gap) <= ARITHMETIC * self.unit_of_terms
        return found

    @cached_property
    def numbers(self) -> dict[str, float]:
        """What every description says: how much differs, and how far."""
        size = float((self.stored**2).mean())
        rounding = float((units(self.stored, self.dtype) ** 2).mean()) / 12.0
        square = float((self.gap**2).mean())
        return {
            "elements": float(self.child.size),
            "differing": float(self.count),
            "share": self.count / self.child.size,
            "rms": float(np.sqrt(square / size)) if size > 0 else (float("inf") if square else 0.0),
            "roundings": float(np.sqrt(square / rounding)) if rounding > 0 else float("inf"),
        }

    def part(
        self, rows: NDArray[np.intp] | slice | None, columns: NDArray[np.intp] | None = None
    ) -> Pair:
        """Return the same of some rows, or of some columns."""

        def cut(values: Floats) -> Floats:
            return np.ascontiguousarray(values[rows] if columns is None else values[:, columns])

        others = {name: cut(values) for name, values in self.others.items()}
        named = np.arange(len(self.child)) if self.rows is None else self.rows
        kept = named[rows] if columns is None else self.rows
        return Pair(cut(self.child), cut(self.reference), others, self.dtype, self.name, kept)

    def without(self, places: NDArray[np.bool_]) -> Pair:
        """Return the same with elements of the child put back to what the reference has."""
        return replace(self, child=np.where(places, self.stored, self.child))


def every(count: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of ``count`` indices, evenly spread.

    >>> every(10, 4).tolist()
    [0, 3, 6, 9]
    """
    if count <= most:
        return np.arange(count)
    return np.arange(most) * (count - 1) // max(most - 1, 1)
