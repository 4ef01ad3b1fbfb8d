"""What methods have in common that compute weights by slice from angles between checkpoints.

Their weights are functions of inner products of whole tensors. Those are summed in float32 by the
tools that merge, in an order that is not known, and so are off by some units in the last place:
they are computed here from the sample's Gram matrices and then moved, by slice, to where the fewest
elements mismatch.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.blends import FLOAT32_LEAST_SHARE
from parentage.hypothesise.cells import LEAST_NARROW, locate
from parentage.hypothesise.evaluate import count_matches
from parentage.recipe import resolve
from parentage.statistics import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe, Setting
    from parentage.support import Floats

FLOORS = 2.0
"""Most that the best weights by slice may leave, in units of the child's rounding, for a method of
weights by slice to be tried; arithmetic in bf16 leaves up to 1.9."""

STAGNANT = 0.98
"""Share of mismatches that a round of steps leaves from which on there is no further one."""

LINEAR = 0.9995
"""Cosine from which on mergekit's slerp is linear."""


def raw_fit(estimates: SampleEstimates, columns: Sequence[int]) -> tuple[Floats, float]:
    """Return least-squares weights (S, n) of whole checkpoints, and what they leave.

    That is in units of the child's rounding.
    """
    fitted = fit(estimates.raw_gram, list(columns))
    return np.nan_to_num(fitted.weights), estimates.floors(fitted.residual)


def displaced_fit(estimates: SampleEstimates, columns: Sequence[int]) -> tuple[Floats, float]:
    """Return least-squares weights (S, n) of displacements, and what they leave.

    That is in units of the child's rounding.
    """
    fitted = fit(estimates.sample.gram.total, list(columns))
    return np.nan_to_num(fitted.weights), estimates.floors(fitted.residual)


def sets(
    estimates: SampleEstimates,
    fits: Callable[[SampleEstimates, Sequence[int]], tuple[Floats, float]],
    first: int,
    sizes: Sequence[int],
) -> Iterator[tuple[tuple[int, ...], Floats]]:
    """Yield the smallest sets of columns, from ``first`` on, that leave no more than rounding does.

    With each come its least-squares weights (S, n), as ``fits`` finds them. At most three sets are
    yielded, those that leave least.
    """
    if estimates.constant.share >= FLOAT32_LEAST_SHARE:
        return
    for size in sizes:
        spanning = []
        for columns in combinations(range(first, 1 + len(estimates.columns.parents)), size):
            weights, floors = fits(estimates, columns)
            if floors <= FLOORS:
                spanning.append((floors, columns, weights))
        if spanning:
            for _, columns, weights in sorted(spanning, key=lambda candidate: candidate[0])[:3]:
                yield columns, weights
            return


def cosines(gram: Floats, columns: Sequence[int]) -> tuple[Floats, Floats]:
    """Return norms (S, n) and cosines (S, n, n) of the columns, 0 where a norm is 0."""
    part = gram[:, columns][:, :, columns]
    norms = np.sqrt(np.diagonal(part, axis1=1, axis2=2))
    scale = norms[:, :, None] * norms[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(scale > 0, part / scale, 0.0)
    return norms, np.clip(cosine, -1.0, 1.0)


def slerp_weights(cosine: Floats, t: Floats, linear: float = LINEAR) -> Floats:
    """Return (S, 2) weights sin((1 - t) theta) / sin theta and sin(t theta) / sin theta.

    ``cosine`` and ``t`` are (S,). Where the cosine is beyond ``linear``, they are 1 - t and t.
    """
    theta = np.arccos(cosine)
    sine = np.sin(theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([np.sin((1.0 - t) * theta) / sine, np.sin(t * theta) / sine], axis=1)
    straight = np.stack([1.0 - t, t], axis=1)
    chosen: Floats = np.where((np.abs(cosine) > linear)[:, None], straight, weights)
    return chosen


def interpolation(cosine: Floats, second: Floats, linear: float = LINEAR) -> Floats:
    """Return t (S,) for which :func:`slerp_weights` gives the second weight, NaN if none does."""
    theta = np.arccos(cosine)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.arcsin(second * np.sin(theta)) / theta
    chosen: Floats = np.where(np.abs(cosine) > linear, second, t)
    return chosen


def located(
    estimates: SampleEstimates, columns: tuple[int, int], start: Floats, *, raw: bool
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the weights (S, 2) of two columns that most cells admit, by slice.

    With them come half the widths (S,) of their plateaus, and whether they are known (S,): most
    narrow cells admit them. ``start`` are weights of least squares. Whole checkpoints (``raw``) are
    measured from the first of the two, of which they then have a weight beyond what makes the sum
    one.
    """
    groups = np.arange(len(estimates.slices), dtype=np.intp)
    weights = np.zeros((len(estimates.slices), len(estimates.columns.names)))
    if raw:
        sample = estimates.sample_from(columns[0])
        second = columns[1]
        weights[:, 0] = start.sum(axis=1) - 1.0
        weights[:, second] = start[:, 1]
        peak = locate(sample, weights, [0, second], groups, dtype=estimates.cell_dtype, reach=0.02)
        two = peak.weights[:, second]
        pair = np.stack([1.0 + peak.weights[:, 0] - two, two], axis=1)
        widths = peak.half_widths[:, second]
    else:
        weights[:, list(columns)] = start
        peak = locate(
            estimates.small, weights, list(columns), groups, dtype=estimates.cell_dtype, reach=0.02
        )
        pair = peak.weights[:, list(columns)]
        widths = peak.half_widths[:, list(columns)].max(axis=1)
    narrow = np.where(peak.intervals[:, 1] >= LEAST_NARROW, peak.narrow, 0.0)
    return pair, widths, (narrow > 0.8) & (peak.intervals[:, 1] >= 4 * LEAST_NARROW)


def table(estimates: SampleEstimates, values: Floats | NDArray[np.float32]) -> dict[str, float]:
    """Return numbers (S,) by the name of their slice, rounded to float32."""
    return {
        slice_.name: float(np.float32(value))
        for slice_, value in zip(estimates.slices, values, strict=True)
    }


def setting_values(estimates: SampleEstimates, setting: Setting) -> Floats:
    """Return (S,) the value of a setting for every slice."""
    return resolve(setting, estimates.slices)


def climb(
    estimates: SampleEstimates,
    recipe: Recipe,
    names: Sequence[str],
    rounds: int = 3,
    reach: int = 1024,
) -> Recipe:
    """Return the recipe with fitted numbers moved, by slice, to where the fewest elements mismatch.

    ``names`` are those of the numbers, which are moved one after the other, in steps of float32 of
    up to ``reach``. In arithmetic in bf16 they are numbers of bf16, and so are the steps.
    """
    is_narrow = recipe.arithmetic == "bfloat16"
    unit = 1 << 16 if is_narrow else 1
    reach = 8 if is_narrow else reach
    before = float("inf")
    for round_ in range(rounds):
        moved, left = False, 0
        for name in names:
            present = np.array(
                [recipe.fitted[name].get(slice_.name, np.nan) for slice_ in estimates.slices],
                dtype=np.float32,
            )
            if is_narrow:
                present = to_bf16(present).astype(np.float32)
            steps = _doubling_steps(reach) if round_ == 0 else _small_steps(min(reach, 16))
            trials = [_stepped(present, step * unit) for step in steps]
            recipes = [_with_fitted(estimates, recipe, name, trial) for trial in trials]
            counts = count_matches(recipes, estimates.sample, estimates)
            mismatched = np.concatenate([count.mismatched for count in counts], axis=1)
            if int(mismatched[:, 0].sum()) == 0:
                return recipe
            best = mismatched.argmin(axis=1)
            left = int(mismatched.min(axis=1).sum())
            chosen = np.stack(trials, axis=1)[np.arange(len(best)), best]
            moved |= bool(np.any(best > 0))
            recipe = _with_fitted(estimates, recipe, name, chosen)
        if not moved or left > STAGNANT * before:
            break
        before = left
    return recipe


def _with_fitted(
    estimates: SampleEstimates, recipe: Recipe, name: str, values: NDArray[np.float32]
) -> Recipe:
    """Return the recipe with other fitted numbers (S,) of one name."""
    return replace(recipe, fitted={**recipe.fitted, name: table(estimates, values)})


def _doubling_steps(reach: int) -> list[int]:
    """Return 0 and the powers of two up to a number, of either sign.

    >>> _doubling_steps(5)
    [0, 1, -1, 2, -2, 4, -4]
    """
    powers = [1 << k for k in range(reach.bit_length())]
    return [0, *(sign * power for power in powers for sign in (1, -1))]


def _small_steps(reach: int) -> list[int]:
    """Return 0 and, up to a number, 1 to 8 and 16, of either sign.

    >>> _small_steps(3)
    [0, 1, -1, 2, -2, 3, -3]
    """
    return [0, *(sign * size for size in (*range(1, 9), 16) if size <= reach for sign in (1, -1))]


def _stepped(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return float32 numbers some representable numbers away; those up to 1e-30 stay."""
    bits = values.view(np.int32)
    moved: NDArray[np.float32] = (bits + np.int32(step)).view(np.float32)
    return np.where(np.isfinite(values) & (np.abs(values) > 1e-30), moved, values)
