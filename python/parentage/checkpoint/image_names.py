"""Names of image models: those of the first implementations, and those of diffusers' folders.

Which is which is what diffusers' own conversion says (``scripts/convert_*_to_diffusers.py``), and
images.md of ComfyUI's and others' merge tools: facts about names, in rules of one line each.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    Match = re.Match[str]

LEVELS = 4
"""Resolutions of a VAE: diffusers counts those of its decoder from the other end."""


class Rule(NamedTuple):
    """How a part of a name is written otherwise."""

    pattern: str
    """Where it may stand, and what it is."""
    to: str | Callable[[Match], str]
    source: str


def _down(found: Match) -> str:
    """Return which input block a block of diffusers is: three of each level, after the first."""
    block, kind, which = int(found[1]), found[2], int(found[3])
    if kind == "downsamplers":
        return f"input_blocks.{3 + 3 * block}.downsample"
    part = {"resnets": "resnet", "attentions": "attention"}[kind]
    return f"input_blocks.{1 + 3 * block + which}.{part}"


def _up(found: Match) -> str:
    """Return which output block a block of diffusers is."""
    block, kind, which = int(found[1]), found[2], int(found[3])
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.upsample"
    part = {"resnets": "resnet", "attentions": "attention"}[kind]
    return f"output_blocks.{3 * block + which}.{part}"


_LDM = "stable-diffusion, openaimodel.py; diffusers, convert_ldm_unet_checkpoint"
_VAE = "stable-diffusion, model.py; diffusers, convert_ldm_vae_checkpoint"
_FLUX = "flux, model.py; diffusers, convert_flux_to_diffusers.py"
_SD3 = "sd3.5, mmditx.py; diffusers, convert_sd3_to_diffusers.py"
_BOTH = f"{_FLUX}; {_SD3}"
_AT = r"(?:^|(?<=\.))"
_UNET = rf"{_AT}(?<!encoder\.)(?<!decoder\.)"

RULES = (
    # The UNet. Its blocks are called by the numbers that merge tools have for them.
    Rule(rf"{_UNET}down_blocks\.(\d)\.(resnets|attentions|downsamplers)\.(\d+)(?:\.conv(?=\.))?",
         _down, _LDM),
    Rule(rf"{_UNET}up_blocks\.(\d)\.(resnets|attentions|upsamplers)\.(\d+)(?:\.conv(?=\.))?",
         _up, _LDM),
    Rule(rf"{_AT}input_blocks\.0\.0(?=\.)", "input_blocks.0.conv", _LDM),
    Rule(r"(?:^|(?<=unet\.)|(?<=diffusion_model\.))conv_in(?=\.)", "input_blocks.0.conv", _LDM),
    Rule(rf"{_AT}input_blocks\.(\d+)\.0\.op(?=\.)", r"input_blocks.\1.downsample", _LDM),
    Rule(rf"{_AT}output_blocks\.(\d+)\.[12]\.conv(?=\.)", r"output_blocks.\1.upsample", _LDM),
    Rule(rf"{_AT}(input|output)_blocks\.(\d+)\.0(?=\.)", r"\1_blocks.\2.resnet", _LDM),
    Rule(rf"{_AT}(input|output)_blocks\.(\d+)\.1(?=\.)", r"\1_blocks.\2.attention", _LDM),
    Rule(rf"{_AT}middle_block\.1(?=\.)", "middle_block.attention", _LDM),
    Rule(rf"{_AT}middle_block\.0(?=\.)", "middle_block.resnets.0", _LDM),
    Rule(rf"{_AT}middle_block\.2(?=\.)", "middle_block.resnets.1", _LDM),
    Rule(rf"{_UNET}mid_block\.attentions\.0(?=\.)", "middle_block.attention", _LDM),
    Rule(rf"{_UNET}mid_block\.resnets\.(\d)(?=\.)", r"middle_block.resnets.\1", _LDM),
    Rule(rf"{_AT}in_layers\.0(?=\.)", "norm1", _LDM),
    Rule(rf"{_AT}in_layers\.2(?=\.)", "conv1", _LDM),
    Rule(rf"{_AT}emb_layers\.1(?=\.)", "time_emb_proj", _LDM),
    Rule(rf"{_AT}out_layers\.0(?=\.)", "norm2", _LDM),
    Rule(rf"{_AT}out_layers\.3(?=\.)", "conv2", _LDM),
    Rule(rf"{_AT}skip_connection(?=\.)", "conv_shortcut", _LDM),
    Rule(rf"{_AT}time_embed\.0(?=\.)", "time_embedding.linear_1", _LDM),
    Rule(rf"{_AT}time_embed\.2(?=\.)", "time_embedding.linear_2", _LDM),
    Rule(rf"{_AT}label_emb\.0\.0(?=\.)", "add_embedding.linear_1", _LDM),
    Rule(rf"{_AT}label_emb\.0\.2(?=\.)", "add_embedding.linear_2", _LDM),
    Rule(r"(?:^|(?<=diffusion_model\.))out\.0(?=\.)", "conv_norm_out", _LDM),
    Rule(r"(?:^|(?<=diffusion_model\.))out\.2(?=\.)", "conv_out", _LDM),
    # The VAE.
    Rule(r"(?<=encoder\.)down\.(\d)\.block\.(\d)(?=\.)", r"down_blocks.\1.resnets.\2", _VAE),
    Rule(r"(?<=encoder\.)down\.(\d)\.downsample(?=\.)", r"down_blocks.\1.downsamplers.0", _VAE),
    Rule(r"(?<=decoder\.)up\.(\d)\.block\.(\d)(?=\.)",
         lambda found: f"up_blocks.{LEVELS - 1 - int(found[1])}.resnets.{found[2]}", _VAE),
    Rule(r"(?<=decoder\.)up\.(\d)\.upsample(?=\.)",
         lambda found: f"up_blocks.{LEVELS - 1 - int(found[1])}.upsamplers.0", _VAE),
    Rule(r"(?<=coder\.)mid\.block_1(?=\.)", "mid_block.resnets.0", _VAE),
    Rule(r"(?<=coder\.)mid\.block_2(?=\.)", "mid_block.resnets.1", _VAE),
    Rule(r"(?<=coder\.)mid\.attn_1\.([qkv])(?=\.)", r"mid_block.attentions.0.to_\1", _VAE),
    Rule(r"(?<=coder\.)mid\.attn_1\.norm(?=\.)", "mid_block.attentions.0.group_norm", _VAE),
    Rule(r"(?<=coder\.)mid\.attn_1\.proj_out(?=\.)", "mid_block.attentions.0.to_out.0", _VAE),
    Rule(r"(?<=mid_block\.attentions\.0\.)proj_attn(?=\.)", "to_out.0", _VAE),
    Rule(r"(?<=mid_block\.attentions\.0\.)(q)uery(?=\.)|(?<=mid_block\.attentions\.0\.)(k)ey(?=\.)"
         r"|(?<=mid_block\.attentions\.0\.)(v)alue(?=\.)",
         lambda found: f"to_{found[1] or found[2] or found[3]}", _VAE),
    Rule(r"(?<=coder\.)norm_out(?=\.)", "conv_norm_out", _VAE),
    Rule(rf"{_AT}nin_shortcut(?=\.)", "conv_shortcut", _VAE),
    # Transformers of images: Flux and Stable Diffusion 3.
    Rule(rf"{_AT}(?:double|joint)_blocks\.(?=\d)", "transformer_blocks.", _BOTH),
    Rule(rf"{_AT}single_blocks\.(?=\d)", "single_transformer_blocks.", _FLUX),
    Rule(rf"{_AT}(?:img_attn|x_block\.attn)\.qkv(?=\.)", "attn.to_qkv", _BOTH),
    Rule(rf"{_AT}(?:txt_attn|context_block\.attn)\.qkv(?=\.)", "attn.add_qkv_proj", _BOTH),
    Rule(rf"{_AT}(?:img_attn|x_block\.attn)\.proj(?=\.)", "attn.to_out.0", _BOTH),
    Rule(rf"{_AT}(?:txt_attn|context_block\.attn)\.proj(?=\.)", "attn.to_add_out", _BOTH),
    Rule(rf"{_AT}img_attn\.norm\.(q|k)\w+_norm\.scale$", r"attn.norm_\1.weight", _FLUX),
    Rule(rf"{_AT}txt_attn\.norm\.(q|k)\w+_norm\.scale$", r"attn.norm_added_\1.weight", _FLUX),
    Rule(rf"{_AT}norm\.(q|k)\w+_norm\.scale$", r"attn.norm_\1.weight", _FLUX),
    Rule(rf"{_AT}x_block\.attn\.ln_([qk])(?=\.)", r"attn.norm_\1", _SD3),
    Rule(rf"{_AT}context_block\.attn\.ln_([qk])(?=\.)", r"attn.norm_added_\1", _SD3),
    Rule(rf"{_AT}(?:img_mlp\.0|x_block\.mlp\.fc1)(?=\.)", "ff.net.0.proj", _BOTH),
    Rule(rf"{_AT}(?:img_mlp\.2|x_block\.mlp\.fc2)(?=\.)", "ff.net.2", _BOTH),
    Rule(rf"{_AT}(?:txt_mlp\.0|context_block\.mlp\.fc1)(?=\.)", "ff_context.net.0.proj", _BOTH),
    Rule(rf"{_AT}(?:txt_mlp\.2|context_block\.mlp\.fc2)(?=\.)", "ff_context.net.2", _BOTH),
    Rule(rf"{_AT}(?:img_mod\.lin|x_block\.adaLN_modulation\.1)(?=\.)", "norm1.linear", _BOTH),
    Rule(rf"{_AT}(?:txt_mod\.lin|context_block\.adaLN_modulation\.1)(?=\.)", "norm1_context.linear",
         _BOTH),
    Rule(r"(?<=_transformer_blocks\.)(\d+)\.linear1(?=\.)", r"\1.attn.to_qkv_mlp", _FLUX),
    Rule(r"(?<=_transformer_blocks\.)(\d+)\.linear2(?=\.)", r"\1.proj_out", _FLUX),
    Rule(r"(?<=_transformer_blocks\.)(\d+)\.modulation\.lin(?=\.)", r"\1.norm.linear", _FLUX),
    Rule(rf"{_AT}img_in(?=\.)", "x_embedder", _FLUX),
    Rule(rf"{_AT}txt_in(?=\.)", "context_embedder", _FLUX),
    Rule(rf"{_AT}(?:time_in\.in_layer|t_embedder\.mlp\.0)(?=\.)",
         "time_text_embed.timestep_embedder.linear_1", _BOTH),
    Rule(rf"{_AT}(?:time_in\.out_layer|t_embedder\.mlp\.2)(?=\.)",
         "time_text_embed.timestep_embedder.linear_2", _BOTH),
    Rule(rf"{_AT}(?:vector_in\.in_layer|y_embedder\.mlp\.0)(?=\.)",
         "time_text_embed.text_embedder.linear_1", _BOTH),
    Rule(rf"{_AT}(?:vector_in\.out_layer|y_embedder\.mlp\.2)(?=\.)",
         "time_text_embed.text_embedder.linear_2", _BOTH),
    Rule(rf"{_AT}guidance_in\.in_layer(?=\.)", "time_text_embed.guidance_embedder.linear_1", _FLUX),
    Rule(rf"{_AT}guidance_in\.out_layer(?=\.)",
         "time_text_embed.guidance_embedder.linear_2", _FLUX),
    Rule(rf"{_AT}final_layer\.linear(?=\.)", "proj_out", _BOTH),
    Rule(rf"{_AT}final_layer\.adaLN_modulation\.1(?=\.)", "norm_out.linear", _BOTH),
    Rule(r"(?:^|(?<=diffusion_model\.))x_embedder\.proj(?=\.)", "pos_embed.proj", _SD3),
)  # fmt: skip
"""All that fit are carried out, in this order."""


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str | Callable[[Match], str]], ...]:
    """Return the rules as they are carried out; models of language need none of them."""
    return tuple((re.compile(rule.pattern), rule.to) for rule in RULES)


_HINT = re.compile(
    r"(?:down|up|input|output|double|joint|single|single_transformer)_blocks?\.|mid(?:dle)?_block\.|"
    r"coder\.(?:down|up|mid|norm_out)\b|(?:time_embed|label_emb|nin_shortcut|out\.[02]|conv_in|_in|"
    r"embedder|final_layer)\b"
)
"""What a name holds that any rule is about."""


def is_ruled(name: str) -> bool:
    """Return whether some rule may be about a name.

    If one is, one may be about what the name is with ``0`` for each number between points.

    >>> is_ruled("out.2.weight"), is_ruled("out.0.weight"), is_ruled("layers.0.mlp.up_proj.weight")
    (True, True, False)
    """
    return _HINT.search(name) is not None


@lru_cache(maxsize=16384)
def image_name(name: str) -> str:
    """Return how a tensor of an image model is called in a spelling that is one for all tools.

    >>> image_name("model.diffusion_model.input_blocks.1.1.norm.weight")
    'model.diffusion_model.input_blocks.1.attention.norm.weight'
    >>> image_name("unet.down_blocks.0.attentions.0.norm.weight")
    'unet.input_blocks.1.attention.norm.weight'
    >>> image_name("model.layers.0.mlp.up_proj.weight")
    'model.layers.0.mlp.up_proj.weight'
    """
    if not is_ruled(name):
        return name
    for pattern, to in _rules():
        name = pattern.sub(to, name)
    return name
