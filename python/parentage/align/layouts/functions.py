"""Tensors that a tool stores as a function of what another stores: no window shows the one so.

A number of the one is computed from a number of the other, and rounded; so bits are not compared.
Whether all numbers agree to within rounding is looked up, and told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.heads import tiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parentage.support import Floats

    Shape = tuple[int, ...]
    ShapeOf = Callable[[str], Shape | None]


class Function(NamedTuple):
    """What one tool stores of another's tensor."""

    key: re.Pattern[str]
    """The common names of such tensors."""
    stored: re.Pattern[str]
    """The names of those that are computed."""
    text: str
    """What is computed, as it is told."""
    compute: Callable[[Floats], Floats]
    source: str


FUNCTIONS = (
    Function(
        re.compile(r"\.linear_attn\.A_log$"),
        re.compile(r"(?:^|\.)ssm_a(?:\.weight)?$"),
        "-exp",
        lambda values: -np.exp(values),
        "convert_hf_to_gguf.py, Qwen3NextModel and MambaModel: A_log",
    ),
)
"""The functions that are known."""

ROUNDING = 2.0**-8
"""Most that a number may differ from the function, of its size: that of bfloat16, in which some
tools compute it."""


def function_of(key: str, name: str, other: str) -> tuple[Function, bool] | None:
    """Return what one of two tensors of one meaning is of the other; ``None`` if they are alike.

    With it is whether that of the first name is the one that is computed.

    >>> found = function_of("layers.0.linear_attn.A_log", "blk.0.ssm_a", "layers.0.mixer.A_log")
    >>> found and (found[0].text, found[1])
    ('-exp', True)
    """
    for function in FUNCTIONS:
        if function.key.search(key):
            is_computed = [function.stored.search(each) is not None for each in (name, other)]
            if is_computed[0] != is_computed[1]:
                return function, is_computed[0]
    return None


def agrees(
    function: Function, computed: Floats, given: Floats, key: str, shape_of: ShapeOf
) -> bool:
    """Return whether all of (n,) numbers are a function of (n,) others, to within rounding.

    They may lie in another order of heads of values.

    >>> given = np.array([0.5, -1.0, 2.0])
    >>> agrees(FUNCTIONS[0], -np.exp(given), given, "m.linear_attn.A_log", {}.get)
    True
    >>> agrees(FUNCTIONS[0], -np.exp(given[::-1]), given, "m.linear_attn.A_log", {}.get)
    False
    """
    if computed.shape != given.shape or not np.isfinite(given).all():
        return False
    with np.errstate(over="ignore", under="ignore"):
        wanted = function.compute(given)
    if not np.isfinite(wanted).all() or not np.isfinite(computed).all():
        return False
    return any(
        bool((np.abs(computed - each) <= ROUNDING * np.abs(each)).all())
        for each in _in_orders(wanted, key, shape_of)
    )


def _in_orders(values: Floats, key: str, shape_of: ShapeOf) -> Iterator[Floats]:
    """Yield numbers in all orders in which they may lie."""
    yield values
    for each in tiled(key, values.shape, shape_of):
        yield values[list(each.pieces[0].rows)]
