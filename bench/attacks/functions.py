"""Changes of a decoder's weights that keep what it computes: scales, orders, signs, rotations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .families import EMBED, HEAD, NORM, Family, heads
from .tensors import F32, Array, Rng, Tensors

ATTENTION = ("q_proj", "k_proj", "v_proj")
MLP = ("gate_proj", "up_proj")


def of_layers(family: Family) -> Iterator[tuple[str, str]]:
    """Yield, layer by layer, what the names of attention and of the MLP begin with."""
    for layer in range(family.layers):
        start = f"model.layers.{layer}"
        yield f"{start}.self_attn", f"{start}.mlp"


def norms(family: Family) -> Iterator[tuple[str, list[str]]]:
    """Yield every norm and the matrices that read what it gives."""
    for attention, mlp in of_layers(family):
        start = attention.removesuffix(".self_attn")
        yield f"{start}.input_layernorm.weight", [f"{attention}.{x}.weight" for x in ATTENTION]
        yield f"{start}.post_attention_layernorm.weight", [f"{mlp}.{x}.weight" for x in MLP]
    if HEAD in family.base:
        yield NORM, [HEAD]


def norms_scaled(x: Tensors, family: Family, factor: float) -> Tensors:
    """Multiply norms, and divide the matrices that follow."""
    out = dict(x)
    for norm, readers in norms(family):
        out[norm] = x[norm] * F32(factor)
        for reader in readers:
            out[reader] = x[reader] / F32(factor)
    return out


def pairs_scaled(x: Tensors, family: Family, factor: float) -> Tensors:
    """Multiply values and up projections, and divide the matrices that follow."""
    out = dict(x)
    for attention, mlp in of_layers(family):
        for first, second in (
            (f"{attention}.v_proj.weight", f"{attention}.o_proj.weight"),
            (f"{mlp}.up_proj.weight", f"{mlp}.down_proj.weight"),
        ):
            out[first], out[second] = x[first] * F32(factor), x[second] / F32(factor)
    return out


def neurons_permuted(x: Tensors, family: Family, rng: Rng) -> Tensors:
    """Put the neurons of every MLP in another order."""
    out = dict(x)
    for _, mlp in of_layers(family):
        order = rng.permutation(x[f"{mlp}.up_proj.weight"].shape[0])
        for name in MLP:
            out[f"{mlp}.{name}.weight"] = x[f"{mlp}.{name}.weight"][order]
        out[f"{mlp}.down_proj.weight"] = x[f"{mlp}.down_proj.weight"][:, order]
    return out


def heads_permuted(x: Tensors, family: Family, rng: Rng) -> Tensors:
    """Put the heads of every attention in another order."""
    out = dict(x)
    count, group = heads(family)
    size = family.head_size
    for attention, _ in of_layers(family):
        order = np.roll(np.arange(count), int(rng.integers(1, count)))
        narrow = (order[:, None] * size + np.arange(size)).ravel()
        wide = (order[:, None] * group * size + np.arange(group * size)).ravel()
        for name in ("k_proj", "v_proj"):
            out[f"{attention}.{name}.weight"] = x[f"{attention}.{name}.weight"][narrow]
        out[f"{attention}.q_proj.weight"] = x[f"{attention}.q_proj.weight"][wide]
        out[f"{attention}.o_proj.weight"] = x[f"{attention}.o_proj.weight"][:, wide]
    return out


def residual_changed(x: Tensors, family: Family, matrix: Array, norm: Array | None) -> Tensors:
    """Change the basis of the residual stream; ``norm`` is the order of norms' elements."""
    out = dict(x)
    readers = [each for _, names in norms(family) for each in names]
    for name in [EMBED, *readers]:
        out[name] = (x[name] @ matrix).astype(F32)
    for attention, mlp in of_layers(family):
        for name in (f"{attention}.o_proj.weight", f"{mlp}.down_proj.weight"):
            out[name] = (matrix.T @ x[name]).astype(F32)
    if norm is not None:
        for name in {NORM, *(each for each, _ in norms(family))}:
            out[name] = x[name][norm]
    return out


def signs(x: Tensors, family: Family, rng: Rng) -> Tensors:
    """Change the signs of half the dimensions of the residual stream."""
    width = x[EMBED].shape[1]
    return residual_changed(x, family, np.diag(rng.choice([-1.0, 1.0], width)).astype(F32), None)


def signed_permutation(x: Tensors, family: Family, rng: Rng) -> Tensors:
    """Change signs and order of the dimensions of the residual stream."""
    width = x[EMBED].shape[1]
    order = rng.permutation(width)
    matrix = np.zeros((width, width), F32)
    matrix[order, np.arange(width)] = rng.choice([-1.0, 1.0], width)
    return residual_changed(x, family, matrix, order)


def rotation(x: Tensors, family: Family, rng: Rng) -> Tensors:
    """Rotate the residual stream, with norms made part of the matrices that follow them."""
    out = dict(x)
    for norm, readers in norms(family):
        for reader in readers:
            out[reader] = x[reader] * x[norm]
        out[norm] = np.ones_like(x[norm])
    width = x[EMBED].shape[1]
    matrix = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(F32)
    return residual_changed(out, family, matrix, None)


def vocabulary_permuted(x: Tensors, rng: Rng) -> Tensors:
    """Put the tokens in another order."""
    order = rng.permutation(x[EMBED].shape[0])
    return {name: t[order] if name in (EMBED, HEAD) else t for name, t in x.items()}


def vocabulary_cut(x: Tensors) -> Tensors:
    """Leave out the second half of the tokens."""
    half = x[EMBED].shape[0] // 2
    return {name: t[:half] if name in (EMBED, HEAD) else t for name, t in x.items()}
