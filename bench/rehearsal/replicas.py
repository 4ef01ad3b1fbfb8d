"""Replicas of a very large checkpoint: its names, shapes, dtypes and shards, in sparse files.

Every header is that of Qwen3.5-397B-A17B, as its configuration and modelling code give it; the
data is a hole, but for runs at the same elements of base, parent and child. There the base is
random, the parent displaced a little, and the child 0.6 of the parent and 0.4 of the base, in fused
float32, rounded to bf16: what traces them meets a real blend.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from parentage.align import align
from parentage.checkpoint import Checkpoint
from parentage.sample import BUDGET, RUN, Sampling, runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from parentage.align import Alignment

SHARDS = 94
LAYERS, FULL_ATTENTION_EVERY, EXPERTS = 60, 4, 512
HIDDEN, INTERMEDIATE, VOCABULARY = 4096, 1024, 248_320
HEADS, KEY_HEADS, HEAD = 32, 2, 256
LINEAR_KEYS, LINEAR_VALUES, KERNEL = 16 * 128, 64 * 128, 4
TOWER_BLOCKS, TOWER, TOWER_INTERMEDIATE = 27, 1152, 4304
LAYOUTS = ("fused", "split", "text")
ROLES = ("base", "parent", "child")
WIDTHS = {"BF16": 2, "F32": 4}
BF16 = ml_dtypes.bfloat16
PAGE = 4096
PIECE = 1 << 22
"""Elements of each checkpoint that are made at a time."""

Shapes = dict[str, tuple[int, ...]]


def experts(prefix: str, *, fused: bool) -> Shapes:
    """Return the routed experts of a layer: two stacked tensors, or three of every expert."""
    if fused:
        return {
            f"{prefix}.gate_up_proj": (EXPERTS, 2 * INTERMEDIATE, HIDDEN),
            f"{prefix}.down_proj": (EXPERTS, HIDDEN, INTERMEDIATE),
        }
    out: Shapes = {}
    for expert in range(EXPERTS):
        out[f"{prefix}.{expert}.gate_proj.weight"] = (INTERMEDIATE, HIDDEN)
        out[f"{prefix}.{expert}.up_proj.weight"] = (INTERMEDIATE, HIDDEN)
        out[f"{prefix}.{expert}.down_proj.weight"] = (HIDDEN, INTERMEDIATE)
    return out


def layer(prefix: str, *, full: bool, fused: bool) -> Shapes:
    """Return a layer with full or linear attention."""
    if full:
        attention: Shapes = {
            # Queries and their gates.
            "self_attn.q_proj.weight": (2 * HEADS * HEAD, HIDDEN),
            "self_attn.k_proj.weight": (KEY_HEADS * HEAD, HIDDEN),
            "self_attn.v_proj.weight": (KEY_HEADS * HEAD, HIDDEN),
            "self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD),
            "self_attn.q_norm.weight": (HEAD,),
            "self_attn.k_norm.weight": (HEAD,),
        }
    else:
        mixed = 2 * LINEAR_KEYS + LINEAR_VALUES
        attention = {
            "linear_attn.dt_bias": (64,),
            "linear_attn.A_log": (64,),
            "linear_attn.conv1d.weight": (mixed, 1, KERNEL),
            "linear_attn.in_proj_qkv.weight": (mixed, HIDDEN),
            "linear_attn.in_proj_z.weight": (LINEAR_VALUES, HIDDEN),
            "linear_attn.in_proj_b.weight": (64, HIDDEN),
            "linear_attn.in_proj_a.weight": (64, HIDDEN),
            "linear_attn.norm.weight": (128,),
            "linear_attn.out_proj.weight": (HIDDEN, LINEAR_VALUES),
        }
    shapes = {
        "input_layernorm.weight": (HIDDEN,),
        **attention,
        "post_attention_layernorm.weight": (HIDDEN,),
        "mlp.gate.weight": (EXPERTS, HIDDEN),
        **experts("mlp.experts", fused=fused),
        "mlp.shared_expert.gate_proj.weight": (INTERMEDIATE, HIDDEN),
        "mlp.shared_expert.up_proj.weight": (INTERMEDIATE, HIDDEN),
        "mlp.shared_expert.down_proj.weight": (HIDDEN, INTERMEDIATE),
        "mlp.shared_expert_gate.weight": (1, HIDDEN),
    }
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def vision() -> Shapes:
    """Return the vision tower."""
    merged = 4 * TOWER
    weights: Shapes = {
        "patch_embed.proj": (TOWER, 3, 2, 16, 16),
        **{
            f"blocks.{number}.{name}": shape
            for number in range(TOWER_BLOCKS)
            for name, shape in {
                "norm1": (TOWER,),
                "norm2": (TOWER,),
                "attn.qkv": (3 * TOWER, TOWER),
                "attn.proj": (TOWER, TOWER),
                "mlp.linear_fc1": (TOWER_INTERMEDIATE, TOWER),
                "mlp.linear_fc2": (TOWER, TOWER_INTERMEDIATE),
            }.items()
        },
        "merger.norm": (TOWER,),
        "merger.linear_fc1": (merged, merged),
        "merger.linear_fc2": (HIDDEN, merged),
    }
    out: Shapes = {"model.visual.pos_embed.weight": (2304, TOWER)}
    for name, shape in weights.items():
        out[f"model.visual.{name}.weight"] = shape
        out[f"model.visual.{name}.bias"] = shape[:1]
    return out


def prediction() -> Shapes:
    """Return the layer that predicts more than one token; its experts are never stacked."""
    return {
        "mtp.fc.weight": (HIDDEN, 2 * HIDDEN),
        **layer("mtp.layers.0", full=True, fused=False),
        "mtp.norm.weight": (HIDDEN,),
        "mtp.pre_fc_norm_embedding.weight": (HIDDEN,),
        "mtp.pre_fc_norm_hidden.weight": (HIDDEN,),
    }


def shapes_of(layout: str) -> Shapes:
    """Return names and shapes in the order of the files.

    ``"fused"`` is the published one, ``"split"`` has a tensor for each expert's matrix, and
    ``"text"`` is a re-export without vision tower and prediction layer, ``model.layers`` and so on.
    """
    body = "model" if layout == "text" else "model.language_model"
    out: Shapes = {f"{body}.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for number in range(LAYERS):
        full = number % FULL_ATTENTION_EVERY == FULL_ATTENTION_EVERY - 1
        out |= layer(f"{body}.layers.{number}", full=full, fused=layout != "split")
    out[f"{body}.norm.weight"] = (HIDDEN,)
    out["lm_head.weight"] = (VOCABULARY, HIDDEN)
    return out if layout == "text" else out | vision() | prediction()


def dtype_of(name: str, role: str) -> str:
    """Return a tensor's dtype: two kinds are F32 as published, and bf16 in what is made of it."""
    wide = name.endswith(("linear_attn.A_log", "linear_attn.norm.weight"))
    return "F32" if wide and role == "base" else "BF16"


def write_headers(folder: Path, layout: str, role: str) -> int:
    """Write a checkpoint of holes into ``folder`` and return its apparent size in bytes."""
    folder.mkdir(parents=True)
    shapes = shapes_of(layout)
    sizes = {name: prod(shape) * WIDTHS[dtype_of(name, role)] for name, shape in shapes.items()}
    total, at = sum(sizes.values()), 0
    held: list[list[str]] = [[] for _ in range(SHARDS)]
    for name, size in sizes.items():
        held[(at + size // 2) * SHARDS // total].append(name)
        at += size
    weight_map = {}
    apparent = 0
    for number, names in enumerate(held, 1):
        file_name = f"model.safetensors-{number:05}-of-{SHARDS:05}.safetensors"
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in names:
            header[name] = {
                "dtype": dtype_of(name, role),
                "shape": shapes[name],
                "data_offsets": [end, end + sizes[name]],
            }
            end += sizes[name]
            weight_map[name] = file_name
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with (folder / file_name).open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
        apparent += 8 + len(text) + end
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return apparent


def on_disk(folder: Path) -> int:
    """Return the bytes that the files of a folder occupy."""
    return sum(512 * path.stat().st_blocks for path in folder.iterdir())


def refuse_if_dense(folder: Path) -> None:
    """Exit if files in ``folder`` would not stay sparse, before terabytes are asked of a disk."""
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            file.truncate(1 << 34)
            os.pwrite(file.fileno(), b"\1" * PAGE, 1 << 33)
            os.fsync(file.fileno())
        occupied = 512 * probe.stat().st_blocks
    except OSError as error:
        sys.exit(f"{folder}: a file of 16 GiB can not be made: {error}")
    finally:
        probe.unlink(missing_ok=True)
    if occupied > 1 << 20:
        sys.exit(f"{folder}: files do not stay sparse ({occupied:,} bytes for 4,096)")


def places(
    alignment: Alignment, seed: int, scattered: int, sample: int
) -> list[tuple[int, int, int]]:
    """Return (slice, first element, count) of the runs that hold data.

    They are those that a first sample reads, those that ``--sample`` reads of ``sample`` bytes, and
    ``scattered`` bytes of each checkpoint elsewhere. None overlaps another.
    """
    total = sum(each.elements for each in alignment.slices)
    found = [runs(each.elements, total, BUDGET) for each in alignment.slices]
    random = np.random.default_rng(seed)
    sizes = np.array([each.elements for each in alignment.slices], dtype=np.float64)
    more = sampled(alignment, sample)
    for number in random.choice(len(sizes), scattered // (2 * RUN), p=sizes / sizes.sum()):
        elements = alignment.slices[number].elements
        start = int(random.integers(max(elements // RUN, 1))) * RUN
        more.append((int(number), start, min(RUN, elements - start)))
    for number, start, count in more:
        held = found[number]
        at = start
        # What of it is not held yet, before, between and behind what is.
        for begin, size in sorted(held):
            if begin >= start + count:
                break
            if at < begin:
                held.append((at, begin - at))
            at = max(at, begin + size)
        if at < start + count:
            held.append((at, start + count - at))
    return [
        (number, start, count) for number, each in enumerate(found) for start, count in sorted(each)
    ]


def sampled(alignment: Alignment, budget: int) -> list[tuple[int, int, int]]:
    """Return the runs that ``trace --sample`` reads of ``budget`` bytes."""
    runs_ = Sampling(alignment, budget, seed=0).fresh
    return list(
        zip(runs_.owner.tolist(), runs_.starts.tolist(), runs_.counts.tolist(), strict=True)
    )


@dataclass(frozen=True)
class Filled:
    """What was written into a family of replicas."""

    runs: int
    elements: int
    """Of each checkpoint."""


def fill(folders: list[Path], seed: int, scattered: int, sample: int) -> Filled:
    """Write the blend into the holes of base, parent and child, as :func:`places` says."""
    opened = [Checkpoint.open(folder) for folder in folders]
    alignment = align(opened[2], opened[:2])
    tensors = [list(each.tensors.values()) for each in opened]
    wanted = places(alignment, seed, scattered, sample)
    random = np.random.default_rng(seed + 1)
    files = [[os.open(shard.path, os.O_WRONLY) for shard in each.shards] for each in opened]
    try:
        for piece in pieces(wanted):
            count = sum(size for _, _, size in piece)
            base = (random.standard_normal(count, dtype=np.float32) * np.float32(0.02)).astype(BF16)
            moved = random.standard_normal(count, dtype=np.float32) * np.float32(0.0006)
            parent = (base.astype(np.float32) + moved).astype(BF16)
            values = [base, parent, blend(base, parent)]
            at = 0
            for number, start, size in piece:
                extents = alignment.slices[number].extents
                for role, extent in enumerate(extents):
                    tensor = tensors[role][extent.tensor]
                    stored = values[role][at : at + size]
                    data = (stored.astype("<f4") if tensor.dtype == "F32" else stored).tobytes()
                    begin = tensor.begin + (extent.start + start) * WIDTHS[tensor.dtype]
                    os.pwrite(files[role][tensor.shard], data, begin)
                at += size
    finally:
        for each in files:
            for file in each:
                os.close(file)
    return Filled(len(wanted), sum(size for _, _, size in wanted))


def pieces(wanted: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield runs some at a time."""
    piece: list[tuple[int, int, int]] = []
    held = 0
    for each in wanted:
        piece.append(each)
        held += each[2]
        if held >= PIECE:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece


def blend(base: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Return 0.6 of the parent, rounded to float32, and 0.4 of the base added to it in one step.

    The float64 sum of such numbers is exact: eight significant bits times 24, and terms of like
    size.
    """
    first = parent.astype(np.float32) * np.float32(0.6)
    total = base.astype(np.float64) * float(np.float32(0.4)) + first
    return total.astype(np.float32).astype(BF16)


def build(folder: Path, layout: str, seed: int, scattered: int, sample: int) -> dict[str, object]:
    """Make base, parent and child of a layout below ``folder``, and say what was made."""
    folders = [folder / layout / role for role in ROLES]
    apparent = [
        write_headers(each, layout, role) for each, role in zip(folders, ROLES, strict=True)
    ]
    filled = fill(folders, seed, scattered, sample)
    occupied = [on_disk(each) for each in folders]
    if max(occupied) > 1 << 32:
        sys.exit(f"{folder}: {max(occupied):,} bytes of a replica are on disk; it is not sparse")
    return {
        "tensors": len(shapes_of(layout)),
        "shards": SHARDS,
        "apparent_bytes": apparent,
        "bytes_on_disk": occupied,
        "runs": filled.runs,
        "elements_with_data": filled.elements,
    }
