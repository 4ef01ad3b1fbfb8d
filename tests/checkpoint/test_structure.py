"""Names of tensors say component, layer and expert."""

import re
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import BF16, encode_safetensors
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import (
    COMPONENTS,
    Checkpoint,
    common_name,
    component_of,
    in_order,
    layer_of,
    place_of,
    places_of,
)
from parentage.checkpoint.structure import _COMPONENT_PATTERNS, _unknown
from parentage.support import natural_key

QWEN = "model.language_model"

# What stands in the checkpoints of Qwen3.5, DeepSeek-V3, gpt-oss, Mixtral, Llama, GPT-2, BERT, ...
MEANINGS = [
    (f"{QWEN}.embed_tokens.weight", "embed", None, None),
    ("lm_head.weight", "head", None, None),
    (f"{QWEN}.norm.weight", "norm", None, None),
    (f"{QWEN}.layers.3.input_layernorm.weight", "norm", 3, None),
    (f"{QWEN}.layers.3.post_attention_layernorm.weight", "norm", 3, None),
    (f"{QWEN}.layers.3.self_attn.q_proj.weight", "attention", 3, None),
    (f"{QWEN}.layers.3.self_attn.k_norm.weight", "norm", 3, None),
    (f"{QWEN}.layers.0.linear_attn.in_proj_qkv.weight", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.conv1d.weight", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.A_log", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.dt_bias", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.norm.weight", "norm", 0, None),
    (f"{QWEN}.layers.59.mlp.gate.weight", "router", 59, None),
    (f"{QWEN}.layers.59.mlp.experts.gate_up_proj", "experts", 59, None),
    (f"{QWEN}.layers.59.mlp.experts.down_proj", "experts", 59, None),
    (f"{QWEN}.layers.43.mlp.experts.511.down_proj.weight_scale_inv", "experts", 43, 511),
    (f"{QWEN}.layers.59.mlp.shared_expert.gate_proj.weight", "shared_expert", 59, None),
    (f"{QWEN}.layers.59.mlp.shared_expert_gate.weight", "shared_expert", 59, None),
    ("model.visual.patch_embed.proj.weight", "vision", None, None),
    ("model.visual.pos_embed.weight", "vision", None, None),
    ("model.visual.merger.linear_fc1.bias", "vision", None, None),
    ("vision_tower.vision_model.post_layernorm.weight", "vision", None, None),
    ("mtp.fc.weight", "mtp", None, None),
    ("mtp.pre_fc_norm_hidden.weight", "mtp", None, None),
    ("model.layers.5.self_attn.q_a_layernorm.weight", "norm", 5, None),
    ("model.layers.5.self_attn.kv_a_proj_with_mqa.weight", "attention", 5, None),
    ("model.layers.5.mlp.gate.e_score_correction_bias", "router", 5, None),
    ("model.layers.5.mlp.shared_experts.up_proj.weight", "shared_expert", 5, None),
    ("model.layers.5.mlp.experts.17.gate_proj.weight", "experts", 5, 17),
    ("model.layers.61.enorm.weight", "norm", 61, None),
    ("model.layers.61.eh_proj.weight", "eh_proj", 61, None),
    ("layers.3.ffn.experts.7.w1.weight", "experts", 3, 7),
    ("layers.3.ffn.gate.weight", "router", 3, None),
    ("layers.3.attn.wq_a.weight", "attention", 3, None),
    ("layers.3.ffn_norm.weight", "norm", 3, None),
    ("model.layers.1.mlp.experts.gate_up_proj_blocks", "experts", 1, None),
    ("model.layers.1.mlp.router.weight", "router", 1, None),
    ("model.layers.1.self_attn.sinks", "attention", 1, None),
    ("model.layers.2.block_sparse_moe.experts.6.w1.weight_packed", "experts", 2, 6),
    ("model.layers.2.block_sparse_moe.gate.weight", "router", 2, None),
    ("model.layers.2.mlp.switch_mlp.gate_proj.weight", "experts", 2, None),
    ("language_model.model.layers.11.mlp.up_proj.weight", "mlp", 11, None),
    ("vlm.model.layers.11.self_attn.o_proj.weight", "attention", 11, None),
    ("transformer.h.9.ln_1.weight", "norm", 9, None),
    ("transformer.h.9.attn.c_attn.weight", "attention", 9, None),
    ("transformer.h.9.mlp.c_fc.weight", "mlp", 9, None),
    ("transformer.wte.weight", "embed", None, None),
    ("transformer.ln_f.bias", "norm", None, None),
    ("bert.encoder.layer.4.attention.self.query.weight", "attention", 4, None),
    ("bert.encoder.layer.4.attention.output.LayerNorm.weight", "norm", 4, None),
    ("bert.encoder.layer.4.intermediate.dense.weight", "mlp", 4, None),
    ("bert.embeddings.word_embeddings.weight", "embed", None, None),
    ("encoder.block.3.layer.0.SelfAttention.q.weight", "attention", 3, None),
    ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", "mlp", 0, None),
    ("backbone.layers.30.mixer.in_proj.weight", "linear_attention", 30, None),
    ("layers.0.feed_forward.w2.weight", "mlp", 0, None),
    ("layers.0.attention.wq.weight", "attention", 0, None),
    ("tok_embeddings.weight", "embed", None, None),
    ("output.weight", "head", None, None),
    ("score.weight", "head", None, None),
    ("multi_modal_projector.linear_1.weight", "multi_modal_projector.linear_1", None, None),
    ("encoder.3.reparam_conv.bias", "encoder.*.reparam_conv", None, None),
    ("", "*", None, None),
    ("blk.7.ffn_gate_exps.weight", "experts", 7, None),
    ("blk.7.ffn_gate_inp.weight", "router", 7, None),
    ("blk.7.ffn_norm.weight", "norm", 7, None),
    ("blk.7.attn_output.weight", "attention", 7, None),
    ("token_embd.weight", "embed", None, None),
    ("encoder.block.3.layer.1.DenseReluDense.wi.weight", "mlp", 3, None),
    ("model.diffusion_model.input_blocks.11.0.in_layers.2.weight", "IN11", None, None),
    ("unet.down_blocks.3.resnets.1.conv1.weight", "IN11", None, None),
    ("unet.down_blocks.0.downsamplers.0.conv.weight", "IN03", None, None),
    ("unet.conv_in.weight", "IN00", None, None),
    ("unet.mid_block.attentions.0.norm.weight", "M00", None, None),
    ("model.diffusion_model.middle_block.1.norm.weight", "M00", None, None),
    ("up_blocks.3.attentions.2.transformer_blocks.0.norm1.weight", "OUT11", None, None),
    ("model.diffusion_model.time_embed.0.weight", "TIME", None, None),
    ("model.diffusion_model.out.2.weight", "OUT", None, None),
    ("first_stage_model.encoder.down.0.block.0.conv1.weight", "vae", None, None),
    ("vae.decoder.up_blocks.0.resnets.0.norm1.weight", "vae", None, None),
    ("cond_stage_model.transformer.text_model.encoder.layers.3.mlp.fc1.w", "text_encoder", 3, None),
    ("text_encoder_2.text_model.final_layer_norm.weight", "text_encoder", None, None),
    ("double_blocks.17.img_attn.qkv.weight", "D17", None, None),
    ("transformer.transformer_blocks.3.attn.to_q.weight", "D03", None, None),
    ("single_transformer_blocks.37.proj_mlp.weight", "S37", None, None),
    ("base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", "adapter", 3, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "component", "layer", "expert"), MEANINGS)
def test_names_say_component_layer_and_expert(name, component, layer, expert):
    assert (component_of(name), layer_of(name), place_of(name).expert) == (component, layer, expert)


@given(st.text())
def test_every_name_has_a_component(name):
    found = component_of(name)
    assert found
    assert found in COMPONENTS or re.fullmatch(r"[\w.*-]{1,60}", found)


def test_components_stand_in_the_order_of_reports():
    assert in_order(["OUT11", "b.10", "embed", "b.9", "IN01", "embed"]) == [
        "embed", "IN01", "OUT11", "b.9", "b.10",
    ]  # fmt: skip
    assert len(set(COMPONENTS)) == len(COMPONENTS)


def test_a_number_of_any_length_is_no_obstacle():
    digits = "9" * 5000
    name = f"model.layers.{digits}.mlp.experts.{digits}.w1.weight"
    assert natural_key(name) > natural_key(name.replace(digits, "8" * 5000))
    assert layer_of(name) is None
    assert place_of(name).expert is None


_PARTS = st.sampled_from(["layers", "experts", "attn", "norm", "x", "", "\u0663"])
_IMAGE_PARTS = st.sampled_from(
    [
        "final_layer.adaLN_modulation", "final_layer.linear", "out", "time_embed", "label_emb",
        "input_blocks", "down_blocks", "up_blocks", "resnets", "upsamplers", "double_blocks",
        "transformer_blocks", "unet", "conv_in", "t_embedder.mlp", "img_in", "weight",
    ]
)  # fmt: skip
_NUMBERS = st.from_regex("[0-9]{1,11}", fullmatch=True)


def in_a_file(names):
    """Return where names stand, of those of the tensors of one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.safetensors")
        path.write_bytes(encode_safetensors({name: np.zeros(1, BF16) for name in names}))
        return places_of(Checkpoint.open(path).core)


@given(
    st.lists(
        st.lists(_PARTS | _IMAGE_PARTS | _NUMBERS | st.sampled_from("0123"), max_size=6).map(
            ".".join
        ),
        max_size=8,
        unique=True,
    )
)
def test_names_stand_where_they_do_one_by_one(names):
    assert in_a_file(names) == [place_of(name) for name in sorted(names)]


@pytest.mark.parametrize("before", ["", "model.diffusion_model.", "transformer."])
def test_what_is_of_an_image_model_is_not_told_by_a_number_that_is_left_out(before):
    names = [f"{before}final_layer.adaLN_modulation.{at}.weight" for at in (0, 1)]
    assert in_a_file(names) == [place_of(name) for name in names]
    assert place_of(f"{before}final_layer.adaLN_modulation.1.weight").component == "OUT"


def test_the_names_of_all_kinds_of_models_stand_where_they_do_one_by_one():
    names = sorted({name for name, *_ in MEANINGS})
    assert in_a_file(names) == [place_of(name) for name in names]


def test_a_name_of_many_numbers_costs_no_more_than_its_length(tmp_path):
    long = "layers.7" + ".1" * 200_000 + ".weight"
    tensors = {f"layers.{number}.attn.weight": np.zeros(1, BF16) for number in range(3000)}
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_safetensors(tensors | {long: np.zeros(1, BF16)}))
    tracemalloc.start()
    try:
        places = places_of(Checkpoint.open(path).core)
        # A table with a column for each number would be 4.8 GB.
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert sorted(place.layer for place in places) == sorted([*range(3000), 7])


@given(st.lists(st.sampled_from([*"0179wfc.", "mlp", "fc1", "w2", ".h.", ".experts."]), max_size=9))
def test_components_of_names_do_not_hang_on_numbers_between_points(parts):
    """Components are kept by name without such numbers: the patterns must not look at them."""
    name = "".join(parts)
    for component, pattern in _COMPONENT_PATTERNS:
        if pattern.search(common_name(name)):
            assert component_of(name) == component
            break
    else:
        assert component_of(name) == _unknown(re.sub(r"(?<=\.)[0-9]+(?=\.)", "0", name))
