"""Families with linear attention, and with latent attention, in the layouts of several tools."""

from __future__ import annotations

import numpy as np

from common.layouts import GGUF, LAYERS, E, H, M, Shapes, Tensors, V, renamed

KEYS, VALUES, WIDE = 2, 6, 8
"""Heads of keys and of values of linear attention, and numbers of each."""

OWN = VALUES // KEYS
"""Heads of values that a head of keys has."""

HEADS, LORA, NOPE, ROPE, VALUE = 4, 16, 8, 4, 12
"""Latent attention: heads, the latent's size, and what a head has of keys and values."""


def qwen35(*, experts: bool = False) -> Shapes:
    """Return Qwen3.5: a layer of linear attention, and one of full attention with a gate."""
    shapes: Shapes = {"model.embed_tokens.weight": (V, H)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        keys, values = KEYS * WIDE, VALUES * WIDE
        if layer == 0:
            shapes |= {
                f"{at}.linear_attn.in_proj_qkv.weight": (2 * keys + values, H),
                f"{at}.linear_attn.in_proj_z.weight": (values, H),
                f"{at}.linear_attn.in_proj_b.weight": (VALUES, H),
                f"{at}.linear_attn.in_proj_a.weight": (VALUES, H),
                f"{at}.linear_attn.conv1d.weight": (2 * keys + values, 1, 4),
                f"{at}.linear_attn.A_log": (VALUES,),
                f"{at}.linear_attn.dt_bias": (VALUES,),
                f"{at}.linear_attn.norm.weight": (WIDE,),
                f"{at}.linear_attn.out_proj.weight": (H, values),
            }
        else:
            shapes |= {
                f"{at}.self_attn.q_proj.weight": (2 * 4 * 16, H),
                f"{at}.self_attn.k_proj.weight": (2 * 16, H),
                f"{at}.self_attn.v_proj.weight": (2 * 16, H),
                f"{at}.self_attn.o_proj.weight": (H, 4 * 16),
                f"{at}.self_attn.q_norm.weight": (16,),
                f"{at}.self_attn.k_norm.weight": (16,),
            }
        shapes |= {f"{at}.{norm}_layernorm.weight": (H,) for norm in ("input", "post_attention")}
        inside = [f"{at}.mlp"]
        if experts:
            inside = [f"{at}.mlp.experts.{each}" for each in range(E)] + [f"{at}.mlp.shared_expert"]
            shapes |= {
                f"{at}.mlp.gate.weight": (E, H),
                f"{at}.mlp.shared_expert_gate.weight": (1, H),
            }
        for each in inside:
            shapes |= {f"{each}.{one}_proj.weight": (M, H) for one in ("gate", "up")}
            shapes[f"{each}.down_proj.weight"] = (H, M)
    return shapes | {"model.norm.weight": (H,), "lm_head.weight": (V, H)}


def qwen3_next(tensors: Tensors) -> Tensors:
    """Return tensors with what each head of keys needs side by side: q, k, v, z; and b, a."""
    out = dict(tensors)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.linear_attn.in_proj"
        if f"{at}_qkv.weight" not in out:
            continue
        qkv, z, b, a = (out.pop(f"{at}_{one}.weight") for one in ("qkv", "z", "b", "a"))
        q, k, v = np.split(qkv, [KEYS * WIDE, 2 * KEYS * WIDE])
        for name, parts in (("qkvz", (q, k, v, z)), ("ba", (b, a))):
            grouped = [x.reshape(KEYS, -1, H) for x in parts]
            out[f"{at}_{name}.weight"] = np.concatenate(grouped, axis=1).reshape(-1, H)
    return out


def tiled(x: np.ndarray, wide: int = 1, axis: int = 0) -> np.ndarray:
    """Return heads of values as llama.cpp has them: the first of each head of keys first."""
    shape = x.shape
    split = (*shape[:axis], KEYS, OWN, wide, *shape[axis + 1 :])
    return x.reshape(split).swapaxes(axis, axis + 1).reshape(shape).copy()


def gguf_hybrid(tensors: Tensors, *, tiles: bool = True, norms: float = 0.0) -> Tensors:
    """Return Qwen3.5 as ``convert_hf_to_gguf.py`` has it; ``tiles`` is off for Qwen3-Next."""
    out = {}
    first = 2 * KEYS * WIDE
    for name, x in tensors.items():
        if name.endswith("A_log"):
            x = -np.exp(x.astype(np.float32))
        if "conv1d" in name:
            x = x.reshape(len(x), -1).astype(np.float32)
        if tiles and ("in_proj_qkv" in name or "conv1d" in name):
            x = np.concatenate([x[:first], tiled(x[first:], WIDE)])
        elif tiles and "in_proj_z" in name:
            x = tiled(x, WIDE)
        elif tiles and name.endswith(("in_proj_a.weight", "in_proj_b.weight", "A_log", "dt_bias")):
            x = tiled(x)
        elif tiles and "linear_attn.out_proj" in name:
            x = tiled(x, WIDE, axis=1)
        if norms and name.endswith("norm.weight") and "linear_attn" not in name:
            x = x.astype(np.float32) + np.float32(norms)
        out[name] = x
    return renamed(
        out,
        (r"linear_attn\.in_proj_qkvz", "ssm_in"),
        (r"linear_attn\.in_proj_qkv", "attn_qkv"),
        (r"linear_attn\.in_proj_z", "attn_gate"),
        (r"linear_attn\.in_proj_ba", "ssm_ba"),
        (r"linear_attn\.in_proj_b", "ssm_beta"),
        (r"linear_attn\.in_proj_a", "ssm_alpha"),
        (r"linear_attn\.conv1d", "ssm_conv1d"),
        (r"linear_attn\.A_log", "ssm_a"),
        (r"linear_attn\.dt_bias", "ssm_dt.bias"),
        (r"linear_attn\.norm", "ssm_norm"),
        (r"linear_attn\.out_proj", "ssm_out"),
        ("post_attention_layernorm", "post_attention_norm"),
        *GGUF,
    )


def latent() -> Shapes:
    """Return DeepSeek-V3's attention as it is, with a plain MLP."""
    shapes: Shapes = {"model.embed_tokens.weight": (V, H)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.self_attn.q_a_proj.weight": (24, H),
            f"{at}.self_attn.q_a_layernorm.weight": (24,),
            f"{at}.self_attn.q_b_proj.weight": (HEADS * (NOPE + ROPE), 24),
            f"{at}.self_attn.kv_a_proj_with_mqa.weight": (LORA + ROPE, H),
            f"{at}.self_attn.kv_a_layernorm.weight": (LORA,),
            f"{at}.self_attn.kv_b_proj.weight": (HEADS * (NOPE + VALUE), LORA),
            f"{at}.self_attn.o_proj.weight": (H, HEADS * VALUE),
            f"{at}.input_layernorm.weight": (H,),
            f"{at}.post_attention_layernorm.weight": (H,),
            f"{at}.mlp.gate_proj.weight": (M, H),
            f"{at}.mlp.up_proj.weight": (M, H),
            f"{at}.mlp.down_proj.weight": (H, M),
        }
    return shapes | {"model.norm.weight": (H,), "lm_head.weight": (V, H)}


def gguf_latent(tensors: Tensors) -> Tensors:
    """Return DeepSeek's tensors as GGUF has them: keys transposed, head by head, and values."""
    out = dict(tensors)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.self_attn"
        both = out.pop(f"{at}.kv_b_proj.weight").reshape(HEADS, NOPE + VALUE, LORA)
        out[f"{at}.k_b"] = both[:, :NOPE].swapaxes(1, 2).copy()
        out[f"{at}.v_b"] = both[:, NOPE:].copy()
    return renamed(
        out,
        (r"self_attn\.([kv])_b$", r"attn_\1_b.weight"),
        (r"self_attn\.(q_[ab])_proj", r"attn_\1"),
        (r"self_attn\.q_a_layernorm", "attn_q_a_norm"),
        (r"self_attn\.kv_a_layernorm", "attn_kv_a_norm"),
        (r"self_attn\.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
        *GGUF,
        ("post_attention_layernorm", "ffn_norm"),
    )


def mamba() -> Shapes:
    """Return Mamba: no attention, and a state of each channel."""
    inner, state, rank = 2 * H, 4, 3
    shapes: Shapes = {"backbone.embeddings.weight": (V, H)}
    for layer in range(LAYERS):
        at = f"backbone.layers.{layer}"
        shapes |= {
            f"{at}.norm.weight": (H,),
            f"{at}.mixer.in_proj.weight": (2 * inner, H),
            f"{at}.mixer.conv1d.weight": (inner, 1, 4),
            f"{at}.mixer.conv1d.bias": (inner,),
            f"{at}.mixer.x_proj.weight": (rank + 2 * state, inner),
            f"{at}.mixer.dt_proj.weight": (inner, rank),
            f"{at}.mixer.dt_proj.bias": (inner,),
            f"{at}.mixer.A_log": (inner, state),
            f"{at}.mixer.D": (inner,),
            f"{at}.mixer.out_proj.weight": (H, inner),
        }
    return shapes | {"backbone.norm_f.weight": (H,)}


def gguf_mamba(tensors: Tensors) -> Tensors:
    """Return Mamba as ``convert_hf_to_gguf.py`` has it."""
    out = {
        name: -np.exp(x.astype(np.float32))
        if name.endswith("A_log")
        else (x.reshape(len(x), -1) if name.endswith("conv1d.weight") else x)
        for name, x in tensors.items()
    }
    return renamed(
        out,
        (r"^backbone\.layers\.(\d+)", r"blk.\1"),
        (r"(blk\.\d+)\.norm", r"\1.attn_norm"),
        (r"mixer\.A_log", "ssm_a"),
        (r"mixer\.D$", "ssm_d"),
        (r"mixer\.(in|x|dt|out)_proj", r"ssm_\1"),
        (r"mixer\.conv1d", "ssm_conv1d"),
        (r"backbone\.embeddings", "token_embd"),
        (r"backbone\.norm_f", "output_norm"),
    )
