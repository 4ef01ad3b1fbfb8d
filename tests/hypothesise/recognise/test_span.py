"""Methods whose weights are angles.

Merges are made here in float32 as their tools make them, on whole tensors; the recipes that are
found have a scalar or two per tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest
import yaml
from common.families import F32, F64, Array, found_in, made
from common.recognised import best_of, counted, same_when_read_again
from common.spheres import FAMILY, RELATED, SMALL, child_of, dot, karcher, norm
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise import (
    LEAST_GAIN,
    hypothesise,
)
from parentage.hypothesise.recognise.karcher import combined as karcher_weights
from parentage.hypothesise.recognise.multislerp import combined as multislerp_weights
from parentage.hypothesise.recognise.span import LINEAR, cosines, interpolation, slerp_weights
from parentage.methods import to_mergekit


def slerp(x: Array, y: Array, t: float) -> Array:
    cosine = float(dot(F32(x / norm(x)), F32(y / norm(y))))
    if abs(cosine) > 0.9995:
        return F32(F32(F32(1.0 - t) * x) + F32(F32(t) * y))
    theta = np.arccos(cosine)
    one = F32(np.sin((1.0 - t) * theta) / np.sin(theta))
    two = F32(np.sin(t * theta) / np.sin(theta))
    return F32(F32(one * x) + F32(two * y))


def nuslerp(x: Array, y: Array, t: float) -> Array:
    cosine = np.clip(dot(F32(x / norm(x)), F32(y / norm(y))), -1, 1)
    theta = F32(np.arccos(F32(cosine)))
    one, two = F32(np.sin(F32(F32(1.0 - t) * theta))), F32(np.sin(F32(F32(t) * theta)))
    return F32(F32(F32(one * x) + F32(two * y)) / F32(np.sin(theta)))


def multislerp(parts: Sequence[Array], weights: Sequence[float]) -> Array:
    shares = [F32(w) for w in weights]
    total = reduce(lambda a, b: F32(a + b), shares)
    shares = [F32(w / total) for w in shares]

    def mixed(values: Sequence[Array]) -> Array:
        products = [F32(v * w) for v, w in zip(values, shares, strict=True)]
        return reduce(lambda a, b: F32(a + b), products)

    norms = [F32(norm(x) + F32(1e-8)) for x in parts]
    units = [F32(x / n) for x, n in zip(parts, norms, strict=True)]
    mean = mixed(units)
    mean = F32(mean / norm(mean))
    tangent = mixed([F32(u - F32(dot(u, mean) * mean)) for u in units])
    length = F32(norm(tangent) + F32(1e-8))
    along = F32(tangent * F32(np.sin(length) / length))
    size = reduce(lambda a, b: F32(a + b), [F32(n * w) for n, w in zip(norms, shares, strict=True)])
    return F32(F32(F32(mean * F32(np.cos(length))) + along) * size)


def stock(base: Array, parts: Sequence[Array]) -> Array:
    deltas = [F32(x - base) for x in parts]
    count = len(parts)
    found = [
        dot(deltas[i], deltas[j]) / F32(norm(deltas[i]) * norm(deltas[j]))
        for i in range(count)
        for j in range(i)
    ]
    cosine = F32(np.mean(found))
    t = F32(F32(count * cosine) / F32(F32(1) + F32((count - 1) * cosine)))
    mean = F32(reduce(lambda a, b: F32(a + b), parts) / F32(count))
    return F32(F32(mean * t) + F32(base * F32(F32(1) - t)))


def displaced(merge: Callable[..., Array], names: Sequence[str], *rest: Any) -> Any:
    def merged(x: Callable[[str], Array]) -> Array:
        base = x("base")
        parts = [F32(x(name) - base) for name in names]
        inner = merge(*parts, *rest) if merge is nuslerp else merge(parts, *rest)
        return F32(inner + base)

    return merged


CASES: dict[str, tuple[str, Any, Any, dict[str, float | None], str | None, dict[str, Any]]] = {
    "slerp": (
        "slerp",
        FAMILY,
        lambda x: slerp(x("base"), x("one"), 0.35),
        {"base": None, "one": None},
        "base",
        {"t": 0.35},
    ),
    "slerp of two": (
        "slerp",
        FAMILY,
        lambda x: slerp(x("one"), x("two"), 0.7),
        {"one": None, "two": None},
        "one",
        {"t": 0.7},
    ),
    "nuslerp of displacements": (
        "nuslerp",
        FAMILY,
        displaced(nuslerp, ["one", "two"], 0.3),
        {"one": 0.7, "two": 0.3},
        "base",
        {},
    ),
    "multislerp": (
        "multislerp",
        FAMILY,
        lambda x: multislerp([x("one"), x("two"), x("three")], [0.5, 0.3, 0.2]),
        {"one": 0.5, "two": 0.3, "three": 0.2},
        None,
        {},
    ),
    "multislerp of displacements": (
        "multislerp",
        FAMILY,
        displaced(multislerp, ["one", "two", "three"], [0.5, 0.3, 0.2]),
        {"one": 0.5, "two": 0.3, "three": 0.2},
        "base",
        {},
    ),
    "karcher": (
        "karcher",
        FAMILY,
        lambda x: karcher([x("one"), x("two"), x("three")]),
        {"one": None, "two": None, "three": None},
        None,
        {},
    ),
    "model_stock": (
        "model_stock",
        RELATED,
        lambda x: stock(x("base"), [x("one"), x("two"), x("three")]),
        {"one": None, "two": None, "three": None},
        "base",
        {},
    ),
}


SLOW = ("nuslerp of displacements", "multislerp of displacements", "model_stock")


@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=[pytest.mark.slow] * (each in SLOW)) for each in CASES]
)
def test_the_method_is_named_with_its_parameters(tmp_path, case):
    method, family, merge, weights, base, parameters = CASES[case]
    best = best_of(tmp_path, family, child_of(merge, family), ["one", "two", "three"])
    recipe = best.recipe
    assert recipe.method == method
    assert best.share >= 0.999
    assert best.decoy_share < 0.1
    assert recipe.arithmetic == "float32"
    assert recipe.base == base
    assert recipe.parameters == parameters
    assert {each.name: each.weight for each in recipe.ingredients} == weights
    assert f"merge_method: {method}" in to_mergekit(recipe)
    assert all(set(table) == set(SMALL) for table in recipe.fitted.values())


def test_nuslerp_of_whole_checkpoints_is_slerp(tmp_path):
    child = child_of(lambda x: nuslerp(x("one"), x("two"), 0.3), FAMILY)
    best = best_of(tmp_path, FAMILY, child, ["one", "two"])
    assert best.share >= 0.999
    assert best.recipe.base in (None, "one")
    assert best.recipe.parents_added == ("one", "two")
    assert best.recipe.parameters in ({"t": 0.3}, {})
    named = {best.recipe.method, *(x.split(" ")[0] for x in best.recipe.equivalents)}
    assert named == {"slerp", "nuslerp"}


@pytest.mark.parametrize("case", ["slerp of two", "karcher", "model_stock"])
def test_without_a_parent_there_is_nothing_to_name(tmp_path, case):
    _, family, merge, *_ = CASES[case]
    found = hypothesise(found_in(tmp_path, family, child_of(merge, family), ["one"]))
    assert not found or found[0].gain < LEAST_GAIN


def test_slerp_of_close_relatives_is_a_line(tmp_path):
    family = made({"one": 2e-4}, 7, SMALL)
    child = child_of(lambda x: slerp(x("base"), x("one"), 0.6), family)
    best = best_of(tmp_path, family, child, ["one"])
    assert best.mismatched == 0
    named = {best.recipe.method, *(x.split(" ")[0] for x in best.recipe.equivalents)}
    assert {"linear", "slerp"} <= named


# Vectors that are turned by themselves.


def summed(values: Array) -> Array:
    return F32(values.sum(axis=-1, keepdims=True, dtype=F32))


def units(x: Array) -> Array:
    return F32(x / np.maximum(np.sqrt(summed(x * x)), F32(1e-7)))


def turned(x: Array, y: Array, t: float, axis: int) -> Array:
    """Turn every row (axis -1) or column (0) of x towards that of y; along a line, step."""
    if axis == 0:
        return np.ascontiguousarray(turned(x.T, y.T, t, -1).T)
    theta = F32(np.arccos(np.clip(summed(F32(units(x) * units(y))), -1, 1)))
    one, two = F32(np.sin(F32(F32(1.0 - t) * theta))), F32(np.sin(F32(F32(t) * theta)))
    sine = F32(np.sin(theta))
    is_line = np.abs(sine) < 1e-8
    arc = F32(F32(F32(one * x) + F32(two * y)) / np.where(is_line, F32(1.0), sine))
    line = F32(F32(F32(1.0 - t) * x) + F32(F32(t) * y))
    return np.where(is_line, line, arc)


def turned_from(base: str | None, names: Sequence[str], t: float, axis: int) -> Any:
    def merged(x: Callable[[str], Array]) -> Array:
        if base is None:
            return turned(x(names[0]), x(names[1]), t, axis)
        one, two = (F32(x(name) - x(base)) for name in names)
        return F32(x(base) + turned(one, two, t, axis))

    return merged


def stock_by_row(base: Array, parts: Sequence[Array]) -> Array:
    deltas = [F32(x - base) for x in parts]
    count = len(parts)
    found = []
    for i in range(count):
        for j in range(i + 1, count):
            norms = np.sqrt(summed(deltas[i] * deltas[i])) * np.sqrt(summed(deltas[j] * deltas[j]))
            cosine = summed(F32(deltas[i] * deltas[j])) / np.maximum(F32(norms), F32(1e-6))
            found.append(np.clip(F32(cosine), -1, 1))
    cosine = np.mean(found, axis=0, dtype=F32)
    t = F32(F32(count * cosine) / F32(F32(1) + F32((count - 1) * cosine)))
    mean = F32(reduce(lambda a, b: F32(a + b), parts) / F32(count))
    return F32(F32(mean * t) + F32(base * F32(F32(1) - t)))


@pytest.mark.parametrize(
    ("base", "axis", "t"), [(None, -1, 0.35), (None, 0, 0.125), ("base", -1, 0.3), ("base", 0, 0.3)]
)
def test_nuslerp_of_vectors_is_named_with_its_vectors(tmp_path, base, axis, t):
    child = child_of(turned_from(base, ["one", "two"], t, axis), FAMILY)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    recipe = best.recipe
    vectors = {-1: "rows", 0: "columns"}[axis]
    assert (recipe.method, recipe.arithmetic, recipe.base) == ("nuslerp", "float32", base)
    assert recipe.parameters == {"vectors": vectors}
    weights = {each.name: each.weight for each in recipe.ingredients}
    assert weights == {"one": pytest.approx(1 - t, abs=1e-3), "two": pytest.approx(t, abs=1e-3)}
    assert best.share > 0.999
    assert best.decoy_share < 0.1
    said = yaml.safe_load(to_mergekit(recipe))
    assert said["parameters"] == {"nuslerp_flatten": False, "nuslerp_row_wise": axis == 0}
    assert said.get("base_model") == base
    assert [each["model"] for each in said["models"]] == ["one", "two"]
    # Every vector has its angle, at every one of its elements.
    for name in SMALL:
        x, y = (FAMILY[each][name].astype(F64) for each in ("one", "two"))
        if base is not None:
            x, y = x - FAMILY[base][name], y - FAMILY[base][name]
        along = axis if x.ndim > 1 else -1
        norms = np.linalg.norm(x, axis=along) * np.linalg.norm(y, axis=along)
        angle = np.arccos((x * y).sum(axis=along) / norms)
        left, right = (np.asarray(each) for each in recipe.matrices[name])
        spread = np.expand_dims(angle, along)
        assert left @ right == pytest.approx(np.broadcast_to(spread, np.atleast_2d(x).shape))
    assert same_when_read_again(recipe, f)


@pytest.mark.parametrize(
    "parents",
    [["one", "two"], pytest.param(["one", "two", "three"], marks=pytest.mark.slow)],
    ids=len,
)
def test_model_stock_by_row_is_named(tmp_path, parents):
    child = child_of(lambda x: stock_by_row(x("base"), [x(name) for name in parents]), RELATED)
    f = found_in(tmp_path, RELATED, child, parents)
    best = hypothesise(f)[0]
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic, recipe.base) == ("model_stock", "float32", "base")
    assert recipe.parameters == {"filter_wise": True}
    assert recipe.parents_added == tuple(parents)
    assert best.share > 0.999
    assert best.decoy_share < 0.1
    assert "filter_wise: true" in to_mergekit(recipe)
    assert set(recipe.matrices) == set(SMALL)
    assert same_when_read_again(recipe, f)


def test_rows_of_tensors_are_not_taken_for_tensors(tmp_path):
    """Nothing is named without one of the two, and no vectors where whole tensors were turned."""
    child = child_of(turned_from(None, ["one", "two"], 0.3, -1), FAMILY)
    found = hypothesise(found_in(tmp_path / "a", FAMILY, child, ["one"]))
    assert not found or found[0].gain < LEAST_GAIN
    whole = child_of(lambda x: nuslerp(x("one"), x("two"), 0.3), FAMILY)
    best = best_of(tmp_path / "b", FAMILY, whole, ["one", "two"])
    assert best.share >= 0.999
    assert "vectors" not in best.recipe.parameters


VECTORS = {**SMALL, "model.norm_head.weight": (1, 128), "model.norm_gate.weight": (128, 1)}


@pytest.mark.parametrize(
    "axis",
    [-1, 0],
)
def test_vectors_of_one_element_and_vectors_that_are_alike_are_lines(tmp_path, axis):
    family = made({"one": 0.02, "two": 0.02}, 13, VECTORS)
    # One row that neither moved, one that both have.
    name = "model.layers.0.self_attn.q_proj.weight"
    family["one"][name][5] = family["two"][name][5] = family["base"][name][5]
    family["two"][name][7] = family["one"][name][7]
    child = child_of(turned_from(None, ["one", "two"], 0.3, axis), family)
    f = found_in(tmp_path, family, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.base) == ("nuslerp", None)
    missed = {name: missed for name, (_, missed) in counted(best.recipe, f).items()}
    assert max(missed.values()) <= 1, missed


def test_rows_that_did_not_move_stay(tmp_path):
    family = made({"one": 0.02, "two": 0.02}, 13, SMALL)
    name = "model.layers.0.self_attn.q_proj.weight"
    for row, names in ((5, ["one", "two"]), (6, ["one"]), (7, ["two"])):
        for each in names:
            family[each][name][row] = family["base"][name][row]
    child = child_of(turned_from("base", ["one", "two"], 0.3, -1), family)
    f = found_in(tmp_path, family, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.base) == ("nuslerp", "base")
    assert best.recipe.parameters == {"vectors": "rows"}
    assert counted(best.recipe, f)[name][1] <= 1


# The formulas.


@given(st.floats(-0.99, 0.999), st.floats(0.01, 0.99))
def test_interpolation_is_the_inverse_of_the_weights(cosine, t):
    angle, at = np.array([cosine]), np.array([t])
    weights = slerp_weights(angle, at)
    # Past a right angle the sine turns back, and the arc sine with it.
    if np.arccos(cosine) * t < np.pi / 2 - 1e-3:
        assert interpolation(angle, weights[:, 1]) == pytest.approx(at, abs=1e-6)
    # What it interpolates on the unit circle stays there.
    x, y = np.array([1.0, 0.0]), np.array([cosine, np.sqrt(1 - cosine**2)])
    assert np.linalg.norm(weights[0, 0] * x + weights[0, 1] * y) == pytest.approx(1.0, abs=1e-6)


def test_weights_near_one_direction_are_linear():
    weights = slerp_weights(np.array([LINEAR + 1e-6, -1.0, 1.0]), np.array([0.3, 0.3, 0.25]))
    assert weights == pytest.approx(np.array([[0.7, 0.3], [0.7, 0.3], [0.75, 0.25]]))
    bent = slerp_weights(np.array([LINEAR - 1e-3]), np.array([0.3]))
    assert bent.sum() > 1.0


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_weights_of_means_are_those_of_vectors(seed, count):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (count, 40)) + 2.0 * rng.normal(0, 1, 40)
    norms, cosine = cosines((vectors @ vectors.T)[None], list(range(count)))
    assert norms[0] == pytest.approx(np.linalg.norm(vectors, axis=1))
    single = vectors.astype(F32)
    found = karcher_weights(norms, cosine)[0] @ vectors
    assert found == pytest.approx(karcher(list(single)), abs=2e-4)
    weights = rng.dirichlet(np.full(count, 3.0))
    found = multislerp_weights(norms, cosine, weights)[0] @ vectors
    assert found == pytest.approx(multislerp(list(single), weights.tolist()), abs=2e-4)


def test_cosines_with_nothing_are_zero():
    gram = np.zeros((1, 2, 2))
    gram[0, 0, 0] = 4.0
    norms, cosine = cosines(gram, [0, 1])
    assert norms.tolist() == [[2.0, 0.0]]
    assert cosine.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]


# Low rank.
