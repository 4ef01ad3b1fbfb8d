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


def short(value: Any, most: int = 240) -> str:
    """Return a value as JSON, its beginning if it has more than ``most`` characters.

    >>> short([1, None, "a"]), short("abcdefgh", 7)
    ('[1, null, "a"]', '"abc...')
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two values of JSON differ, as they are written, with both; ``None`` for neither.

    Zeros have signs, integers no point, and what is not there is not null.

    >>> list(differences({"a": [1, 2], "b": 0.0}, {"a": [1], "b": -0.0, "c": None}))
    [('a[1]', 2, None), ('b', 0.0, -0.0), ('c', None, None)]
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            inside = f"{path}.{name}" if path else str(name)
            if name not in one or name not in other:
                yield inside, one.get(name), other.get(name)
            else:
                yield from differences(one[name], other[name], inside)
    elif isinstance(one, list) and isinstance(other, list):
        for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from differences(mine, theirs, f"{path}[{at}]")
        if len(one) != len(other):
            at = min(len(one), len(other))
            mine, theirs = (each[at] if at < len(each) else None for each in (one, other))
            yield f"{path}[{at}]", mine, theirs
    elif repr(one) != repr(other):
        yield path, one, other


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
