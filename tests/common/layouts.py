"""Families of models in two layouts each: names and relations of shapes as they are, small numbers.

A family has the shapes of one layout, and says how each tensor lies in the other one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from conftest import BF16

Tensors = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]

LAYERS, H, HEAD, Q, KV, M, V, E = 2, 32, 8, 4, 2, 48, 90, 4


def filled(shapes: Shapes, seed: int, dtype=BF16) -> Tensors:
    """Return tensors of shapes; norms are near one."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.05, shape)
        .astype(np.float32)
        .astype(dtype)
        for name, shape in shapes.items()
    }


def tuned(tensors: Tensors, seed: int, size: float = 0.01) -> Tensors:
    """Return tensors that are displaced by little, as fine-tuning does."""
    rng = np.random.default_rng(seed)
    return {
        name: (x.astype(np.float32) + rng.normal(0, size, x.shape).astype(np.float32)).astype(
            x.dtype
        )
        for name, x in tensors.items()
    }


def renamed(tensors: Tensors, *rules: tuple[str, str]) -> Tensors:
    """Return tensors under other names: all rules are carried out, in order."""
    out = {}
    for name, x in tensors.items():
        for pattern, to in rules:
            name = re.sub(pattern, to, name)
        assert name not in out, name
        out[name] = x
    return out


def llama(kv: int = KV, bias: bool = False, norms: tuple[str, ...] = ()) -> Shapes:
    shapes: Shapes = {"model.embed_tokens.weight": (V, H)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.self_attn.q_proj.weight": (Q * HEAD, H),
            f"{at}.self_attn.k_proj.weight": (kv * HEAD, H),
            f"{at}.self_attn.v_proj.weight": (kv * HEAD, H),
            f"{at}.self_attn.o_proj.weight": (H, Q * HEAD),
            f"{at}.mlp.gate_proj.weight": (M, H),
            f"{at}.mlp.up_proj.weight": (M, H),
            f"{at}.mlp.down_proj.weight": (H, M),
            f"{at}.input_layernorm.weight": (H,),
            f"{at}.post_attention_layernorm.weight": (H,),
        }
        shapes |= {f"{at}.{norm}.weight": (H,) for norm in norms}
        if bias:
            shapes |= {
                f"{at}.self_attn.{one}_proj.bias": (rows * HEAD,)
                for one, rows in (("q", Q), ("k", kv), ("v", kv))
            }
    return shapes | {"model.norm.weight": (H,), "lm_head.weight": (V, H)}


def moe(at: str = "mlp", w: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")) -> Shapes:
    shapes = {name: shape for name, shape in llama().items() if ".mlp." not in name}
    for layer in range(LAYERS):
        shapes[f"model.layers.{layer}.{at}.gate.weight"] = (E, H)
        for expert in range(E):
            inside = f"model.layers.{layer}.{at}.experts.{expert}"
            shapes |= {
                f"{inside}.{w[0]}.weight": (M, H),
                f"{inside}.{w[1]}.weight": (M, H),
                f"{inside}.{w[2]}.weight": (H, M),
            }
    return shapes


def pairs_of_neighbours(x: np.ndarray, head: int = HEAD) -> np.ndarray:
    """Return rows of halves as rows of pairs: ``LlamaModel.permute`` of llama.cpp."""
    return (
        x.reshape(len(x) // head, 2, head // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape).copy()
    )


def of_neighbours(tensors: Tensors) -> Tensors:
    return {
        name: pairs_of_neighbours(x) if re.search(r"self_attn\.[qk]_proj", name) else x
        for name, x in tensors.items()
    }


def meta(tensors: Tensors) -> Tensors:
    return renamed(
        of_neighbours(tensors),
        (r"^model\.", ""),
        ("embed_tokens", "tok_embeddings"),
        (r"self_attn\.([qkvo])_proj", r"attention.w\1"),
        (r"mlp\.gate_proj", "feed_forward.w1"),
        (r"mlp\.down_proj", "feed_forward.w2"),
        (r"mlp\.up_proj", "feed_forward.w3"),
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("lm_head", "output"),
    )


GGUF = (
    (r"^model\.", ""),
    ("embed_tokens", "token_embd"),
    (r"^norm\.", "output_norm."),
    ("lm_head", "output"),
    (r"layers\.(\d+)", r"blk.\1"),
    (r"self_attn\.([qkv])_proj", r"attn_\1"),
    (r"self_attn\.o_proj", "attn_output"),
    (r"self_attn\.([qk])_norm", r"attn_\1_norm"),
    ("input_layernorm", "attn_norm"),
    (r"mlp\.gate\.", "ffn_gate_inp."),
    (r"mlp\.experts\.(\w+)_proj", r"ffn_\1_exps"),
    (r"mlp\.(\w+)_proj", r"ffn_\1"),
)


def gguf(tensors: Tensors, *, permuted: bool = True) -> Tensors:
    moved = of_neighbours(tensors) if permuted else tensors
    return renamed(moved, *GGUF, ("post_attention_layernorm", "ffn_norm"))


def gemma() -> Shapes:
    return llama(norms=("pre_feedforward_layernorm", "post_feedforward_layernorm"))


def gguf_gemma(tensors: Tensors) -> Tensors:
    """Return Gemma's names in GGUF; norms are float32, and one more."""
    return {
        name: x.astype(np.float32) + np.float32(1) if name.endswith("norm.weight") else x
        for name, x in renamed(
            tensors,
            *GGUF,
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
        ).items()
    }


def stacked(tensors: Tensors, names: dict[str, str], at: str = "mlp.experts") -> Tensors:
    """Return tensors whose experts are stacked, by how the matrices of one are called."""
    out = dict(tensors)
    for layer in range(LAYERS):
        inside = f"model.layers.{layer}.{at}"
        for name, said in names.items():
            parts = [out.pop(f"{inside}.{expert}.{name}.weight") for expert in range(E)]
            out[f"{inside}.{said}"] = np.stack(parts)
    return out


def gguf_moe(tensors: Tensors) -> Tensors:
    names = {f"{one}_proj": f"{one}_proj.weight" for one in ("gate", "up", "down")}
    return gguf(stacked(tensors, names))


def fused_experts(tensors: Tensors, *, turns: bool = False, transposed: bool = False) -> Tensors:
    """Return experts as ``gate_up_proj`` and ``down_proj``."""
    names = {f"{one}_proj": one for one in ("gate", "up", "down")}
    out = stacked(tensors, names)
    for layer in range(LAYERS):
        inside = f"model.layers.{layer}.mlp.experts"
        gate, up, down = (out.pop(f"{inside}.{one}") for one in ("gate", "up", "down"))
        both = (
            np.stack([gate, up], axis=2).reshape(E, -1, gate.shape[-1])
            if turns
            else np.concatenate([gate, up], axis=1)
        )
        if transposed:
            both, down = both.swapaxes(1, 2).copy(), down.swapaxes(1, 2).copy()
        out[f"{inside}.gate_up_proj"], out[f"{inside}.down_proj"] = both, down
    return out


def mixtral(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        (r"mlp\.gate\.", "block_sparse_moe.gate."),
        (r"mlp\.experts\.(\d+)\.gate_proj", r"block_sparse_moe.experts.\1.w1"),
        (r"mlp\.experts\.(\d+)\.down_proj", r"block_sparse_moe.experts.\1.w2"),
        (r"mlp\.experts\.(\d+)\.up_proj", r"block_sparse_moe.experts.\1.w3"),
    )


def fused_qkv(tensors: Tensors, name: str, order: Callable[..., np.ndarray]) -> Tensors:
    """Return tensors whose q, k and v are one, in an order of their rows."""
    out = dict(tensors)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.self_attn"
        for end in ("weight", "bias"):
            if f"{at}.q_proj.{end}" in out:
                parts = [out.pop(f"{at}.{one}_proj.{end}") for one in "qkv"]
                out[f"{at}.{name}.{end}"] = order(*parts)
    return out


def one_after_another(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.concatenate([q, k, v])


def head_by_head(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return of each head of k its queries, k and v: GPT-NeoX, BLOOM, Falcon, InternLM2."""
    heads = len(k) // HEAD
    each = [x.reshape(heads, -1, *x.shape[1:]) for x in (q, k, v)]
    return np.concatenate(each, axis=1).reshape(-1, *q.shape[1:])


def phi3(tensors: Tensors) -> Tensors:
    out = fused_qkv(tensors, "qkv_proj", one_after_another)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.mlp"
        parts = [out.pop(f"{at}.{one}_proj.weight") for one in ("gate", "up")]
        out[f"{at}.gate_up_proj.weight"] = np.concatenate(parts)
    return out


def neox(tensors: Tensors) -> Tensors:
    return renamed(
        fused_qkv(tensors, "query_key_value", head_by_head),
        (r"^model\.", "gpt_neox."),
        ("self_attn", "attention"),
        ("o_proj", "dense"),
        ("embed_tokens", "embed_in"),
        ("lm_head", "embed_out"),
        ("gpt_neox.norm", "gpt_neox.final_layer_norm"),
    )


def internlm2(tensors: Tensors) -> Tensors:
    return renamed(
        fused_qkv(tensors, "wqkv", head_by_head),
        ("self_attn", "attention"),
        ("o_proj", "wo"),
        ("embed_tokens", "tok_embeddings"),
        (r"mlp\.gate_proj", "feed_forward.w1"),
        (r"mlp\.down_proj", "feed_forward.w2"),
        (r"mlp\.up_proj", "feed_forward.w3"),
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("lm_head", "output"),
    )


def gpt2() -> Shapes:
    shapes: Shapes = {"transformer.wte.weight": (V, H), "transformer.wpe.weight": (64, H)}
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}"
        shapes |= {
            f"{at}.attn.c_attn.weight": (H, 3 * H),
            f"{at}.attn.c_attn.bias": (3 * H,),
            f"{at}.attn.c_proj.weight": (H, H),
            f"{at}.attn.c_proj.bias": (H,),
            f"{at}.mlp.c_fc.weight": (H, 4 * H),
            f"{at}.mlp.c_fc.bias": (4 * H,),
            f"{at}.mlp.c_proj.weight": (4 * H, H),
            f"{at}.mlp.c_proj.bias": (H,),
            f"{at}.ln_1.weight": (H,),
            f"{at}.ln_1.bias": (H,),
            f"{at}.ln_2.weight": (H,),
            f"{at}.ln_2.bias": (H,),
        }
    return shapes | {"transformer.ln_f.weight": (H,), "transformer.ln_f.bias": (H,)}


def linears(tensors: Tensors) -> Tensors:
    """Return GPT-2 with matrices as Linear has them, under the same names: nanoGPT."""
    return {
        name: x.T.copy() if re.search(r"c_\w+\.weight", name) else x for name, x in tensors.items()
    }


def gguf_gpt2(tensors: Tensors) -> Tensors:
    return renamed(
        linears(tensors),
        (r"^transformer\.", ""),
        ("wte", "token_embd"),
        ("wpe", "position_embd"),
        ("ln_f", "output_norm"),
        (r"^h\.(\d+)", r"blk.\1"),
        ("ln_1", "attn_norm"),
        ("ln_2", "ffn_norm"),
        (r"attn\.c_attn", "attn_qkv"),
        (r"attn\.c_proj", "attn_output"),
        (r"mlp\.c_fc", "ffn_up"),
        (r"mlp\.c_proj", "ffn_down"),
    )


def split_gpt2(tensors: Tensors) -> Tensors:
    out = {}
    for name, x in linears(tensors).items():
        if "c_attn" not in name:
            out[name] = x
            continue
        for one, part in zip(("query", "key", "value"), np.split(x, 3), strict=True):
            out[name.replace("c_attn", one)] = part.copy()
    return renamed(out, (r"attn\.c_proj", "attn.out"))


def deepseek() -> Shapes:
    shapes: Shapes = {"model.embed_tokens.weight": (V, H)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.self_attn.q_a_proj.weight": (24, H),
            f"{at}.self_attn.q_a_layernorm.weight": (24,),
            f"{at}.self_attn.q_b_proj.weight": (40, 24),
            f"{at}.self_attn.kv_a_proj_with_mqa.weight": (20, H),
            f"{at}.self_attn.kv_a_layernorm.weight": (16,),
            f"{at}.self_attn.kv_b_proj.weight": (56, 16),
            f"{at}.self_attn.o_proj.weight": (H, 28),
            f"{at}.input_layernorm.weight": (H,),
            f"{at}.post_attention_layernorm.weight": (H,),
        }
        if not layer:
            shapes |= {
                f"{at}.mlp.{one}_proj.weight": (H, M) if one == "down" else (M, H)
                for one in ("gate", "up", "down")
            }
            continue
        shapes |= {f"{at}.mlp.gate.weight": (E, H), f"{at}.mlp.gate.e_score_correction_bias": (E,)}
        for inside in (*(f"experts.{expert}" for expert in range(E)), "shared_experts"):
            shapes |= {
                f"{at}.mlp.{inside}.{one}_proj.weight": (H, M) if one == "down" else (M, H)
                for one in ("gate", "up", "down")
            }
    return shapes | {"model.norm.weight": (H,), "lm_head.weight": (V, H)}


def deepseek_original(tensors: Tensors) -> Tensors:
    return renamed(
        tensors,
        (r"^model\.", ""),
        ("embed_tokens", "embed"),
        ("lm_head", "head"),
        ("e_score_correction_bias", "bias"),
        ("gate_proj", "w1"),
        ("down_proj", "w2"),
        ("up_proj", "w3"),
        (r"mlp\.", "ffn."),
        (r"self_attn\.q_a_layernorm", "attn.q_norm"),
        (r"self_attn\.kv_a_layernorm", "attn.kv_norm"),
        (r"self_attn\.kv_a_proj_with_mqa", "attn.wkv_a"),
        (r"self_attn\.(q_a|q_b|kv_b|o)_proj", r"attn.w\1"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    )
