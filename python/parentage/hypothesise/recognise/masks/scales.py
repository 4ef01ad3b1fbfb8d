"""Scales by slice, which make up for what was dropped: their search and their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.chance import ranks, rates
from parentage.hypothesise.recognise.masks.mixture import is_bf16, refitted
from parentage.hypothesise.recognise.masks.sums import assigned
from parentage.hypothesise.recognise.masks.trials import best_of, mismatches
from parentage.hypothesise.recognise.masks.weights import ratios, short
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Places
    from parentage.recipe import Setting
    from parentage.support import Floats

SMALL = 2048
"""Elements of a slice up to which its coefficients are searched for on a grid."""

GRID = 31
"""Points of a side of that grid."""


def scaled(estimates: SampleEstimates, found: Mixture) -> Recipe:
    """Return a recipe with random masks and the scales that make up for what was dropped."""
    view = found.view
    coefficients = _searched(found, refitted(found))
    found.coefficients = coefficients
    terms = coefficients[:, view.owner] * view.deltas[found.axes]
    kept, dropped, _ = assigned(view, terms, found.elected, found.normalized, found.shares)
    found_rates = rates(found, kept, dropped)
    names = [estimates.columns.parents[axis] for axis in found.axes]
    weights, scales = [], []
    for i, axis in enumerate(found.axes):
        size = np.abs(view.deltas[axis])
        rate, slope, error = found_rates[i]
        expected = np.full(view.size, rate)
        if abs(slope) > 5.0 * error:
            expected = rate + slope * (ranks(size, view.rows) - 0.5)
        mask = np.where(kept[i], 1.0, np.where(dropped[i], 0.0, expected))
        # Outvoted displacements look dropped only where they could not have been kept.
        if found.elected:
            mask = expected
        all_ = np.bincount(view.owner, size, view.slices)
        left = np.bincount(view.owner, size * mask, view.slices)
        good = (left > 0) & (all_ > 0)
        own = coefficients[i, good] * left[good] / all_[good]
        weight = float(np.average(own, weights=all_[good])) if good.any() else 1.0
        weights.append(short(weight, 6e-3 * max(abs(weight), 0.1)))
    parameters: dict[str, Setting | bool | str] = {"normalize": found.normalized}
    if found.normalized:
        factor = short(float(np.mean(weights)), 1e-2)
        if abs(factor - 1.0) > 0.02:
            parameters["lambda"] = factor
        else:
            factor = 1.0
        spelled = ratios(found.shares, 4e-3 if is_bf16(found) else 2e-4)
        scales = [each / factor for each in coefficients]
    else:
        spelled = [weights]
        scales = [
            each / (float(to_bf16(np.array([w]))[0]) if is_bf16(found) else w)
            for each, w in zip(coefficients, weights, strict=True)
        ]
    method = "della" if found.elected else "dare_linear"

    def recipe(weights: Sequence[float], scales: Sequence[Floats]) -> Recipe:
        return Recipe(
            method,
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            estimates.columns.base,
            parameters,
            view.arithmetic,
            estimates.out_dtype,
            fitted={
                f"scale:{name}": table(estimates, each, view.owner)
                for name, each in zip(names, scales, strict=True)
            },
        )

    if not is_bf16(found):
        weights = spelled[0]
        scales = stepped(
            estimates,
            scales,
            lambda some: recipe(weights, some),
            ((9.0, 4), (3.0, 3), (1.0, 2)),
            -24,
        )
        return best_of(estimates, [recipe(each, scales) for each in spelled])
    weights = list(spelled[0])
    if not found.normalized:
        weights = _weights_of_bf16(estimates, weights, coefficients, recipe)
        scales = [
            each / float(to_bf16(np.array([w]))[0])
            for each, w in zip(coefficients, weights, strict=True)
        ]
        spelled = [weights]
    scales = stepped(
        estimates,
        [to_bf16(each) for each in scales],
        lambda some: recipe(weights, some),
        ((1.0, 4), (1.0, 1), (1.0, 1)),
        -8,
    )
    return best_of(estimates, [recipe(each, scales) for each in spelled])


def _searched(found: Mixture, coefficients: Floats) -> Floats:
    """Return coefficients by slice, those of small slices from a grid around what others have.

    In norms few intervals are narrow enough to meet anywhere, but all of them together leave little
    room for a pair of coefficients.
    """
    view, count = found.view, len(found.axes)
    if found.normalized or count > 2:
        return coefficients
    out = coefficients.copy()
    sizes = np.bincount(view.owner, minlength=view.slices)
    order = np.argsort(view.owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for slice_ in np.flatnonzero((sizes > 0) & (sizes <= SMALL)):
        rows = order[ends[slice_] : ends[slice_ + 1]]
        deltas = view.deltas[found.axes][:, rows]
        low, high = view.low[rows], view.high[rows]

        def explained(
            *trial: Floats,
            deltas: Floats = deltas,
            low: Floats = low,
            high: Floats = high,
        ) -> NDArray[np.intp]:
            """Return (trials,) how many elements coefficients (trials,) of each explain."""
            terms = [t[:, None] * delta for t, delta in zip(trial, deltas, strict=True)]
            good = np.broadcast_to((low <= 0.0) & (high >= 0.0), terms[0].shape).copy()
            for term in terms:
                good |= (low <= term) & (term <= high)
            if count == 2:
                both = (low <= terms[0] + terms[1]) & (terms[0] + terms[1] <= high)
                if found.elected:
                    both &= terms[0] * terms[1] > 0.0
                good |= both
            counted: NDArray[np.intp] = good.sum(axis=1)
            return counted

        best = out[:, slice_]
        most = int(explained(*best[:, None])[0])
        spread = 4.0 / np.sqrt(len(rows))
        for reach in (min(spread, 0.5), 0.03, 0.004):
            if most == len(rows):
                break
            line = np.linspace(1.0 - reach, 1.0 + reach, GRID)
            grid = np.stack(np.meshgrid(*[c * line for c in best], indexing="ij"))
            trial = grid.reshape(count, -1)
            counts = explained(*trial)
            if int(counts.max()) > most:
                most = int(counts.max())
                # The middle of the best, not their corner.
                among = np.flatnonzero(counts == most)
                middle = trial[:, among].mean(axis=1, keepdims=True)
                nearest = np.abs(trial[:, among] / middle - 1.0).max(axis=0).argmin()
                best = trial[:, among[nearest]]
        out[:, slice_] = best
    return out


def _weights_of_bf16(
    estimates: SampleEstimates, weights: list[float], coefficients: Floats, recipe: Any
) -> list[float]:
    """Return weights whose products with scales, all bf16 numbers, leave the fewest mismatches.

    Scales follow the weights: only their rounding tells one from another.
    """

    def scales_of(some: Sequence[float]) -> list[Floats]:
        return [
            to_bf16(each / float(to_bf16(np.array([w]))[0]))
            for each, w in zip(coefficients, some, strict=True)
        ]

    def left(some: Sequence[float], axis: int) -> int:
        scales = scales_of(some)
        step = np.ldexp(1.0, np.frexp(scales[axis])[1] - 8)
        tries = [
            recipe(some, [*scales[:axis], scales[axis] + k * step, *scales[axis + 1 :]])
            for k in (0, -1, 1)
        ]
        return int(mismatches(estimates, tries).min(axis=1).sum())

    weights = [round(w, 2) for w in weights]
    for axis, start in enumerate(weights):
        options = [round(start + k / 100.0, 2) for k in (0, -1, 1, -2, 2)]
        options = [x for x in options if x > 0.0]
        tried = [left([*weights[:axis], x, *weights[axis + 1 :]], axis) for x in options]
        weights[axis] = options[int(np.argmin(tried))]
    return weights


def stepped(
    estimates: SampleEstimates,
    scales: list[Floats],
    recipe: Any,
    steps: Sequence[tuple[float, int]],
    digits: int,
) -> list[Floats]:
    """Return scales with, slice by slice, the fewest mismatches: by some units of the last place.

    ``steps`` are units and how many of them either way; the last place is that of 2^``digits``.
    """
    for units, reach in steps:
        for i, each in enumerate(scales):
            step = units * np.ldexp(1.0, np.frexp(each)[1] + digits)
            options = [each + k * step for k in sorted(range(-reach, reach + 1), key=abs)]
            tries = [recipe([*scales[:i], option, *scales[i + 1 :]]) for option in options]
            best = mismatches(estimates, tries).argmin(axis=1)
            scales = [*scales[:i], np.choose(best, options), *scales[i + 1 :]]
    return scales


def table(estimates: SampleEstimates, values: Floats, owner: Places) -> dict[str, float]:
    """Return numbers by slice, of the slices that have elements in the sample."""
    present = np.bincount(owner, minlength=len(estimates.slices)) > 0
    return {
        each.name: float(np.float32(value))
        for each, value, here in zip(estimates.slices, values, present, strict=True)
        if here
    }
