"""One checkpoint plus a matrix of low rank in each of some tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import half_cells, to_bf16
from parentage.hypothesise.blends import FLOAT32_LEAST_SHARE
from parentage.hypothesise.cell_interior import FARTHEST, newton
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import lora
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.align import Slice
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

INSIDE = 0.9999
"""Half cells from the middle of a cell that count as inside it."""

FACTORED = 1 << 34
"""Elements times smaller sides, over all matrices that moved, up to which they are factored: all
singular values of a matrix take some tens of operations for each."""

FULL = 0.25
"""Share of the smaller side from which on a rank is not called low."""

NOISE = 1.3
"""Singular values below this times the largest of rounding alone are rounding."""

TRIED = 3
"""Largest matrices, which are factored first: one of full rank ends it."""

ITERATIONS = 1500

WORK = 1 << 32
"""Products formed, over all iterations and all matrices of a child, to find factors."""

NEAREST = 1e-3
"""How far the bound of a step is above the largest distance at last; FARTHEST at first."""

LEAST_HALF = 1e-37
"""Least half width: squares of less are no numbers."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the checkpoint that most elements are copies of, if the rest differs by low rank."""
    if estimates.constant.share >= FLOAT32_LEAST_SHARE or not estimates.slices:
        return
    equal = estimates.sample.gram.equal
    sampled = estimates.sample.weight
    origin = int(equal[:, : 1 + len(estimates.columns.parents)].sum(axis=0).argmax())
    moved = [
        i for i in range(len(estimates.slices)) if sampled[i] > 0 and equal[i, origin] < sampled[i]
    ]
    if not moved or not all(_is_matrix(estimates.slices[i]) for i in moved):
        return
    sizes = [estimates.slices[i].elements for i in moved]
    sides = [
        min(estimates.slices[i].shape[-1], n // estimates.slices[i].shape[-1])
        for i, n in zip(moved, sizes, strict=True)
    ]
    if sum(n * side for n, side in zip(sizes, sides, strict=True)) > FACTORED:
        return
    order = sorted(moved, key=lambda i: estimates.slices[i].elements)
    work = WORK // len(moved)
    arithmetics = list(lora.ARITHMETICS)
    matrices: dict[str, tuple[Floats, Floats]] = {}
    for i in [*order[-TRIED:], *order[:-TRIED]]:
        base, child = _matrices(estimates, i, origin)
        if not (np.isfinite(base).all() and np.isfinite(child).all()):
            return
        tried = {}
        for arithmetic in arithmetics:
            middle, half = room(child - base, child, estimates.out_dtype, arithmetic)
            found = factors(child - base, middle, half, work)
            if found is None:
                return
            missed = int((_merged(base, *found, estimates.out_dtype, arithmetic) != child).sum())
            tried[arithmetic] = missed, found
            if missed == 0:
                break
        # The first and largest matrix tells which arithmetic it was.
        best = min(tried, key=lambda name: tried[name][0])
        arithmetics = [best]
        matrices[estimates.slices[i].name] = tried[best][1]
    ranks = sorted({left.shape[1] for left, _ in matrices.values()})
    yield Recipe(
        "lora",
        (Ingredient(estimates.columns.names[origin]),),
        None,
        {"rank": float(ranks[-1])},
        arithmetics[0],
        estimates.out_dtype,
        matrices=matrices,
    )


def _matrices(estimates: SampleEstimates, index: int, origin: int) -> tuple[Floats, Floats]:
    """Return a slice of the origin and of the child, as matrices."""
    whole = estimates.whole(index, (origin,))
    width = estimates.slices[index].shape[-1]
    return whole[:, 0].reshape(-1, width), whole[:, 1].reshape(-1, width)


def _merged(base: Floats, left: Floats, right: Floats, dtype: str, arithmetic: str) -> Floats:
    """Return what a replay gives, in a child's dtype of bf16; in others, before it is rounded."""
    product = (left @ right).astype(np.float32)
    if arithmetic == "bfloat16":
        product = to_bf16(product).astype(np.float32)
    total = base.astype(np.float32) + product
    return to_bf16(total) if dtype == "BF16" else total.astype(np.float64)


def room(
    start: Floats, child: Floats, dtype: str, arithmetic: str = "float32"
) -> tuple[Floats, Floats]:
    """Return the interval (middle, half width) in which each element of B A must lie.

    With any product in it the child's stored value comes out. ``start`` is the displacement. Where
    the product is rounded before it is added, all that rounds to a number in the cell is possible.
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


def _is_matrix(each: Slice) -> bool:
    return len(each.shape) >= 2 and min(int(np.prod(each.shape[:-1])), each.shape[-1]) >= 8


def factors(
    start: Floats, middle: Floats, half: Floats, work: int = WORK
) -> tuple[Floats, Floats] | None:
    """Return factors of low rank whose product is less than ``half`` from ``middle``, if they can.

    The rank is the number of singular values of ``start`` above those of rounding: of uniform noise
    in the cells. ``None`` if it is not low. From the truncated decomposition on, the largest
    distance from the middle of a cell, in half cells, is brought below 1: rows of one factor and
    columns of the other take the steps of :func:`parentage.hypothesise.newton` in turns, long ones
    first.
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
        return float(np.abs((a @ b - middle) / half).max())

    largest, close = distance(), FARTHEST
    for _ in range(min(ITERATIONS, max(1, work // (start.size * rank)))):
        if largest < INSIDE:
            break
        a = newton(a, b, middle, half, close)
        b = newton(b.T, a.T, middle.T, half.T, close).T
        before, largest = largest, distance()
        if largest > before * (1.0 - close / 10.0):
            close = max(close / 2.0, NEAREST)
    return a, b


def _least_squares(b: Floats, middle: Floats, half: Floats) -> Floats:
    """Return a (m, r) that minimises ``sum ((a b - middle) / half)^2``."""
    weight = 1.0 / half**2
    normal = np.einsum("ij,rj,sj->irs", weight, b, b, optimize=True)
    out: Floats = np.linalg.solve(normal, ((weight * middle) @ b.T)[..., None])[..., 0]
    return out


RECOGNISER = Recogniser(estimate)
