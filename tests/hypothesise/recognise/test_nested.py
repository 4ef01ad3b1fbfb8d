"""Merges of merges: found by what the rounding in between left."""

import pytest
from common.families import BF16, FAMILY, bf16, found_in, stored
from common.merges import linear_f32, linear_fma, merged
from parentage.hypothesise import RECOGNISERS, count_matches


def nested(blend):
    child = {}
    for tensor, base in FAMILY["base"].items():
        one, two = FAMILY["one"][tensor], FAMILY["two"][tensor]
        inner = bf16(blend([one, two], [0.6, 0.4], normalize=False))
        child[tensor] = blend([inner, base], [0.7, 0.3], normalize=False).astype(BF16)
    return child


@pytest.mark.parametrize(
    ("arithmetic", "blend"), [("float32-fma", linear_fma), ("float32", linear_f32)]
)
def test_both_stages_are_tried(tmp_path, arithmetic, blend):
    f = found_in(tmp_path, FAMILY, nested(blend), ["one", "two"])
    found = list(RECOGNISERS["nested"].estimate(f))
    counts = count_matches(found, f.sample, f)
    exact = [x for x, each in zip(found, counts, strict=True) if each.mismatched.sum() == 0]
    assert any(recipe.arithmetic == arithmetic for recipe in exact)
    for recipe in exact:
        assert recipe.parameters == {"outer": 0.7}
        weights = {each.name: each.weight for each in recipe.ingredients}
        assert weights == {"one": 0.6, "two": 0.4, "base": 0.3}
        assert recipe.parents_added[2] == "base"


@pytest.mark.parametrize(
    "child",
    [
        stored(FAMILY["other"]),
        merged("linear", "float32-fma", {"one": 0.42, "two": 0.28, "base": 0.3}),
        merged("linear", "float32-fma", {"one": 0.6, "base": 0.4}),
    ],
    ids=["fine-tune", "one stage", "two checkpoints"],
)
def test_without_two_stages_there_is_none(tmp_path, child):
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert list(RECOGNISERS["nested"].estimate(f)) == []
