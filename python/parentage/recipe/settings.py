"""Numbers of a recipe that may vary: by layer, component, filter or slice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.checkpoint import COMPONENTS, is_of_the_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.support import Floats

Setting = float | Mapping[str, Any]
"""A number; ``{"gradient": [...]}``, piecewise linear over layers as mergekit has it;
``{"filters": {part of a name: number, "*": number}}``, the first that a tensor's name contains;
``{"components": {name: number}}``; or ``{"slices": {name: number}}``."""

SETTING_KEYS = ("gradient", "filters", "components", "slices")


MOST_LISTED = 6
"""Names that are told with their values each, at most."""

MOST_NAMED = 3
"""Slices that are named, where a few have another value than most."""


def resolve(setting: Setting, slices: Sequence[Slice]) -> Floats:
    """Return (S,) what a setting is for every slice.

    A gradient is evaluated as mergekit evaluates it: at ``t = layer / (layers - 1)`` in the body of
    the model, and at ``t = 0`` for all else, the final norm and the head included.

    >>> resolve(0.6, []).tolist()
    []
    """
    if not isinstance(setting, Mapping):
        return np.full(len(slices), float(setting))
    ((kind, value),) = setting.items()
    if kind == "gradient":
        count = layers(slices)
        return np.array([gradient(value, position(each, count)) for each in slices])
    if kind == "filters":
        numbers = np.array([*map(float, value.values()), math.nan])
        return numbers[_first_filters(tuple(value), tuple(each.name for each in slices))]
    if kind == "components":
        return np.array([of_component(value, each.component) for each in slices])
    return np.array([float(value.get(each.name, math.nan)) for each in slices])


@lru_cache(maxsize=16)
def _first_filters(keys: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.intp]:
    """Return (S,) the first key that each name contains, as mergekit has it.

    One past the last stands for none. A search looks at hundreds of weights with the same few lists
    of keys.

    >>> _first_filters(("self_attn", "*"), ("model.layers.0.self_attn.q_proj.weight", "a")).tolist()
    [0, 1]
    """
    first = (
        next((at for at, key in enumerate(keys) if key == "*" or key in name), len(keys))
        for name in names
    )
    found = np.fromiter(first, dtype=np.intp, count=len(names))
    found.flags.writeable = False
    return found


def of_component(values: Mapping[str, float], component: str) -> float:
    """Return the number of a component; NaN if there is none.

    ``other`` stands for all components that are names of their own.

    >>> of_component({"mlp": 0.7, "other": 0.2}, "eh_proj"), of_component({"other": 0.2}, "mlp")
    (0.2, nan)
    """
    found = values.get(component)
    if found is None and component not in COMPONENTS:
        found = values.get("other")
    return math.nan if found is None else float(found)


def gradient(values: Sequence[float], t: float) -> float:
    """Interpolate between values at equal steps from t = 0 to 1, in mergekit's operations.

    >>> gradient([0.1, 0.9], 0.25)
    0.30000000000000004
    """
    scaled = t * (len(values) - 1)
    first = int(scaled)
    second = min(len(values) - 1, first + 1)
    fraction = scaled - first
    return (1 - fraction) * values[first] + fraction * values[second]


def layers(slices: Sequence[Slice]) -> int:
    """Return the number of layers of the body."""
    numbers = [
        each.layer for each in slices if each.layer is not None and is_of_the_body(each.component)
    ]
    return max(numbers, default=-1) + 1


def position(each: Slice, count: int) -> float:
    """Return t of a slice in a body of ``count`` layers."""
    if each.layer is None or not is_of_the_body(each.component):
        return 0.0
    return each.layer / (count - 1) if count > 1 else 1.0


def show(setting: Setting | bool | str | None) -> str:
    """Return a setting in few characters.

    >>> show(0.5), show({"gradient": [0.1, 0.9]})
    ('0.5', '(0.1 to 0.9 over the layers)')
    """
    if isinstance(setting, bool | str) or setting is None:
        return str(setting).lower() if isinstance(setting, bool) else str(setting)
    if not isinstance(setting, Mapping):
        return f"{setting:.7g}"
    ((kind, value),) = setting.items()
    if kind == "gradient":
        knots = [f"{x:.7g}" for x in value]
        between = " to " if len(knots) == 2 else ", "
        return f"({between.join(knots)} over the layers)"
    if kind in ("components", "filters"):
        return "{" + _by_name(value) + "}"
    return _by_slice(value)


def _by_name(values: Mapping[str, float]) -> str:
    """Return values with their names; of many, those with one value together, or the range.

    >>> _by_name({"a": 0.3, "*": 0.5}), _by_name(dict.fromkeys("abcdefg", -0.0) | {"*": 1.0})
    ('a 0.3, * 0.5', 'a and 6 more 0, * 1')
    """
    # No -0: it says no more than 0.
    shown = {name: f"{value + 0.0:.7g}" for name, value in values.items()}
    if len(shown) <= MOST_LISTED:
        return ", ".join(f"{name} {value}" for name, value in shown.items())
    names: dict[str, list[str]] = {}
    for name, value in shown.items():
        names.setdefault(value, []).append(name)
    if len(names) > MOST_LISTED:
        least, most = min(values.values()) + 0.0, max(values.values()) + 0.0
        return f"{least:.4g} to {most:.4g} by name, {len(names)} values"
    return ", ".join(
        f"{alike[0]}{f' and {len(alike) - 1} more' if len(alike) > 1 else ''} {value}"
        for value, alike in names.items()
    )


def _by_slice(values: Mapping[str, float]) -> str:
    """Return the value that most slices have, and those that have others; or the range of all.

    >>> _by_slice({"a": 0.6, "b": 0.6, "c": 0.6, "d": -0.0})
    '0.6 (but d 0)'
    """
    # No -0: it says no more than 0.
    shown = {name: f"{value + 0.0:.7g}" for name, value in values.items()}
    ((common, count),) = Counter(shown.values()).most_common(1)
    others = [name for name, value in shown.items() if value != common]
    if not others:
        return common
    if count <= len(others):
        return f"{min(values.values()) + 0.0:.4g} to {max(values.values()) + 0.0:.4g} by slice"
    named = [f"{name} {shown[name]}" for name in others[:MOST_NAMED]]
    more = [f"{len(others) - len(named)} more"] if len(others) > len(named) else []
    return f"{common} (but {', '.join([*named, *more])})"


def values_of(setting: Setting) -> list[float]:
    """Return all numbers that a setting may be: of a gradient, its knots.

    >>> values_of(0.5), values_of({"gradient": [0.1, 0.9]})
    ([0.5], [0.1, 0.9])
    """
    if not isinstance(setting, Mapping):
        return [float(setting)]
    ((kind, value),) = setting.items()
    return [float(x) for x in (value if kind == "gradient" else value.values())]
