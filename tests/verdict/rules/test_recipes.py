"""Recipes that are replayed: merges that are exact, and merges that were changed."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from common.facts import FORWARD, LINE, REPLAYED, UNDECIDED, kind, whole, wholes
from common.families import F32, FAMILY, blend, made
from common.merges import merged
from common.traced import ELEMENTS, LARGE, MERGE, disturbed, number, trace
from parentage.places import Change
from parentage.verdict import NOTHING_AFTER, Thresholds, decide


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return trace(tmp_path_factory.mktemp("exact"), MERGE, ["one", "other"], ["two"])


def test_a_merge_that_is_replayed_is_exact(exact):
    verdict = exact.verdict
    assert (verdict.kind, verdict.level, verdict.rule) == ("merge", "exact", "replayed")
    assert verdict.numbers["mismatched"] == 0
    assert "bit for bit" in verdict.text
    assert exact.outcome.reproduced == exact.outcome.elements == exact.elements == ELEMENTS
    assert exact.outcome.exact_share == 1.0
    assert NOTHING_AFTER.format("child") in verdict.text
    assert exact.recipe.to_mergekit().startswith("merge_method: linear")
    assert "other" not in exact.recipe.checkpoints
    assert "two" not in exact.recipe.checkpoints


def test_a_merge_of_displacements_of_one_unit_is_exact(tmp_path):
    family = made({"one": 1.2e-4})
    child = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4}, family)
    found = trace(tmp_path, child, ["one"], family=family)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    # Least squares is off by far more than the cells are.
    assert abs(number(found, "ols:one") - 0.6) > 0.1
    assert number(found, "cells:one") == pytest.approx(0.6, abs=1e-2)


WHOLE = replace(REPLAYED, wholes=wholes(whole("base", same=0), whole("parent", same=0)))
"""An exact merge of which all was gathered."""


def says_nothing_after(facts):
    return NOTHING_AFTER.format("child") in decide(facts).text


@pytest.mark.levels
def test_that_nothing_was_trained_after_a_merge_is_said_where_all_of_it_is_reproduced():
    assert says_nothing_after(WHOLE)
    assert decide(WHOLE).level == "exact"
    # Without what was gathered of all tensors it is not known that it is all of it.
    assert not says_nothing_after(REPLAYED)


def of_replay(**changes):
    return {"replay": replace(REPLAYED.replay, **changes)}


def of_wholes(**changes):
    return {"wholes": replace(WHOLE.wholes, **changes)}


LEFT = {
    "an element differs": of_replay(mismatched=1),
    "a choice": of_replay(explained=1),
    "an element was not replayed": of_replay(elements=999_999),
    "assembled": of_replay(kind="assembled"),
    "re-encoded": of_replay(kind="re-encoded"),
    "coverage": {"coverage": 1 - 1e-6},
    "an element was not compared": {"elements": 999_999},
    "order": {"both_ways": UNDECIDED},
    "the child has more": of_wholes(child_elements=1_000_001),
    "less was compared": of_wholes(compared=999_999),
    "a tensor": of_wholes(uncompared=("lm_head.weight",)),
    "strange": of_wholes(strange=1),
    "unread": of_wholes(unread=("child: other.bin was not read",)),
    "promised": of_wholes(promised_layers=9),
    "a fragment": of_wholes(
        by_name={
            name: whole(name, same=0, elements=2_500_000, held=1_000_000)
            for name in ("base", "parent")
        }
    ),
    "NaN": {"finite": 1 - 1e-6},
    "a parent is finer": {"finer": ("parent",)},
}
"""What leaves something out, or open."""


@pytest.mark.levels
@pytest.mark.parametrize("what", LEFT)
def test_it_is_not_said_where_something_is_left_out_or_left_open(what):
    assert not says_nothing_after(replace(WHOLE, **LEFT[what]))


@pytest.mark.levels
def test_what_an_exact_merge_may_be_taken_for_is_said():
    """A parent in finer numbers can hide, below the child's rounding, that it was made from it."""
    finer = decide(replace(WHOLE, finer=("parent",)))
    assert (finer.kind, finer.level) == ("merge", "exact")
    assert "parent is stored in finer numbers than the child" in finer.text
    assert "stored in finer numbers" not in decide(WHOLE).text
    odd = decide(replace(WHOLE, finite=1 - 1e-6))
    assert (odd.kind, odd.level) == ("merge", "statistical")
    assert "the bits of NaN were not compared" in odd.text


@pytest.mark.levels
def test_a_recipe_that_is_as_good_turned_round_decides_no_order():
    assert kind(REPLAYED) == "merge"
    verdict = decide(replace(REPLAYED, both_ways=UNDECIDED))
    assert (verdict.kind, verdict.rule) == ("related", "either_way")
    assert verdict.numbers["back_parent"] == 1.0


@pytest.mark.levels
def test_a_blend_that_gives_no_more_than_a_copy_is_none():
    """As slerp with t of 1e-5 would be."""
    replayed = replace(LINE, replay=REPLAYED.replay)
    assert kind(replayed, equal={"base": 100, "parent": 999_950}) == "related"
    assert kind(replayed, equal={"base": 100, "parent": 990_000}) == "merge"


@pytest.mark.levels
def test_what_is_left_within_two_units_is_no_change():
    def left(*ulps):
        return replace(REPLAYED.replay, mismatched=sum(ulps), ulps=ulps)

    rounding = decide(replace(REPLAYED, replay=left(180_000, 15_000, 5_000)))
    assert (rounding.kind, rounding.rule) == ("merge", "rounding_left")
    change = decide(replace(REPLAYED, replay=left(100_000, 15_000, 85_000)))
    assert (change.kind, change.rule) == ("merge-then-changed", "changed")
    assert decide(replace(REPLAYED, replay=left(500, 20, 480))).kind == "merge"


@pytest.mark.levels
@pytest.mark.parametrize(
    "parts",
    [
        {"mismatched": 200_000, "ulps": (100_000, 15_000, 85_000)},
        {"whole_share": 0.5, "changed_share": 0.2, "changed_floors": 1.0, "is_rounded_once": True},
    ],
)
def test_where_other_weights_are_right_the_blend_was_not_changed(parts):
    def looked_at(*kinds):
        return lambda *_: tuple((f"{i}.v", 50_000, Change(x, x)) for i, x in enumerate(kinds))

    least = {"mismatched": 200_000, "ulps": (100_000, 15_000, 85_000)}
    facts = replace(REPLAYED, replay=replace(REPLAYED.replay, **(least | parts)))
    changed = decide(replace(facts, changes=looked_at("weight", "noise")))
    assert changed.kind == "merge-then-changed"
    found = decide(replace(facts, changes=looked_at("weight", "units")))
    assert (found.kind, found.rule) == ("merge", "rounding_left")
    assert "in the 2 slices looked at" in found.text
    assert "other weights of these checkpoints do" in found.text


@pytest.mark.levels
@pytest.mark.parametrize(
    "far", [{"far": 0.54}, {"far_elements": 99}, {"forward": 0.8, "far": 0.55}]
)
def test_what_is_given_near_by_alone_is_no_blend(far):
    """Any blend gives what lies a unit or two apart; checkpoints of one run do."""
    parts = replace(REPLAYED.replay, mismatched=200_000, ulps=(100_000, 15_000, 85_000))
    near = replace(LINE, replay=parts, both_ways=replace(FORWARD, **far))
    assert decide(near).kind == "related"
    assert decide(replace(near, both_ways=FORWARD)).rule == "changed"


@pytest.mark.levels
def test_what_is_chosen_from_copies_is_no_merge_and_has_no_order():
    """Masks give any child that was cut up among parents, or of which parents were made."""
    masked = replace(REPLAYED.replay, explained=990_000)
    facts = replace(REPLAYED, replay=masked, both_ways=None)
    assert kind(facts) == "merge"
    found = decide(replace(facts, of_somebody=(1.0, 0.6)))
    assert (found.kind, found.level, found.rule) == ("assembled", "statistical", "chosen")
    assert "It is not decided by that whether the child was put together" in found.text
    assert "each element looked at is that of one of base and parent" in found.text
    some = decide(replace(facts, of_somebody=(0.9996, 0.6)))
    assert some.rule == "chosen"
    assert not some.text.startswith("each element")
    assert "99.9% of the elements looked at are those of one of" in some.text
    left = replace(masked, mismatched=200_000, explained=700_000, ulps=(0, 0, 200_000))
    changed = replace(facts, replay=left, both_ways=FORWARD)
    assert decide(changed).rule == "changed"
    assert decide(replace(changed, of_somebody=(0.75, 0.6))).rule != "changed"


# Merges, changed.


def test_half_a_unit_of_noise_is_rounding_or_noise(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, ulps=0.5), ["one", "other"])
    verdict = found.verdict
    assert (verdict.kind, verdict.rule) == ("merge", "rounding_left")
    assert "noise of one unit" in verdict.text
    assert verdict.level == "statistical"
    assert 0.4 < found.outcome.exact_share < 0.9
    assert found.outcome.mismatched > 0
    assert number(found, "cells:one") == pytest.approx(0.6, abs=2e-3)
    assert 0.4 < number(found, "cells_share:one") < 0.9
    weights = {each.name: each.weight for each in found.recipe.ingredients}
    assert weights["one"] / sum(weights.values()) == pytest.approx(0.6, abs=2e-3)


def test_a_displacement_on_top_is_a_change(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=5e-4), ["one", "other"])
    assert found.verdict.kind in ("merge-then-changed", "related")
    assert found.verdict.level == "statistical"
    assert found.verdict.numbers["weight_one"] == pytest.approx(0.6, abs=5e-3)
    if found.recipe is not None:
        assert found.outcome.exact_share < Thresholds().reproduced


def test_a_change_of_some_tensors_is_located(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=2e-3, only="q_proj"), ["one"])
    assert found.verdict.kind == "merge-then-changed"
    rows = found.wide().filter(pl.col("slice").is_in(LARGE))
    for name, share in zip(rows["slice"], rows["exact_share"], strict=True):
        assert (share < 0.2) if "q_proj" in name else (share > 0.99), name
    assert "q_proj" in found.verdict.text


def test_much_more_on_top_is_no_merge(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=4e-3), ["one"])
    assert found.verdict.kind != "merge"
    assert found.verdict.level != "exact"
    assert found.recipe is None
    assert number(found, "cells:one") is None


def test_a_parent_that_is_the_base_gets_no_weight(tmp_path):
    family = {**FAMILY, "same": FAMILY["base"]}
    found = trace(tmp_path, MERGE, ["one", "same"], family=family)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert "same" not in found.recipe.checkpoints
    for column in ("ols:same", "cells:same"):
        assert number(found, column) is None
        assert found.wide()[column].null_count() == found.tables.number_of_slices
    assert number(found, "cells:one") == pytest.approx(0.6, abs=1e-6)


# A parent that is a blend of the others.

MIXED = {
    **FAMILY,
    "mix": {name: x.astype(F32) for name, x in blend(FAMILY, {"one": 0.5, "two": 0.5}).items()},
}


@pytest.mark.parametrize(
    ("weights", "ours"),
    [({"one": 0.6}, "one"), ({"mix": 0.6}, "mix")],
    ids=["of one", "of the blend"],
)
def test_a_blend_among_the_parents_takes_no_weight(tmp_path, weights, ours):
    child = blend(MIXED, weights)
    found = trace(tmp_path, child, ["one", "two", "mix"], family=MIXED)
    assert number(found, "condition") > 100
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert set(found.recipe.checkpoints) == {"base", ours}
    for name in ("one", "two", "mix"):
        if name == ours:
            assert number(found, f"cells:{name}") == pytest.approx(0.6, abs=1e-6)
        else:
            assert number(found, f"cells:{name}") is None


@pytest.mark.slow
def test_no_weight_is_made_up_for_a_blend_of_the_true_parents(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.5, "two": 0.3, "base": 0.2})
    found = trace(tmp_path, child, ["one", "two", "mix"], family=MIXED)
    numbers = found.verdict.numbers
    if found.verdict.kind == "merge":
        assert found.recipe is not None
        assert found.recipe.parents_added == ("one", "two", "base")
    assert abs(numbers.get("weight_mix", 0.0)) < 0.02
    assert numbers.get("weight_one", 0.5) == pytest.approx(0.5, abs=0.02)


STRANGE = {"unreplayed": 300_000, "strange": 300_000, "strange_slices": ("quantised.table",)}


def test_integers_that_no_recipe_gives_are_named_and_leave_nothing_exact():
    verdict = decide(replace(WHOLE, **of_replay(**STRANGE)))
    assert (verdict.kind, verdict.level) == ("merge", "statistical")
    assert "300,000 elements, of table, are no other checkpoint's" in verdict.text
    assert "that are rounded, as integers are not" in verdict.text
    assert NOTHING_AFTER.format("child") not in verdict.text


def test_counters_of_steps_leave_a_merge_exact_and_are_named():
    counters = {"unreplayed": 4, "strange": 4, "strange_slices": ("bn.num_batches_tracked",)}
    verdict = decide(replace(WHOLE, **of_replay(**counters)))
    assert (verdict.kind, verdict.level) == ("merge", "exact")
    assert "4 elements, of" in verdict.text


def test_a_copy_with_integers_of_its_own_is_no_copy():
    copied = of_replay(kind="re-encoded", text="copy of parent", **STRANGE)
    assert decide(replace(WHOLE, **copied)).rule != "replayed"
