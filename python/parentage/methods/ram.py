"""The base plus displacements, a mean of them where several parents changed an element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import masks
from parentage.methods.linear import bf16
from parentage.methods.method import Method, Replaying, configuration
from parentage.methods.sce import subsets
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "d_i, quotients, sums in order and b plus that rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once",
}
EPSILON = 1e-5
"""Displacements up to this are none."""


def contributions(r: Replaying) -> tuple[Value, list[Value], list[Value], Value]:
    """Return the base, displacements that count, the same over their number, and that number."""
    base = r.column(r.recipe.base or "")
    dtype = "BF16" if masks.is_coarse(r.recipe) else None
    zero, one = r.scalar(0.0), r.scalar(1.0)
    least = r.resolve(masks.number(r.recipe, "epsilon", EPSILON))
    epsilon = r.scalar(bf16(least) if dtype else least)
    deltas = [(r.column(each.name) - base).round(dtype) for each in r.recipe.ingredients]
    count = masks.total([abs(delta) > epsilon for delta in deltas])
    held = [r.program.select(abs(delta) > epsilon, delta, zero) for delta in deltas]
    number = r.program.maximum(count, one)
    return base, held, [(each / number).round(dtype) for each in held], count


def replay(r: Replaying) -> Sequence[Value]:
    """Return the base plus the mean of the displacements that count."""
    dtype = "BF16" if masks.is_coarse(r.recipe) else None
    base, _, parts, _ = contributions(r)
    return [(base + masks.total(parts).round(dtype)).round(dtype)]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the recipe of the parents that reproduce most, if that is nearly all."""

    def made(names: Sequence[str], arithmetic: str) -> Recipe:
        ingredients = tuple(Ingredient(name) for name in names)
        return Recipe("ram", ingredients, f.base, {}, arithmetic, f.out_dtype)

    best = searched(f, made)
    if best is not None:
        yield masks.ordered(f, best)


def searched(f: Findings, made: Callable[[Sequence[str], str], Recipe]) -> Recipe | None:
    """Return the recipe of a set of parents that reproduces nearly all of a part of the sample."""
    from parentage.hypothesise import evaluate

    if len(f.parents) < 2 or not masks.applies(f):
        return None
    candidates = [
        made([f.parents[i] for i in axes], arithmetic)
        for axes in subsets(len(f.parents), 2)
        for arithmetic in ARITHMETICS
    ]
    shares = [float(each.share[0]) for each in evaluate(candidates, f.small, f)]
    best = int(np.argmax(shares))
    return candidates[best] if masks.changed(f, shares[best]) >= masks.EXPLAINED else None


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    return configuration(recipe, paths, "bfloat16" if masks.is_coarse(recipe) else "float32")


METHOD = Method(
    name="ram",
    formula="b + sum_i d_i m_i / sum_i m_i; m_i: |d_i| > epsilon",
    source="Reinforced agent merging 2026, arXiv:2601.13572; mergekit merge_methods/ram.py",
    parameters={"epsilon": "displacements up to this are none (default 1e-5)"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
