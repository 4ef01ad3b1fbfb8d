"""One checkpoint plus a matrix of low rank in each of some tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import half_cells, to_bf16
from parentage.hypothesise.blends import FLOAT32_LEAST_SHARE
from parentage.hypothesise.cell_interior import FARTHEST, newton, weighted_products
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import lora
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.align import Slice
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

INSIDE = 0.9999
"""Half cells from the middle of a cell within which a product is taken to be inside it."""

FACTORED = 1 << 34
"""Elements times smaller sides, over all matrices that are no copies, up to which these are
factored: all singular values of a matrix take some tens of operations for each."""

FULL = 0.25
"""Share of the smaller side from which on a rank is not called low."""

NOISE = 1.3
"""Singular values below this times the largest of rounding alone are rounding."""

TRIED = 3
"""How many of the largest matrices are factored first: one of full rank ends the search."""

ITERATIONS = 1500
"""Most pairs of Newton steps, one of either factor: adapters of rank 8 took up to 180, and those of
rank 1, whose room in the cells is thin, more than 500."""

WORK = 1 << 31
"""Elements times squared ranks, over all pairs of steps and all matrices of a child: some seconds.
Adapters of rank 8 in matrices of 280,000 elements took a third."""

MOST_OUTSIDE = 0.1
"""Share of a matrix's elements that factors in no known arithmetic reproduce, from which on it is
not told by factors: of what was merged twice or trained on, they miss a third."""

LOOKED_BACK = 32
"""Pairs of steps over which is seen whether those that are left can be enough."""

HOPE = 4.0
"""How many times faster the steps that are left may become."""

ALLOWED = 1 << 24
"""The same for each matrix, at least, so that the last ones are not left as they were."""

NEAREST = 1e-3
"""How far the bound of a Newton step is above the largest distance, as a share of it, at least; at
first it is FARTHEST."""

LEAST_HALF = 1e-37
"""Least half width: squares of less are no numbers."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the checkpoint that most elements are copies of, if the rest differs by low rank."""
    if estimates.constant.share >= FLOAT32_LEAST_SHARE or not estimates.slices:
        return
    equal = estimates.sample.gram.equal[:, : 1 + len(estimates.columns.parents)]
    origin = int(equal.sum(axis=0).argmax())
    matrices = _displaced_matrices(estimates, origin)
    if not matrices:
        return
    work = WORK
    arithmetics = list(lora.ARITHMETICS)
    factored: dict[str, tuple[Floats, Floats]] = {}
    for i in [*matrices[-TRIED:], *matrices[:-TRIED]]:
        best = _factored(estimates, i, origin, arithmetics, max(work, ALLOWED))
        if best is None:
            return
        work -= best[2]
        # The first and largest matrix tells which arithmetic it was.
        arithmetics = [best[0]]
        factored[estimates.slices[i].name] = best[1]
    rank = max(left.shape[1] for left, _ in factored.values())
    yield Recipe(
        "lora",
        (Ingredient(estimates.columns.names[origin]),),
        None,
        {"rank": float(rank)},
        arithmetics[0],
        estimates.out_dtype,
        matrices=factored,
    )


def _displaced_matrices(estimates: SampleEstimates, origin: int) -> list[int]:
    """Return the slices that are no copies of a checkpoint's, the smallest first.

    None if one of them is not a matrix, or if it takes too long to factor them all.
    """
    sampled, equal = estimates.sample.weight, estimates.sample.gram.equal[:, origin]
    displaced = np.flatnonzero((sampled > 0) & (equal < sampled)).tolist()
    slices = [estimates.slices[i] for i in displaced]
    if not all(_is_matrix(slice_) for slice_ in slices):
        return []
    work = sum(
        slice_.elements * min(slice_.shape[-1], slice_.elements // slice_.shape[-1])
        for slice_ in slices
    )
    if work > FACTORED:
        return []
    return sorted(displaced, key=lambda i: estimates.slices[i].elements)


def _factored(
    estimates: SampleEstimates, index: int, origin: int, arithmetics: Sequence[str], work: int
) -> tuple[str, tuple[Floats, Floats], int] | None:
    """Return the arithmetic with which factors reproduce most of a matrix, the factors, and work.

    ``None`` if it is not the origin plus a matrix of low rank.
    """
    base, child = _matrices(estimates, index, origin)
    if not (np.isfinite(base).all() and np.isfinite(child).all()):
        return None
    tried = {}
    spent = 0
    for arithmetic in arithmetics:
        middle, half = room(child - base, child, estimates.out_dtype, arithmetic)
        found = factors(child - base, middle, half, work)
        if found is None:
            return None
        left, right, taken = found
        spent += taken
        mismatched = int(
            (_merged(base, left, right, estimates.out_dtype, arithmetic) != child).sum()
        )
        tried[arithmetic] = mismatched, (left, right)
        if mismatched == 0:
            break
    best = min(tried, key=lambda name: tried[name][0])
    if tried[best][0] > MOST_OUTSIDE * child.size:
        return None
    return best, tried[best][1], spent


def _matrices(estimates: SampleEstimates, index: int, origin: int) -> tuple[Floats, Floats]:
    """Return a slice of the origin and of the child, as matrices (rows, columns)."""
    whole = estimates.whole(index, (origin,))
    width = estimates.slices[index].shape[-1]
    return whole[:, 0].reshape(-1, width), whole[:, 1].reshape(-1, width)


def _merged(base: Floats, left: Floats, right: Floats, dtype: str, arithmetic: str) -> Floats:
    """Return what a replay gives, rounded to the child's ``dtype`` if that is bf16, else not."""
    product = (left @ right).astype(np.float32)
    if arithmetic == "bfloat16":
        product = to_bf16(product).astype(np.float32)
    total = base.astype(np.float32) + product
    return to_bf16(total) if dtype == "BF16" else total.astype(np.float64)


def room(
    start: Floats, child: Floats, dtype: str, arithmetic: str = "float32"
) -> tuple[Floats, Floats]:
    """Return the interval (middle, half width) in which each element of B A must lie.

    With any product in it the child's stored value comes out. ``start`` is the child less the
    origin. All four are (rows, columns). Where the product is rounded before it is added, all that
    rounds to a number in the cell is possible.
    """
    below, above = half_cells(child, dtype)
    if arithmetic == "bfloat16":
        low, high = to_bf16(start - below), to_bf16(start + above)
        # The outermost numbers of bf16 within the cell, or the nearest one.
        lowest = np.where(low < start - below, low + 2.0 * half_cells(low, "BF16")[1], low)
        highest = np.where(high > start + above, high - 2.0 * half_cells(high, "BF16")[0], high)
        nearest = to_bf16(start)
        lowest, highest = np.minimum(lowest, nearest), np.maximum(highest, nearest)
        low = lowest - half_cells(lowest, "BF16")[0]
        high = highest + half_cells(highest, "BF16")[1]
    else:
        low, high = start - below, start + above
    # The product itself is rounded to float32.
    half = np.maximum((high - low) / 2.0, np.abs(start) * 2.0**-25)
    return (low + high) / 2.0, np.maximum(half, LEAST_HALF)


def _is_matrix(slice_: Slice) -> bool:
    """Return whether a slice is a matrix large enough to have a low rank."""
    shape = slice_.shape
    return len(shape) >= 2 and min(int(np.prod(shape[:-1])), shape[-1]) >= 8


def factors(
    start: Floats, middle: Floats, half: Floats, work: int = WORK
) -> tuple[Floats, Floats, int] | None:
    """Return factors (rows, rank) and (rank, columns) whose product lies in the cells, and work.

    The rank is the number of singular values of ``start`` above those of rounding: of uniform noise
    in the cells. ``None`` if it is not low. From the truncated decomposition on, the largest
    distance from the ``middle`` of a cell, in units of its ``half`` width, is brought below 1: rows
    of one factor and columns of the other take the steps of
    :func:`parentage.hypothesise.newton` in turns, long ones first. They end early where the
    pairs that ``work`` allows would not be enough at the speed of the last ones. The third of what
    is returned is the work that was done.
    """
    noise = (np.random.default_rng(0).random(start.shape) - 0.5) * 2.0 * half
    left, values, right = np.linalg.svd(start, full_matrices=False)
    floor = NOISE * float(np.linalg.norm(noise, 2))
    rank = int((values > floor).sum())
    if rank == 0 or rank > FULL * min(start.shape):
        return None
    a = left[:, :rank] * np.sqrt(values[:rank])
    b = np.sqrt(values[:rank])[:, None] * right[:rank]
    for _ in range(2):
        a = _least_squares(b, middle, half)
        b = _least_squares(a.T, middle.T, half.T).T

    def distance() -> float:
        """Return the largest distance of the product from the middle of a cell."""
        return float(np.abs((a @ b - middle) / half).max())

    distances, close = [distance()], FARTHEST
    pairs = min(ITERATIONS, max(1, work // (start.size * rank**2)))
    for done in range(pairs):
        if distances[-1] < INSIDE or not _is_enough(distances, pairs - done):
            break
        a = newton(a, b, middle, half, close)
        b = newton(b.T, a.T, middle.T, half.T, close).T
        distances.append(distance())
        if distances[-1] > distances[-2] * (1.0 - close / 10.0):
            close = max(close / 2.0, NEAREST)
    return a, b, (len(distances) - 1) * start.size * rank**2


def _is_enough(distances: Sequence[float], left: int) -> bool:
    """Return whether so many more pairs of steps would bring the distance to a cell's inside.

    ``distances`` are the largest ones before each pair so far, and now.

    >>> _is_enough([2.0**-k for k in range(-40, -3)], 8), _is_enough([2.0] * 40, 100)
    (True, False)
    """
    if len(distances) <= LOOKED_BACK:
        return True
    speed = float(np.log(distances[-1 - LOOKED_BACK] / distances[-1])) / LOOKED_BACK
    return float(np.log(distances[-1] / INSIDE)) <= HOPE * speed * left


def _least_squares(b: Floats, middle: Floats, half: Floats) -> Floats:
    """Return a (m, r) that minimises ``sum ((a b - middle) / half)^2``; b is (r, n)."""
    weight = 1.0 / half**2
    normal = weighted_products(weight, b)
    a = np.linalg.solve(normal, ((weight * middle) @ b.T)[..., None])[..., 0]
    return a.astype(np.float64)


RECOGNISER = Recogniser(estimate)
