"""Findings: blends whose weights vary, the dtype that was rounded to, the spelling of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from conftest import BF16
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import component_of, layer_of
from parentage.hypothesise import SampleEstimates, WrittenWeights
from parentage.recipe import gradient, resolve
from test_cells import (
    F16,
    F32,
    F64,
    FAMILY,
    LAYERS,
    SHAPES,
    Array,
    Tensors,
    bf16,
    blend,
    f16,
    found_in,
    made,
    weighted,
)


def blend_by(weight_of: Callable[[str], Mapping[str, float]]) -> Tensors:
    """Return a blend with weights of their own for every tensor."""
    out = {}
    for tensor, base in FAMILY["base"].items():
        weights = weight_of(tensor)
        deltas = [FAMILY[name][tensor].astype(F64) - base for name in weights]
        whole = base + weighted(deltas, list(weights.values()))
        out[tensor] = whole.astype(F32).astype(BF16)
    return out


def t_of(tensor: str) -> float:
    layer = layer_of(tensor)
    return 0.0 if layer is None else layer / (LAYERS - 1)


def by_layer(knots: Mapping[str, list[float]]) -> Tensors:
    return blend_by(
        lambda tensor: {name: gradient(values, t_of(tensor)) for name, values in knots.items()}
    )


BY_COMPONENT = {"embed": 0.5, "attention": 0.3, "mlp": 0.7, "norm": 0.9}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Findings about a plain merge."""
    folder = tmp_path_factory.mktemp("plain")
    return found_in(folder, FAMILY, blend(FAMILY, {"one": 0.6}), ["one", "other"])


def plain_weights(spellings: list[WrittenWeights]) -> list[dict[str, float]]:
    return [dict(each.weights) for each in spellings]


# The dtype that was rounded to.


@pytest.mark.parametrize(
    ("rounding", "dtype", "expected", "cell_dtype"),
    [
        (bf16, BF16, "BF16", None),
        (bf16, F32, "BF16", "BF16"),
        (bf16, F64, "BF16", "BF16"),
        (f16, F16, "F16", None),
        (f16, F32, "F16", "F16"),
        (F32, F32, "F32", None),
        (F32, F64, "F32", "F32"),
        (F64, F64, "F64", None),
    ],
)
def test_the_dtype_is_that_of_the_rounding(tmp_path, rounding, dtype, expected, cell_dtype):
    child = {}
    for tensor, base in FAMILY["base"].items():
        whole = weighted([base, FAMILY["one"][tensor]], [0.4, 0.6])
        child[tensor] = np.asarray(rounding(whole)).astype(dtype)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert (f.out_dtype, f.cell_dtype) == (expected, cell_dtype)
    if expected in ("BF16", "F16"):
        assert f.constant.weights[0] == pytest.approx([0.0, 0.6], abs=1e-4)
        assert f.constant.share > 0.999


def test_small_tensors_of_a_wider_dtype_do_not_decide(tmp_path):
    child = blend(FAMILY, {"one": 0.6})
    rng = np.random.default_rng(0)
    child["model.norm.weight"] = rng.normal(1, 0.1, 64).astype(F32)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert (f.out_dtype, f.cell_dtype) == ("BF16", "BF16")


def test_a_child_of_integers_has_a_dtype_and_nothing_else(tmp_path):
    tensors = {"x": np.arange(64, dtype=np.int8)}
    family = {"base": tensors, "one": {"x": tensors["x"] + np.int8(1)}}
    f = found_in(tmp_path, family, tensors, ["one"])
    assert f.out_dtype == "I8"
    assert (f.copied, f.constant.share) == (0.0, 0.0)
    assert np.isnan(f.cells(np.zeros(1, dtype=np.intp))[0]).all()
    assert list(f.written_weights()) == []


def cells_in(folder, values: Array) -> tuple[Array, Array, Array, Array]:
    """Return how far cells reach down and up, and half the distances of neighbours."""
    tensors = {"x": values}
    f = found_in(folder, {"base": tensors, "one": tensors}, tensors, ["one"])
    below, above = f.cells_of(values.astype(F64))
    unsigned = {2: np.uint16, 4: np.uint32}[values.dtype.itemsize]
    bits, sign = values.view(unsigned), np.where(values < 0, -1, 1)
    size = values.astype(F64) * sign
    larger = (bits + unsigned(1)).view(values.dtype).astype(F64) * sign
    smaller = (bits - unsigned(1)).view(values.dtype).astype(F64) * sign
    smaller = np.where(values == 0, -larger, smaller)
    outward, inward = (larger - size) / 2.0, (size - smaller) / 2.0
    expected = np.where(sign > 0, inward, outward), np.where(sign > 0, outward, inward)
    return below, above, *expected


@pytest.mark.parametrize(("rounding", "dtype"), [(bf16, BF16), (f16, F16), (F32, F32)])
def test_cells_of_values_reach_halfway_to_their_neighbours(tmp_path, rounding, dtype):
    rng = np.random.default_rng(4)
    values = np.asarray(rounding(rng.normal(0, 0.03, 4000)), dtype=dtype)
    values = values[values != 0]
    # Subnormal numbers of float16 begin below 2^-14.
    powers = np.ldexp(1.0, -np.arange(24 if dtype == F16 else 60)).astype(dtype)
    below, above, inward, outward = cells_in(tmp_path, np.concatenate([values, powers, -powers]))
    assert np.array_equal(below, inward)
    assert np.array_equal(above, outward)


def test_the_cell_of_zero_reaches_halfway_to_the_least_number(tmp_path):
    values = np.array([0.0, 0.5, -0.5] * 100, dtype=BF16)
    below, above, inward, outward = cells_in(tmp_path, values)
    assert np.array_equal(below, inward)
    assert np.array_equal(above, outward)


# Blends.


def test_a_merge_of_one_is_constant_and_a_decoy_is_idle(plain):
    blend = plain.constant
    assert blend.kind == "constant"
    assert blend.weights[0, 1] == pytest.approx(0.6, abs=1e-5)
    assert blend.weights[0, [0, 2]].tolist() == [0.0, 0.0]
    assert blend.share > 0.999
    assert plain.blends[0].share >= blend.share
    assert len(plain.blends) == 1
    assert plain.free is None
    assert blend.by_slice.shape == (len(SHAPES), 3)


@pytest.mark.parametrize(
    "weights",
    [{"one": 0.5, "two": 0.3}, {"one": 0.6, "two": 0.4}, {"one": 0.4, "two": 0.3, "three": 0.2}],
    ids=str,
)
def test_a_merge_of_several_is_constant(tmp_path, weights):
    f = found_in(tmp_path, FAMILY, blend(FAMILY, weights), ["one", "other", "two", "three"])
    expected = [0.0, *(weights.get(name, 0.0) for name in f.columns.parents)]
    assert f.constant.weights[0] == pytest.approx(expected, abs=2e-5)
    # Short decimals put many elements on ties, which the arithmetic decides.
    assert f.constant.share > 0.98
    spelled = plain_weights(list(f.written_weights_of(f.constant)))
    base = round(1.0 - sum(weights.values()), 6)
    assert weights | {"base": pytest.approx(base)} in spelled


def test_displacements_of_a_unit_in_the_last_place_are_enough(tmp_path):
    family = made({"one": 1.2e-4, "two": 1.2e-4})
    f = found_in(tmp_path, family, blend(family, {"one": 0.6}), ["one", "two"])
    assert f.constant.share > 0.999
    assert f.constant.weights[0, 2] == 0.0
    assert {"one": 0.6, "base": 0.4} in plain_weights(list(f.written_weights_of(f.constant)))


@pytest.mark.parametrize(
    "weights",
    [
        (0.5, 0.25),
        (0.5, 1.0),
        (1.5, 0.25),
        (0.5, 0.2),
        (1.5, 0.3),
        (0.8, 0.4),
    ],
)
def test_sums_that_are_not_normalised_are_free(tmp_path, weights):
    child = {}
    for tensor, base in FAMILY["base"].items():
        whole = weighted([FAMILY["one"][tensor], base], weights)
        child[tensor] = whole.astype(F32).astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "other"])
    assert f.constant.share < 0.1
    assert f.free is not None
    assert f.free.weights[0] == pytest.approx([sum(weights) - 1, weights[0], 0.0], abs=1e-5)
    # Short decimals put many elements on ties, which the arithmetic decides.
    assert f.free.share > 0.97
    assert f.blends[-1].weights[0, 1] == pytest.approx(weights[0], abs=1e-5)
    spelled = list(f.written_weights_of(f.free))
    assert not any(each.normalized for each in spelled)
    assert dict(zip(("one", "base"), weights, strict=True)) in plain_weights(spelled)


def test_a_scaled_copy_has_a_weight_of_the_base_alone(tmp_path):
    child = {t: (x.astype(F64) * 0.75).astype(F32).astype(BF16) for t, x in FAMILY["base"].items()}
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert f.free is not None
    assert f.free.share > 0.999
    assert f.free.weights[0] == pytest.approx([-0.25, 0.0], abs=1e-6)


def test_weights_by_layer_are_found_and_spelled_as_a_gradient(tmp_path):
    f = found_in(tmp_path, FAMILY, by_layer({"one": [0.2, 0.8]}), ["one"])
    assert f.constant.share < 0.9
    assert f.layered.share > 0.999
    assert f.layered.weights[:, 1] == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=1e-4)
    assert f.blends[-1].kind == "layers"
    assert {"one": {"gradient": [0.2, 0.8]}, "base": {"gradient": [0.8, 0.2]}} in plain_weights(
        list(f.written_weights())
    )


def test_gradients_of_two_parents_have_as_many_knots(tmp_path):
    given_knots = {"one": [0.2, 0.5], "two": [0.3, 0.1]}
    f = found_in(tmp_path, FAMILY, by_layer(given_knots), ["one", "two"])
    assert f.blends[-1].kind == "layers"
    (weights, *_) = plain_weights(list(f.written_weights_of(f.blends[-1])))
    assert weights["one"] == {"gradient": [0.2, 0.5]}
    assert weights["two"] == {"gradient": [0.3, 0.1]}
    assert weights["base"] == {"gradient": [0.5, 0.4]}


def test_weights_by_component_are_found_and_spelled(tmp_path):
    child = blend_by(lambda tensor: {"one": BY_COMPONENT[component_of(tensor)]})
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert f.componentwise.share > 0.999
    table = plain_weights(list(f.written_weights_of(f.componentwise)))[0]["one"]["components"]
    # Displacements of norms are less than a unit in the last place: many weights do.
    assert 0.5 < table.pop("norm") <= 1.5
    assert table == {name: x for name, x in BY_COMPONENT.items() if name != "norm"}


def test_weights_by_slice_are_the_last_resort(tmp_path):
    rng = np.random.default_rng(11)
    weights = {
        tensor: round(float(x), 2)
        for tensor, x in zip(SHAPES, rng.uniform(0.1, 0.9, 99), strict=False)
    }
    child = blend_by(lambda tensor: {"one": weights[tensor]})
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert f.constant.share < f.by_kind.share < f.slicewise.share
    assert f.slicewise.share > 0.999
    assert f.blends[-1].kind == "slices"
    table = plain_weights(list(f.written_weights_of(f.blends[-1])))[0]["one"]["slices"]
    large = [name for name in SHAPES if "proj" in name or "embed" in name]
    assert [table[name] for name in large] == [weights[name] for name in large]


def test_a_fine_tune_is_no_blend(tmp_path):
    child = {t: x.astype(BF16) for t, x in FAMILY["other"].items()}
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert f.constant.share < 0.1
    assert f.copied < 0.1
    weights, _, _ = f.cells(np.zeros(len(f.slices), dtype=np.intp))
    assert np.isnan(weights).all()


def test_cells_are_said_by_group_and_copies_are_not(tmp_path, plain):
    groups = np.arange(len(plain.slices))
    weights, _, shares = plain.cells(groups)
    assert weights.shape == (len(SHAPES), 2)
    large = [i for i, each in enumerate(plain.slices) if each.elements > 1000]
    assert weights[large, 0] == pytest.approx(0.6, abs=1e-4)
    assert (shares[large, 0] == 1.0).all()
    assert np.isnan(weights[:, 1]).all()
    child = blend(FAMILY, {"one": 0.6})
    copied = "model.layers.0.mlp.down_proj.weight"
    child[copied] = FAMILY["one"][copied].astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    weights, _, _ = f.cells(np.arange(len(f.slices)))
    at = [each.name for each in f.slices].index(copied)
    assert np.isnan(weights[at, 0])
    assert weights[[i for i in large if i != at], 0] == pytest.approx(0.6, abs=1e-4)


def test_copies_are_counted_for_a_single_checkpoint(tmp_path):
    child = {t: x.astype(BF16) for t, x in FAMILY["one"].items()}
    child["model.embed_tokens.weight"] = FAMILY["two"]["model.embed_tokens.weight"].astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    total = sum(math.prod(shape) for shape in SHAPES.values())
    rest = total - math.prod(SHAPES["model.embed_tokens.weight"])
    assert rest / total <= f.copied < rest / total + 0.02


def test_whole_gram_and_whole_slices_are_those_of_the_files(plain):
    at = [each.name for each in plain.slices].index("model.embed_tokens.weight")
    whole = plain.whole(at, (1,))
    one = FAMILY["one"]["model.embed_tokens.weight"].ravel().astype(F64)
    child = blend(FAMILY, {"one": 0.6})["model.embed_tokens.weight"].ravel().astype(F64)
    assert np.array_equal(whole, np.stack([one, child], axis=1))
    assert np.array_equal(plain.whole(at, (1,), 100), whole[:100])
    names = ("base", "one", "other")
    columns = [FAMILY[name]["model.embed_tokens.weight"].ravel().astype(F64) for name in names]
    columns.append(child)
    expected = np.stack(columns) @ np.stack(columns).T
    assert plain.raw_gram[at] == pytest.approx(expected, rel=1e-6)


def test_a_sample_from_another_origin_swaps_two_columns(plain):
    usual, other = plain.sample_from(0).elements, plain.sample_from(1).elements
    assert np.array_equal(other[:, [1, 0, 2, 3]], usual)


# Descriptions of values by slice.


def described(
    estimates: SampleEstimates, values: Array, tolerance: float = 1e-6, known: Array | None = None
):
    held = np.ones(len(estimates.slices), dtype=bool) if known is None else known
    return estimates.describe(values, np.full(len(estimates.slices), tolerance), held)


@given(st.integers(-2000, 2000), st.floats(-9e-7, 9e-7))
def test_alike_values_are_one_number(plain, thousandths, error):
    value = thousandths / 1000.0
    found = described(plain, np.full(len(plain.slices), value + error))
    assert found == value


@given(st.lists(st.integers(0, 100), min_size=2, max_size=LAYERS, unique=True))
def test_what_is_linear_over_layers_is_a_gradient(plain, hundredths):
    values = [x / 100.0 for x in hundredths]
    by_slice = resolve({"gradient": values}, plain.slices)
    found = described(plain, by_slice)
    assert isinstance(found, Mapping)
    assert len(found["gradient"]) <= len(values)
    assert resolve(found, plain.slices) == pytest.approx(by_slice, abs=2e-6)


@given(st.integers(0, 2**32 - 1))
def test_what_is_neither_is_said_by_slice(plain, seed):
    values = np.random.default_rng(seed).uniform(0, 1, len(plain.slices))
    found = described(plain, values)
    assert set(found) == {"slices"}
    assert resolve(found, plain.slices) == pytest.approx(values, abs=1e-6)


def test_small_or_unknown_slices_may_have_any_value(plain):
    values = np.full(len(plain.slices), 0.3)
    small = np.array([each.elements < 100 for each in plain.slices])
    values[small] = [7.0, -3.0, np.nan, 0.5, 0.2][: small.sum()]
    assert described(plain, values) == 0.3
    large = int(np.argmax([each.elements for each in plain.slices]))
    values[large] = 0.9
    assert described(plain, values) != 0.3
    known = np.ones(len(plain.slices), dtype=bool)
    known[large] = False
    assert described(plain, values, known=known) == 0.3
    assert described(plain, values, known=np.zeros_like(known)) == pytest.approx(0.3)
    assert described(plain, np.full(len(values), np.nan), known=np.zeros_like(known)) == 0.0
