"""Scales by slice, which make up for what was dropped: their search and their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.chance import keep_rates
from parentage.hypothesise.recognise.masks.mixture import is_bf16, refit_coefficients
from parentage.hypothesise.recognise.masks.sums import assign_masks
from parentage.hypothesise.recognise.masks.trials import best_of, mismatches
from parentage.hypothesise.recognise.masks.weights import ratios, short_decimal
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.chance import KeepRate
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools, Places
    from parentage.recipe import Setting
    from parentage.support import Floats

SMALL = 2048
"""Elements of a slice up to which its coefficients are searched for on a grid."""

GRID = 31
"""Points of a side of that grid."""

FLOAT32_STEPS = ((9.0, 4), (3.0, 3), (1.0, 2))
"""Units in the last place of float32 by which scales are moved, and how many of them either way."""

BF16_STEPS = ((1.0, 4), (1.0, 1), (1.0, 1))
"""The same of bf16."""


def with_coefficients_by_slice(mixture: Mixture) -> Mixture:
    """Return the mixture with coefficients that were fitted to each slice."""
    fitted = _fitted_in_small_slices(mixture, refit_coefficients(mixture))
    return replace(mixture, coefficients=fitted)


@dataclass(frozen=True, slots=True)
class _Unweighted:
    """A recipe with random masks whose weights and scales are still to be found."""

    estimates: SampleEstimates
    mixture: Mixture
    parameters: Mapping[str, Setting | bool | str]

    def weighted(self, weights: Sequence[float], scales: Sequence[Floats]) -> Recipe:
        """Return the recipe with a weight and scales (S,) for each parent that takes part."""
        columns, view = self.estimates.columns, self.mixture.view
        names = [columns.parents[axis] for axis in self.mixture.axes]
        return Recipe(
            "della" if self.mixture.elected else "dare_linear",
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            columns.base,
            self.parameters,
            view.arithmetic,
            self.estimates.out_dtype,
            fitted={
                f"scale:{name}": table(self.estimates, scale, view.owner)
                for name, scale in zip(names, scales, strict=True)
            },
        )


def scaled_recipe(estimates: SampleEstimates, mixture: Mixture) -> Recipe:
    """Return a recipe with random masks and the scales that make up for what was dropped.

    A coefficient is a weight times a scale. Where displacements are added up, their weights are
    told by the mean coefficients. Where they are averaged, the mixture has their weights, and the
    mean of all coefficients tells a lambda.
    """
    coefficients = mixture.coefficients
    means = _mean_weights(mixture)
    parameters: dict[str, Setting | bool | str] = {"normalize": mixture.normalized}
    if mixture.normalized:
        factor = short_decimal(float(np.mean(means)), 1e-2)
        if abs(factor - 1.0) > 0.02:
            parameters["lambda"] = factor
        else:
            factor = 1.0
        written = ratios(mixture.shares, 4e-3 if is_bf16(mixture) else 2e-4)
        scales = [coefficient / factor for coefficient in coefficients]
        unweighted = _Unweighted(estimates, mixture, parameters)
    else:
        unweighted = _Unweighted(estimates, mixture, parameters)
        if is_bf16(mixture):
            means = _weights_of_bf16(unweighted, means)
        written = [means]
        scales = _scales_of(mixture, means)
    steps, digits = FLOAT32_STEPS, -24
    if is_bf16(mixture):
        scales = [to_bf16(scale) for scale in scales]
        steps, digits = BF16_STEPS, -8
    scales = step_scales(
        estimates, scales, lambda trial: unweighted.weighted(written[0], trial), steps, digits
    )
    return best_of(estimates, [unweighted.weighted(weights, scales) for weights in written])


def _mean_weights(mixture: Mixture) -> list[float]:
    """Return a short decimal for each parent: its mean coefficient times the share that was kept.

    That share is of a slice's sum of absolute displacements, for whose loss the scale makes up.
    """
    view = mixture.view
    kept, dropped, _ = assign_masks(
        view, mixture.terms, mixture.elected, mixture.normalized, mixture.shares
    )
    weights = []
    for i, rate in enumerate(keep_rates(mixture, kept, dropped)):
        size = np.abs(view.deltas[mixture.axes[i]])
        mask = _expected_mask(mixture, mixture.axes[i], kept[i], dropped[i], rate)
        sizes = np.bincount(view.owner, size, view.slices)
        left = np.bincount(view.owner, size * mask, view.slices)
        good = (left > 0) & (sizes > 0)
        means = mixture.coefficients[i, good] * left[good] / sizes[good]
        weight = float(np.average(means, weights=sizes[good])) if good.any() else 1.0
        weights.append(short_decimal(weight, 6e-3 * max(abs(weight), 0.1)))
    return weights


def _expected_mask(
    mixture: Mixture, axis: int, kept: Bools, dropped: Bools, rate: KeepRate
) -> Floats:
    """Return (elements,) 1 for kept displacements, 0 for dropped ones, else the expected share.

    ``axis`` is that of the parent.
    """
    expected = np.full(mixture.view.size, rate.middle)
    if rate.is_sloped:
        expected = rate.middle + rate.slope * (mixture.view.ranks(axis) - 0.5)
    # Outvoted displacements look dropped only where they could not have been kept.
    if mixture.elected:
        return expected
    return np.where(kept, 1.0, np.where(dropped, 0.0, expected))


def _scales_of(mixture: Mixture, weights: Sequence[float]) -> list[Floats]:
    """Return (S,) for each parent what its weight is multiplied by to get its coefficients."""
    if is_bf16(mixture):
        weights = [_rounded(weight) for weight in weights]
    return [
        coefficient / weight
        for coefficient, weight in zip(mixture.coefficients, weights, strict=True)
    ]


def _rounded(weight: float) -> float:
    """Return the bf16 number nearest to a weight."""
    return float(to_bf16(np.array([weight]))[0])


@dataclass(frozen=True, slots=True)
class _SliceCells:
    """Displacements of the parents in one slice, and the cells of what they add."""

    deltas: Floats
    """(axes, elements)"""
    low: Floats
    """(elements,)"""
    high: Floats
    """(elements,)"""
    elected: bool

    def explained(self, coefficients: Floats) -> NDArray[np.intp]:
        """Return (trials,) how many elements coefficients (axes, trials) explain.

        One is explained if its cell admits no displacement, any one of them, or the sum of two.
        """
        low, high = self.low, self.high
        terms = [c[:, None] * delta for c, delta in zip(coefficients, self.deltas, strict=True)]
        good = np.broadcast_to((low <= 0.0) & (high >= 0.0), terms[0].shape).copy()
        for term in terms:
            good |= (low <= term) & (term <= high)
        if len(terms) == 2:
            both = (low <= terms[0] + terms[1]) & (terms[0] + terms[1] <= high)
            if self.elected:
                both &= terms[0] * terms[1] > 0.0
            good |= both
        counts: NDArray[np.intp] = good.sum(axis=1)
        return counts

    def best_near(self, start: Floats) -> Floats:
        """Return the coefficients (axes,) near to ``start`` that explain most, on finer grids."""
        best = start
        size = len(self.low)
        most = int(self.explained(best[:, None])[0])
        for reach in (min(4.0 / np.sqrt(size), 0.5), 0.03, 0.004):
            if most == size:
                break
            line = np.linspace(1.0 - reach, 1.0 + reach, GRID)
            grid = np.stack(np.meshgrid(*[c * line for c in best], indexing="ij"))
            trials = grid.reshape(len(best), -1)
            counts = self.explained(trials)
            if int(counts.max()) > most:
                most = int(counts.max())
                # The middle of the best, not their corner.
                among = trials[:, np.flatnonzero(counts == most)]
                middle = among.mean(axis=1, keepdims=True)
                best = among[:, np.abs(among / middle - 1.0).max(axis=0).argmin()]
        return best


def _fitted_in_small_slices(mixture: Mixture, coefficients: Floats) -> Floats:
    """Return coefficients (axes, S), those of small slices from a grid around what others have.

    In norms few intervals are narrow enough to meet anywhere, but all of them together leave little
    room for a pair of coefficients.
    """
    view = mixture.view
    if mixture.normalized or len(mixture.axes) > 2:
        return coefficients
    fitted = coefficients.copy()
    deltas = view.deltas[mixture.axes]
    sizes = np.bincount(view.owner, minlength=view.slices)
    order = np.argsort(view.owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for slice_ in np.flatnonzero((sizes > 0) & (sizes <= SMALL)):
        rows = order[ends[slice_] : ends[slice_ + 1]]
        cells = _SliceCells(deltas[:, rows], view.low[rows], view.high[rows], mixture.elected)
        fitted[:, slice_] = cells.best_near(fitted[:, slice_])
    return fitted


def _weights_of_bf16(unweighted: _Unweighted, means: Sequence[float]) -> list[float]:
    """Return weights whose products with scales, all bf16 numbers, leave the fewest mismatches.

    Scales follow the weights: only their rounding tells one from another.
    """

    def mismatched(weights: Sequence[float], axis: int) -> int:
        """Return the mismatches with the best scales of a parent near to those that weights say."""
        scales = [to_bf16(scale) for scale in _scales_of(unweighted.mixture, weights)]
        step = np.ldexp(1.0, np.frexp(scales[axis])[1] - 8)
        trials = [
            unweighted.weighted(
                weights, [*scales[:axis], scales[axis] + k * step, *scales[axis + 1 :]]
            )
            for k in (0, -1, 1)
        ]
        return int(mismatches(unweighted.estimates, trials).min(axis=1).sum())

    weights = [round(mean, 2) for mean in means]
    for axis, start in enumerate(weights):
        options = [round(start + k / 100.0, 2) for k in (0, -1, 1, -2, 2)]
        options = [x for x in options if x > 0.0]
        counts = [mismatched([*weights[:axis], x, *weights[axis + 1 :]], axis) for x in options]
        weights[axis] = options[int(np.argmin(counts))]
    return weights


def step_scales(
    estimates: SampleEstimates,
    scales: list[Floats],
    recipe: Callable[[Sequence[Floats]], Recipe],
    steps: Sequence[tuple[float, int]],
    digits: int,
) -> list[Floats]:
    """Return scales (S,) of each parent, moved by some units of the last place.

    They are moved one parent after the other, and slice by slice to where ``recipe`` has the fewest
    mismatches. ``steps`` are units and how many of them either way; the last place is that of
    2^``digits``.
    """
    for units, reach in steps:
        for i, scale in enumerate(scales):
            step = units * np.ldexp(1.0, np.frexp(scale)[1] + digits)
            options = [scale + k * step for k in sorted(range(-reach, reach + 1), key=abs)]
            trials = [recipe([*scales[:i], option, *scales[i + 1 :]]) for option in options]
            best = mismatches(estimates, trials).argmin(axis=1)
            scales = [*scales[:i], np.choose(best, options), *scales[i + 1 :]]
    return scales


def table(estimates: SampleEstimates, values: Floats, owner: Places) -> dict[str, float]:
    """Return float32 numbers by slice name, of the slices that have elements in the sample.

    ``values`` are (S,), ``owner`` (elements,) the slice of each sampled element.
    """
    present = np.bincount(owner, minlength=len(estimates.slices)) > 0
    return {
        slice_.name: float(np.float32(value))
        for slice_, value, is_present in zip(estimates.slices, values, present, strict=True)
        if is_present
    }
