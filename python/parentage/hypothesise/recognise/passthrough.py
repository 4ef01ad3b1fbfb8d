"""Slices copied from one checkpoint or another, layers possibly from other places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import COPY_DISTANCE
from parentage.hypothesise.estimates import as_filters
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import FLOORS
from parentage.hypothesise.written_weights import shortest_decimal
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Setting
    from parentage.support import Floats

COPIES = 0.99
"""Least share of cells that admit the factor of a scaled copy."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the copies, if every sampled slice is that of some checkpoint, or a multiple of it."""
    sampled = estimates.sample.weight
    equal = estimates.sample.gram.equal[:, : 1 + len(estimates.columns.parents)] == sampled[:, None]
    held = sampled > 0
    if not held.any():
        return
    # Where several have the same slice, the one that most others are of.
    popular = np.argsort(-equal[held].sum(axis=0), kind="stable")
    chosen = np.array([next((int(i) for i in popular if row[i]), -1) for row in equal])
    scale = np.ones(len(estimates.slices))
    rest = held & (chosen < 0)
    if rest.any():
        chosen, scale = _scaled(estimates, chosen, rest)
        if (held & (chosen < 0)).any():
            return
    # What was not sampled is taken to be of the most popular one.
    sources = {
        slice_.name: estimates.columns.names[column if column >= 0 else popular[0]]
        for slice_, column in zip(estimates.slices, chosen, strict=True)
    }
    used = tuple(name for name in estimates.columns.names if name in sources.values())
    parameters: dict[str, Setting | bool | str] = {}
    if np.any(scale != 1.0):
        parameters["scale"] = _written(estimates, scale)
    yield Recipe(
        "passthrough",
        tuple(Ingredient(name) for name in used),
        None,
        parameters,
        "copy",
        estimates.out_dtype,
        sources=sources,
    )


def _scaled(
    estimates: SampleEstimates, chosen: NDArray[np.intp], rest: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], Floats]:
    """Return (S,) columns, -1 where there is none, and (S,) factors, those of copies 1.

    ``chosen`` (S,) are the columns of copies, ``rest`` (S,) the slices to be found a column for.
    """
    chosen, scale = chosen.copy(), np.ones(len(estimates.slices))
    columns = range(1 + len(estimates.columns.parents))
    near = np.array([_leaves_rounding(estimates, column) for column in columns])
    if not all(near[:, i].any() for i in np.flatnonzero(rest)):
        return chosen, scale
    found = [estimates.scales(column) for column in columns]
    # Next to one, it is a copy that something else was done to.
    is_scaled = [
        rest & (share >= COPIES) & (np.abs(factor - 1.0) > COPY_DISTANCE)
        for factor, _, share in found
    ]
    sizes = np.array([slice_.elements for slice_ in estimates.slices])
    # What several have is taken to be of the one that most of the rest is of.
    held = [int(sizes[(chosen == i) | is_scaled[i]].sum()) for i in columns]
    for column in sorted(columns, key=lambda i: -held[i]):
        factor, width, _ = found[column]
        good = is_scaled[column] & (chosen < 0)
        chosen[good] = column
        for i in np.flatnonzero(good):
            # No -0: it would be another zero.
            scale[i] = shortest_decimal(float(factor[i]), max(4.0 * float(width[i]), 1e-6)) + 0.0
    return chosen, scale


def _leaves_rounding(estimates: SampleEstimates, column: int) -> NDArray[np.bool_]:
    """Return (S,) whether the best multiple of a checkpoint leaves no more than rounding would."""
    gram = estimates.raw_gram
    with np.errstate(divide="ignore", invalid="ignore"):
        left = gram[:, -1, -1] - gram[:, column, -1] ** 2 / gram[:, column, column]
    is_rounding: NDArray[np.bool_] = left <= FLOORS**2 * estimates.energy
    return is_rounding


def _written(estimates: SampleEstimates, scale: Floats) -> Setting:
    """Return factors (S,) as one number, or else as filters, or else by slice."""
    values = set(scale.tolist())
    if len(values) == 1:
        return float(values.pop())
    filters = as_filters(estimates.slices, scale)
    if filters is not None:
        return {"filters": filters}
    return {
        "slices": {slice_.name: float(x) for slice_, x in zip(estimates.slices, scale, strict=True)}
    }


RECOGNISER = Recogniser(estimate)
