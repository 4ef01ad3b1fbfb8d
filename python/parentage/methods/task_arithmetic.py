"""The base plus weighted displacements."""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import TYPE_CHECKING, Any

from parentage.methods.linear import MOST_ORDERED, bf16
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "d_i, w_i d_i, their sum in order, lambda times it, and b plus that, each rounded",
    "float32-fma": "fma(d, w, b) with d rounded: torch.lerp, torch.add with alpha; one parent",
    "float32-fma-far": "fma(d, -(1 - w), p): torch.lerp from w = 0.5 on; one parent",
    "bfloat16": "d_i, w_i d_i, their sum, lambda times it and b plus that each rounded to bf16; "
    "weights rounded to bf16, lambda not: mergekit with dtype bfloat16",
    "bfloat16-script": "the same with float32 weights: a plain script on bf16 tensors",
}


def replay(r: Replaying) -> Sequence[Value]:
    """Return the base and what is added to it."""
    base = r.column(r.recipe.base or "")
    arithmetic = r.recipe.arithmetic
    dtype = "BF16" if arithmetic.startswith("bfloat16") else None
    weights = r.weights()
    if arithmetic == "bfloat16":
        weights = [bf16(weight) for weight in weights]
    columns = [r.column(each.name) for each in r.recipe.ingredients]
    deltas = [(column - base).round(dtype) for column in columns]
    if arithmetic == "float32-fma":
        return [r.program.fma(deltas[0], r.scalar(weights[0]), base)]
    if arithmetic == "float32-fma-far":
        return [r.program.fma(deltas[0], r.scalar(weights[0] - 1.0), columns[0])]
    terms = [
        (delta * r.scalar(weight)).round(dtype)
        for delta, weight in zip(deltas, weights, strict=True)
    ]
    total = reduce(lambda a, b: a + b, terms).round(dtype)
    if "lambda" in r.recipe.parameters:
        total = (total * r.scalar(r.resolve(_number(r.recipe.parameters["lambda"])))).round(dtype)
    return [(base + total).round(dtype)]


def _number(value: object) -> Any:
    return value


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield every spelling of every blend whose weights sum to one with the base's."""
    for spelling in f.spellings():
        if not spelling.normalized:
            continue
        names = [
            name for name, weight in spelling.weights.items() if name != f.base and weight != 0.0
        ]
        if not names:
            continue
        for arithmetic in ARITHMETICS:
            if arithmetic.startswith("bf") != spelling.is_coarse:
                continue
            if "fma" in arithmetic and len(names) > 1:
                continue
            # Sums of two commute; of more, they do not.
            all_orders = 2 < len(names) <= MOST_ORDERED
            for order in permutations(names) if all_orders else [tuple(names)]:
                yield Recipe(
                    "task_arithmetic",
                    tuple(
                        Ingredient(name, spelling.weights[name], spelling.uncertainty.get(name))
                        for name in order
                    ),
                    f.base,
                    spelling.parameters,
                    arithmetic,
                    f.out_dtype,
                )


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    dtype = "bfloat16" if recipe.arithmetic.startswith("bfloat16") else "float32"
    return configuration(recipe, paths, dtype)


METHOD = Method(
    name="task_arithmetic",
    formula="b + lambda sum_i w_i d_i",
    source="Ilharco et al. 2023, Editing models with task arithmetic, arXiv:2212.04089; mergekit "
    "merge_methods/generalized_task_arithmetic.py",
    parameters={"lambda": "what the sum is multiplied by (default 1)"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
