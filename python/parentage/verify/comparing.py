"""Values of JSON beside each other: what was found, and what it was made again as."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from parentage.verify.finding import FAILED, OK, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


def held(
    check: str, file: str, pairs: Mapping[str, tuple[Any, Any]], holds: str
) -> Iterator[Finding]:
    """Yield a finding on every value, by name, that is another than it was made again as.

    ``holds`` is what is said if there is none.
    """
    wrong = 0
    for name, (found, expected) in pairs.items():
        if not alike(found, expected, 0.0):
            wrong += 1
            text = f"{name} is {short(found)}, and made again it is {short(expected)}"
            yield Finding(check, FAILED, text, file)
    if not wrong:
        yield Finding(check, OK, holds, file)


def short(value: Any) -> str:
    """Return a value as JSON, its beginning if it is long.

    >>> short([1, None, "a"])
    '[1, null, "a"]'
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 240 else f"{text[:237]}..."


def alike(one: Any, other: Any, tolerance: float) -> bool:
    """Return whether two values of JSON are one, numbers within a relative tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k], tolerance) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            alike(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or (
            tolerance > 0.0 and math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        )
    return bool(one == other)
