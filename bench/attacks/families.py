"""Families that are attacked: one made here from a seed, and one of real weights from a corpus.

Both are decoders. What is made here has what is awkward in real ones: rows and columns of unlike
size, outlying rows, norms near 1, displacements of a few hundredths of the weights whose spectrum
decays, that leave the rows of unseen tokens alone, and that share a direction with those of
siblings.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from .tensors import Array, Rng, Tensors, bf16, widened

HIDDEN, INNER, VOCABULARY, LAYERS = 64, 160, 512, 4
EMBED, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


@dataclass(frozen=True)
class Family:
    """Checkpoints of one architecture as float32 numbers that bf16 holds, by what they are."""

    name: str
    head_size: int
    """Elements of an attention head."""
    base: Tensors
    one: Tensors
    """A fine-tune of base: what is copied, merged and framed."""
    two: Tensors
    control: Tensors
    """Other fine-tunes of base."""
    later: Tensors
    """``one``, trained further."""
    stranger: Tensors
    """An independent model of this architecture."""

    @property
    def layers(self) -> int:
        """Return the number of layers."""
        return 1 + max(layer_of(name) for name in self.base)

    def rng(self, *key: object) -> Rng:
        """Return the numbers of a case: the same in every run."""
        return np.random.default_rng(zlib.crc32(repr((self.name, *key)).encode()))


def layer_of(name: str) -> int:
    """Return the number of a tensor's layer, -1 outside of layers."""
    parts = name.split(".")
    return int(parts[2]) if parts[1] == "layers" else -1


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the family that is made here."""
    kv = HIDDEN // 2
    of_layer = {
        "input_layernorm": (HIDDEN,),
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (kv, HIDDEN),
        "self_attn.v_proj": (kv, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "post_attention_layernorm": (HIDDEN,),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
    }
    return {
        EMBED: (VOCABULARY, HIDDEN),
        **{
            f"model.layers.{layer}.{name}.weight": shape
            for layer in range(LAYERS)
            for name, shape in of_layer.items()
        },
        NORM: (HIDDEN,),
        HEAD: (VOCABULARY, HIDDEN),
    }


def pretrained(seed: int) -> Tensors:
    """Return an independent model."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes().items():
        if len(shape) == 1:
            x = 1 + 0.1 * rng.standard_normal(shape)
            x[rng.choice(shape[0], 2, replace=False)] *= 3
        else:
            rows = np.exp(0.25 * rng.standard_normal((shape[0], 1)))
            rows[rng.choice(shape[0], 2, replace=False)] *= 4
            columns = np.exp(0.15 * rng.standard_normal((1, shape[1])))
            x = rng.uniform(0.02, 0.05) * rows * columns * rng.standard_normal(shape)
        out[name] = bf16(x)
    return out


def displacement(x: Array, name: str, rng: Rng, common: Rng) -> Array:
    """Return what training adds to a tensor: of decaying spectrum, and in part that of siblings."""
    size = rng.uniform(0.01, 0.03) * float(np.sqrt(np.mean(np.square(x))))
    if x.ndim == 1:
        return 0.3 * size * rng.standard_normal(x.shape)
    ranks = min(x.shape)
    strengths = 1 / (1 + np.arange(ranks)) ** 0.7

    def of_spectrum(source: Rng) -> Array:
        left, right = (
            source.standard_normal((x.shape[0], ranks)),
            source.standard_normal((ranks, x.shape[1])),
        )
        return (left * strengths) @ right / np.sqrt(np.sum(strengths**2))

    moved = 0.95 * of_spectrum(rng) + 0.2 * of_spectrum(common)
    moved += 0.25 * rng.standard_normal(x.shape)
    if name == EMBED:
        # Tokens that the training never saw stay where they are.
        moved[rng.random(x.shape[0]) > 0.6] = 0
    return size * moved


def tuned(origin: Mapping[str, Array], seed: int, scale: float = 1.0) -> Tensors:
    """Return a fine-tune of a checkpoint."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(99)
    return {
        name: bf16(x + scale * displacement(x, name, rng, common)) for name, x in origin.items()
    }


def made() -> Family:
    """Return the family that is made here: 0.24 million elements."""
    base = pretrained(1)
    one = tuned(base, 11)
    return Family(
        "made",
        16,
        base,
        one,
        tuned(base, 12),
        tuned(base, 13),
        tuned(one, 14),
        pretrained(2),
    )


def loaded(folder: Path, layers: int = 3, rows: int = 512) -> Tensors:
    """Return the first layers and rows of a checkpoint."""
    out: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            for name in sorted(file.keys()):
                if layer_of(name) < layers:
                    x = file.get_tensor(name)
                    out[name] = x[:rows] if x.shape[0] > rows else x
    return widened(out)


def real(corpus: Path) -> Family:
    """Return the small decoder of a corpus, cut to 3 layers and 512 rows."""
    names = ("base", "ft_code", "ft_prose", "ft_num", "ft_code2", "base2")
    return Family("real", 32, *(loaded(corpus / name) for name in names))


def heads(family: Family) -> tuple[int, int]:
    """Return how many heads of values there are, and how many of queries go with each."""
    value = family.base["model.layers.0.self_attn.v_proj.weight"].shape[0] // family.head_size
    query = family.base["model.layers.0.self_attn.q_proj.weight"].shape[0] // family.head_size
    return value, query // value
