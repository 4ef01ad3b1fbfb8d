"""Estimates with their uncertainty, from Gram matrices alone.

All solves are written out in elementwise numpy operations, each of which IEEE 754 defines to the
last bit. LAPACK would be shorter, and would give other bits on another CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.statistics.solving import inverse_of, solve, summed
from parentage.stream import cosines, diagonal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from parentage.checkpoint import Columns
    from parentage.stream import Gram
    from parentage.support import Counts, Floats

STUDENT = (
    78.61, 6.41, 3.08, 2.21, 1.84, 1.64, 1.51, 1.43, 1.37, 1.32, 1.29, 1.26, 1.24, 1.22, 1.20,
)  # fmt: skip
"""How much farther than the normal's three standard deviations Student's t reaches as likely, with
1 to 15 degrees of freedom: an error of few blocks is itself no sure number."""

GRAM_ERROR = 1e-8
"""Error of an inner product, as a share of the lengths multiplied, at most."""

_LN10 = math.log(10.0)


@dataclass(frozen=True, slots=True)
class Fit:
    """Least squares of the child's displacement on m columns, for S slices or groups."""

    weights: Floats
    """(S, m); NaN where the column is zero or can not be told apart from the others."""
    residual: Floats
    """(S,) energy left over, in squared weight units, at least 0."""
    energy: Floats
    """(S,) energy of the child's displacement."""
    r2: Floats
    """(S,) share explained; NaN where the child is the base."""


def fit(gram: Floats, columns: list[int]) -> Fit:
    """Regress the last column of (S, C, C) Gram matrices on ``columns``.

    With the parents' columns this is OLS whose weights, the base's included, sum to one; with
    column 0 (the base itself) added, they need not.
    """
    a, right = gram[:, columns][:, :, columns], gram[:, columns, -1]
    energy = gram[:, -1, -1]
    weights, rank = solve(a, right)
    known = np.where(np.isnan(weights), 0.0, weights)
    explained = summed(known * right)
    residual = np.clip(energy - explained, 0.0, energy)
    # Differences of nearly equal sums: below this, what is left is their rounding error.
    residual = np.where(residual < 1e-13 * energy, 0.0, residual)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(energy > 0, 1.0 - residual / energy, np.nan)
    apart = rank == np.sum(diagonal(a) > 0, axis=1)
    return Fit(np.where(apart[:, None], weights, np.nan), residual, energy, r2)


def nnls(gram: Floats, columns: list[int]) -> Floats:
    """Regress the last column on ``columns`` with weights >= 0; returns (S, m), 0 for the unused.

    All 2^m active sets are tried (m <= 8) and the best admissible one is taken, which is exact.
    """
    systems, m = gram.shape[0], len(columns)
    best = np.zeros((systems, m))
    least = gram[:, -1, -1].copy()
    for size in range(1, m + 1):
        for subset in combinations(range(m), size):
            trial = fit(gram, [columns[i] for i in subset])
            admissible = np.all(trial.weights >= 0, axis=1)
            better = admissible & (trial.residual < least)
            least = np.where(better, trial.residual, least)
            weights = np.zeros((systems, m))
            weights[:, subset] = trial.weights
            best = np.where(better[:, None], weights, best)
    return best


def jackknife(blocks: Floats, columns: list[int]) -> Floats:
    """Return delete-one-block standard errors (S, m) of :func:`fit`'s weights.

    ``se^2 = (B - 1) / B sum_b (w_(b) - mean)^2`` over the B blocks that hold anything
    (Efron and Tibshirani 1993, chapter 11). It does not assume independent elements, only
    exchangeable blocks. NaN with fewer than two blocks.
    """
    total = np.zeros_like(blocks[:, 0])
    for block in range(blocks.shape[1]):
        total += blocks[:, block]
    weights = np.stack(
        [fit(total - blocks[:, block], columns).weights for block in range(blocks.shape[1])], axis=1
    )
    held = np.any(diagonal(blocks) > 0, axis=2)
    number = held.sum(axis=1)[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = _sum_blocks(np.where(held[:, :, None], weights, 0.0)) / number
        deviations = np.where(held[:, :, None], weights - mean[:, None], 0.0)
        variance = (number - 1) / number * _sum_blocks(deviations**2)
    return np.where(number > 1, np.sqrt(variance), np.nan)


def standard_error(blocks: Floats, gram: Floats, weights: Floats, columns: list[int]) -> Floats:
    """Return (S, m) how far chance and arithmetic move :func:`fit`'s ``weights`` (S, m).

    ``gram`` (S, C, C) are the sums of ``blocks`` (S, B, C, C).

    That is :func:`jackknife`, widened so that three of them hold 99.7 % whatever the number of
    blocks (:data:`STUDENT`), and what errors of the inner products come to. Blocks that hold
    unequal shares of a displacement count as fewer. NaN with fewer than two blocks.
    """
    shares = diagonal(blocks)[:, :, columns]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        alike = _sum_blocks(shares) ** 2 / _sum_blocks(shares**2)
    held = np.nan_to_num(np.floor(alike * (1.0 + 1e-9)), nan=0.0).astype(np.intp)
    width = np.array([STUDENT[0], STUDENT[0], *STUDENT])[np.minimum(held, len(STUDENT) + 1)]
    own = np.sqrt(np.maximum(diagonal(inverse_of(gram[:, columns][:, :, columns])), 0.0))
    lengths = np.sqrt(np.maximum(gram[:, -1, -1], 0.0))
    size = np.abs(np.nan_to_num(weights))
    arithmetic = GRAM_ERROR * (own * lengths[:, None] + size)
    out: Floats = jackknife(blocks, columns) * width + arithmetic
    return out


def condition(gram: Floats, columns: list[int]) -> Floats:
    """Return the condition number (S,) of the columns' correlation matrix; inf if singular.

    1 says that displacements are orthogonal; from 1e6 on, weights are arbitrary.
    """
    if not columns:
        return np.ones(gram.shape[0])
    a = gram[:, columns][:, :, columns]
    scale = np.sqrt(diagonal(a))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(scale > 0, 1.0 / scale, 0.0)
    a = a * inverse[:, :, None] * inverse[:, None, :]
    # A column that is zero can not be told from anything, and takes no part.
    a[:, range(len(columns)), range(len(columns))] = 1.0
    values = np.linalg.eigvalsh(a)
    with np.errstate(divide="ignore"):
        ratio = values[:, -1] / np.clip(values[:, 0], 0.0, None)
    # Six digits are what a condition number is good for, and the same on every CPU.
    return np.array([float(f"{value:.6g}") for value in ratio])


def log10_p(inner: Floats, squares: Floats) -> Floats:
    """Bound the log10 of the probability of ``inner`` under block-wise sign flips.

    ``inner`` is the sum of the blocks' inner products g_b of two displacements, ``squares`` that of
    g_b^2. If each block's sign were a fair coin, whatever the dependence inside a block, then
    ``P(|sum_b s_b g_b| >= t) <= 2 exp(-t^2 / (2 sum_b g_b^2))`` (Hoeffding 1963, theorem 2). The
    bound holds for any number of blocks and is never 0.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z2 = np.where(squares > 0, inner**2 / squares, 0.0)
    bound: Floats = math.log10(2.0) - z2 / (2.0 * _LN10)
    return np.clip(bound, None, 0.0)


def holm(log10_ps: Floats) -> Floats:
    """Adjust the last axis for testing all of it (Holm 1979), in log10."""
    count = log10_ps.shape[-1]
    order = np.argsort(log10_ps, axis=-1, kind="stable")
    ordered = np.take_along_axis(log10_ps, order, axis=-1)
    adjusted = np.maximum.accumulate(ordered + _log10(range(count, 0, -1)), axis=-1)
    out = np.empty_like(log10_ps)
    np.put_along_axis(out, order, np.minimum(adjusted, 0.0), axis=-1)
    return out


def benjamini_hochberg(log10_ps: Floats) -> Floats:
    """Adjust (S,) values for the false discovery rate (Benjamini and Hochberg 1995), in log10."""
    count = log10_ps.shape[0]
    order = np.argsort(log10_ps, kind="stable")
    adjusted = log10_ps[order] + _log10(count / rank for rank in range(1, count + 1))
    adjusted = np.minimum.accumulate(adjusted[::-1])[::-1]
    out = np.empty_like(log10_ps)
    out[order] = np.minimum(adjusted, 0.0)
    return out


# Representative ratios |d| / ulp of the core's histogram bins.
_RATIOS = np.array(
    [0.0, 0.25, *range(1, 33), *(1.5 * 2.0 ** (5 + step) for step in range(14))], dtype=np.float64
)


def displacement_ulps(histogram: Counts) -> Floats:
    """Return the median |d| / ulp(c) (..., m) over the sampled elements that moved.

    ``histogram`` is (..., m, BINS). 0.25 stands for less than one half; NaN if nothing moved.
    """
    moved = histogram[..., 1:].astype(np.float64)
    running = np.cumsum(moved, axis=-1)
    total = running[..., -1:]
    middle = np.argmax(running >= total / 2.0, axis=-1)
    return np.where(total[..., 0] > 0, _RATIOS[1:][middle], np.nan)


def ols_bias(bias: Floats) -> Floats:
    """Return how far rounding alone can move an OLS weight between 0 and 1, (..., m).

    ``bias`` (..., m, WEIGHTS + 1) holds, over sampled elements, ``sum d (round(v) - v)`` for blends
    ``v = b + w d`` at each simulated weight w, and last ``sum d^2``. Least squares of a blend
    rounded once reads w plus their ratio; this is the largest ratio. NaN where nothing moved.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(bias[..., :-1]) / bias[..., -1:]
    return np.where(bias[..., -1] > 0, ratio.max(axis=-1), np.nan)


def _log10(values: Iterable[float]) -> Floats:
    # numpy's vectorised logarithms differ between CPUs in the last bit; the C library's do not.
    return np.array([math.log10(value) for value in values])


def _sum_blocks(terms: Floats) -> Floats:
    return summed(np.moveaxis(terms, 1, -1))


@dataclass(frozen=True, slots=True)
class Estimates:
    """Everything that is estimated for S slices or groups with m parents and k controls."""

    gram: Floats
    """(S, C, C) total Gram matrices."""
    parents: Fit
    """The parents together, weights summing to one with the base's."""
    free: Fit
    """As above with the base as a column of its own, (S, 1 + m); its weight is that of the base
    in ``child = sum w_i x_i``, beyond what makes the sum one."""
    standard_error: Floats
    """(S, m) standard errors of the parents' weights; see :func:`standard_error`. Where scattered
    elements were read, how far rounding can have moved the weights is in them."""
    nonnegative: Floats
    """(S, m) weights of the parents under NNLS."""
    controls: Floats
    """(S, k) weight of each control, fitted alone."""
    cosines: Floats
    """(S, C - 1) cosines with the child's displacement: of the base itself, parents, controls."""
    log10_p: Floats
    """(S, m + k) sign-flip bounds, one per parent and control."""
    condition: Floats
    """(S,) of the parents."""
    ulps: Floats
    """(S, m + k) median |d| / ulp(c) of what moved."""
    bias: Floats
    """(S, m + k) how far rounding can move OLS; of parents, not less than at their weights."""

    def widened(self, moves: Floats, across: tuple[Floats, Floats]) -> Estimates:
        """Return them with what scattered elements tell.

        ``moves`` (S, m) is how far rounding can have moved the parents' weights; ``across`` are the
        (S, m + k) inner products by blocks of columns, added up, and their squares.
        """
        bias = self.bias.copy()
        parents = moves.shape[1]
        bias[:, :parents] = np.fmax(bias[:, :parents], np.where(moves > 0, moves, np.nan))
        return replace(
            self,
            standard_error=self.standard_error + moves,
            bias=bias,
            log10_p=np.maximum(self.log10_p, log10_p(*across)),
        )


def estimate(part: Gram, columns: Columns) -> Estimates:
    """Estimate everything for the slices or groups of ``part``."""
    gram = part.total
    ours, theirs = list(columns.parent_indices), list(columns.control_indices)
    systems = gram.shape[0]
    parents = fit(gram, ours)
    alone = [fit(gram, [column]).weights for column in theirs]
    return Estimates(
        gram=gram,
        parents=parents,
        free=fit(gram, [0, *ours]),
        standard_error=standard_error(part.blocks, gram, parents.weights, ours),
        nonnegative=nnls(gram, ours),
        controls=np.concatenate(alone, axis=1) if alone else np.zeros((systems, 0)),
        cosines=cosines(gram),
        log10_p=log10_p(gram[:, 1:-1, -1], part.squares),
        condition=condition(gram, ours),
        ulps=displacement_ulps(part.histogram),
        bias=ols_bias(part.bias),
    )
