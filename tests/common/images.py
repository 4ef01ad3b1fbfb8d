"""A small Stable Diffusion in one file, and the same as a folder of diffusers' parts."""

from __future__ import annotations

import re

from common.layouts import Shapes, Tensors

CHANNELS = (8, 12, 16, 16)
TIME, TEXT = 20, 24


def resnet(at: str, inside: int, outside: int) -> Shapes:
    shapes: Shapes = {
        f"{at}.in_layers.0.weight": (inside,),
        f"{at}.in_layers.2.weight": (outside, inside, 3, 3),
        f"{at}.emb_layers.1.weight": (outside, TIME),
        f"{at}.out_layers.0.weight": (outside,),
        f"{at}.out_layers.3.weight": (outside, outside, 3, 3),
    }
    if inside != outside:
        shapes[f"{at}.skip_connection.weight"] = (outside, inside, 1, 1)
    return shapes


def attention(at: str, width: int) -> Shapes:
    block = f"{at}.transformer_blocks.0"
    shapes: Shapes = {
        f"{at}.norm.weight": (width,),
        f"{at}.proj_in.weight": (width, width, 1, 1),
        f"{at}.proj_out.weight": (width, width, 1, 1),
        f"{block}.ff.net.0.proj.weight": (8 * width, width),
        f"{block}.ff.net.2.weight": (width, 4 * width),
    }
    for number, from_ in (("1", width), ("2", TEXT)):
        shapes |= {
            f"{block}.attn{number}.to_q.weight": (width, width),
            f"{block}.attn{number}.to_k.weight": (width, from_),
            f"{block}.attn{number}.to_v.weight": (width, from_),
            f"{block}.attn{number}.to_out.0.weight": (width, width),
            f"{block}.norm{number}.weight": (width,),
        }
    return shapes


def unet() -> Shapes:
    shapes: Shapes = {
        "time_embed.0.weight": (TIME, 8),
        "time_embed.2.weight": (TIME, TIME),
        "input_blocks.0.0.weight": (CHANNELS[0], 4, 3, 3),
        "out.0.weight": (CHANNELS[0],),
        "out.2.weight": (4, CHANNELS[0], 3, 3),
    }
    held, width, number = [CHANNELS[0]], CHANNELS[0], 1
    for level, channels in enumerate(CHANNELS):
        for _ in range(2):
            shapes |= resnet(f"input_blocks.{number}.0", width, channels)
            if level < 3:
                shapes |= attention(f"input_blocks.{number}.1", channels)
            width, number = channels, number + 1
            held.append(width)
        if level < 3:
            shapes[f"input_blocks.{number}.0.op.weight"] = (width, width, 3, 3)
            number += 1
            held.append(width)
    shapes |= resnet("middle_block.0", width, width) | attention("middle_block.1", width)
    shapes |= resnet("middle_block.2", width, width)
    number = 0
    for level, channels in reversed(list(enumerate(CHANNELS))):
        for which in range(3):
            shapes |= resnet(f"output_blocks.{number}.0", width + held.pop(), channels)
            width = channels
            if level < 3:
                shapes |= attention(f"output_blocks.{number}.1", width)
            if which == 2 and level:
                at = f"output_blocks.{number}.{1 if level == 3 else 2}"
                shapes[f"{at}.conv.weight"] = (width, width, 3, 3)
            number += 1
    return {f"model.diffusion_model.{name}": shape for name, shape in shapes.items()}


def vae() -> Shapes:
    shapes: Shapes = {"quant_conv.weight": (8, 8, 1, 1), "post_quant_conv.weight": (4, 4, 1, 1)}
    for coder, steps in (("encoder", "down"), ("decoder", "up")):
        shapes |= {
            f"{coder}.conv_in.weight": (8, 3, 3, 3),
            f"{coder}.conv_out.weight": (3, 8, 3, 3),
        }
        shapes[f"{coder}.norm_out.weight"] = (8,)
        for level in range(4):
            for block in range(2 if coder == "encoder" else 3):
                at = f"{coder}.{steps}.{level}.block.{block}"
                shapes |= {f"{at}.norm1.weight": (8,), f"{at}.conv1.weight": (8, 8, 3, 3)}
                if level == 1 and not block:
                    shapes[f"{at}.nin_shortcut.weight"] = (8, 8, 1, 1)
            if level < 3 if coder == "encoder" else level:
                shapes[f"{coder}.{steps}.{level}.{steps}sample.conv.weight"] = (8, 8, 3, 3)
        for part in ("block_1", "block_2"):
            shapes[f"{coder}.mid.{part}.conv1.weight"] = (8, 8, 3, 3)
        shapes[f"{coder}.mid.attn_1.norm.weight"] = (8,)
        for one in ("q", "k", "v", "proj_out"):
            shapes[f"{coder}.mid.attn_1.{one}.weight"] = (8, 8, 1, 1)
    return {f"first_stage_model.{name}": shape for name, shape in shapes.items()}


def text() -> Shapes:
    at = "cond_stage_model.transformer.text_model"
    shapes: Shapes = {
        f"{at}.embeddings.token_embedding.weight": (90, TEXT),
        f"{at}.embeddings.position_embedding.weight": (20, TEXT),
        f"{at}.final_layer_norm.weight": (TEXT,),
    }
    for layer in range(2):
        inside = f"{at}.encoder.layers.{layer}"
        shapes |= {f"{inside}.self_attn.{one}_proj.weight": (TEXT, TEXT) for one in "qkv"}
        shapes |= {
            f"{inside}.self_attn.out_proj.weight": (TEXT, TEXT),
            f"{inside}.mlp.fc1.weight": (4 * TEXT, TEXT),
            f"{inside}.mlp.fc2.weight": (TEXT, 4 * TEXT),
            f"{inside}.layer_norm1.weight": (TEXT,),
            f"{inside}.layer_norm2.weight": (TEXT,),
        }
    return shapes


def stable_diffusion() -> Shapes:
    return unet() | vae() | text()


def diffusers(tensors: Tensors) -> Tensors:
    """Return the tensors under the names of a pipeline's folders."""
    out = {}
    for name, x in tensors.items():
        said = _diffusers(name)
        is_matrix = "mid_block.attentions" in said and said.startswith("vae") and x.ndim == 4
        assert said not in out
        out[said] = x[:, :, 0, 0].copy() if is_matrix else x
    return out


def _diffusers(name: str) -> str:
    if name.startswith("cond_stage_model.transformer."):
        return "text_encoder." + name.removeprefix("cond_stage_model.transformer.")
    if name.startswith("first_stage_model."):
        return "vae." + _of_vae(name.removeprefix("first_stage_model."))
    return "unet." + _of_unet(name.removeprefix("model.diffusion_model."))


def _of_vae(name: str) -> str:
    name = re.sub(r"down\.(\d)\.block\.(\d)", r"down_blocks.\1.resnets.\2", name)
    name = re.sub(r"down\.(\d)\.downsample", r"down_blocks.\1.downsamplers.0", name)
    found = re.search(r"up\.(\d)\.", name)
    if found:
        name = name.replace(found[0], f"up_blocks.{3 - int(found[1])}.")
        name = name.replace("block.", "resnets.").replace("upsample.", "upsamplers.0.")
    for one, other in (
        ("mid.block_1", "mid_block.resnets.0"),
        ("mid.block_2", "mid_block.resnets.1"),
        ("mid.attn_1.norm", "mid_block.attentions.0.group_norm"),
        ("mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"),
        ("mid.attn_1.", "mid_block.attentions.0.to_"),
        ("nin_shortcut", "conv_shortcut"),
        ("norm_out", "conv_norm_out"),
    ):
        name = name.replace(one, other)
    return name


def _of_unet(name: str) -> str:
    for one, other in (
        ("in_layers.0", "norm1"),
        ("in_layers.2", "conv1"),
        ("emb_layers.1", "time_emb_proj"),
        ("out_layers.0", "norm2"),
        ("out_layers.3", "conv2"),
        ("skip_connection", "conv_shortcut"),
        ("time_embed.0", "time_embedding.linear_1"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("middle_block.0", "mid_block.resnets.0"),
        ("middle_block.1", "mid_block.attentions.0"),
        ("middle_block.2", "mid_block.resnets.1"),
        ("input_blocks.0.0", "conv_in"),
    ):
        name = name.replace(one, other)
    name = re.sub(r"^out\.0", "conv_norm_out", re.sub(r"^out\.2", "conv_out", name))
    found = re.match(r"(input|output)_blocks\.(\d+)\.(\d)\.(.*)", name)
    if not found:
        return name
    number, part, rest = int(found[2]), int(found[3]), found[4]
    which = "attentions" if part else "resnets"
    if found[1] == "input":
        block, layer = divmod(number - 1, 3)
        if layer == 2:
            return f"down_blocks.{block}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        return f"down_blocks.{block}.{which}.{layer}.{rest}"
    block, layer = divmod(number, 3)
    if part and rest.startswith("conv."):
        return f"up_blocks.{block}.upsamplers.0.{rest}"
    return f"up_blocks.{block}.{which}.{layer}.{rest}"
