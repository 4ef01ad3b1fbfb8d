"""A small base, adapters of it in the names of several tools, and what they make of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from conftest import BF16, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Tensors = dict[str, Array]

SHAPES = {
    "self_attn.q_proj": (64, 64),
    "self_attn.v_proj": (32, 64),
    "mlp.up_proj": (96, 64),
    "mlp.down_proj": (64, 96),
}
TARGETS = ("q_proj", "v_proj", "up_proj")
PEFT = "base_model.model."


def base(seed: int = 1, layers: int = 2) -> Tensors:
    """Return a model in bf16."""
    rng = np.random.default_rng(seed)
    out = {"model.embed_tokens.weight": rng.normal(0, 0.05, (200, 64)).astype(BF16)}
    for layer in range(layers):
        start = f"model.layers.{layer}"
        for name, shape in SHAPES.items():
            out[f"{start}.{name}.weight"] = rng.normal(0, 0.05, shape).astype(BF16)
        out[f"{start}.input_layernorm.weight"] = rng.normal(1, 0.1, 64).astype(BF16)
    return out


def adapter(
    model: Mapping[str, Array],
    seed: int,
    rank: int = 8,
    targets: tuple[str, ...] = TARGETS,
    dtype: Any = np.float32,
) -> Tensors:
    """Return factors for the modules of a model whose names end so, in PEFT's names."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, weight in model.items():
        module = name.removesuffix(".weight")
        if module.endswith(targets):
            rows, columns = weight.shape
            right = rng.normal(0, rank**-0.5, (rank, columns))
            out[f"{PEFT}{module}.lora_A.weight"] = right.astype(dtype)
            out[f"{PEFT}{module}.lora_B.weight"] = rng.normal(0, 0.005, (rows, rank)).astype(dtype)
    return out


def modules(factors: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return the left and right factors of PEFT's names, by the names of the weights."""
    end = ".lora_A.weight"
    return {
        f"{name.removeprefix(PEFT).removesuffix(end)}.weight": (
            factors[name.replace("lora_A", "lora_B")],
            factors[name],
        )
        for name in factors
        if name.endswith(end)
    }


def merged(
    model: Mapping[str, Array],
    factors: Mapping[str, Array],
    scale: float | Callable[[int], float],
    *,
    rounded: Any = None,
    dtype: Any = BF16,
) -> Tensors:
    """Return a model with an adapter merged as PEFT does, in float32, stored in ``dtype``.

    The product is ``rounded`` to a dtype before it is added, if one is given.
    """
    out = dict(model)
    for name, (left, right) in modules(factors).items():
        factor = scale(right.shape[0]) if callable(scale) else scale
        product = np.float32(factor) * (left.astype(np.float32) @ right.astype(np.float32))
        if rounded is not None:
            product = product.astype(rounded).astype(np.float32)
        out[name] = (out[name].astype(np.float32) + product).astype(dtype)
    return out


def kohya(factors: Mapping[str, Array], alpha: float | None = None) -> Tensors:
    """Return the same factors in kohya's names."""
    out: Tensors = {}
    for name, (left, right) in modules(factors).items():
        module = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        out[f"{module}.lora_up.weight"] = left
        out[f"{module}.lora_down.weight"] = right
        if alpha is not None:
            out[f"{module}.alpha"] = np.array(alpha, np.float32)
    return out


def write(folder: Path, tensors: Mapping[str, Array], **config: Any) -> Path:
    """Write a checkpoint, and the configuration of an adapter if there is any of it."""
    write_checkpoint(folder, tensors)
    if config:
        (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
