"""The base and the mean of its fine-tunes, weighted by the angle between them."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import rows, span
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.align import Slice
    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "t, 1 - t, the sum of parents, its mean, both products and their sum, each rounded",
    "bfloat16": "the same rounded to bf16: mergekit with dtype bfloat16",
}


LEAST_PRODUCT = 1e-6
"""What the product of two norms is taken for, at least: mergekit's."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return t mean + (1 - t) b with t fitted by slice, or by row."""
    dtype = "BF16" if r.recipe.arithmetic == "bfloat16" else None
    columns = [r.column(each.name) for each in r.recipe.ingredients]
    total = reduce(lambda a, b: (a + b).round(dtype), columns)
    mean = (total / r.scalar(float(len(columns)))).round(dtype)
    base = r.column(r.recipe.base or "")
    if r.recipe.parameters.get("filter_wise"):
        t = r.program.low_rank([r.recipe.matrices.get(each.name) for each in r.slices]).round(dtype)
    else:
        t = r.scalar(np.nan_to_num(r.fitted("t"))).round(dtype)
    rest = (r.scalar(1.0) - t).round(dtype)
    return [((mean * t).round(dtype) + (base * rest).round(dtype)).round(dtype)]


def ratio(gram: Floats, columns: Sequence[int]) -> Floats:
    """Return t (S,): n c / (1 + (n - 1) c) with c the mean cosine between displacements."""
    part = gram[:, columns][:, :, columns]
    norms = np.sqrt(np.diagonal(part, axis1=1, axis2=2))
    count = len(columns)
    cosines = [
        np.clip(part[:, i, j] / np.maximum(norms[:, i] * norms[:, j], LEAST_PRODUCT), -1.0, 1.0)
        for i, j in combinations(range(count), 2)
    ]
    mean = np.mean(cosines, axis=0)
    below = 1.0 + (count - 1) * mean
    is_singular = np.abs(below) < 1e-6
    out: Floats = np.where(is_singular, 0.0, count * mean / np.where(is_singular, 1.0, below))
    return out


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the set of parents whose mean, so weighted, is near to what least squares finds."""
    every = range(1, 1 + len(f.parents))
    for columns, weights in span.sets(f, span.displaced_fit, 1, range(2, 1 + len(every))):
        t = ratio(f.sample.gram.total, columns)
        used = f.sample.weight
        gap = np.abs(weights - t[:, None] / len(columns)).max(axis=1)
        if float((gap * used).sum() / max(used.sum(), 1.0)) > NEAR:
            continue
        if not f.sample.is_whole:
            t = weights.sum(axis=1)
        for arithmetic in ARITHMETICS:
            yield Recipe(
                "model_stock",
                tuple(Ingredient(f.names[i]) for i in columns),
                f.base,
                {},
                arithmetic,
                f.out_dtype,
                {"t": span.table(f, t)},
            )
    yield from _by_row(f)


def _by_row(f: Findings) -> Iterator[Recipe]:
    """Yield the set of parents whose means, weighted row by row, cells of one tensor admit."""
    index = rows.telling(f)
    if index is None or not rows.worth_it(f):
        return
    parents = range(1, 1 + len(f.parents))
    found: list[tuple[float, tuple[int, ...]]] = []
    for size in range(2, 1 + len(parents)):
        for columns in combinations(parents, size):
            values = f.whole(index, (0, *columns))
            each = f.slices[index]
            base, child = values[:, 0], values[:, -1]
            t = np.repeat(_ratios(each, values), rows.length(each, rows.ROWS))
            predicted = t * values[:, 1:-1].mean(axis=1) + (1.0 - t) * base
            found.append((rows.admitted(f, child, predicted), columns))
    share, columns = max(found, default=(0.0, ()))
    if share < rows.SEEN:
        return
    matrices = dict(rows.by_slice(f, (0, *columns), _ratios, rows.ROWS))
    for arithmetic in ARITHMETICS:
        yield Recipe(
            "model_stock",
            tuple(Ingredient(f.names[i]) for i in columns),
            f.base,
            {"filter_wise": True},
            arithmetic,
            f.out_dtype,
            matrices=matrices,
        )


def _ratios(each: Slice, values: Floats) -> Floats:
    """Return t by row of a slice, of elements of the base, the parents and the child."""
    displaced = values[:, 1:-1] - values[:, :1]
    gram = rows.products(each, displaced, rows.ROWS)
    return ratio(gram, range(displaced.shape[1]))


NEAR = 0.05
"""Most mean distance between least-squares weights and those that the angles predict."""


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move t of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, ("t",)) if recipe.fitted else recipe


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    dtype = "bfloat16" if recipe.arithmetic == "bfloat16" else "float32"
    return configuration(recipe, paths, dtype)


METHOD = Method(
    name="model_stock",
    formula="t mean(p_i) + (1 - t) b, t = n c / (1 + (n - 1) c), c the mean cosine between d_i "
    "and d_j of a tensor, or of a row if filter_wise",
    source="Jang et al. 2024, Model Stock, arXiv:2403.19522; mergekit merge_methods/model_stock.py",
    parameters={"filter_wise": "t by row and not by tensor (default false)"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
