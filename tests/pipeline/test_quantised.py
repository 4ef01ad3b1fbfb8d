"""Merges that were quantised are proved code by code, and what was made from codes is no parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import ml_dtypes
import numpy as np
import parentage
import pytest
from common.containers import gguf_bytes
from conftest import BF16, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.generic]]
    Stored = Callable[[Tensors], Tensors]

GGML = gguf.GGMLQuantizationType
E4M3 = ml_dtypes.float8_e4m3fn


def family(seed: int, spread: float = 0.003) -> Tensors:
    """Return relatives of one base, in bf16."""
    base, own = np.random.default_rng(0), np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (200, 256)}
    for layer in range(2):
        for name in ("self_attn.q_proj", "mlp.up_proj"):
            shapes[f"model.layers.{layer}.{name}.weight"] = (256, 256)
        shapes[f"model.layers.{layer}.input_layernorm.weight"] = (256,)
    return {
        name: (
            base.normal(1.0 if len(shape) == 1 else 0.0, 0.03, shape)
            + spread * own.normal(size=shape)
        ).astype(BF16)
        for name, shape in shapes.items()
    }


def blend(one: Tensors, other: Tensors, weight: float = 0.6) -> Tensors:
    """Return a linear merge, computed in float32 and stored in bf16."""
    return {
        name: (
            np.float32(weight) * one[name].astype(np.float32)
            + np.float32(1.0 - weight) * other[name].astype(np.float32)
        ).astype(BF16)
        for name in one
    }


def stored_as_gguf(path: Path, tensors: Tensors, kind: str) -> Path:
    """Write a GGUF file whose matrices are blocks."""
    out = {}
    for name, values in tensors.items():
        plain = values.astype(np.float32)
        blocks = gguf.quants.quantize(plain, GGML[kind]).tobytes() if plain.ndim == 2 else None
        out[name] = plain if blocks is None else (GGML[kind].value, plain.shape, blocks)
    path.write_bytes(gguf_bytes(out))
    return path


def as_fp8(tensors: Tensors) -> Tensors:
    """Return matrices as FP8 with a scale for each row."""
    out: Tensors = {}
    for name, values in tensors.items():
        if values.ndim == 1:
            out[name] = values
            continue
        plain = values.astype(np.float32)
        scale = np.abs(plain).max(axis=1, keepdims=True) / np.float32(448.0)
        out[name] = (plain / scale).astype(E4M3)
        out[f"{name}_scale"] = scale
    return out


def as_mxfp4(tensors: Tensors) -> Tensors:
    """Return matrices as MXFP4, with a power of two for 32 elements."""
    numbers = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    out: Tensors = {}
    for name, values in tensors.items():
        if values.ndim == 1:
            out[name] = values
            continue
        plain = values.astype(np.float32).reshape(len(values), -1, 32)
        power = np.floor(np.log2(np.abs(plain).max(axis=-1))) - 2
        scaled = plain / np.exp2(power)[..., None]
        codes = np.abs(np.abs(scaled)[..., None] - numbers).argmin(axis=-1) + 8 * (scaled < 0)
        pairs = codes.astype(np.uint8).reshape(*codes.shape[:-1], 16, 2)
        out[f"{name}_blocks"] = pairs[..., 0] | pairs[..., 1] << 4
        out[f"{name}_scales"] = (power + 127).astype(np.uint8)
    return out


def as_packed(tensors: Tensors) -> Tensors:
    """Return matrices as packed integers of 4 bits, with a bf16 scale for 64 columns."""
    out: Tensors = {}
    for name, values in tensors.items():
        if values.ndim == 1:
            out[name] = values
            continue
        plain = values.astype(np.float32)
        grouped = plain.reshape(len(plain), -1, 64)
        scales = (np.abs(grouped).max(axis=-1) / np.float32(7.0)).astype(BF16)
        codes = np.rint(grouped / scales.astype(np.float32)[..., None]).clip(-8, 7) + 8
        words = codes.astype(np.uint32).reshape(len(plain), -1, 8) << 4 * np.arange(8)
        out[f"{name}_packed"] = words.sum(axis=-1).astype(np.uint32).view(np.int32)
        out[f"{name}_scale"] = scales
        out[f"{name}_shape"] = np.array(plain.shape)
    return out


def written(folder: Path, **checkpoints: Tensors) -> dict[str, Path]:
    """Write checkpoints, by name."""
    return {name: write_checkpoint(folder / name, each) for name, each in checkpoints.items()}


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1"])
def test_blocks_of_a_copy_and_of_a_merge(tmp_path: Path, kind: str) -> None:
    one, other = family(2), family(3)
    at = written(tmp_path, base=family(1), one=one, other=other)
    copy = stored_as_gguf(tmp_path / "copy.gguf", one, kind)
    merged = stored_as_gguf(tmp_path / "merged.gguf", blend(one, other), kind)
    found = parentage.trace(copy, base=at["base"], parents=[at["one"], at["other"]])
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")
    found = parentage.trace(merged, base=at["base"], parents=[at["one"], at["other"]])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert found.verdict.rule == "quantised_merge"
    assert "0.6 one + 0.4 other" in found.verdict.text


@pytest.mark.parametrize("stored", [as_fp8, as_mxfp4, as_packed])
def test_codes_beside_scales_of_a_copy_and_of_a_merge(tmp_path: Path, stored: Stored) -> None:
    one, other = family(2), family(3)
    at = written(
        tmp_path, base=family(1), one=one, other=other,
        copy=stored(one), merged=stored(blend(one, other)),
    )  # fmt: skip
    parents = [at["one"], at["other"]]
    found = parentage.trace(at["copy"], base=at["base"], parents=parents)
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")
    found = parentage.trace(at["merged"], base=at["base"], parents=parents)
    assert (found.verdict.kind, found.verdict.rule) == ("merge", "quantised_merge")
    assert "0.6 one + 0.4 other" in found.verdict.text
    turned = parentage.trace(at["one"], base=at["base"], parents=[at["copy"]])
    assert (turned.verdict.kind, turned.verdict.rule) == ("related", "stored_with_less")


def test_fp8_of_a_merge_and_one_other_code(tmp_path: Path) -> None:
    one, other = family(2), family(3)
    codes = as_fp8(blend(one, other))
    spoilt = {name: values.copy() for name, values in codes.items()}
    raw = spoilt["model.embed_tokens.weight"].view(np.uint8)
    raw[5, 7] ^= 0x18
    at = written(tmp_path, base=family(1), one=one, other=other, child=codes, spoilt=spoilt)
    parents = [at["one"], at["other"]]
    found = parentage.trace(at["child"], base=at["base"], parents=parents)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    found = parentage.trace(at["spoilt"], base=at["base"], parents=parents)
    assert found.verdict.level != "exact"
    assert "all" not in found.verdict.text.split("codes of")[0].rsplit(":", 1)[-1]


def test_codes_of_a_fine_tune_are_no_merge(tmp_path: Path) -> None:
    at = written(tmp_path, base=family(1), one=family(2), other=family(3), child=as_fp8(family(4)))
    found = parentage.trace(at["child"], base=at["base"], parents=[at["one"], at["other"]])
    assert found.verdict.kind not in ("merge", "merge-then-changed", "re-encoded", "identical")


def test_a_parent_made_from_the_codes_is_none(tmp_path: Path) -> None:
    """P = 2 child - base makes any child the mean of P and the base."""
    base, codes = family(1), as_fp8(family(4))
    child = {
        name: values.astype(np.float32) * codes.get(f"{name}_scale", np.float32(1.0))
        for name, values in codes.items()
        if not name.endswith("_scale")
    }
    framed = {
        name: (2.0 * child[name] - base[name].astype(np.float32)).astype(np.float32)
        for name in base
    }
    at = written(tmp_path, base=base, framed=framed, child=codes)
    found = parentage.trace(at["child"], base=at["base"], parents=[at["framed"]])
    assert found.verdict.kind not in ("merge", "merge-then-changed")


def test_codes_without_any_number_beside_them_are_said(tmp_path: Path) -> None:
    matrices = {name: each for name, each in family(2).items() if each.ndim == 2}
    at = written(tmp_path, base=matrices)
    child = stored_as_gguf(tmp_path / "child.gguf", matrices, "Q8_0")
    with pytest.raises(parentage.PlanError, match="encoded as Q8_0"):
        parentage.trace(child, base=at["base"])


def test_a_parent_that_is_the_child_with_less_is_said_to_be_that(tmp_path: Path) -> None:
    one = family(2)
    at = written(tmp_path, base=family(1), one=one, codes=as_fp8(one))
    found = parentage.trace(at["one"], base=at["base"], parents=[at["codes"]])
    assert (found.verdict.kind, found.verdict.rule) == ("related", "stored_with_less")
    assert "codes holds the same numbers as one, stored with less" in found.verdict.text


def test_what_was_decoded_and_stored_is_the_codes_re_encoded(tmp_path: Path) -> None:
    one = as_fp8(family(2))
    decoded = {
        name: (values.astype(np.float32) * one[f"{name}_scale"]).astype(BF16)
        if f"{name}_scale" in one
        else values
        for name, values in one.items()
        if not name.endswith("_scale")
    }
    at = written(tmp_path, base=family(1), child=decoded, codes=one)
    found = parentage.trace(at["child"], base=at["base"], parents=[at["codes"]])
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")


def test_the_same_codes_are_identical_and_other_scales_are_not(tmp_path: Path) -> None:
    one = as_fp8(family(2))
    scaled = {
        name: values * np.float32(1.01) if name.endswith("_scale") else values
        for name, values in one.items()
    }
    at = written(tmp_path, base=family(1), one=one, again=one, scaled=scaled)
    found = parentage.trace(at["again"], base=at["base"], parents=[at["one"]])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    found = parentage.trace(at["scaled"], base=at["base"], parents=[at["one"]])
    assert found.verdict.kind not in ("identical", "re-encoded")
