"""Names of arrays, and how dataclasses of arrays are joined."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

Floats = NDArray[np.float64]

Counts = NDArray[np.uint64]

_T = TypeVar("_T")


def spread(among: Sequence[_T], most: int) -> list[_T]:
    """Return at most ``most`` of several, two at least, evenly spread.

    >>> spread("abcdefghij", 4)
    ['a', 'd', 'g', 'j']
    """
    if len(among) <= most:
        return list(among)
    return [among[number * (len(among) - 1) // (most - 1)] for number in range(most)]


def joined(parts: Sequence[_T]) -> _T:
    """Return the rows of all ``parts``, dataclasses of arrays and of further such, in order."""
    if len(parts) == 1:
        return parts[0]
    kind = type(parts[0])
    values: dict[str, Any] = {}
    for each in fields(cast("Any", kind)):
        items = [getattr(part, each.name) for part in parts]
        whole = np.concatenate if isinstance(items[0], np.ndarray) else joined
        values[each.name] = whole(items)
    return kind(**values)
