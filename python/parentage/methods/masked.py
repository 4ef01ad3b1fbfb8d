"""Sums of displacements of which some are dropped, one row of a table for each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods.mergekit import configuration
from parentage.recipe import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from parentage.recipe import Recipe, Replaying, Setting
    from parentage.stream import Value
    from parentage.support import Floats

LARGEST = float(np.finfo(np.float32).max)
"""A threshold that nothing exceeds."""

ARITHMETICS = {
    "float32": "d_i, its scale, w_i d_i, sums in order, the quotient, lambda times it and b plus "
    "that, each rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once; weights and scales are bf16, lambda is not",
}

PARAMETERS = {
    "normalize": "divide by the sum of the weights that were added up",
    "lambda": "what the sum is multiplied by (default 1)",
}

PER_MODEL = ("gamma", "epsilon")
"""Parameters that mergekit wants with the models."""


def is_coarse(recipe: Recipe) -> bool:
    """Return whether the arithmetic is that of bf16."""
    return recipe.arithmetic.startswith("bfloat16")


def sum_in_order(values: Sequence[Value]) -> Value:
    """Return the sum in order."""
    return reduce(lambda a, b: a + b, values)


def numeric_parameter(recipe: Recipe, name: str, default: float) -> Setting:
    """Return a parameter that is a number."""
    value = recipe.parameters.get(name, default)
    return default if isinstance(value, bool | str) else value


def finished(replaying: Replaying, base: Value, change: Value, divisor: Value | None) -> Value:
    """Return the base plus a sum of displacements, divided and multiplied as the recipe says."""
    dtype = "BF16" if is_coarse(replaying.recipe) else None
    change = change.round(dtype)
    if divisor is not None:
        one = replaying.scalar(1.0)
        divisor = divisor.round(dtype)
        change = (change / replaying.program.select(divisor, divisor, one)).round(dtype)
    if "lambda" in replaying.recipe.parameters:
        factor = replaying.scalar(
            replaying.resolve(numeric_parameter(replaying.recipe, "lambda", 1.0))
        )
        change = (change * factor).round(dtype)
    result = base + change
    # Results are rounded to the dtype of the file anyway.
    return result if replaying.recipe.out_dtype == "BF16" else result.round(dtype)


def displacements(replaying: Replaying) -> tuple[Value, list[Value], list[Floats]]:
    """Return the base, displacements and weights, rounded as the arithmetic rounds them."""
    base = replaying.column(replaying.recipe.base or "")
    dtype = "BF16" if is_coarse(replaying.recipe) else None
    deltas = [
        (replaying.column(each.name) - base).round(dtype) for each in replaying.recipe.ingredients
    ]
    weights = replaying.weights()
    if is_coarse(replaying.recipe):
        weights = [to_bf16(weight) for weight in weights]
    return base, deltas, weights


def replay_by_size(replaying: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return sums of the displacements whose size is in its band.

    What is at a threshold is free: alternatives keep it or drop it, for each parent by itself.
    """
    base, deltas, weights = displacements(replaying)
    dtype = "BF16" if is_coarse(replaying.recipe) else None
    zero = replaying.scalar(0.0)
    choices: list[tuple[Value, Value]] = []
    for each, delta, weight in zip(replaying.recipe.ingredients, deltas, weights, strict=True):
        size = abs(delta)
        term = (delta * replaying.scalar(weight)).round(dtype)
        low, high = (
            replaying.fitted(f"low:{each.name}", 0.0),
            replaying.fitted(f"high:{each.name}", LARGEST),
        )
        at_most = replaying.program.select(size >= replaying.scalar(low), term, zero)
        at_least = replaying.program.select(size > replaying.scalar(high), term, zero)
        if f"top_low:{each.name}" in replaying.recipe.fitted:
            top_low = replaying.scalar(replaying.fitted(f"top_low:{each.name}", LARGEST))
            top_high = replaying.scalar(replaying.fitted(f"top_high:{each.name}", LARGEST))
            at_most = replaying.program.select(size > top_high, zero, at_most)
            at_least = replaying.program.select(size >= top_low, zero, at_least)
        choices.append((at_least, at_most))
    normalize = bool(replaying.recipe.parameters.get("normalize", normalize))
    results = []
    bits_of = settings_of_bits(len(choices), few=elected and len(choices) > 2)
    if elected and normalize and len(choices) > 3:
        # More than these are more than a program can have.
        bits_of = [bits_of[0], bits_of[-1]]
    for bits in bits_of:
        terms = [choice[bit] for choice, bit in zip(choices, bits, strict=True)]
        if elected:
            results.append(elected_sum(replaying, base, terms, weights, normalize=normalize))
        else:
            divisor = replaying.scalar(sum(weights)) if normalize else None
            results.append(finished(replaying, base, sum_in_order(terms), divisor))
    return results


def settings_of_bits(count: int, *, few: bool) -> list[tuple[int, ...]]:
    """Return settings of ``count`` bits: all of them, or none, each alone, and all at once.

    >>> settings_of_bits(2, few=False), len(settings_of_bits(4, few=True))
    ([(0, 0), (0, 1), (1, 0), (1, 1)], 6)
    """
    if not few:
        return list(product((0, 1), repeat=count))
    single = [tuple(int(i == j) for j in range(count)) for i in range(count)]
    return [(0,) * count, *single, (1,) * count]


def elected_sum(
    replaying: Replaying,
    base: Value,
    terms: Sequence[Value],
    weights: Sequence[Floats],
    *,
    normalize: bool,
) -> Value:
    """Return the sum, or the mean, of the terms whose sign is that of the sum of all."""
    zero = replaying.scalar(0.0)
    is_positive = sum_in_order(terms) >= zero
    agreeing = [
        replaying.program.select(
            is_positive,
            replaying.program.maximum(term, zero),
            replaying.program.minimum(term, zero),
        )
        for term in terms
    ]
    divisor = None
    if normalize:
        pairs = zip(agreeing, weights, strict=True)
        divisor = sum_in_order(
            [
                replaying.program.select(each, replaying.scalar(weight), zero)
                for each, weight in pairs
            ]
        )
    return finished(replaying, base, sum_in_order(agreeing), divisor)


def replay_by_chance(replaying: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return one result per subset of parents, since a random mask may have kept any.

    With sign election only subsets of one sign are possible.
    """
    base, deltas, weights = displacements(replaying)
    dtype = "BF16" if is_coarse(replaying.recipe) else None
    zero = replaying.scalar(0.0)
    terms = []
    for each, delta, weight in zip(replaying.recipe.ingredients, deltas, weights, strict=True):
        if f"scale:{each.name}" in replaying.recipe.fitted:
            delta = (delta * replaying.scalar(replaying.fitted(f"scale:{each.name}", 1.0))).round(
                dtype
            )
        terms.append((delta * replaying.scalar(weight)).round(dtype))
    normalize = bool(replaying.recipe.parameters.get("normalize", normalize))
    scalars = [replaying.scalar(weight) for weight in weights]
    results = [finished(replaying, base, zero, None)]
    for count in range(1, 1 + len(terms)):
        for chosen in combinations(range(len(terms)), count):
            if not elected:
                divisor = replaying.scalar(sum(weights)) if normalize else None
                results.append(
                    finished(replaying, base, sum_in_order([terms[i] for i in chosen]), divisor)
                )
            elif count == 1:
                divisor = scalars[chosen[0]] if normalize else None
                results.append(finished(replaying, base, terms[chosen[0]], divisor))
            else:
                for is_above in (True, False):
                    results.append(
                        _one_sign(replaying, base, terms, scalars, chosen, is_above, normalize)
                    )
    return results


def _one_sign(
    replaying: Replaying,
    base: Value,
    terms: Sequence[Value],
    weights: Sequence[Value],
    chosen: Sequence[int],
    is_above: bool,
    normalize: bool,
) -> Value:
    zero = replaying.scalar(0.0)
    side = replaying.program.maximum if is_above else replaying.program.minimum
    agreeing = [side(terms[i], zero) for i in chosen]
    change = sum_in_order(agreeing)
    divisor = None
    if normalize:
        counts = [
            replaying.program.select(each, weights[i], zero)
            for i, each in zip(chosen, agreeing, strict=True)
        ]
        divisor = sum_in_order(counts)
    return finished(replaying, base, change, divisor)


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    parameters = {name: value for name, value in recipe.parameters.items() if name not in PER_MODEL}
    config = configuration(
        replace(recipe, parameters=parameters),
        paths,
        "bfloat16" if is_coarse(recipe) else "float32",
    )
    for name in PER_MODEL:
        if name in recipe.parameters:
            for model in config["models"]:
                model.setdefault("parameters", {})[name] = recipe.parameters[name]
    return config


_RESCALE = {
    "rescale": "make up for what was dropped (default true); the scale is that of L1 norms",
}

_GAMMA = {"gamma": "share of the largest displacements that is dropped (default 0.01)"}

_EPSILON = {
    "epsilon": "how far the rate of keeping moves from density with rank (default 0.15)",
}


def _masked(
    name: str,
    formula: str,
    source: str,
    parameters: Mapping[str, str],
    *,
    by: Callable[..., Sequence[Value]],
    elected: bool,
    normalize: bool,
) -> Method:
    """Return a row of the table: a sum of displacements of which some are dropped."""
    return Method(
        name=name,
        formula=formula,
        source=f"{source}; mergekit merge_methods/generalized_task_arithmetic.py",
        parameters={**PARAMETERS, **parameters},
        arithmetics=ARITHMETICS,
        replay=partial(by, elected=elected, normalize=normalize),
        mergekit=mergekit,
    )


_YADAV = "Yadav et al. 2023, TIES-merging, arXiv:2306.01708"

_YU = "Yu et al. 2023, DARE, arXiv:2311.03099"

_DEEP = "Deep et al. 2024, DELLA-merging, arXiv:2406.11617"

_DAVARI = "Davari and Belilovsky 2023, Model breadcrumbs, arXiv:2312.06795"

MASKED = (
    _masked(
        "ties",
        "b + lambda sum_i w_i d_i m_i / sum_i w_i m_i; m_i: |d_i| is among the largest, and the "
        "sign is that of the sum",
        _YADAV,
        {},
        by=replay_by_size,
        elected=True,
        normalize=True,
    ),
    _masked(
        "dare_linear",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random, s_i = |d_i|_1 / |d_i m_i|_1",
        _YU,
        _RESCALE,
        by=replay_by_chance,
        elected=False,
        normalize=False,
    ),
    _masked(
        "dare_ties",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random, and the sign is that of the sum",
        _YU,
        _RESCALE,
        by=replay_by_chance,
        elected=True,
        normalize=False,
    ),
    _masked(
        "della",
        "b + lambda sum_i w_i s_i d_i m_i / sum_i w_i m_i; m_i random by rank, and the sign is "
        "that of the sum",
        _DEEP,
        {**_RESCALE, **_EPSILON},
        by=replay_by_chance,
        elected=True,
        normalize=True,
    ),
    _masked(
        "della_linear",
        "b + lambda sum_i w_i s_i d_i m_i; m_i random by rank, s_i = |d_i|_1 / |d_i m_i|_1",
        _DEEP,
        {**_RESCALE, **_EPSILON},
        by=replay_by_chance,
        elected=False,
        normalize=False,
    ),
    _masked(
        "breadcrumbs",
        "b + lambda sum_i w_i d_i m_i; m_i: |d_i| among the largest, the very largest left out",
        _DAVARI,
        _GAMMA,
        by=replay_by_size,
        elected=False,
        normalize=False,
    ),
    _masked(
        "breadcrumbs_ties",
        "b + lambda sum_i w_i d_i m_i; m_i as for breadcrumbs, and the sign is that of the sum",
        _DAVARI,
        _GAMMA,
        by=replay_by_size,
        elected=True,
        normalize=False,
    ),
)
"""Sums of displacements some of which are dropped: what is dropped, by size or by chance; whether
signs are elected; and whether the sum is divided by the weights that were added up."""
