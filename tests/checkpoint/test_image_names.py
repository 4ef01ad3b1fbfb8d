"""Image models have one spelling, of the first implementations' and of diffusers' names."""

import pytest
from parentage.checkpoint.image_names import RULES, image_name


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("input_blocks.0.0.weight", "conv_in.weight"),
        ("input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"),
        ("input_blocks.5.1.proj_in.weight", "down_blocks.1.attentions.1.proj_in.weight"),
        ("input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"),
        ("middle_block.1.norm.weight", "mid_block.attentions.0.norm.weight"),
        ("middle_block.2.out_layers.3.weight", "mid_block.resnets.1.conv2.weight"),
        ("output_blocks.4.0.skip_connection.weight", "up_blocks.1.resnets.1.conv_shortcut.weight"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
        ("time_embed.2.bias", "time_embedding.linear_2.bias"),
        ("out.2.weight", "conv_out.weight"),
        ("encoder.down.1.block.0.nin_shortcut.a", "encoder.down_blocks.1.resnets.0.nin_shortcut.a"),
        ("decoder.up.3.block.1.conv1.weight", "decoder.up_blocks.0.resnets.1.conv1.weight"),
        ("decoder.up.1.upsample.conv.weight", "decoder.up_blocks.2.upsamplers.0.conv.weight"),
        ("decoder.mid.attn_1.k.weight", "decoder.mid_block.attentions.0.to_k.weight"),
        ("decoder.mid.attn_1.k.weight", "decoder.mid_block.attentions.0.key.weight"),
        ("double_blocks.3.txt_mod.lin.weight", "transformer_blocks.3.norm1_context.linear.weight"),
        ("joint_blocks.3.x_block.attn.proj.weight", "transformer_blocks.3.attn.to_out.0.weight"),
        ("single_blocks.3.modulation.lin.weight", "single_transformer_blocks.3.norm.linear.weight"),
    ],
)  # fmt: skip
def test_both_are_one(original, diffusers):
    assert image_name(original) == image_name(diffusers)


@pytest.mark.parametrize("name", ["model.layers.0.mlp.up_proj.weight", "a", "", "encoder.0.weight"])
def test_other_names_stay(name):
    assert image_name(name) == name


def test_every_rule_says_where_it_is_from():
    assert all(rule.source for rule in RULES)
