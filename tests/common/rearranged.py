"""Checkpoints whose experts, layers, neurons, heads or vocabulary were put in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from conftest import BF16

from common.families import F32, Tensors

LAYERS, HIDDEN, INNER, HEADS, GROUPS, WIDTH, WORDS = 3, 96, 48, 4, 2, 16, 200
EXPERTS = 6
MLP = ("gate_proj", "up_proj", "down_proj")


def dense(seed: int, layers: int = LAYERS) -> Tensors:
    """Return a dense model with two key heads for four heads, as bf16."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (WORDS, HIDDEN)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.input_layernorm.weight": (HIDDEN,),
            f"{at}.self_attn.q_proj.weight": (HEADS * WIDTH, HIDDEN),
            f"{at}.self_attn.k_proj.weight": (GROUPS * WIDTH, HIDDEN),
            f"{at}.self_attn.k_proj.bias": (GROUPS * WIDTH,),
            f"{at}.self_attn.v_proj.weight": (GROUPS * WIDTH, HIDDEN),
            f"{at}.self_attn.o_proj.weight": (HIDDEN, HEADS * WIDTH),
            **mlp(f"{at}.mlp"),
        }
    return {
        name: rng.normal("norm" in name, 0.05, shape).astype(F32).astype(BF16)
        for name, shape in shapes.items()
    }


def mlp(at: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an MLP."""
    inside, out = (INNER, HIDDEN), (HIDDEN, INNER)
    return {f"{at}.{name}.weight": out if name == "down_proj" else inside for name in MLP}


def mixture(seed: int) -> Tensors:
    """Return a model with experts, a router with a bias, and no dense MLP."""
    rng = np.random.default_rng(seed)
    out = {name: x for name, x in dense(seed).items() if ".mlp." not in name}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.mlp"
        shapes = {f"{at}.gate.weight": (EXPERTS, HIDDEN), f"{at}.gate.bias": (EXPERTS,)}
        for expert in range(EXPERTS):
            shapes |= mlp(f"{at}.experts.{expert}")
        out |= {n: rng.normal(0, 0.05, s).astype(F32).astype(BF16) for n, s in shapes.items()}
    return out


def tuned(tensors: Tensors, seed: int, share: float = 0.1) -> Tensors:
    """Return a fine-tune: every tensor moved by a share of its size."""
    rng = np.random.default_rng(seed)
    return {
        name: (x.astype(F32) + rng.normal(0, share * x.astype(F32).std(), x.shape))
        .astype(F32)
        .astype(BF16)
        for name, x in tensors.items()
    }


def taken(array: np.ndarray, order: Sequence[int], axis: int = 0) -> np.ndarray:
    return np.ascontiguousarray(np.take(array, list(order), axis=axis))


def with_experts(tensors: Tensors, orders: Mapping[int, Sequence[int]]) -> Tensors:
    """Return a model whose experts in some layers are those of these numbers; routers follow."""
    out = {n: x for n, x in tensors.items() if not (".experts." in n and _layer(n) in orders)}
    for name, x in tensors.items():
        if _layer(name) not in orders:
            continue
        order = orders[_layer(name) or 0]
        if ".mlp.gate." in name:
            out[name] = taken(x, order)
        elif ".experts." in name:
            parts = name.split(".")
            for new, old in enumerate(order):
                if parts[5] == str(old):
                    out[".".join([*parts[:5], str(new), *parts[6:]])] = x
    return out


def upcycled(tensors: Tensors, experts: int = 4, noise: float = 0.0) -> Tensors:
    """Return a mixture whose experts are each a copy of the dense MLP, with noise if any."""
    rng = np.random.default_rng(1)
    out = {name: x for name, x in tensors.items() if ".mlp." not in name}
    for name, x in tensors.items():
        for expert in range(experts if ".mlp." in name else 0):
            wide = x.astype(F32)
            wide = wide + rng.normal(0, noise * wide.std(), x.shape).astype(F32) if noise else wide
            out[name.replace(".mlp.", f".mlp.experts.{expert}.")] = wide.astype(BF16)
    for layer in range(LAYERS):
        router = rng.normal(0, 0.05, (experts, HIDDEN)).astype(F32).astype(BF16)
        out[f"model.layers.{layer}.mlp.gate.weight"] = router
    return out


def with_layers(tensors: Tensors, order: Sequence[int]) -> Tensors:
    """Return a model whose layers are those of these numbers."""
    out = {name: x for name, x in tensors.items() if _layer(name) is None}
    for name, x in tensors.items():
        for new, old in enumerate(order):
            if _layer(name) == old:
                out[name.replace(f".layers.{old}.", f".layers.{new}.")] = x
    return out


def with_words(tensors: Tensors, order: Sequence[int]) -> Tensors:
    """Return a model whose words are those of these numbers."""
    return tensors | {
        name: taken(x, order) for name, x in tensors.items() if "embed_tokens" in name
    }


def with_neurons(tensors: Tensors, orders: Mapping[str, Sequence[int]]) -> Tensors:
    """Return a model that computes the same, with neurons of modules in these orders."""
    out = dict(tensors)
    for at, order in orders.items():
        for name in MLP:
            axis = 1 if name == "down_proj" else 0
            out[f"{at}.{name}.weight"] = taken(tensors[f"{at}.{name}.weight"], order, axis)
    return out


def with_heads(
    tensors: Tensors, layer: int, heads: Sequence[int], groups: Sequence[int]
) -> Tensors:
    """Return a model with heads of one layer in these orders, and their groups of keys."""
    at, out = f"model.layers.{layer}.self_attn", dict(tensors)
    rows, keys = ([h * WIDTH + i for h in each for i in range(WIDTH)] for each in (heads, groups))
    for name in ("q_proj.weight", "k_proj.weight", "k_proj.bias", "v_proj.weight"):
        out[f"{at}.{name}"] = taken(tensors[f"{at}.{name}"], rows if name[0] == "q" else keys)
    out[f"{at}.o_proj.weight"] = taken(tensors[f"{at}.o_proj.weight"], rows, axis=1)
    return out


def fused(tensors: Tensors) -> Tensors:
    """Return a mixture with experts stacked in one tensor, gate and up in one."""
    out = {name: x for name, x in tensors.items() if ".experts." not in name}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.mlp.experts"
        count = sum(name.startswith(at) and name.endswith("down_proj.weight") for name in tensors)
        gate, up, down = (
            [tensors[f"{at}.{e}.{name}.weight"] for e in range(count)] for name in MLP
        )
        pairs = zip(gate, up, strict=True)
        out[f"{at}.gate_up_proj"] = np.stack([np.concatenate(pair) for pair in pairs])
        out[f"{at}.down_proj"] = np.stack(down)
    return out


def _layer(name: str) -> int | None:
    return int(name.split(".")[2]) if ".layers." in name else None
