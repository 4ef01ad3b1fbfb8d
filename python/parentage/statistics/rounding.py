"""How far rounding can have moved least squares: blends are rounded again, near the estimate.

What a child stores is ``round(v)`` of a blend ``v``, and ``round(v) - v`` is no noise where
displacements are a few units in the last place: it depends on the displacement, and so on the
weight. Here that error is computed on scattered elements, for weights near the estimate, in the
child's dtype. A weight from which rounding may lead to the estimate may be the true one; the
farthest of those is the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import DTYPES
from parentage.statistics.solving import inverse_of, solve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.statistics.scattered import Scattered
    from parentage.support import Floats

OCTAVES = 12
"""Most doublings from the smallest step away from the estimate to the largest."""

BETWEEN = (1.5, 1.25)
"""Steps beyond the farthest weight that may be true, as shares of it: before the next doubling."""

CLOSE = 1e-9
"""What is allowed for the rounding of sums, as a share of them."""

STEPS_BACK = 3
"""Steps from the estimate back to the weights that rounding would have moved to it."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """Scattered elements by group, of which G Gram matrices are those of all elements."""

    base: Floats
    """(N,)"""
    moved: Floats
    """(N, m) the parents' displacements."""
    label: NDArray[np.intp]
    """(N,) the group of each element."""
    stands_for: Floats
    """(N,)"""
    step: Floats
    """(N,) the unit in the last place of the blend; 0 where nothing is rounded."""
    gram: Floats
    """(G, m, m) of the parents."""
    known: Floats
    """(G, m) weights, 0 for NaN."""

    def sums(self, values: Floats) -> Floats:
        """Return (G,) sums of (N,) values, each as many times as its element stands for."""
        weighted = values * self.stands_for
        return np.bincount(self.label, weighted, len(self.gram)).astype(np.float64)

    def errors(self, weights: Floats) -> Floats:
        """Return (N,) what rounding adds to blends of weights (G, m)."""
        blend = self.base.copy()
        for i in range(self.moved.shape[1]):
            part = weights[self.label, i]
            part *= self.moved[:, i]
            blend += part
        # In place: there may be millions of them.
        with np.errstate(divide="ignore", invalid="ignore"):
            error = blend / self.step
            np.rint(error, out=error)
            error *= self.step
            error -= blend
        error[~(self.step > 0)] = 0.0
        return error

    def moves(self, weights: Floats) -> Floats:
        """Return (G, m) how far rounding moves least squares from weights (G, m)."""
        error = self.errors(weights)
        columns = range(self.moved.shape[1])
        right = np.stack([self.sums(self.moved[:, i] * error) for i in columns], axis=1)
        return np.nan_to_num(solve(self.gram, right)[0])


def rounding_moves(
    scattered: Scattered,
    dtypes: Sequence[str],
    labels: NDArray[np.intp],
    gram: Floats,
    weights: Floats,
    noise: Floats,
) -> Floats:
    """Return how far least squares is from the truth, at most, if rounding is what moved it.

    Parameters
    ----------
    scattered
        Elements of S slices.
    dtypes
        (S,) the dtype whose rounding each slice of the child has.
    labels
        (S,) the group of each slice, 0 .. G - 1; others take no part.
    gram
        (G, m, m) of the parents' displacements, over all elements.
    weights
        (G, m) least squares of the child's displacement on them; NaN where there is none.
    noise
        (G, m) how far chance moves them besides, as a standard error.

    Returns
    -------
    Floats
        (G, m) in units of weight; 0 where nothing was read or no parent moved.
    """
    groups, parents = weights.shape
    label = np.asarray(labels)[scattered.owner]
    taken = label < groups
    if not parents or not taken.any():
        return np.zeros((groups, parents))
    # Views where all take part.
    kept = slice(None) if taken.all() else taken
    held = _Groups(
        base=scattered.elements[kept, 0],
        moved=scattered.displacements[kept, :parents],
        label=label[kept],
        stands_for=scattered.stands_for[kept],
        step=np.zeros(0),
        gram=gram,
        known=np.nan_to_num(weights),
    )
    held = _with_steps(held, [dtypes[i] for i in range(scattered.slices)], scattered.owner[kept])
    chance, largest = _scales(held)
    tolerance = chance + np.nan_to_num(noise)
    bound = np.abs(held.moves(held.known))
    farthest = np.zeros(bound.shape)

    def look_at(weight: Floats) -> None:
        """Widen the bound if rounding may lead from ``weight`` to the estimate."""
        nonlocal bound, farthest
        away, move = np.abs(weight - held.known), np.abs(held.moves(weight))
        # Noise beside rounding makes the latter's bias less, and never more: it may have gone
        # less than all of the way.
        may_be = away <= move * (1.0 + CLOSE) + tolerance
        bound = np.maximum(bound, np.where(may_be, np.maximum(away, move), 0.0))
        farthest = np.maximum(farthest, np.where(may_be, away, 0.0))

    for weight in _near(held, tolerance, largest):
        look_at(weight)
    for factor in BETWEEN:
        for weight in _on_axes(held.known, factor * farthest):
            look_at(weight)
    return bound + chance


def _with_steps(held: _Groups, dtypes: Sequence[str], owner: NDArray[np.intp]) -> _Groups:
    """Return the groups with units in the last place of blends at the estimate.

    Blends near the estimate lie in another binade but for few elements.
    """
    known = [DTYPES[name] for name in dtypes]
    # As long as exponents are: there may be millions of elements.
    digits = np.array([each.digits or 0 for each in known], dtype=np.int32)[owner]
    lowest = np.array([each.lowest or 0 for each in known], dtype=np.int32)[owner]
    is_float = np.array([each.digits is not None for each in known])[owner]
    blend = held.base + (held.known[held.label] * held.moved).sum(axis=1)
    exponent = np.frexp(np.abs(blend))[1] - 1
    exponent = np.where(blend == 0.0, lowest, np.maximum(exponent, lowest))
    step = np.where(is_float, np.ldexp(1.0, exponent - digits), 0.0)
    return replace(held, step=step)


def _scales(held: _Groups) -> tuple[Floats, Floats]:
    """Return (G, m) how far chance moves what a part of all elements says, and the most possible.

    The first is the standard error of :meth:`_Groups.moves` for elements drawn at random; the
    second, the length of the largest rounding errors there are over that of the displacement's own
    part.
    """
    # At the estimate itself there may be none: weights of 0 and 1 round nothing.
    error2 = np.maximum(held.errors(held.known) ** 2, held.step**2 / 12.0)
    columns = range(held.moved.shape[1])
    unread = np.maximum(held.stands_for - 1.0, 0.0)
    inverse = inverse_of(held.gram)
    variance = np.zeros(held.known.shape)
    for i in columns:
        influence = np.zeros(len(held.base))
        for j in columns:
            influence += inverse[held.label, i, j] * held.moved[:, j]
        variance[:, i] = held.sums(influence**2 * error2 * unread)
    own = np.stack([inverse[:, i, i] for i in columns], axis=1)
    most = np.sqrt(held.sums(held.step**2 / 4.0)[:, None] * np.maximum(own, 0.0))
    return np.sqrt(variance), most


def _near(held: _Groups, tolerance: Floats, largest: Floats) -> Iterator[Floats]:
    """Yield weights (G, m) near the estimate: where rounding leads to it from, and on every axis.

    Steps along an axis begin with ``tolerance`` (G, m) and double until they are ``largest``.
    """
    weight = held.known
    for _ in range(STEPS_BACK):
        weight = held.known - held.moves(weight)
        yield weight
    first = np.maximum(tolerance, largest * 2.0**-OCTAVES)
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = np.where(largest > first, np.ceil(np.log2(largest / first)), 0.0)
    for octave in range(int(octaves.max(initial=0.0)) + 1):
        yield from _on_axes(held.known, np.minimum(first * 2.0**octave, largest))


def _on_axes(weights: Floats, size: Floats) -> Iterator[Floats]:
    """Yield weights (G, m), each with one of a group's moved by its ``size`` (G, m) either way."""
    for i in range(weights.shape[1]):
        for sign in (-1.0, 1.0):
            moved = weights.copy()
            moved[:, i] += sign * size[:, i]
            yield moved
