"""Orders in which tools store one and the same tensor: what may be, by names and shapes."""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from parentage.align.layouts.heads import tiled
from parentage.align.layouts.strides import (
    Piece,
    Reading,
    halves_exchanged,
    heads_of,
    rotary,
    strides_of,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Shape = tuple[int, ...]
    ShapeOf = Callable[[str], Shape | None]

ROTARY = re.compile(r"\.self_attn\.[qk]_proj\.(?:weight|bias)$")
"""What may lie in another order of rotary pairs."""

COLUMNS = re.compile(r"\.(?:c_attn|c_proj|c_fc)\.weight$|(?:^|\.|_)proj(?:ection)?$|MatMul")
"""Matrices that are stored as (in, out): transformers' Conv1D (``pytorch_utils.py``), CLIP's
projections, and what ONNX multiplies by."""

MODULATION = re.compile(r"(?:^|\.)(?:norm_out|norm1_context)\.linear\.(?:weight|bias)$")
"""Shift and scale, which diffusers has as scale and shift (``convert_flux_to_diffusers.py``,
``swap_scale_shift``)."""

NORM = re.compile(r"norm\w*\.weight$", re.IGNORECASE)
"""Weights of norms, which some tools store as w where others store 1 + w: llama.cpp and mlx-lm add
one to those of Gemma and Qwen3.5 (``convert_hf_to_gguf.py``, ``norm_shift``)."""

VALUE_HEADS = re.compile(
    r"\.linear_attn\.(?:in_proj_(?:qkv|z|a|b)|conv1d|out_proj|A_log|dt_bias)(?:\.weight)?$"
)
"""What lies in the order of heads of values, which llama.cpp has otherwise for Qwen3.5."""

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def orders(
    key: str, names: tuple[str, str], shape: Shape, wanted: Shape, shape_of: ShapeOf
) -> list[Reading]:
    """Return the orders in which one tensor may hold another, of shape ``wanted``, in full.

    ``names`` are those that the two are stored under; ``shape_of`` says the shapes of others beside
    the first. The first order is that of the rows and columns as they are; none is given if shapes
    do not allow any.
    """
    if prod(shape) != prod(wanted):
        return []
    found: list[Reading] = []
    if _squeezed(shape) == _squeezed(wanted):
        found.append(Reading((Piece(key, 0, wanted),)))
    last = (*shape[:-2], *reversed(shape[-2:]))
    may_be_columns = last != shape or any(map(COLUMNS.search, names))
    if len(shape) in (2, 3) and last == wanted and may_be_columns:
        found.append(Reading((transposed(key, shape),), "transposed"))
    if shape == wanted and not is_spelled_alike(*names):
        found += _of_rows(key, shape)
    if found and VALUE_HEADS.search(key) and not is_spelled_alike(*names):
        found += (
            Reading((each.pieces[0]._replace(shape=wanted),), each.order)
            for each in tiled(key, shape, shape_of)
        )
    return found


def is_documented(key: str, found: Sequence[Reading]) -> bool:
    """Return whether the first of several orders is the one that names stand for.

    Of rotary pairs and of heads of values none is: some tools exchange them for some
    architectures.
    """
    is_open = any(kind.search(key) for kind in (ROTARY, MODULATION, VALUE_HEADS))
    return (not found[0].order and not is_open) or len(found) == 1


def _of_rows(key: str, shape: Shape) -> Iterator[Reading]:
    """Yield orders in which rows may lie."""
    if ROTARY.search(key):
        yield from rotary(key, shape)
    if key.endswith((".qkv_proj.weight", ".qkv_proj.bias")) and shape[0] % 3 == 0:
        yield from _by_heads(key, shape)
    if NORM.search(key) and len(shape) == 1:
        for shift in (1.0, -1.0):
            yield Reading((Piece(key, 0, shape, shift=shift),), f"{shift:+.0f}")
    if MODULATION.search(key) and shape[0] % 2 == 0:
        yield halves_exchanged(key, shape)


def _by_heads(key: str, shape: Shape) -> Iterator[Reading]:
    """Yield fused projections whose q, k and v follow one another head by head, or the reverse."""
    rows, width = shape[0] // 3, prod(shape[1:])
    for head in heads_of(rows):
        count = rows // head
        if count == 1:
            continue
        for sizes in ((3, count, head, width), (count, 3, head, width)):
            stored = strides_of((sizes[1], sizes[0], head, width))
            strides = (stored[1], stored[0], *stored[2:])
            yield Reading((Piece(key, 0, shape, sizes, strides),), f"heads of {head} by turns")


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


@lru_cache(maxsize=1 << 16)
def without_numbers(name: str) -> str:
    """Return a name without numbers."""
    return _NUMBER.sub("#", name)


def is_spelled_alike(name: str, other: str) -> bool:
    """Return whether two names differ in how they begin alone.

    >>> is_spelled_alike("a.h.0.attn.q.weight", "h.0.attn.q.weight")
    True
    >>> is_spelled_alike("h.0.attn.q.weight", "layers.0.attn.q.weight")
    False
    """
    # Of most, what follows the layers is the same to the letter.
    mine, theirs = name.rpartition("layers."), other.rpartition("layers.")
    if mine[1] and theirs[1] and mine[2] == theirs[2]:
        return True
    one, two = without_numbers(name), without_numbers(other)
    if "#" in one and "#" in two:
        return _tail(one) == _tail(two)
    return one.rsplit(".", 2)[-2:] == two.rsplit(".", 2)[-2:]


def _tail(name: str) -> str:
    """Return what stands after the last number, with the word before it."""
    begin, _, end = name.rpartition(".#")
    return f"{begin.rpartition('.')[2]}.#{end}"
