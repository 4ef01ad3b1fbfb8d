"""Methods that drop displacements: families made here, merged in numpy, and found again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BF16, opened
from hypothesis import given
from hypothesis import strategies as st
from parentage.align import align
from parentage.checkpoint import Checkpoint, Columns
from parentage.hypothesise import RECOGNISERS, SampleEstimates, hypothesise
from parentage.hypothesise.recognise.masks import interpreted
from parentage.hypothesise.recognise.masks import view as views
from parentage.methods import METHODS, from_json, to_mergekit
from parentage.recipe import Ingredient, Recipe
from parentage.replay import compile_recipe
from parentage.stream import Options

F32 = np.float32
SHAPES = {
    "model.embed_tokens.weight": (160, 64),
    "model.layers.0.self_attn.q_proj.weight": (96, 64),
    "model.layers.0.mlp.up_proj.weight": (128, 64),
    "model.layers.1.self_attn.q_proj.weight": (96, 64),
    "model.layers.1.mlp.up_proj.weight": (128, 64),
    "model.norm.weight": (64,),
}
NAMES = ("one", "two", "three")
Tensors = dict[str, np.ndarray]
Array = np.ndarray


def made(scales: Mapping[str, float]) -> dict[str, Tensors]:
    """A base and parents that are displaced from it, as float32 numbers that bf16 holds."""
    rng = np.random.default_rng(20)
    family: dict[str, Tensors] = {"base": {}} | {name: {} for name in scales}
    for tensor, shape in SHAPES.items():
        base = rng.normal(0, 0.03, shape).astype(BF16).astype(F32)
        family["base"][tensor] = base
        for name, scale in scales.items():
            moved = base + rng.normal(0, scale, shape).astype(F32)
            family[name][tensor] = moved.astype(BF16).astype(F32)
    return family


FAMILY = made({"one": 0.004, "two": 0.003, "three": 0.005, "other": 0.004})


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
    q = rounded if case.dtype == "bfloat16" else F32
    out = {}
    for tensor in SHAPES:
        base = family["base"][tensor]
        deltas = [q(family[name][tensor] - base) for name in case.names]
        out[tensor] = q(base + MERGE[case.method](case, deltas, q, rng, base)).astype(BF16)
    return out


def rounded(values: Any) -> Array:
    return np.asarray(values, dtype=F32).astype(BF16).astype(F32)


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
    weights = [q(F32(w)) for w in case.weights]
    terms = []
    for delta, weight in zip(deltas, weights, strict=True):
        if case.method in ("ties", "breadcrumbs", "breadcrumbs_ties"):
            kept = q(delta * by_size(case, delta))
        else:
            kept = q(delta * by_chance(case, delta, rng))
            if case.parameters.get("rescale", True):
                total = q(np.abs(delta).sum(dtype=np.float64))
                left = q(np.abs(kept).sum(dtype=np.float64))
                if left > 1e-7:
                    kept = q(kept * q(total / left))
        terms.append(q(kept * weight))
    elects = case.method in ("ties", "dare_ties", "della", "breadcrumbs_ties")
    normalizes = case.parameters.get("normalize", case.method in ("ties", "della"))
    if elects:
        sign = np.where(summed(terms) >= 0, 1, -1)
        wins = [np.sign(term) == sign for term in terms]
    else:
        wins = [np.ones(deltas[0].shape, bool) for _ in terms]
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
CASES = [
    *(Case("ties", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    Case("ties", (0.5, 0.3, 0.2), 0.4),
    Case("ties", (0.6, 0.3), 0.3, parameters={"lambda": 0.8}),
    Case("ties", (0.6, 0.3), 0.3, parameters={"normalize": False}),
    *(Case("breadcrumbs", (0.6, 0.4), 0.5, dtype, {"gamma": 0.02}) for dtype in BOTH),
    *(Case("breadcrumbs_ties", (0.7, 0.5), 0.5, dtype, {"gamma": 0.02}) for dtype in BOTH),
    *(Case("dare_linear", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    Case("dare_linear", (0.5, 0.3, 0.4), 0.6),
    Case("dare_linear", (0.6, 0.4), 0.5, parameters={"rescale": False}),
    *(Case("dare_ties", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    *(Case("della", (0.6, 0.4), 0.6, dtype, {"epsilon": 0.15}) for dtype in BOTH),
    *(Case("della_linear", (0.6, 0.4), 0.6, dtype, {"epsilon": 0.15}) for dtype in BOTH),
    *(Case("sce", (None, None), None, dtype, {"select_topk": 0.5}) for dtype in BOTH),
    Case("sce", (None, None, None), None, "float32", {"select_topk": 0.5}),
]


def findings(
    tmp_path: Path, child: Tensors, names: Sequence[str], **more: Tensors
) -> SampleEstimates:
    family = FAMILY | more
    stored = {name: {k: v.astype(BF16) for k, v in family[name].items()} for name in names}
    checkpoints = [opened(tmp_path, "child", child)]
    checkpoints += [opened(tmp_path, name, tensors) for name, tensors in stored.items()]
    return found(checkpoints, names)


def found(checkpoints: Sequence[Checkpoint], names: Sequence[str]) -> SampleEstimates:
    alignment = align(checkpoints[0], checkpoints[1:])
    return SampleEstimates(alignment, Columns(names[0], tuple(names[1:])), Options(1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finds_method_parents_weights_and_density(case: Case, tmp_path: Path) -> None:
    f = findings(tmp_path, merged(case), ("base", *case.names, "other"))
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


def test_a_mask_of_magnitudes_leaves_little_open(tmp_path: Path) -> None:
    f = findings(tmp_path, merged(Case("ties", (0.6, 0.4), 0.5)), ("base", "one", "two"))
    best = hypothesise(f)[0]
    assert best.mismatched == 0
    assert best.explained < 0.05 * best.elements
    assert best.decoy_share < 0.7


@pytest.mark.parametrize("method", ["ram", "ramplus_tl"])
@pytest.mark.parametrize("dtype", BOTH)
def test_ram(method: str, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    touched: dict[str, Tensors] = {"base": FAMILY["base"]}
    for name in ("one", "two"):
        base, full = FAMILY["base"], FAMILY[name]
        touched[name] = {
            k: np.where(rng.random(base[k].shape) < 0.2, full[k], base[k]) for k in base
        }
    case = Case(method, (None, None), dtype=dtype)
    f = findings(tmp_path, merged(case, touched), ("base", "one", "two", "other"), **touched)
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.arithmetic) == (method, dtype)
    assert best.recipe.parents_added == ("one", "two")
    assert best.share > 0.9999
    assert best.explained == 0


@pytest.mark.parametrize("dtype", BOTH)
def test_arcee_fusion(dtype: str, tmp_path: Path) -> None:
    f = findings(
        tmp_path, merged(Case("arcee_fusion", (None,), dtype=dtype)), ("base", "one", "other")
    )
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.parents_added) == ("arcee_fusion", ("one",))
    assert best.mismatched == 0


def test_nearswap(tmp_path: Path) -> None:
    case = Case("nearswap", (None,), parameters={"t": 0.002})
    f = findings(tmp_path, merged(case), ("base", "one", "other"))
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.parents_added) == ("nearswap", ("one",))
    assert best.recipe.parameters == {"t": 0.002}
    assert best.share > 0.999


def blend(noise: float) -> Tensors:
    rng = np.random.default_rng(2)
    out = {}
    for name, base in FAMILY["base"].items():
        moved = base + F32(0.6) * (FAMILY["one"][name] - base)
        out[name] = (moved + rng.normal(0, noise, base.shape)).astype(F32).astype(BF16)
    return out


NOT_MASKED = {
    "another fine-tune": lambda: {k: v.astype(BF16) for k, v in FAMILY["three"].items()},
    "a blend": lambda: blend(0.0),
    "a blend with noise": lambda: blend(3e-5),
    "a blend with more": lambda: blend(1e-3),
}


@pytest.mark.parametrize("child", NOT_MASKED.values(), ids=NOT_MASKED)
def test_claims_no_mask_where_there_is_none(child: Callable[[], Tensors], tmp_path: Path) -> None:
    f = findings(tmp_path, child(), ("base", "one", "two", "other"))
    ours = [name for name in MERGE if name in METHODS]
    assert [recipe for name in ours for recipe in RECOGNISERS[name].estimate(f)] == []


def alternatives(case: Case, rows: Sequence[Array], base: Array, open_: Array) -> set[float]:
    """What one element may become: rows of free masks, merged as `sparse` does."""
    q = rounded if case.dtype == "bfloat16" else F32
    out = set()
    for bits in product((0, 1), repeat=len(rows)):
        if any(free == 0 and bit == 0 for free, bit in zip(open_, bits, strict=True)):
            continue
        weights = [q(F32(w)) for w in case.weights]
        terms = [q(q(d * F32(b)) * w) for d, b, w in zip(rows, bits, weights, strict=True)]
        sign = np.where(summed(terms) >= 0, 1, -1)
        wins = [np.sign(term) == sign for term in terms]
        change = q(summed([t * win for t, win in zip(terms, wins, strict=True)]))
        divisor = q(summed([F32(w) * win for w, win in zip(weights, wins, strict=True)]))
        change = q(change / np.where(divisor == 0, F32(1), divisor))
        out.add(float(q(base + change).astype(BF16)[0]))
    return out


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(BOTH), count=st.integers(1, 2))
def test_replay_is_what_numpy_computes(
    seed: int, dtype: str, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    n = 64
    base = rng.normal(0, 0.03, n).astype(BF16)
    parents = [
        (base.astype(F32) + rng.normal(0, 0.004, n).astype(F32)).astype(BF16) for _ in range(count)
    ]
    weights = [float(round(w, 2)) for w in rng.uniform(0.1, 1.0, count)]
    case = Case("ties", weights, dtype=dtype)
    q = rounded if dtype == "bfloat16" else F32
    deltas = [q(p.astype(F32) - base.astype(F32)) for p in parents]
    sizes = [np.abs(delta) for delta in deltas]
    low = [float(np.quantile(size, 0.3)) for size in sizes]
    high = [float(np.quantile(size, 0.7)) for size in sizes]
    allowed = []
    for e in range(n):
        rows = [
            np.where(s[[e]] < lo, F32(0), d[[e]])
            for d, s, lo in zip(deltas, sizes, low, strict=True)
        ]
        free = np.array(
            [lo <= s[e] <= hi for s, lo, hi in zip(sizes, low, high, strict=True)], dtype=int
        )
        allowed.append(alternatives(case, rows, base[[e]].astype(F32), free))
    child = np.array([sorted(each)[rng.integers(len(each))] for each in allowed]).astype(BF16)
    strange = rng.random(n) < 0.1
    child[strange] = rng.normal(0, 0.03, int(strange.sum())).astype(BF16)
    folder = tmp_path_factory.mktemp("family")
    checkpoints = [
        opened(folder, name, {"w": values})
        for name, values in zip(("child", "base", *NAMES), (child, base, *parents), strict=False)
    ]
    names = ("base", *NAMES[:count])
    f = found(checkpoints, names)
    recipe = Recipe(
        "ties",
        tuple(Ingredient(name, w) for name, w in zip(names[1:], weights, strict=True)),
        "base",
        arithmetic=dtype,
        fitted={f"low:{name}": {"w": x} for name, x in zip(names[1:], low, strict=True)}
        | {f"high:{name}": {"w": x} for name, x in zip(names[1:], high, strict=True)},
    )
    counted = f.sample.replay([compile_recipe(recipe, f.columns.indices, f.slices)])
    values = child.astype(np.float64)
    good = [float(value) in each for value, each in zip(values, allowed, strict=True)]
    sole = [each == {float(value)} for value, each in zip(values, allowed, strict=True)]
    assert int(counted.reproduced.sum()) == sum(sole)
    assert int(counted.explained.sum()) == sum(good) - sum(sole)
    # The interpreter that masks are told by computes the same.
    view = views.View(f, f.sample, dtype)
    matches = np.array(interpreted.outcomes(f, view, recipe))
    assert int(matches.any(axis=0).sum()) == sum(good)


def test_cells_of_a_subnormal_and_a_power_of_two() -> None:
    low, high = views.cell(np.array([0.0, 1.0, -1.0]), "BF16")
    assert high[0] == -low[0] == math.ldexp(1.0, -134)
    assert (low[1], high[1]) == (1 - 2**-9, 1 + 2**-8)
    assert (low[2], high[2]) == (-1 - 2**-8, -1 + 2**-9)
