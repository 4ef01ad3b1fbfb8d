"""Merges that drop displacements, made in numpy, and what a sample shows of their children."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from conftest import BF16, opened
from parentage.align import align
from parentage.checkpoint import Checkpoint, Columns
from parentage.hypothesise import RECOGNISERS, SampleEstimates, hypothesise
from parentage.methods import from_json, to_mergekit
from parentage.recipe import Recipe
from parentage.stream import Options

from common.families import F32, Array, Tensors, bf16, made, stored

SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (160, 64),
    "model.layers.0.self_attn.q_proj.weight": (96, 64),
    "model.layers.0.mlp.up_proj.weight": (128, 64),
    "model.layers.1.self_attn.q_proj.weight": (96, 64),
    "model.layers.1.mlp.up_proj.weight": (128, 64),
    "model.norm.weight": (64,),
}
NAMES = ("one", "two", "three")
FAMILY = made({"one": 0.004, "two": 0.003, "three": 0.005, "other": 0.004}, 20, SHAPES, 0.0)


@dataclass
class Case:
    method: str
    weights: Sequence[float | None]
    density: float | None = None
    dtype: str = "float32"
    parameters: dict[str, Any] = field(default_factory=dict)
    least: float = 0.999

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES[: len(self.weights)]

    def __str__(self) -> str:
        return f"{self.method}-{len(self.weights)}-{self.dtype}"


def merged(case: Case, family: Mapping[str, Tensors] = FAMILY) -> Tensors:
    rng = np.random.default_rng(5)
    q = bf16 if case.dtype == "bfloat16" else F32
    out = {}
    for tensor, base in family["base"].items():
        deltas = [q(family[name][tensor] - base) for name in case.names]
        out[tensor] = q(base + MERGE[case.method](case, deltas, q, rng, base)).astype(BF16)
    return out


def largest(size: Array, count: int) -> Array:
    mask = np.zeros(size.size, dtype=bool)
    mask[np.argsort(-size.ravel(), kind="stable")[:count]] = True
    return mask.reshape(size.shape)


def by_size(case: Case, delta: Array) -> Array:
    gamma = case.parameters.get("gamma", 0.0)
    size, n = np.abs(delta), delta.size
    if case.method == "ties":
        return largest(size, max(1, int(case.density * n)))
    top = int(gamma * n)
    return largest(size, top + int(case.density * n)) & ~largest(size, top)


def by_chance(case: Case, delta: Array, rng: np.random.Generator) -> Array:
    epsilon = case.parameters.get("epsilon", 0.0)
    rows = np.atleast_2d(np.abs(delta))
    rank = rows.argsort(axis=1).argsort(axis=1) / (rows.shape[1] - 1)
    rate = case.density - epsilon + 2.0 * epsilon * rank
    return (rng.random(rows.shape) < rate).reshape(delta.shape)


def sparse(case: Case, deltas: list[Array], q: Any, rng: np.random.Generator, _: Array) -> Array:
    every = []
    for delta in deltas:
        if case.method in ("ties", "breadcrumbs", "breadcrumbs_ties"):
            kept = q(delta * by_size(case, delta))
        else:
            kept = q(delta * by_chance(case, delta, rng))
            if case.parameters.get("rescale", True):
                total = q(np.abs(delta).sum(dtype=np.float64))
                left = q(np.abs(kept).sum(dtype=np.float64))
                if left > 1e-7:
                    kept = q(kept * q(total / left))
        every.append(kept)
    return combined(case, every, q)


def combined(case: Case, kept: Sequence[Array], q: Any) -> Array:
    """Return the sum, or the mean, of weighted displacements that were kept, 0 where dropped."""
    weights = [q(F32(w)) for w in case.weights]
    terms = [q(each * weight) for each, weight in zip(kept, weights, strict=True)]
    elects = case.method in ("ties", "dare_ties", "della", "breadcrumbs_ties")
    normalizes = case.parameters.get("normalize", case.method in ("ties", "della"))
    if elects:
        sign = np.where(summed(terms) >= 0, 1, -1)
        wins = [np.sign(term) == sign for term in terms]
    else:
        wins = [np.ones(kept[0].shape, bool) for _ in terms]
    change = q(summed([term * win for term, win in zip(terms, wins, strict=True)]))
    if normalizes:
        divisor = q(summed([F32(w) * win for w, win in zip(weights, wins, strict=True)]))
        change = q(change / np.where(divisor == 0, F32(1), divisor))
    if "lambda" in case.parameters:
        change = q(change * F32(case.parameters["lambda"]))
    return change


def summed(terms: Sequence[Array]) -> Array:
    total = terms[0].astype(F32)
    for term in terms[1:]:
        total = F32(total + term.astype(F32))
    return total


def sce(case: Case, deltas: list[Array], q: Any, *_: Any) -> Array:
    stack = np.array(deltas)
    variance = q(stack.astype(np.float64).var(axis=0))
    count = int(np.count_nonzero(variance) * case.parameters["select_topk"])
    stack = stack * largest(variance, count)
    means = q((q(stack * stack).reshape(len(stack), -1)).mean(axis=1, dtype=np.float64))
    weights = q(means / q(means.sum(dtype=np.float64)))
    wins = np.sign(stack) == np.where(summed(list(stack)) >= 0, 1, -1)
    shares = [F32(w * win) for w, win in zip(weights, wins, strict=True)]
    change = q(summed([q(d * share) for d, share in zip(stack, shares, strict=True)]))
    return q(change / np.maximum(q(summed(shares)), q(1e-6)))


def ram(case: Case, deltas: list[Array], q: Any, *_: Any) -> Array:
    counts = [np.abs(delta) > F32(1e-5) for delta in deltas]
    number = np.maximum(sum(each.astype(F32) for each in counts), F32(1)).astype(F32)
    terms = []
    for delta, count in zip(deltas, counts, strict=True):
        factor = F32(1)
        if case.method == "ramplus_tl":
            shared, unique = (count & (number > 1)).sum(), (count & (number == 1)).sum()
            ratio = F32(shared) / F32(max(unique, 1e-5))
            factor = F32(1 + F32(F32(0.1) * min(max(ratio, F32(0)), F32(0.2))))
        terms.append(np.where(number > 1, q(delta * count / number), F32(delta * count * factor)))
    # A factor of float32 makes all float32.
    return summed(terms) if case.method == "ramplus_tl" else q(summed(terms))


def fused(_: Case, deltas: list[Array], __: Any, rng: np.random.Generator, base: Array) -> Array:
    strength = rng.uniform(0.2, 1.0, (*base.shape[:-1], 1))
    score = np.abs(deltas[0]) * strength
    q1, middle, q3 = np.quantile(score, [0.25, 0.5, 0.75])
    return deltas[0] * (score >= middle + 1.5 * (q3 - q1) * 0.6)


def nearswap(case: Case, deltas: list[Array], _: Any, __: Any, base: Array) -> Array:
    parent = (base + deltas[0]).astype(F32)
    distance = np.maximum(np.abs(F32(base - parent)), F32(1e-6))
    weight = np.clip(F32(F32(1) / distance) * F32(case.parameters["t"]), 0, 1).astype(F32)
    whole = F32(F32(weight * parent) + F32(F32(1 - weight) * base))
    return whole.astype(np.float64) - base


MERGE: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(
        (
            "ties",
            "breadcrumbs",
            "breadcrumbs_ties",
            "dare_linear",
            "dare_ties",
            "della",
            "della_linear",
        ),
        sparse,
    ),
    "sce": sce,
    "ram": ram,
    "ramplus_tl": ram,
    "arcee_fusion": fused,
    "nearswap": nearswap,
}
BOTH = ("float32", "bfloat16")


def findings(folder: Any, child: Tensors, names: Sequence[str], **more: Tensors) -> SampleEstimates:
    family = FAMILY | more
    checkpoints = [opened(folder, "child", child)]
    checkpoints += [opened(folder, name, stored(family[name])) for name in names]
    return found(checkpoints, names)


def found(checkpoints: Sequence[Checkpoint], names: Sequence[str]) -> SampleEstimates:
    alignment = align(checkpoints[0], checkpoints[1:])
    return SampleEstimates(alignment, Columns(names[0], tuple(names[1:])), Options(1))


def recognised(estimates: SampleEstimates, name: str) -> list[Recipe]:
    """Return what the recogniser of a method yields."""
    return list(RECOGNISERS[name].estimate(estimates))


def assert_found(case: Case, folder: Any) -> None:
    """Assert that method, parents, weights, density and parameters of a merge are found."""
    f = findings(folder, merged(case), ("base", *case.names, "other"))
    best = hypothesise(f)[0]
    recipe = best.recipe
    assert best.share >= case.least, recipe.describe()
    assert (recipe.method, recipe.base) == (case.method, "base")
    assert recipe.arithmetic.startswith(case.dtype)
    assert sorted(recipe.parents_added) == sorted(case.names)
    weights = {each.name: each.weight for each in recipe.ingredients}
    if case.method in ("ties", "della") and case.parameters.get("normalize", True):
        # A mean has weights up to a factor.
        factor = sum(case.weights) / sum(weights.values())
        weights = {name: weight * factor for name, weight in weights.items()}
    for name, weight in zip(case.names, case.weights, strict=True):
        (ingredient,) = (each for each in recipe.ingredients if each.name == name)
        assert weights[name] == (None if weight is None else pytest.approx(weight, abs=0.01))
        if case.density is not None:
            assert ingredient.density == pytest.approx(case.density, abs=0.02)
    for name in ("gamma", "epsilon", "lambda", "select_topk"):
        assert recipe.parameters.get(name) == (
            pytest.approx(case.parameters[name], abs=0.03) if name in case.parameters else None
        )
    for name in ("normalize", "rescale"):
        assert recipe.parameters.get(name) == case.parameters.get(name)
    assert from_json(recipe.to_json()) == recipe
    assert recipe.method in to_mergekit(recipe)


def touched() -> dict[str, Tensors]:
    """Return a family whose parents have moved every fifth element each."""
    rng = np.random.default_rng(1)
    base = FAMILY["base"]
    family = {"base": base}
    for name in ("one", "two"):
        family[name] = {
            k: np.where(rng.random(base[k].shape) < 0.2, FAMILY[name][k], base[k]) for k in base
        }
    return family


def blurred(noise: float) -> Tensors:
    """Return a blend without masks, with noise on top."""
    rng = np.random.default_rng(2)
    out = {}
    for name, base in FAMILY["base"].items():
        moved = base + F32(0.6) * (FAMILY["one"][name] - base)
        out[name] = (moved + rng.normal(0, noise, base.shape)).astype(F32).astype(BF16)
    return out


NOT_MASKED: dict[str, Callable[[], Tensors]] = {
    "another fine-tune": lambda: stored(FAMILY["three"]),
    "a blend": lambda: blurred(0.0),
    "a blend with noise": lambda: blurred(3e-5),
    "a blend with more": lambda: blurred(1e-3),
}
