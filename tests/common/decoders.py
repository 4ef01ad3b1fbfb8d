"""Families of decoders with more than Llama has: norms of heads, shared experts, biases."""

from __future__ import annotations

import re

from common.layouts import (
    GGUF,
    HEAD,
    LAYERS,
    E,
    H,
    M,
    Q,
    Shapes,
    Tensors,
    llama,
    moe,
    renamed,
    stacked,
)


def qwen3(norms: tuple[str, ...] = ()) -> Shapes:
    """Return Qwen3: a norm of each query and each key; with further norms, Gemma 3."""
    return llama(norms=norms) | {
        f"model.layers.{layer}.self_attn.{one}_norm.weight": (HEAD,)
        for layer in range(LAYERS)
        for one in "qk"
    }


def gemma3() -> Shapes:
    return qwen3(norms=("pre_feedforward_layernorm", "post_feedforward_layernorm"))


def wrapped(tensors: Tensors, prefix: str = "language_model.model.") -> Tensors:
    """Return the text model of one that sees: its names begin otherwise."""
    return renamed(tensors, (r"^model\.", prefix), ("^lm_head", "language_model.lm_head"))


def qwen2_moe() -> Shapes:
    """Return experts with one that is shared, and its gate."""
    shapes = moe()
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.mlp"
        shapes |= {f"{at}.shared_expert.{one}_proj.weight": (M, H) for one in ("gate", "up")}
        shapes |= {
            f"{at}.shared_expert.down_proj.weight": (H, M),
            f"{at}.shared_expert_gate.weight": (1, H),
        }
    return shapes


def glm45() -> Shapes:
    """Return experts with one that is shared, a correction of the router, and biases."""
    shapes = {
        name.replace("shared_expert.", "shared_experts."): shape
        for name, shape in qwen2_moe().items()
        if "shared_expert_gate" not in name
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes[f"{at}.mlp.gate.e_score_correction_bias"] = (E,)
        shapes |= {
            f"{at}.self_attn.{one}_proj.bias": (rows * HEAD,)
            for one, rows in (("q", Q), ("k", 2), ("v", 2))
        }
    return shapes


def gguf_shared(tensors: Tensors) -> Tensors:
    """Return experts as GGUF has them: stacked, and one that is shared."""
    names = {f"{one}_proj": f"{one}_proj.weight" for one in ("gate", "up", "down")}
    norm = "post_attention_norm" if any("e_score" in name for name in tensors) else "ffn_norm"
    return renamed(
        stacked(tensors, names),
        (r"mlp\.shared_expert_gate", "ffn_gate_inp_shexp"),
        (r"mlp\.shared_experts?\.(\w+)_proj", r"ffn_\1_shexp"),
        (r"mlp\.gate\.e_score_correction_bias", "exp_probs_b.bias"),
        ("post_attention_layernorm", norm),
        *GGUF,
    )


def gpt_oss() -> Shapes:
    """Return gpt-oss: gates and ups by turns, biases everywhere, and sinks."""
    shapes = {
        re.sub(r"mlp\.gate\.", "mlp.router.", name): shape
        for name, shape in llama(bias=True).items()
        if ".mlp." not in name
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.self_attn.o_proj.bias": (H,),
            f"{at}.self_attn.sinks": (Q,),
            f"{at}.mlp.router.weight": (E, H),
            f"{at}.mlp.router.bias": (E,),
            f"{at}.mlp.experts.gate_up_proj": (E, H, 2 * M),
            f"{at}.mlp.experts.gate_up_proj_bias": (E, 2 * M),
            f"{at}.mlp.experts.down_proj": (E, M, H),
            f"{at}.mlp.experts.down_proj_bias": (E, H),
        }
    return shapes


def gguf_gpt_oss(tensors: Tensors) -> Tensors:
    """Return gpt-oss as GGUF has it: gates and ups apart, matrices as (out, in)."""
    out = dict(tensors)
    for layer in range(LAYERS):
        at, to = f"model.layers.{layer}.mlp.experts", f"blk.{layer}.ffn"
        both, bias = out.pop(f"{at}.gate_up_proj"), out.pop(f"{at}.gate_up_proj_bias")
        for number, one in enumerate(("gate", "up")):
            out[f"{to}_{one}_exps.weight"] = both[:, :, number::2].swapaxes(1, 2).copy()
            out[f"{to}_{one}_exps.bias"] = bias[:, number::2].copy()
        out[f"{to}_down_exps.weight"] = out.pop(f"{at}.down_proj").swapaxes(1, 2).copy()
        out[f"{to}_down_exps.bias"] = out.pop(f"{at}.down_proj_bias")
    return renamed(
        out,
        (r"mlp\.router", "ffn_gate_inp"),
        (r"self_attn\.sinks", "attn_sinks.weight"),
        ("post_attention_layernorm", "post_attention_norm"),
        *GGUF,
    )


def qwen3_gguf(tensors: Tensors) -> Tensors:
    return renamed(tensors, *GGUF, ("post_attention_layernorm", "ffn_norm"))
