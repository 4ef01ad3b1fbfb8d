"""A weighted sum of whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe
from parentage.spelling import MOVED, NOISE, candidates, whole_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings, Spelling
    from parentage.replay import Value

ARITHMETICS = {
    "float32-fma": "acc = fma(p_i, w_i, acc) in order from 0, then acc / sum w_i: mergekit from "
    "0.1.5",
    "float32": "the sum of w_i p_i in order, each product and each sum rounded, then / sum w_i: "
    "mergekit before 0.1.5 with dtype float32, and plain scripts",
    "bfloat16": "weights, products, the sum, the sum of weights and the quotient each rounded to "
    "bf16: mergekit before 0.1.5 with dtype bfloat16",
    "bfloat16-script": "each product and each sum rounded to bf16, weights float32: a plain script "
    "on bf16 tensors",
    "float16-script": "the same in f16",
}
MOST_ORDERED = 4
"""Ingredients up to which every order of summation is tried."""
MOST_COARSE = 48
LEAST_COARSE = 4
"""Weights tried for arithmetic that rounds more than once, the fewer the more orders there are."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the weighted sum in the recipe's arithmetic."""
    columns = [r.column(each.name) for each in r.recipe.ingredients]
    weights = r.weights()
    normalize = r.recipe.parameters.get("normalize", True)
    match r.recipe.arithmetic:
        case "float32-fma":
            total = r.scalar(0.0)
            for column, weight in zip(columns, weights, strict=True):
                total = r.program.fma(column, r.scalar(weight), total)
            return [divided(r, total, sum32(weights)) if normalize else total]
        case "float32":
            total = summed(columns, [r.scalar(weight) for weight in weights])
            return [divided(r, total, sum32(weights)) if normalize else total]
        case "bfloat16":
            narrow = [bf16(weight) for weight in weights]
            products = [
                (column * r.scalar(weight)).round("BF16")
                for column, weight in zip(columns, narrow, strict=True)
            ]
            total = reduce(lambda a, b: a + b, products).round("BF16")
            divisor = r.scalar(bf16(sum32(narrow)))
            return [(total / divisor).round("BF16") if normalize else total]
    dtype = {"bfloat16-script": "BF16", "float16-script": "F16"}[r.recipe.arithmetic]
    terms = [
        (column.round(dtype) * r.scalar(weight)).round(dtype)
        for column, weight in zip(columns, weights, strict=True)
    ]
    return [reduce(lambda a, b: (a + b).round(dtype), terms)]


def summed(columns: Sequence[Value], weights: Sequence[Value]) -> Value:
    """Return the sum of products in order, each operation rounded."""
    products = [column * weight for column, weight in zip(columns, weights, strict=True)]
    return reduce(lambda a, b: a + b, products)


def divided(r: Replaying, total: Value, divisor: np.ndarray) -> Value:
    """Return a quotient; dividing by one, which most weights come to, changes nothing."""
    return total if np.all(divisor == 1.0) else total / r.scalar(divisor)


def sum32(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the float32 sum of float32 weights in order, as float64."""
    total = np.zeros_like(weights[0], dtype=np.float32)
    for weight in weights:
        total = (total + weight.astype(np.float32)).astype(np.float32)
    return total.astype(np.float64)


def bf16(values: np.ndarray) -> np.ndarray:
    """Round float64 values to bf16 by way of float32, ties to even, as float64."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return rounded.view(np.float32).astype(np.float64)


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield every spelling of every blend in every arithmetic and order that could matter."""
    for spelling in f.spellings():
        yield from recipes(spelling, f.out_dtype)
    for arithmetic in ARITHMETICS:
        if not arithmetic.startswith("float32"):
            yield from _coarse(f, arithmetic)


def effective(weights: Sequence[float], arithmetic: str, *, normalize: bool) -> list[float]:
    """Return what written weights come to in an arithmetic, before products are rounded."""
    if arithmetic != "bfloat16":
        return list(weights)
    narrow = bf16(np.array(weights))
    divisor = float(bf16(np.array(sum32(list(narrow[:, None]))[0]))) if normalize else 1.0
    return [float(weight) / (divisor or 1.0) for weight in narrow]


def doubt(weight: float, arithmetic: str) -> float:
    """Return half the width of what a weight may have been in arithmetic that rounds it, or not."""
    if arithmetic != "bfloat16":
        return NOISE
    return float(np.ldexp(1.0, int(np.frexp(weight)[1]) - 9))


def _coarse(f: Findings, arithmetic: str) -> Iterator[Recipe]:
    """Yield what may have been written for arithmetic that rounds more than once."""
    found = f.effective
    if found is None:
        return
    names = [name for name, weight in found.items() if abs(weight) > MOVED]
    if not names:
        return
    aims = [found[name] for name in names]
    is_sum = abs(sum(aims) - 1.0) <= len(aims) * MOVED
    # Plain scripts divide by nothing.
    normalize = is_sum and arithmetic == "bfloat16"

    def comes_to(weights: Sequence[float]) -> list[float]:
        return effective(weights, arithmetic, normalize=normalize)

    orders = [tuple(range(len(names)))]
    # Products that were rounded to bf16 leave float32 sums hardly anything to round.
    if arithmetic != "bfloat16" and 2 < len(names) <= MOST_ORDERED:
        orders = list(permutations(range(len(names))))
    most = max(MOST_COARSE // len(orders), LEAST_COARSE)
    listed = candidates(aims, comes_to, last_follows=is_sum and len(names) > 1)
    written = [each.weights for each in listed[:most]]
    if is_sum:
        whole = whole_ratio(aims, MOVED)
        fractions = [float(Fraction(aim).limit_denominator(20)) for aim in aims]
        written += [tuple(aims), tuple(fractions), *([whole] if whole and normalize else [])]
    else:
        written.append(tuple(aims))
    for weights in dict.fromkeys(written):
        for order in orders:
            yield Recipe(
                "linear",
                tuple(
                    Ingredient(names[i], weights[i], doubt(weights[i], arithmetic)) for i in order
                ),
                None,
                {} if is_sum else {"normalize": False},
                arithmetic,
                f.out_dtype,
            )


def recipes(spelling: Spelling, out_dtype: str) -> Iterator[Recipe]:
    """Yield the recipes that a spelling of weights stands for."""
    names = [name for name, weight in spelling.weights.items() if weight != 0.0]
    if not names:
        return
    normalize: dict[str, Any] = {} if spelling.normalized else {"normalize": False}
    # Weights by slice are found, not spelled: one order tells whether they are of any use.
    is_found = any(isinstance(x, Mapping) and "slices" in x for x in spelling.weights.values())
    ordered = len(names) <= MOST_ORDERED and not is_found
    orders = list(permutations(names)) if ordered else [tuple(names)]
    for arithmetic in ARITHMETICS:
        if arithmetic.startswith(("bf", "float16")) != spelling.is_coarse:
            continue
        # Two products are added up alike in either order, a fused chain is not; and products that
        # were rounded to bf16 leave float32 hardly anything to round.
        commutes = arithmetic == "bfloat16" or (len(names) == 2 and arithmetic != "float32-fma")
        for order in orders[:1] if commutes else orders:
            yield Recipe(
                "linear",
                tuple(
                    Ingredient(name, spelling.weights[name], spelling.uncertainty.get(name))
                    for name in order
                ),
                None,
                normalize,
                arithmetic,
                out_dtype,
            )


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    narrow = {"bfloat16": "bfloat16", "bfloat16-script": "bfloat16", "float16-script": "float16"}
    return configuration(recipe, paths, narrow.get(recipe.arithmetic, "float32"))


METHOD = Method(
    name="linear",
    formula="sum_i w_i p_i, divided by sum_i w_i if normalize",
    source="Wortsman et al. 2022, Model soups, arXiv:2203.05482; mergekit merge_methods/linear.py",
    parameters={"normalize": "divide by the sum of weights (default true)"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
