"""Copies but for layers that are averages."""

from dataclasses import replace

import pytest
from common.facts import MERGE, rule
from parentage.align import LayerBlend
from parentage.verdict import decide
from parentage.verdict.facts import SharedSlices

pytestmark = pytest.mark.levels

BLEND = LayerBlend(2, ((2, 0.5), (3, 0.5)), 5_184)
OTHERS = ("model.layers.2.mlp.up_proj.weight", "model.layers.2.norm.weight")
SHARED = SharedSlices(18, 900_000, 18, 900_000, OTHERS, ())
FOUND = replace(
    MERGE,
    shared={"base": SharedSlices(0, 0, 0, 0, OTHERS, ()), "parent": SHARED},
    blends_of_layers=lambda name, layers: (BLEND,) if (name, layers) == ("parent", {2}) else (),
)


def test_a_copy_with_an_averaged_layer_is_assembled():
    verdict = decide(FOUND)
    assert (verdict.kind, verdict.level, verdict.rule) == ("assembled", "statistical", "averaged")
    said = "layer 2 is 0.5 of parent's layer 2 and 0.5 of parent's layer 3"
    assert said in verdict.text
    assert verdict.numbers["averaged_layers"] == 1


@pytest.mark.parametrize(
    "others",
    [
        (*OTHERS, "model.layers.4.mlp.up_proj.weight"),
        (*OTHERS, "model.embed_tokens.weight"),
        (),
    ],
    ids=["another layer differs", "what is in no layer differs", "nothing differs"],
)
def test_what_else_differs_is_no_average(others):
    shared = {"parent": replace(SHARED, others=others)}
    assert rule(FOUND, shared=shared) != "averaged"
