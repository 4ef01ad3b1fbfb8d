"""One table says how tools call the parts of a model."""

import pytest
from common.layouts import filled
from common.towers import FAMILIES
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import common_name, context_of
from parentage.checkpoint.naming import INSIDE, OUTSIDE


@pytest.mark.parametrize(
    ("name", "common"),
    [
        ("layers.3.attention.wq.weight", "layers.3.self_attn.q_proj.weight"),
        ("blk.11.attn_output.bias", "layers.11.self_attn.o_proj.bias"),
        ("blk.0.ffn_gate_exps.weight", "layers.0.mlp.experts.gate_proj.weight"),
        ("blk.0.ssm_dt.bias", "layers.0.linear_attn.dt_bias"),
        ("blk.0.attn_sinks.weight", "layers.0.self_attn.sinks"),
        ("layers.0.mlp.experts.gate_up_proj", "layers.0.mlp.experts.gate_up_proj.weight"),
        ("layers.1.ffn.gate.bias", "layers.1.mlp.gate.e_score_correction_bias"),
        ("enc.blk.0.attn_q.weight", "encoder.layers.0.self_attn.q_proj.weight"),
        ("decoder.block.0.layer.1.layer_norm.bias", "decoder.layers.0.encoder_attn_layernorm.bias"),
        ("encoder.h.0.layer.1.layer_norm.bias", "encoder.layers.0.post_attention_layernorm.bias"),
        ("a.parametrizations.weight.original1", "a.weight_v"),
        ("a.LayerNorm.gamma", "a.LayerNorm.weight"),
        ("zq.7.w_3.weight", "zq.7.w_3.weight"),
    ],
)  # fmt: skip
def test_spellings_have_one_name(name, common):
    assert common_name(name) == common


def test_what_stands_beside_may_decide():
    gemma = ["blk.0.ffn_norm.weight", "blk.0.post_attention_norm.weight"]
    assert common_name(gemma[0]).endswith("post_attention_layernorm.weight")
    assert common_name(gemma[0], context_of(gemma)).endswith("pre_feedforward_layernorm.weight")
    hybrid = ["blk.0.attn_qkv.weight", "blk.0.ssm_a"]
    assert common_name(hybrid[0], context_of(hybrid)) == "layers.0.linear_attn.in_proj_qkv.weight"


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_tensors_of_a_checkpoint_mean_the_same(name):
    shapes, relaid = FAMILIES[name]
    for tensors in (shapes, relaid(filled(shapes, 1))):
        context = context_of(tensors)
        assert len({common_name(each, context) for each in tensors}) == len(tensors)


@given(st.text(st.sampled_from("abw._0123456789"), max_size=30))
def test_any_name_has_one(name):
    assert isinstance(common_name(name), str)
    assert common_name(common_name(name)) == common_name(name)


def test_every_row_says_where_it_is_from():
    assert all(row.source for row in (*INSIDE, *OUTSIDE))
