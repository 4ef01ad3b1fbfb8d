"""The base moved towards a parent by a fixed distance, all the way where they are nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.methods import masks
from parentage.methods.linear import bf16
from parentage.methods.method import Method, Replaying
from parentage.methods.ram import mergekit
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "1 / max(|b - p|, 1e-6), t times that, w p, 1 - w, (1 - w) b and the sum rounded",
    "bfloat16": "the same rounded to bf16",
}
LEAST_DISTANCE = 1e-6
"""What the distance is at least."""
MET = 0.6
"""Least share of cells that meet in one distance."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the weighted mean of base and parent."""
    dtype = "BF16" if masks.is_coarse(r.recipe) else None
    base, parent = r.column(r.recipe.base or ""), r.column(r.recipe.ingredients[0].name)
    one = r.scalar(1.0)
    least = float(bf16(np.array([LEAST_DISTANCE]))[0]) if dtype else LEAST_DISTANCE
    distance = r.program.maximum(abs((base - parent).round(dtype)), r.scalar(least))
    t = r.scalar(r.resolve(masks.number(r.recipe, "t", 0.0)))
    weight = ((one / distance).round(dtype) * t).round(dtype)
    weight = r.program.minimum(r.program.maximum(weight, r.scalar(0.0)), one)
    rest = ((one - weight).round(dtype) * base).round(dtype)
    return [((weight * parent).round(dtype) + rest).round(dtype)]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the distance at which most cells meet, for the parent towards which most do."""
    if not masks.applies(f):
        return
    for arithmetic in ARITHMETICS:
        view = masks.View(f, f.small, arithmetic)
        for axis, name in enumerate(f.parents):
            spelled = distances(view, axis)
            candidates = [
                Recipe("nearswap", (Ingredient(name),), f.base, {"t": t}, arithmetic, f.out_dtype)
                for t in spelled
            ]
            if candidates:
                best = masks.best_of(f, candidates)
                if masks.worthwhile(f, best):
                    yield best
                    return


def distances(view: masks.View, axis: int) -> list[float]:
    """Return distances that may have been meant, none if there is no one that most cells admit."""
    delta = view.deltas[axis]
    rows = np.flatnonzero(view.moved & (delta != 0.0))
    sign = np.sign(delta[rows])
    one, two = view.low[rows] * sign, view.high[rows] * sign
    low, high = np.minimum(one, two), np.maximum(one, two)
    # Where the parent is nearer than the distance, the child has the parent's element.
    open_ = (low > 0.0) & (high < 3.0 * low) & (high < np.abs(delta[rows]))
    if open_.sum() < 50:
        return []
    none = np.zeros(int(open_.sum()), np.intp)
    middle, half, depth = masks.deepest(low[open_], high[open_], none, 1)
    if depth[0] < MET * len(none):
        return []
    t, slack = float(middle[0]), float(half[0])
    tolerances = [slack, 1e-4 * t, 1e-3 * t, 1e-2 * t, 3e-2 * t]
    out = []
    for tolerance in tolerances:
        for digits in range(1, 10):
            near = round(t, digits)
            if near > 0.0 and abs(near - t) <= tolerance:
                out.append(near)
                break
    return list(dict.fromkeys([*out, t]))


METHOD = Method(
    name="nearswap",
    formula="w p + (1 - w) b; w = min(1, t / |p - b|)",
    source="QuartetAnemoi-70B-t0.0001 by alchemonaut; mergekit merge_methods/nearswap.py",
    parameters={"t": "the distance"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
