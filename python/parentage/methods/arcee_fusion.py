"""Each element is the base's or the parent's, whichever importance says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.methods import masks
from parentage.methods.method import Method, Replaying
from parentage.methods.ram import mergekit
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "p - b and b plus that rounded to float32",
    "bfloat16": "p - b rounded to bf16, b plus that to the dtype of the file",
}
COPIED = 0.999
"""Least share of changed elements that are the parent's."""
TAKEN = (0.005, 0.8)
"""Share of the parent's displacements that may be taken."""
LIFT = 0.15
"""How much higher the ranks of the taken displacements are, at least, than those of the others."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the base and the parent, as alternatives."""
    base = r.column(r.recipe.base or "")
    dtype = "BF16" if masks.is_coarse(r.recipe) else None
    delta = (r.column(r.recipe.ingredients[0].name) - base).round(dtype)
    return [base, base + delta]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the parent that has what the base has not, where the larger displacements are taken."""
    if not masks.applies(f):
        return
    for arithmetic in ARITHMETICS:
        for name in f.parents:
            ingredients = (Ingredient(name),)
            recipe = Recipe("arcee_fusion", ingredients, f.base, {}, arithmetic, f.out_dtype)
            if is_fused(f, recipe) and masks.worthwhile(f, recipe):
                yield recipe
                return


def is_fused(f: Findings, recipe: Recipe) -> bool:
    """Return whether a child has large displacements of the parent, and no others."""
    from parentage.hypothesise import evaluate

    # A look at a part of the sample, before masks are.
    share = float(evaluate([recipe], f.small, f)[0].share[0])
    if masks.changed(f, share) < masks.EXPLAINED:
        return False
    view = masks.View(f, f.sample, recipe.arithmetic)
    is_base, is_parent = masks.outcomes(f, view, recipe)
    delta = view.deltas[f.parents.index(recipe.ingredients[0].name)]
    either = is_base | is_parent
    if float(either[view.moved].mean()) < COPIED:
        return False
    told = (is_base != is_parent) & (delta != 0.0)
    taken = float(is_parent[told].mean()) if told.any() else 0.0
    if not TAKEN[0] < taken < TAKEN[1]:
        return False
    # A threshold of the slice would say the same, and more.
    bands = masks.bands_of(np.abs(delta), told & is_parent, told & is_base, view, is_capped=True)
    if sum(each.errors for each in bands) <= masks.SEPARATE * float(told.sum()):
        return False
    rank = masks.ranks(np.abs(delta), view.rows)
    return float(rank[told & is_parent].mean() - rank[told & is_base].mean()) > LIFT


METHOD = Method(
    name="arcee_fusion",
    formula="b + d m; m: |d| KL(softmax(p) || softmax(b)) by row is above median + 1.5 IQR",
    source="Arcee fusion; mergekit merge_methods/arcee_fusion.py",
    parameters={},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
