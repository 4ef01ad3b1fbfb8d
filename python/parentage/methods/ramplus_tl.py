"""RAM with what a single parent changed scaled up, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.methods.masked_sums import sum_in_order
from parentage.methods.mergekit import configuration
from parentage.methods.ram import EPSILON, contributions
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "d_i, products, quotients, sums in order and b plus that rounded to float32",
    "bfloat16": "d_i and quotients rounded to bf16, all else to float32",
}

STRENGTH, CAP = 0.1, 0.2
"""mergekit's defaults of r and alpha."""


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the base plus shared displacements' mean, or the scaled displacement of one parent."""
    base, held, parts, count = contributions(replaying)
    one = replaying.scalar(1.0)
    terms = []
    for each, delta, part in zip(replaying.recipe.ingredients, held, parts, strict=True):
        factor = replaying.scalar(replaying.fitted(f"factor:{each.name}", 1.0 + STRENGTH * CAP))
        terms.append(replaying.program.select(count > one, part, delta * factor))
    return [base + sum_in_order(terms)]


METHOD = Method(
    name="ramplus_tl",
    formula="b + sum_i d_i m_i / sum_i m_i where several m_i are 1, b + f_i d_i where one is; "
    "m_i: |d_i| > epsilon, f_i = 1 + r min(shared_i / unique_i, alpha)",
    source="Reinforced agent merging 2026, arXiv:2601.13572; mergekit merge_methods/ram.py",
    parameters={
        "r": Parameter("how much unique displacements grow", default=STRENGTH),
        "alpha": Parameter("largest ratio of shared to unique elements that counts", default=CAP),
        "epsilon": Parameter("displacements up to this are none", default=EPSILON),
    },
    arithmetics=ARITHMETICS,
    replay=replay,
    fitted={"factor:NAME": "f_i (1 + r alpha of the defaults if absent)"},
    mergekit=configuration,
    needs_base=True,
)
