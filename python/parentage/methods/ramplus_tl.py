"""RAM with what a single parent changed scaled up, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods import masks
from parentage.methods.linear import bf16
from parentage.methods.method import Method, Replaying
from parentage.methods.ram import EPSILON, contributions, mergekit, searched
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "d_i, products, quotients, sums in order and b plus that rounded to float32",
    "bfloat16": "d_i and quotients rounded to bf16, all else to float32",
}
STRENGTH, CAP = 0.1, 0.2
"""mergekit's defaults of r and alpha."""
WINDOW = (1.0, 2.0)
"""Factors that are considered where the defaults fail."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the base plus shared displacements' mean, or the scaled displacement of one parent."""
    base, held, parts, count = contributions(r)
    one = r.scalar(1.0)
    terms = []
    for each, delta, part in zip(r.recipe.ingredients, held, parts, strict=True):
        factor = r.scalar(r.fitted(f"factor:{each.name}", 1.0 + STRENGTH * CAP))
        terms.append(r.program.select(count > one, part, delta * factor))
    return [base + masks.total(terms)]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the recipe of the parents that reproduce most, if that is nearly all."""
    if len(f.parents) < 2 or not masks.applies(f):
        return
    # Float32 files show factors to the last bit, and those take all elements.
    sample = f.sample if f.out_dtype == "F32" else f.small
    looks = {each: masks.View(f, sample, each) for each in ARITHMETICS}

    def made(names: Sequence[str], arithmetic: str) -> Recipe:
        ingredients = tuple(Ingredient(name) for name in names)
        recipe = Recipe("ramplus_tl", ingredients, f.base, {}, arithmetic, f.out_dtype)
        look = looks[arithmetic]
        deltas = look.deltas[[f.parents.index(name) for name in names]]
        return with_factors(f, look, recipe, by_counts(look, *counted(deltas, arithmetic)))

    best = searched(f, made)
    if best is None:
        return
    view = masks.View(f, f.sample, best.arithmetic)
    axes = [f.parents.index(each.name) for each in best.ingredients]
    deltas = view.deltas[axes]
    counts, alone = counted(deltas, best.arithmetic)
    candidates = [
        with_factors(f, view, best, by_counts(view, counts, alone)),
        with_factors(f, view, best, by_cells(view, deltas, alone)),
    ]
    yield masks.ordered(f, masks.best_of(f, candidates))


def counted(deltas: Floats, arithmetic: str) -> tuple[masks.Bools, masks.Bools]:
    """Return (parents, elements) which displacements count, and which of them count alone."""
    epsilon = np.array([EPSILON])
    least = bf16(epsilon) if arithmetic == "bfloat16" else epsilon.astype(np.float32)
    counts = np.abs(deltas) > least
    return counts, counts & (counts.sum(axis=0) == 1)


def with_factors(f: Findings, view: masks.View, recipe: Recipe, factors: Floats) -> Recipe:
    """Return the recipe with factors (parents, S)."""
    return replace(
        recipe,
        fitted={
            f"factor:{each.name}": masks.table(f, row, view.owner)
            for each, row in zip(recipe.ingredients, factors, strict=True)
        },
    )


def by_counts(view: masks.View, counts: masks.Bools, alone: masks.Bools) -> Floats:
    """Return the factors that the counts of shared and unique changes make, by the defaults."""
    shared = np.array([np.bincount(view.owner, row, view.slices) for row in counts & ~alone])
    unique = np.array([np.bincount(view.owner, row, view.slices) for row in alone])
    ratio = (shared / np.maximum(unique, EPSILON)).astype(np.float32)
    rise = (np.float32(STRENGTH) * np.clip(ratio, 0.0, np.float32(CAP))).astype(np.float32)
    out: Floats = (np.float32(1.0) + rise).astype(np.float64)
    return out


def by_cells(view: masks.View, deltas: Floats, alone: masks.Bools) -> Floats:
    """Return the factors where most cells of unique changes meet."""
    out = np.full((len(deltas), view.slices), 1.0 + STRENGTH * CAP)
    for i, delta in enumerate(deltas):
        rows = np.flatnonzero(alone[i])
        one, two = view.low[rows] / delta[rows], view.high[rows] / delta[rows]
        low, high = np.minimum(one, two), np.maximum(one, two)
        near = (high > WINDOW[0]) & (low < WINDOW[1]) & (high - low < 0.1)
        middle, _, depth = masks.deepest(low[near], high[near], view.owner[rows[near]], view.slices)
        out[i] = np.where(depth >= 3, middle, out[i])
    return out


METHOD = Method(
    name="ramplus_tl",
    formula="b + sum_i d_i m_i / sum_i m_i where several m_i are 1, b + f_i d_i where one is; "
    "m_i: |d_i| > epsilon, f_i = 1 + r min(shared_i / unique_i, alpha)",
    source="Reinforced agent merging 2026, arXiv:2601.13572; mergekit merge_methods/ram.py",
    parameters={
        "r": "how much unique displacements grow (default 0.1)",
        "alpha": "largest ratio of shared to unique elements that counts (default 0.2)",
        "epsilon": "displacements up to this are none (default 1e-5)",
    },
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
