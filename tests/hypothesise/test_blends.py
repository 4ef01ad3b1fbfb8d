"""Blends: constant weights are found, whatever they sum to."""

from __future__ import annotations

import numpy as np
import pytest
from common.families import F32, F64, FAMILY, SHAPES, blend, found_in, made, plain_weights, weighted
from conftest import BF16
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.blends import medians
from parentage.sample import SearchSample


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


def weighted_by(weights):
    """Return a child of two, every slice with its own of the weights by name."""
    child = {}
    for name, base in FAMILY["base"].items():
        weight = weights[name]
        whole = weighted([FAMILY["one"][name], base], [weight, 1.0 - weight])
        child[name] = whole.astype(F32).astype(BF16)
    return child


GROUPED = {"modular", "componentwise", "layered", "by_kind"}


def test_weights_by_group_are_not_looked_for_where_slices_disagree(tmp_path):
    weights = {name: 0.2 + 0.06 * ((i * 7) % 11) for i, name in enumerate(FAMILY["base"])}
    child = weighted_by(weights)
    f = found_in(tmp_path, FAMILY, child, ["one", "other"])
    assert f.blends[-1].kind == "slices"
    assert f.blends[-1].share > 0.99
    assert not GROUPED & set(vars(f))


def test_groups_in_which_slices_agree_are_found(tmp_path):
    child = weighted_by({name: 0.7 if ".1." in name else 0.3 for name in FAMILY["base"]})
    f = found_in(tmp_path, FAMILY, child, ["one", "other"])
    assert f.agreeing("layers") == pytest.approx(1.0, abs=0.01)
    assert f.agreeing("kinds") < 0.8
    assert f.blends[-1].kind == "layers"
    assert "by_kind" not in vars(f)


def test_weights_that_few_elements_admit_are_written_as_those_of_many(tmp_path):
    """A norm has so few elements that many weights give all of them, some of the base as well."""
    parts = {name: 0.6 if "q_proj" in name else 0.3 for name in FAMILY["base"]}
    child = {
        name: weighted((FAMILY["one"][name], FAMILY["two"][name]), (part, 1.0 - part))
        .astype(F32)
        .astype(BF16)
        for name, part in parts.items()
    }
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = f.blends[-1]
    assert best.share > 0.99
    # What a large tensor has a small one has as well, or another short weight that gives it all.
    assert best.by_slice[:, 1:].sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    assert best.by_slice == pytest.approx(best.by_slice.round(2), abs=1e-9)
    for (name, part), found in zip(parts.items(), best.by_slice, strict=True):
        assert "norm" in name or found[1] == pytest.approx(part, abs=1e-9)


def test_what_nothing_explains_is_given_up_after_few_spectra(tmp_path, monkeypatch):
    looked_at = []
    spectrum = SearchSample.spectrum

    def counted(self, *args, **options):
        looked_at.append(args)
        return spectrum(self, *args, **options)

    monkeypatch.setattr(SearchSample, "spectrum", counted)
    names = ["other", "two", "three"]
    f = found_in(tmp_path, FAMILY, FAMILY["one"], names)
    assert len(f.blends) == 1
    # Each parent alone, all together from near and from far, and without one or two of them: four
    # windows at most for each weight of two rounds or three.
    assert len(looked_at) <= 160


def test_as_many_weights_as_elements_tell_nothing(tmp_path):
    few = {
        who: {f"model.layers.{i}.t.weight": np.full((2, 3), 1.0 + i + at, F32) for i in range(5)}
        for at, who in enumerate(("base", "one", "other"))
    }
    f = found_in(tmp_path, few, few["one"], ["one", "other"])
    assert not f.can_tell("slices")
    assert f.can_tell("kinds")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_medians_are_of_those_that_count(numbers):
    values = np.array(numbers, dtype=F64)
    groups = np.arange(len(values)) % 3
    size = np.ones(len(values))
    found = medians(values, size, groups)
    for group in set(groups.tolist()):
        mine = np.sort(values[groups == group])
        assert set(found[groups == group]) == {mine[(len(mine) - 1) // 2]}


def test_what_was_copied_says_nothing_of_weights(tmp_path):
    # Two thirds of the elements are copies of one of two that were blended.
    child = blend(FAMILY, {"one": 0.3, "two": 0.5})
    child |= {name: FAMILY["one"][name].astype(BF16) for name in SHAPES if "layers" not in name}
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert f.is_blended.tolist() == ["layers" in each.name for each in f.slices]
    assert f.constant.weights[0] == pytest.approx([0.0, 0.3, 0.5], abs=1e-4)
    assert f.constant.share > 0.98
    assert len(f.blends) == 1


def test_where_all_are_copies_all_count(tmp_path):
    f = found_in(tmp_path, FAMILY, {n: x.astype(BF16) for n, x in FAMILY["one"].items()}, ["one"])
    assert f.is_assembled
    assert f.is_blended.all()


def test_the_few_slices_that_were_left_alone_agree_on_the_weights(tmp_path):
    child = blend(FAMILY, {"one": 0.3, "two": 0.5})
    rng = np.random.default_rng(3)
    for name, x in child.items():
        if "layers.0" not in name:
            child[name] = (x.astype(F32) + rng.normal(0, 0.002, x.shape).astype(F32)).astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert f.constant.share < 0.5
    assert f.consensus is not None
    assert f.consensus.weights[0] == pytest.approx([0.0, 0.3, 0.5], abs=1e-4)
    assert any(each.weights[0] == pytest.approx([0.0, 0.3, 0.5], abs=1e-6) for each in f.blends)


def test_slices_that_agree_on_nothing_have_no_consensus(tmp_path):
    rng = np.random.default_rng(3)
    child = {
        name: (x + rng.normal(0, 0.002, x.shape).astype(F32)).astype(BF16)
        for name, x in FAMILY["one"].items()
    }
    assert found_in(tmp_path, FAMILY, child, ["one", "two"]).consensus is None


@pytest.mark.parametrize("kind", ["roots", "blocks"])
def test_parts_of_a_file_have_weights_of_their_own(tmp_path, kind):
    def name_of(name: str) -> str:
        return f"encoder.model.{name}" if kind == "roots" and "embed" in name else f"body.{name}"

    family = {
        checkpoint: {name_of(name): x for name, x in tensors.items()}
        for checkpoint, tensors in FAMILY.items()
    }
    one, two = (blend(family, {"one": weight}) for weight in (0.6, 0.35))
    is_of = "encoder" if kind == "roots" else ".0."
    child = {name: (one if is_of in name else two)[name] for name in one}
    f = found_in(tmp_path, family, child, ["one", "two"])
    assert f.blends[-1].share > 0.99
    found = next(f.written_weights_of(f.blends[-1])).weights["one"]["filters"]
    if kind == "roots":
        assert found == {"body.model": 0.35, "*": 0.6}
    else:
        assert found == {"body.model.layers.0.": 0.6, "*": 0.35}
