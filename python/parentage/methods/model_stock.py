"""The base and the mean of its fine-tunes, weighted by the angle between them."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import span
from parentage.methods.linear import bf16
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "t, 1 - t, the sum of parents, its mean, both products and their sum, each rounded",
    "bfloat16": "the same rounded to bf16: mergekit with dtype bfloat16",
}


def replay(r: Replaying) -> Sequence[Value]:
    """Return t mean + (1 - t) b with t fitted by slice."""
    dtype = "BF16" if r.recipe.arithmetic == "bfloat16" else None
    columns = [r.column(each.name) for each in r.recipe.ingredients]
    t = np.nan_to_num(r.fitted("t")).astype(np.float32)
    if dtype is not None:
        t = bf16(t).astype(np.float32)
    rest = np.float32(1.0) - t
    total = reduce(lambda a, b: (a + b).round(dtype), columns)
    mean = (total / r.scalar(float(len(columns)))).round(dtype)
    base = r.column(r.recipe.base or "")
    one = (mean * r.scalar(t.astype(np.float64)).round(dtype)).round(dtype)
    two = (base * r.scalar(rest.astype(np.float64)).round(dtype)).round(dtype)
    return [(one + two).round(dtype)]


def ratio(f: Findings, columns: Sequence[int]) -> Floats:
    """Return t (S,): n c / (1 + (n - 1) c) with c the mean cosine between displacements."""
    _, cosine = span.cosines(f.sample.gram.total, columns)
    count = len(columns)
    mean = np.mean([cosine[:, i, j] for i, j in combinations(range(count), 2)], axis=0)
    below = 1.0 + (count - 1) * mean
    out: Floats = np.where(np.abs(below) < 1e-6, 0.0, count * mean / np.where(below == 0, 1, below))
    return out


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the set of parents whose mean, so weighted, is near to what least squares finds."""
    every = range(1, 1 + len(f.parents))
    for columns, weights in span.sets(f, span.displaced_fit, 1, range(2, 1 + len(every))):
        t = ratio(f, columns)
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


NEAR = 0.05
"""Most mean distance between least-squares weights and those that the angles predict."""


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move t of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, ("t",))


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    dtype = "bfloat16" if recipe.arithmetic == "bfloat16" else "float32"
    return configuration(recipe, paths, dtype)


METHOD = Method(
    name="model_stock",
    formula="t mean(p_i) + (1 - t) b, t = n c / (1 + (n - 1) c), c the mean cosine between d_i "
    "and d_j",
    source="Jang et al. 2024, Model Stock, arXiv:2403.19522; mergekit merge_methods/model_stock.py",
    parameters={},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
