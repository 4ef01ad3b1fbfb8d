"""One checkpoint plus a matrix of low rank in each of some tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.findings import SHARP
from parentage.methods.method import Method, Replaying
from parentage.recipe import Ingredient, Recipe
from parentage.slabs import INSIDE, newton

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.align import Slice
    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "the product of the factors, and what it is added to, each rounded to float32",
    "bfloat16": "the product rounded to bf16, and the sum again: peft on bf16 weights",
}
LARGEST = 1 << 24
"""Elements up to which a matrix is taken into memory to be factored."""
FULL = 0.25
"""Share of the smaller side from which on a rank is not called low."""
NOISE = 1.3
"""Singular values below this times the largest of rounding alone are rounding."""
TRIED = 3
"""Largest matrices, which are factored first: one of full rank ends it."""
ITERATIONS = 1000
WORK = 1 << 33
"""Products formed, over all iterations and all matrices of a child, to find factors."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the checkpoint plus the product of the factors, where a slice has some."""
    origin = r.column(r.recipe.ingredients[0].name)
    found = r.recipe.matrices
    matrices = [
        (np.asarray(found[each.name][0], np.float64), np.asarray(found[each.name][1], np.float64))
        if each.name in found
        else None
        for each in r.slices
    ]
    dtype = "BF16" if r.recipe.arithmetic == "bfloat16" else None
    has = r.scalar(np.array([float(each is not None) for each in matrices]))
    total = (origin + r.program.low_rank(matrices).round(dtype)).round(dtype)
    # What has no matrix is a copy: -0 + 0 would be another zero.
    return [r.program.select(has, total, origin)]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the checkpoint that most elements are copies of, if the rest differs by low rank."""
    if f.constant.share >= SHARP or not f.slices:
        return
    equal = f.sample.gram.equal
    sampled = f.sample.weight
    origin = int(equal[:, : 1 + len(f.parents)].sum(axis=0).argmax())
    moved = [i for i in range(len(f.slices)) if sampled[i] > 0 and equal[i, origin] < sampled[i]]
    sizes = [f.slices[i].elements for i in moved]
    if not moved or max(sizes) > LARGEST or not all(map(_is_matrix, (f.slices[i] for i in moved))):
        return
    order = sorted(moved, key=lambda i: f.slices[i].elements)
    matrices: dict[str, tuple[Floats, Floats]] = {}
    for i in [*order[-TRIED:], *order[:-TRIED]]:
        whole = f.whole(i, (origin,))
        shape = f.slices[i].shape
        rows = int(np.prod(shape[:-1]))
        below, above = f.cells_of(whole[:, 1])
        start = (whole[:, 1] - whole[:, 0]).reshape(rows, shape[-1])
        low = (whole[:, 1] - below - whole[:, 0]).reshape(start.shape)
        high = (whole[:, 1] + above - whole[:, 0]).reshape(start.shape)
        found = factors(start, low, high, WORK // len(moved))
        if found is None:
            return
        matrices[f.slices[i].name] = found
    ranks = sorted({left.shape[1] for left, _ in matrices.values()})
    for arithmetic in ARITHMETICS:
        yield Recipe(
            "lora",
            (Ingredient(f.names[origin]),),
            None,
            {"rank": float(ranks[-1])},
            arithmetic,
            f.out_dtype,
            matrices=matrices,
        )


def _is_matrix(each: Slice) -> bool:
    return len(each.shape) >= 2 and min(int(np.prod(each.shape[:-1])), each.shape[-1]) >= 8


def factors(
    start: Floats, low: Floats, high: Floats, work: int = WORK
) -> tuple[Floats, Floats] | None:
    """Return factors of low rank whose product lies in (low, high), as far as that can be had.

    The rank is the number of singular values of ``start`` above those of rounding: of uniform noise
    in the cells. ``None`` if it is not low. From the truncated decomposition on, the largest
    distance from the middle of a cell, in half cells, is brought below 1: rows of one factor and
    columns of the other take the steps of :func:`parentage.slabs.newton` in turns.
    """
    noise = (np.random.default_rng(0).random(start.shape) - 0.5) * (high - low)
    left, values, right = np.linalg.svd(start, full_matrices=False)
    floor = NOISE * float(np.linalg.norm(noise, 2))
    rank = int((values > floor).sum())
    if rank == 0 or rank > FULL * min(start.shape):
        return None
    a = left[:, :rank] * np.sqrt(values[:rank])
    b = np.sqrt(values[:rank])[:, None] * right[:rank]
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    for _ in range(2):
        a = _least_squares(b, middle, half)
        b = _least_squares(a.T, middle.T, half.T).T
    for _ in range(min(ITERATIONS, max(1, work // (start.size * rank)))):
        if float(np.abs((a @ b - middle) / half).max()) < INSIDE:
            break
        a = newton(a, b, middle, half)
        b = newton(b.T, a.T, middle.T, half.T).T
    return a, b


def _least_squares(b: Floats, middle: Floats, half: Floats) -> Floats:
    """Return a (m, r) that minimises ``sum ((a b - middle) / half)^2``."""
    weight = 1.0 / half**2
    normal = np.einsum("ij,rj,sj->irs", weight, b, b, optimize=True)
    out: Floats = np.linalg.solve(normal, ((weight * middle) @ b.T)[..., None])[..., 0]
    return out


METHOD = Method(
    name="lora",
    formula="p + B A, B (rows, rank) and A (rank, columns) by tensor",
    source="Hu et al. 2021, LoRA, arXiv:2106.09685; peft merge_and_unload",
    parameters={"rank": "the largest rank of a tensor's matrix"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    kind="fine-tune",
)

__all__ = ["METHOD", "factors"]
