"""Weights that vary over layers, components and slices, and how values by slice are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from common.families import (
    F32,
    F64,
    FAMILY,
    LAYERS,
    SHAPES,
    Array,
    Tensors,
    found_in,
    plain_weights,
    weighted,
)
from conftest import BF16
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import component_of, layer_of
from parentage.hypothesise import SampleEstimates
from parentage.hypothesise.estimates import closed
from parentage.recipe import gradient, resolve


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


@given(
    st.lists(st.floats(-2.0, 3.0), min_size=1, max_size=3),
    st.floats(-2e-4, 2e-4),
    st.sampled_from([0.0, 1e-7, 1e-6, 1e-3]),
)
def test_sums_are_one_where_they_may_be(weights, off, room):
    """Nothing moves farther than it may, and what is no sum of one stays as it is."""
    own = [0.0, *weights, 1.0 - sum(weights) + off]
    found = closed(np.array([own]), np.full((1, len(own)), room), range(1, len(own)))[0]
    missing = abs(1.0 - sum(own))
    assert found[0] == 0.0
    assert np.abs(found - own).max() <= missing + 1e-12
    if missing > min(len(weights) * room + room, 1e-4):
        assert found.tolist() == own
    elif np.count_nonzero(own) > 1:
        assert abs(1.0 - float(found.sum())) <= 1e-15 * (1.0 + float(np.abs(found).sum()))


@pytest.mark.parametrize("twelfths", [(4, 8, 5), (1, 7, 8), (2, 10, 4), (11, 8, 4)])
def test_thirds_by_component_leave_the_base_nothing(tmp_path, twelfths):
    of_parts = dict(zip(("embed", "attention", "mlp"), twelfths, strict=True))
    shares = {name: twelfth / 12 for name, twelfth in of_parts.items()} | {"norm": 1 / 3}
    child = {
        name: (
            F32(1.0 - shares[component_of(name)]) * FAMILY["one"][name].astype(F32)
            + F32(shares[component_of(name)]) * FAMILY["two"][name].astype(F32)
        ).astype(BF16)
        for name in FAMILY["base"]
    }
    found = found_in(tmp_path, FAMILY, child, ["one", "two"])
    first = next(x for x in found.written_weights() if isinstance(x.weights["one"], dict))
    one, two = (resolve(first.weights[name], found.slices) for name in ("one", "two"))
    assert set(first.weights) == {"one", "two"}
    assert (one + two).tolist() == pytest.approx([1.0] * len(one), abs=1e-15)
    is_mlp = [each.component == "mlp" for each in found.slices]
    assert two[is_mlp].tolist() == pytest.approx([shares["mlp"]] * sum(is_mlp), abs=1e-15)
