import math
from dataclasses import replace

import numpy as np
import parentage
import pytest
from conftest import BF16, FAMILY, write_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.support import PlanError
from parentage.verdict import KINDS, RULES, Facts, Thresholds, decide, origin

pytestmark = pytest.mark.levels

MERGE = Facts(
    child="child",
    base="base",
    elements=1_000_000,
    coverage=1.0,
    finite=1.0,
    crossed=dict,
    equal={"base": 100, "parent": 200},
    same_dtype={"base": True, "parent": True},
    weights={"parent": 0.6},
    log10_p={"parent": -10.0},
    condition=1.0,
    r2=0.99,
    r2_slices=0.99,
    residual_floors=1.0,
    residual_floors_slices=1.0,
    distance_floors={"base": 20.0, "parent": 15.0},
    likeness={"base": 0.99, "parent": 0.99},
    origin="base",
    origin_r2=0.99,
    strange_share=0.0,
    slices=20,
    copied={"base": 0, "parent": 0},
    unmoved=10_000,
    stray=0,
    bias={"parent": 0.001},
)
"""A merge that is beyond doubt."""
CHANGED = replace(MERGE, residual_floors=5.0, residual_floors_slices=5.0, r2=0.95, origin_r2=0.95)
TUNED = replace(
    MERGE,
    r2=0.1,
    r2_slices=0.2,
    origin_r2=0.1,
    residual_floors=20.0,
    residual_floors_slices=20.0,
    stray=9_000,
)
BELOW, ABOVE = 1 - 1e-9, 1 + 1e-9


def kind(evidence, **changes):
    return decide(replace(evidence, **changes)).kind


def rule(evidence, **changes):
    return decide(replace(evidence, **changes)).rule


def test_the_examples_are_what_they_are_meant_to_be():
    assert kind(MERGE) == "merge"
    assert kind(CHANGED) == "merge-then-changed"
    assert kind(TUNED) == "fine-tune"


def test_a_verdict_names_its_rule_its_numbers_and_its_level():
    verdict = decide(MERGE)
    assert (verdict.level, verdict.rule) == ("statistical", "merge")
    assert verdict.numbers["weight_parent"] == 0.6
    assert verdict.numbers["stray_share"] == 0.0
    assert "0.6000 parent + 0.4000 base" in verdict.text
    assert str(verdict) == f"merge (statistical): {verdict.text}"


def test_less_than_half_of_the_child_decides_nothing():
    least = Thresholds().coverage
    assert kind(MERGE, coverage=least) == "merge"
    assert rule(MERGE, coverage=least * BELOW) == "too_little"
    assert kind(MERGE, coverage=least * BELOW) == "undetermined"
    # Not even equality of all that was compared.
    assert kind(MERGE, coverage=0.49, equal={"base": 0, "parent": 1_000_000}) == "undetermined"


def test_what_was_not_compared_is_said():
    assert "1.00% of the child was not compared" in decide(replace(MERGE, coverage=0.99)).text
    assert "not compared" not in decide(MERGE).text


def test_equality_of_every_element_is_identity():
    assert kind(MERGE, equal={"base": 0, "parent": 1_000_000}) == "identical"
    assert kind(MERGE, equal={"base": 0, "parent": 999_999}) == "merge"
    verdict = decide(replace(MERGE, equal={"base": 0, "parent": 1_000_000}))
    assert (verdict.level, verdict.numbers["parent"]) == ("exact", "parent")


def test_equality_after_a_cast_is_re_encoding():
    other = {"base": True, "parent": False}
    equal = {"base": 0, "parent": 1_000_000}
    verdict = decide(replace(MERGE, equal=equal, same_dtype=other))
    assert (verdict.kind, verdict.level, verdict.rule) == ("re-encoded", "exact", "re_encoded")
    assert kind(MERGE, equal={"base": 0, "parent": 999_999}, same_dtype=other) == "merge"


def test_identity_goes_before_re_encoding():
    equal = {"base": 1_000_000, "parent": 1_000_000}
    verdict = decide(replace(MERGE, equal=equal, same_dtype={"base": False, "parent": True}))
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "parent")


def test_a_copy_of_a_control_is_identical_to_it():
    equal = {"base": 0, "parent": 0, "control": 1_000_000}
    same = {"base": True, "parent": True, "control": True}
    verdict = decide(replace(MERGE, equal=equal, same_dtype=same))
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "control")


def test_slices_that_are_all_copies_of_several_are_assembled():
    verdict = decide(replace(MERGE, copied={"base": 12, "parent": 8}))
    assert (verdict.kind, verdict.level) == ("assembled", "exact")
    assert verdict.numbers == {"slices_base": 12, "slices_parent": 8, "slices": 20}
    assert kind(MERGE, copied={"base": 12, "parent": 7}) == "merge"
    assert kind(MERGE, copied={"base": 20, "parent": 0}) == "merge"


def test_no_likeness_to_anything_is_no_relation():
    most = Thresholds().unrelated
    for low in (most, -most, 0.0):
        assert kind(TUNED, likeness={"base": low, "parent": 0.0}) == "unrelated"
    for high in (most * ABOVE, -most * ABOVE):
        assert kind(TUNED, likeness={"base": 0.0, "parent": high}) != "unrelated"
    assert kind(TUNED, likeness={"base": math.nan, "parent": 0.0}) == "unrelated"


def test_without_matrices_nothing_is_unrelated():
    nothing = {"base": math.nan, "parent": math.nan}
    assert kind(TUNED, likeness=nothing) == "fine-tune"
    assert kind(MERGE, likeness=nothing) == "merge"


@pytest.mark.parametrize("condition", [1e6, math.inf, math.nan])
def test_parents_that_can_not_be_told_apart_decide_nothing(condition):
    assert rule(MERGE, condition=condition) == "indistinct"
    assert kind(MERGE, condition=condition) == "undetermined"


def test_parents_that_can_just_be_told_apart_decide():
    assert kind(MERGE, condition=1e6 * BELOW) == "merge"


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"r2_slices": 0.90}, {"r2_slices": 0.90 * BELOW}),
        ({"residual_floors_slices": 1.10}, {"residual_floors_slices": 1.10 * ABOVE}),
        ({"unmoved": 10_000, "stray": 10}, {"unmoved": 10_000, "stray": 11}),
        ({"unmoved": 999, "stray": 999}, {"unmoved": 1000, "stray": 999}),
        ({"weights": {"parent": 0.01}}, {"weights": {"parent": 0.01 * BELOW}}),
        ({"weights": {"parent": -0.01}}, {"weights": {"parent": -0.01 * BELOW}}),
        ({"weights": {"parent": 1.7}}, {"weights": {"parent": math.nan}}),
        ({"log10_p": {"parent": -3.0}}, {"log10_p": {"parent": -3.0 * BELOW}}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
def test_a_merge_ends_at_its_thresholds(last, first_beyond):
    assert kind(MERGE, **last) == "merge"
    assert kind(MERGE, **first_beyond) != "merge"


def test_so_near_to_one_checkpoint_only_unmoved_elements_make_a_merge():
    near = {"base": 20.0, "parent": Thresholds().near}
    farther = {"base": 20.0, "parent": Thresholds().near * ABOVE}
    assert kind(MERGE, distance_floors=near) == "merge"
    assert kind(MERGE, distance_floors=near, unmoved=0) != "merge"
    assert kind(MERGE, distance_floors=farther, unmoved=0) == "merge"


def test_a_merge_says_whether_one_weight_is_enough():
    assert "one weight for the whole model" in decide(replace(MERGE, residual_floors=1.10)).text
    assert "differ between slices" in decide(replace(MERGE, residual_floors=1.11)).text


def test_a_weight_that_rounding_can_move_is_said_to_be():
    assert "rounding can move" in decide(replace(MERGE, bias={"parent": 0.01})).text
    assert "rounding can move" not in decide(replace(MERGE, bias={"parent": 0.0099})).text


def test_a_blend_names_what_it_holds_and_no_more():
    parents = {"weights": {"p": 0.7, "q": -0.2, "r": 0.005}, "log10_p": {"p": -9, "q": -9, "r": -9}}
    more = {
        "distance_floors": {"base": 20.0, "p": 9.0, "q": 9.0, "r": 9.0},
        "bias": dict.fromkeys("pqr", 0.0),
    }
    assert "0.7000 p - 0.2000 q + 0.5000 base" in decide(replace(MERGE, **parents, **more)).text
    whole = replace(MERGE, weights={"parent": 1.0})
    assert decide(whole).kind != "merge", "all of one parent is no blend"


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"r2": 0.90}, {"r2": 0.90 * BELOW}),
        ({"origin_r2": 0.90}, {"origin_r2": 0.90 * BELOW}),
        ({"residual_floors_slices": 2.5}, {"residual_floors_slices": 2.5 * BELOW}),
        (
            {"distance_floors": {"base": 20.0, "parent": 1.5 * ABOVE}},
            {"distance_floors": {"base": 20.0, "parent": 1.5}},
        ),
        ({"weights": {"parent": 0.01}}, {"weights": {"parent": 0.0}}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
def test_a_changed_merge_ends_at_its_thresholds(last, first_beyond):
    assert kind(CHANGED, **last) == "merge-then-changed"
    assert kind(CHANGED, **first_beyond) != "merge-then-changed"


def test_between_a_merge_and_a_changed_one_the_arithmetic_is_in_doubt():
    for residual in (1.1001, 1.9, 2.4999):
        verdict = decide(replace(MERGE, residual_floors_slices=residual))
        assert verdict.kind == "undetermined"
        assert "low precision" in verdict.text


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"origin_r2": 0.30}, {"origin_r2": 0.30 * ABOVE}),
        (
            {"likeness": {"base": 0.50, "parent": 0.9}},
            {"likeness": {"base": 0.4999, "parent": 0.9}},
        ),
        ({"strange_share": 0.01}, {"strange_share": 0.01 * ABOVE}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
def test_a_fine_tune_ends_at_its_thresholds(last, first_beyond):
    assert kind(TUNED, **last) == "fine-tune"
    assert kind(TUNED, **first_beyond) == "undetermined"


def test_a_fine_tune_within_rounding_of_its_origin_needs_elements_moved_alone():
    near = {"origin_r2": 0.95, "distance_floors": {"base": 1.5, "parent": 15.0}}
    assert kind(TUNED, **near) == "fine-tune"
    assert kind(TUNED, **near, unmoved=0) == "fine-tune"
    assert kind(TUNED, **near, stray=10) == "undetermined"
    farther = {"base": 1.5 * ABOVE, "parent": 15.0}
    assert kind(TUNED, origin_r2=0.95, distance_floors=farther) == "undetermined"


def test_without_parents_it_is_the_base_that_was_tuned():
    alone = replace(
        TUNED,
        equal={"base": 5},
        same_dtype={"base": True},
        weights={},
        log10_p={},
        bias={},
        r2=math.nan,
        r2_slices=math.nan,
        origin_r2=math.nan,
        distance_floors={"base": 20.0},
        likeness={"base": 0.99},
        copied={"base": 0},
    )
    verdict = decide(alone)
    assert (verdict.kind, verdict.numbers["parent"]) == ("fine-tune", "base")
    assert "no parent was offered" in verdict.text


def test_strange_matrices_are_said_to_be():
    verdict = decide(replace(TUNED, strange_share=0.25))
    assert verdict.kind == "undetermined"
    assert "25.0% of the child lies in matrices that are no relatives" in verdict.text


def test_an_origin_is_much_nearer_than_the_base():
    limit = Thresholds().origin
    assert origin("b", ["p", "q"], {"b": 1.0, "p": limit, "q": 0.9}) == "p"
    assert origin("b", ["p", "q"], {"b": 1.0, "p": limit * ABOVE, "q": 0.9}) == "b"
    assert origin("b", ["p"], {"b": 0.0, "p": 0.0}) == "b"
    assert origin("b", [], {"b": 1.0}) == "b"


NUMBER = st.floats() | st.floats(0, 1) | st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf])
COUNT = st.integers(0, 10**15)


@st.composite
def any_evidence(draw):
    parents = draw(st.lists(st.sampled_from("pqr"), unique=True, max_size=3))
    controls = draw(st.lists(st.sampled_from("xy"), unique=True, max_size=2))
    others = ["base", *parents, *controls]

    def each(names, values):
        return {name: draw(values) for name in names}

    elements = draw(st.integers(1, 10**15))
    return Facts(
        child="child",
        base="base",
        elements=elements,
        coverage=draw(NUMBER),
        equal=each(others, COUNT | st.just(elements)),
        same_dtype=each(others, st.booleans()),
        weights=each(parents, NUMBER),
        log10_p=each(parents, NUMBER),
        condition=draw(NUMBER),
        r2=draw(NUMBER),
        r2_slices=draw(NUMBER),
        residual_floors=draw(NUMBER),
        residual_floors_slices=draw(NUMBER),
        distance_floors=each(others, NUMBER),
        likeness=each(others, NUMBER),
        origin=draw(st.sampled_from(["base", *parents])),
        origin_r2=draw(NUMBER),
        strange_share=draw(NUMBER),
        slices=draw(st.integers(1, 10**6)),
        copied=each(others, COUNT),
        finite=draw(st.floats(0, 1)),
        crossed=dict,
        unmoved=draw(COUNT),
        stray=draw(COUNT),
        bias=each(parents, NUMBER),
    )


@settings(max_examples=400)
@given(any_evidence())
def test_there_is_a_verdict_on_anything(evidence):
    verdict = decide(evidence)
    assert verdict.kind in KINDS
    assert verdict.level in ("exact", "statistical", "circumstantial")
    assert verdict.rule in {rule.__name__ for rule in (*RULES, decide)} | {"undetermined"}
    assert verdict.text.endswith(".")
    assert (verdict.level == "exact") == (verdict.kind in ("identical", "re-encoded", "assembled"))


@settings(max_examples=200)
@given(any_evidence())
def test_nothing_is_decided_by_what_is_not_a_number(evidence):
    """Without a residual there is no merge, and without a cosine there are no strangers."""
    nan = math.nan
    unknown = replace(
        evidence,
        r2_slices=nan,
        residual_floors_slices=nan,
        likeness=dict.fromkeys(evidence.likeness, nan),
    )
    assert decide(unknown).kind not in ("merge", "merge-then-changed", "unrelated")


# Whole families of known making.


def trace(tmp_path, family, tensors, base="base", parents=("parent",), controls=()):
    """Trace tensors as the child; others are names in the family, or folders."""
    child = write_checkpoint(tmp_path / "made", tensors)

    def found(name):
        return family(name) if name in FAMILY else name

    return parentage.trace(
        child,
        base=found(base),
        parents=[found(name) for name in parents],
        controls=[found(name) for name in controls],
    )


def each(function, *checkpoints):
    """Apply a function of float64 arrays to the tensors of the same name, and round to bf16."""
    return {
        name: np.asarray(
            function(*(checkpoint[name].astype(np.float64) for checkpoint in checkpoints))
        ).astype(BF16)
        for name in checkpoints[0]
    }


def test_a_merge_is_found_with_its_weight(family, weights):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    assert found.verdict.kind == "merge"
    base, parent, child = (
        np.concatenate([weights[name][key].astype(np.float64).ravel() for key in weights["base"]])
        for name in ("base", "parent", "child")
    )
    d, y = parent - base, child - base
    weight, error = found.weights["parent"], found.wide("model")["se:parent"][0]
    assert weight == pytest.approx((d @ y) / (d @ d), rel=1e-12)
    assert weight == pytest.approx(0.6, abs=0.0012)
    assert error < 0.001
    assert found.verdict.numbers["weight_parent"] == 0.6
    assert found.elements == found.elements_total == len(child)
    # Every part of the model tells the same story.
    assert found.wide("layers")["ols:parent"].to_list() == pytest.approx([0.6, 0.6], abs=0.003)


def test_the_weight_of_a_merge_is_as_near_as_is_said(family):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    weight, error, bias = (
        found.wide("model")[f"{each}:parent"][0] for each in ("ols", "se", "rounding_bias")
    )
    assert abs(weight - 0.6) <= bias + 4 * error


def test_a_merge_seen_from_the_other_side_has_the_other_weight(tmp_path, family, weights):
    found = trace(tmp_path, family, weights["child"], base="parent", parents=["base"])
    assert found.verdict.kind == "merge"
    assert found.weights["base"] == pytest.approx(0.4, abs=0.002)


def test_a_control_changes_no_verdict(family):
    found = parentage.trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )
    assert found.verdict.kind == "merge"
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)
    assert abs(found.wide("model")["alone:sibling"][0]) < 0.5


def test_a_merge_of_two_parents_is_found(tmp_path, family, weights):
    blend = each(
        lambda b, p, s: 0.2 * b + 0.5 * p + 0.3 * s,
        *(weights[name] for name in ("base", "parent", "sibling")),
    )
    found = trace(tmp_path, family, blend, parents=["parent", "sibling"])
    assert found.verdict.kind == "merge"
    assert found.weights["parent"] == pytest.approx(0.5, abs=0.01)
    assert found.weights["sibling"] == pytest.approx(0.3, abs=0.01)


def test_a_parent_that_gave_nothing_is_not_in_the_blend(family):
    found = parentage.trace(
        family("child"), base=family("base"), parents=[family("parent"), family("sibling")]
    )
    assert found.verdict.kind == "merge"
    assert "sibling" not in found.verdict.text


def test_weights_of_each_layer_are_found(tmp_path, family, weights):
    base, parent = weights["base"], weights["parent"]
    blend = {}
    for name in base:
        share = 0.3 if ".layers.0." in name else 0.8
        blend |= each(
            lambda b, p, share=share: b + share * (p - b), {name: base[name]}, {name: parent[name]}
        )
    found = trace(tmp_path, family, blend)
    assert found.verdict.kind == "merge"
    assert "[0.3, 0.8] parent" in found.verdict.text
    assert found.wide("layers")["ols:parent"].to_list() == pytest.approx([0.3, 0.8], abs=0.01)


def test_a_copy_is_identical(tmp_path, family, weights):
    found = trace(tmp_path, family, weights["parent"])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert found.verdict.numbers["parent"] == "parent"


@pytest.fixture
def one_bit_off(tmp_path, family, weights):
    changed = {name: array.copy() for name, array in weights["parent"].items()}
    changed["model.norm.weight"].view(np.uint16)[7] ^= 1
    return trace(tmp_path, family, changed)


def test_one_bit_of_a_copy_is_seen(one_bit_off):
    assert one_bit_off.verdict.kind not in ("identical", "re-encoded", "assembled")
    assert one_bit_off.wide("model")["bit_equal:parent"][0] == one_bit_off.elements - 1


def test_all_of_one_parent_is_no_blend(one_bit_off):
    assert one_bit_off.verdict.kind != "merge"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_cast_is_a_re_encoding(tmp_path, family, weights, dtype):
    cast = {name: array.astype(dtype) for name, array in weights["parent"].items()}
    found = trace(tmp_path, family, cast)
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")
    assert found.verdict.numbers["parent"] == "parent"


def test_layers_of_two_checkpoints_are_assembled(tmp_path, family, weights):
    parts = {
        name: weights["parent" if ".layers.0." in name else "base"][name]
        for name in weights["base"]
    }
    found = trace(tmp_path, family, parts)
    assert (found.verdict.kind, found.verdict.level) == ("assembled", "exact")


def test_a_grandchild_is_a_fine_tune_of_the_parent(family):
    found = parentage.trace(family("grandchild"), base=family("base"), parents=[family("parent")])
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "parent"


@pytest.mark.parametrize("child", ["parent", "sibling"])
def test_a_child_of_the_base_is_a_fine_tune_of_it(family, child):
    found = parentage.trace(family(child), base=family("base"))
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "base"


@pytest.mark.parametrize(
    ("child", "parent"), [("parent", "sibling"), ("sibling", "parent"), ("sibling", "grandchild")]
)
def test_a_sibling_is_no_parent(family, child, parent):
    found = parentage.trace(family(child), base=family("base"), parents=[family(parent)])
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "base"


def test_a_merge_of_others_is_no_merge_of_a_sibling(family):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("sibling")])
    assert "merge" not in found.verdict.kind


def test_a_merge_that_was_trained_on_is_told_from_a_merge(tmp_path, family, weights):
    random = np.random.default_rng(0)

    def change(child, base, parent):
        step = 0.1 * np.sqrt(np.mean((parent - base) ** 2))
        return child + random.normal(0, step, child.shape)

    tuned = each(change, weights["child"], weights["base"], weights["parent"])
    found = trace(tmp_path, family, tuned)
    assert found.verdict.kind == "merge-then-changed"
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.02)


def test_shuffled_weights_are_unrelated(tmp_path, family, weights):
    random = np.random.default_rng(1)
    shuffled = {
        name: random.permutation(array.reshape(-1)).reshape(array.shape)
        for name, array in weights["child"].items()
    }
    assert trace(tmp_path, family, shuffled).verdict.kind == "unrelated"


def test_independent_weights_are_unrelated(tmp_path, family, weights):
    random = np.random.default_rng(2)
    independent = {
        name: random.normal(array.mean(), array.std() + 1e-6, array.shape).astype(BF16)
        for name, array in ((name, x.astype(np.float64)) for name, x in weights["base"].items())
    }
    assert trace(tmp_path, family, independent).verdict.kind == "unrelated"


def swapped(tensors, part):
    """The tensors with those of layers 0 and 1 exchanged whose names hold ``part``."""
    other = {".layers.0.": ".layers.1.", ".layers.1.": ".layers.0."}
    exchanged = {}
    for name, array in tensors.items():
        layer = next((each for each in other if each in name and part in name), None)
        exchanged[name] = array if layer is None else tensors[name.replace(layer, other[layer])]
    return exchanged


def test_matrices_moved_about_decide_nothing(tmp_path, family, weights):
    found = trace(tmp_path, family, swapped(weights["parent"], "self_attn"))
    assert found.verdict.kind == "undetermined"
    assert "moved or taken from elsewhere" in found.verdict.text


def test_a_checkpoint_whose_layers_were_all_moved_is_not_called_unrelated(
    tmp_path, family, weights
):
    assert trace(tmp_path, family, swapped(weights["parent"], "")).verdict.kind != "unrelated"


def test_one_parent_offered_twice_is_refused(family):
    with pytest.raises(PlanError, match="given twice as a parent"):
        parentage.trace(
            family("child"), base=family("base"), parents=[family("parent"), family("parent")]
        )
    with pytest.raises(PlanError, match="given as the base and as a parent"):
        parentage.trace(family("child"), base=family("base"), parents=[family("base")])


def test_two_copies_of_one_parent_can_not_be_told_apart(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["parent"])
    found = trace(tmp_path, family, weights["child"], parents=["parent", copy])
    assert (found.verdict.kind, found.verdict.rule) == ("undetermined", "indistinct")
    assert found.weights["parent"] is None


def test_a_copy_of_the_base_is_no_parent(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["base"])
    found = trace(tmp_path, family, weights["child"], parents=["parent", copy])
    assert found.verdict.kind == "merge"
    assert "copy" not in found.verdict.text
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)


def test_too_few_tensors_in_common_decide_nothing(tmp_path, family, weights):
    child = dict(weights["parent"])
    child["model.extra.weight"] = np.ones(300_000, BF16)
    found = trace(tmp_path, family, child)
    assert (found.verdict.kind, found.verdict.rule) == ("undetermined", "too_little")
    assert 0.49 < found.verdict.numbers["coverage"] < 0.5


def empty(array):
    return np.full_like(array, np.nan)


def half_empty(array):
    half = array.copy()
    half.reshape(-1)[::2] = np.nan
    half.reshape(-1)[1::40] = np.nan
    return half


@pytest.mark.parametrize("spoil", [empty, half_empty])
def test_a_child_that_is_mostly_nan_decides_nothing(tmp_path, family, weights, spoil):
    found = trace(tmp_path, family, {name: spoil(x) for name, x in weights["parent"].items()})
    assert found.model["nan"][0] > found.elements / 2
    assert found.verdict.kind == "undetermined"


def test_a_child_of_zeros_is_no_fine_tune(tmp_path, family, weights):
    found = trace(tmp_path, family, {name: np.zeros_like(x) for name, x in weights["base"].items()})
    assert found.verdict.kind in ("undetermined", "unrelated")


def test_a_merge_with_norms_in_float32_is_not_said_to_be_changed(tmp_path, family, weights):
    # As some exporters write them: the norms in float32, the rest in bf16.
    child = {
        name: array.astype(np.float32) if "norm" in name else array
        for name, array in weights["child"].items()
    }
    found = trace(tmp_path, family, child)
    assert found.verdict.kind in ("merge", "undetermined")
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_merge_that_was_cast_afterwards_is_not_said_to_be_changed(
    tmp_path, family, weights, dtype
):
    cast = {name: array.astype(dtype) for name, array in weights["child"].items()}
    assert trace(tmp_path, family, cast).verdict.kind in ("merge", "undetermined", "re-encoded")


def test_a_weight_that_rounding_moved_far_comes_with_a_warning(tmp_path):
    random = np.random.default_rng(3)
    base = random.normal(0, 0.02, (400, 500)).astype(BF16).astype(np.float64)
    parent = (base + 0.003 * random.normal(0, 0.02, base.shape)).astype(BF16).astype(np.float64)
    child = base + 0.6 * (parent - base)
    for name, array in (("base", base), ("parent", parent), ("child", child)):
        write_checkpoint(tmp_path / name, {"model.layers.0.mlp.up_proj.weight": array.astype(BF16)})
    found = parentage.trace(
        tmp_path / "child", base=tmp_path / "base", parents=[tmp_path / "parent"]
    )
    weight = found.weights["parent"]
    assert abs(weight - 0.6) > 0.1, "the case is to be one in which rounding matters"
    assert found.wide("model")["cells:parent"][0] == pytest.approx(0.6, abs=1e-6)
    blind = parentage.trace(
        tmp_path / "child", base=tmp_path / "base", parents=[tmp_path / "parent"], recipes=False
    )
    assert blind.verdict.kind != "merge" or "rounding can move" in blind.verdict.text
