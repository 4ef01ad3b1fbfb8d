"""Sums of displacements of which some are dropped: seven methods, one row of a table each.

They differ in four things: what is dropped, by size or by chance; whether a sign is elected for
each element, so that parents of the other sign add nothing; whether the sum is divided by the
weights that were added up; and which parameters say how much is dropped.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from parentage.methods.masked_sums import LARGEST as LARGEST
from parentage.methods.masked_sums import replay_by_chance, replay_by_size
from parentage.methods.mergekit import configuration, parameter
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from parentage.recipe import Recipe
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "d_i, its scale, w_i d_i, sums in order, the quotient, lambda times it and b plus "
    "that, each rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once; weights and scales are bf16, lambda is not",
}

RESCALE = {
    "rescale": Parameter("make up for what was dropped, so that L1 norms stay", bool, default=True)
}
GAMMA = {"gamma": Parameter("share of the largest displacements that is dropped", default=0.01)}
EPSILON = {
    "epsilon": Parameter("how far the rate of keeping moves from density with rank", default=0.15)
}

PER_MODEL = (*GAMMA, *EPSILON)
"""Parameters that mergekit wants with each of the models."""

BY_SIZE = {
    "low:NAME": "|d_i| below which all is dropped (0 if absent)",
    "high:NAME": "|d_i| above which all is kept; in between either may be",
    "top_low:NAME": "|d_i| below which all is kept, where the very largest are dropped",
    "top_high:NAME": "|d_i| above which all is dropped again",
}
BY_CHANCE = {"scale:NAME": "s_i (1 if absent)"}

YADAV = "Yadav et al. 2023, TIES-merging, arXiv:2306.01708"
YU = "Yu et al. 2023, DARE, arXiv:2311.03099"
DEEP = "Deep et al. 2024, DELLA-merging, arXiv:2406.11617"
DAVARI = "Davari and Belilovsky 2023, Model breadcrumbs, arXiv:2312.06795"


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    common = {name: value for name, value in recipe.parameters.items() if name not in PER_MODEL}
    config = configuration(replace(recipe, parameters=common), paths)
    for name in PER_MODEL:
        if name in recipe.parameters:
            for model in config["models"]:
                model.setdefault("parameters", {})[name] = parameter(recipe.parameters[name])
    return config


def kind(recipe: Recipe) -> str:
    """Return the verdict: where displacements are kept whole or not at all, elements are copies."""
    is_whole = recipe.parameters.get("rescale") is False and "lambda" not in recipe.parameters
    weights = [each.weight for each in recipe.ingredients]
    return "assembled" if is_whole and weights == [1.0] else "merge"


def masked(
    name: str,
    formula: str,
    source: str,
    *,
    replay: Callable[..., Sequence[Value]],
    elected: bool,
    normalize: bool,
    parameters: Mapping[str, Parameter] | None = None,
) -> Method:
    """Return a row of the table.

    ``replay`` says by what displacements are dropped, ``elected`` whether signs are elected,
    ``normalize`` whether the sum is divided unless a recipe says otherwise, and ``parameters`` what
    a recipe may set beside ``normalize`` and ``lambda``.
    """
    divide = Parameter("divide by the sum of weights that were added up", bool, default=normalize)
    return Method(
        name=name,
        formula=formula,
        source=f"{source}; mergekit merge_methods/generalized_task_arithmetic.py",
        parameters={
            "normalize": divide,
            "lambda": Parameter("what the sum is multiplied by", default=1.0),
            **(parameters or {}),
        },
        arithmetics=ARITHMETICS,
        replay=partial(replay, elected=elected, normalize=normalize),
        fitted=BY_SIZE if replay is replay_by_size else BY_CHANCE,
        mergekit=mergekit,
        needs_base=True,
        kind_of=kind,
    )


MASKED = (
    masked(
        "ties",
        "b + lambda sum_i w_i d_i m_i / sum_i w_i m_i; m_i: |d_i| is among the largest, and the "
        "sign is that of the sum",
        YADAV,
        replay=replay_by_size,
        elected=True,
        normalize=True,
    ),
    masked(
        "dare_linear",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random, s_i = |d_i|_1 / |d_i m_i|_1",
        YU,
        replay=replay_by_chance,
        elected=False,
        normalize=False,
        parameters=RESCALE,
    ),
    masked(
        "dare_ties",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random, and the sign is that of the sum",
        YU,
        replay=replay_by_chance,
        elected=True,
        normalize=False,
        parameters=RESCALE,
    ),
    masked(
        "della",
        "b + lambda sum_i w_i s_i d_i m_i / sum_i w_i m_i; m_i random by rank, and the sign is "
        "that of the sum",
        DEEP,
        replay=replay_by_chance,
        elected=True,
        normalize=True,
        parameters={**RESCALE, **EPSILON},
    ),
    masked(
        "della_linear",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random by rank, s_i = |d_i|_1 / |d_i m_i|_1",
        DEEP,
        replay=replay_by_chance,
        elected=False,
        normalize=False,
        parameters={**RESCALE, **EPSILON},
    ),
    masked(
        "breadcrumbs",
        "b + lambda sum_i w_i d_i m_i; m_i: |d_i| among the largest, the very largest left out",
        DAVARI,
        replay=replay_by_size,
        elected=False,
        normalize=False,
        parameters=GAMMA,
    ),
    masked(
        "breadcrumbs_ties",
        "b + lambda sum_i w_i d_i m_i; m_i as for breadcrumbs, and the sign is that of the sum",
        DAVARI,
        replay=replay_by_size,
        elected=True,
        normalize=False,
        parameters=GAMMA,
    ),
)
"""In the order in which they are reported where several reproduce the same bytes."""
