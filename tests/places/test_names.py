"""Names of many slices in few words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from parentage.places import compress
from parentage.places.names import MOST

KINDS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj", "input_layernorm")
ALL = [
    "model.embed_tokens.weight",
    *(f"model.layers.{i}.{kind}.weight" for i in range(12) for kind in KINDS),
    "lm_head.weight",
]


def of(kind, layers):
    return [f"model.layers.{i}.{kind}.weight" for i in layers]


def test_layers_are_ranges():
    assert compress(of("self_attn.v_proj", range(6))) == "v_proj of layers 0 to 5"
    assert compress(of("self_attn.v_proj", [0, 3, 4, 5, 11])) == "v_proj of layers 0, 3 to 5 and 11"


def test_what_is_in_the_same_layers_is_told_together():
    names = of("self_attn.v_proj", [1, 2]) + of("self_attn.q_proj", [1, 2])
    assert compress(names) == "q_proj and v_proj of layers 1 and 2"


def test_all_and_all_but():
    assert compress(ALL, ALL) == "all"
    assert compress([name for name in ALL if name != "lm_head.weight"], ALL) == "all but lm_head"
    rest = [name for name in ALL if ".3.mlp" not in name]
    assert compress(rest, ALL) == "all but up_proj of layer 3"


def test_whole_layers_are_told_as_that():
    names = [name for name in ALL if ".4." in name or ".5." in name]
    assert compress(names, ALL) == "all of layers 4 and 5"
    assert compress([*names, "lm_head.weight"], ALL) == "all of layers 4 and 5 and lm_head"


def test_names_that_end_alike_are_told_apart():
    names = ["model.layers.0.self_attn.out.weight", "model.layers.0.cross_attn.out.weight"]
    assert compress(names[:1], names) == "self_attn.out of layer 0"
    assert compress(["h.0.attn.bias"], ["h.0.attn.bias", "h.0.mlp.bias"]) == "attn.bias of layer 0"


def test_experts_are_ranges():
    names = [f"model.layers.{i}.mlp.experts.{j}.up_proj.weight" for i in (2, 3) for j in range(8)]
    assert compress(names) == "up_proj of experts 0 to 7 of layers 2 and 3"
    stacked = [f"model.layers.2.mlp.experts.down_proj[{j}]" for j in (1, 4)]
    assert compress(stacked) == "down_proj of experts 1 and 4 of layer 2"


def test_nothing_and_what_acts_on_a_terminal():
    assert compress([]) == "none"
    assert "\x1b" not in compress(["a\x1b[2J.weight"])


@given(st.sets(st.sampled_from(ALL), min_size=1), st.booleans())
def test_text_is_short_and_the_order_of_names_does_not_matter(names, is_told):
    among = ALL if is_told else []
    text = compress(sorted(names), among)
    assert len(text) <= MOST
    assert text == compress(sorted(names, reverse=True), among)


@given(st.lists(st.text("ab.0123[]", min_size=1, max_size=60), min_size=1, max_size=40))
def test_any_names_are_short(names):
    assert 0 < len(compress(names)) <= MOST
