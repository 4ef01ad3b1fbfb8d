"""Orders of the heads of linear attention and of latent attention, of which tools have several."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from parentage.align.layouts.strides import Piece, Reading, strides_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Shape = tuple[int, ...]
    ShapeOf = Callable[[str], Shape | None]
    Part = tuple[str, Shape]

MOST_HEADS = 1024
"""Heads of values of a layer, at most."""

MOST_ROWS = 1 << 17
"""Rows of a projection of linear attention, at most: orders that strides do not say name each."""


def value_heads(module: str, shape_of: ShapeOf) -> int | None:
    """Return how many heads of values a module of linear attention has: each has one decay.

    >>> value_heads("m", {"m.A_log": (6,)}.get)
    6
    """
    for name in ("A_log", "dt_bias"):
        shape = shape_of(f"{module}.{name}")
        if shape is not None and len(shape) == 1 and 0 < shape[0] <= MOST_HEADS:
            return shape[0]
    return None


def groups_of(heads: int) -> list[int]:
    """Return how many heads of keys there may be for so many heads of values, one for all last.

    >>> groups_of(6)
    [6, 3, 2, 1]
    """
    return [count for count in range(heads, 0, -1) if heads % count == 0]


def grouped(
    begin: str, shape: Shape, parts: Sequence[Part], shape_of: ShapeOf
) -> Iterator[Reading]:
    """Yield how two projections of linear attention lie in one, head of keys by head of keys.

    Each has its query and its key, then the values and the gates (z) that it serves; or, of the
    small projections, its b and its a. Names and shapes do not tell how many heads of keys there
    are.
    """
    (one, mine), (two, theirs) = parts
    heads = value_heads(begin, shape_of)
    if heads is None or shape != (mine[0] + theirs[0], *mine[1:]) or mine[1:] != theirs[1:]:
        return
    if shape[0] > MOST_ROWS:
        return
    width = prod(mine[1:])
    keys, values = divmod(mine[0] - theirs[0], 2)[0], theirs[0]
    if keys < 0 or (mine[0] - theirs[0]) % 2 or values % heads:
        return
    for count in groups_of(heads):
        if keys % count:
            continue
        key, value = keys // count, values // count
        group = 2 * key + 2 * value
        starts = [number * group for number in range(count)]
        if count == 1:
            first = Piece(one, 0, mine)
        elif keys:
            rows = [
                start + at + row
                for at, size in ((0, key), (key, key), (2 * key, value))
                for start in starts
                for row in range(size)
            ]
            first = Piece(one, 0, mine, rows=tuple(rows))
        else:
            first = Piece(one, 0, mine, (count, value, width), (group * width, width, 1))
        second = Piece(
            two, (2 * key + value) * width, theirs,
            (count, value, width), (group * width, width, 1),
        )  # fmt: skip
        order = f"{count} heads of keys by turns" if count > 1 else ""
        yield Reading((first, second.simplest), order)


def latent(
    begin: str,  # noqa: ARG001
    shape: Shape,
    parts: Sequence[Part],
    shape_of: ShapeOf,  # noqa: ARG001
) -> Iterator[Reading]:
    """Yield how keys and values of latent attention lie in one projection, head by head.

    The keys' part is (heads, latent, size of a key), transposed; the values' is (heads, size of a
    value, latent).

    >>> parts = [("k", (2, 3, 5)), ("v", (2, 4, 3))]
    >>> (found,) = latent("m", (18, 3), parts, {}.get)
    >>> [(piece.first, piece.strides) for piece in found.pieces]
    [(0, (27, 1, 3)), (15, (27, 3, 1))]
    """
    (one, keys), (two, values) = parts
    if len(keys) != 3 or len(values) != 3 or len(shape) != 2:
        return
    heads, width, key = keys
    if values[0] != heads or values[2] != width or shape != (heads * (key + values[1]), width):
        return
    step = (key + values[1]) * width
    yield Reading(
        (
            Piece(one, 0, keys, keys, (step, 1, width)),
            Piece(two, key * width, values, values, (step, width, 1)),
        ),
        "keys transposed, head by head",
    )


def tiled(key: str, shape: Shape, shape_of: ShapeOf) -> Iterator[Reading]:
    """Yield how heads of values lie that are stored as the first of each head of keys first.

    llama.cpp has them so for Qwen3.5, and transformers as all of the first head of keys first:
    ``_LinearAttentionVReorderBase`` of ``convert_hf_to_gguf.py``. What is not of values stays.
    """
    module, _, tensor = key.rpartition(".linear_attn.")
    module += ".linear_attn"
    heads = value_heads(module, shape_of)
    if heads is None:
        return
    norm = shape_of(f"{module}.norm.weight")
    wide = norm[0] if norm is not None and len(norm) == 1 else 0
    tensor = tensor.partition(".")[0]
    axis = 1 if tensor == "out_proj" else 0
    size = 1 if tensor in ("in_proj_a", "in_proj_b", "A_log", "dt_bias") else wide
    if axis >= len(shape):
        return
    first = shape[axis] - heads * size
    if size == 0 or shape[axis] > MOST_ROWS:
        return
    if first < 0 or (first and tensor not in ("in_proj_qkv", "conv1d")):
        return
    for count in groups_of(heads):
        own = heads // count
        if count == 1 or own == 1:
            continue
        order = f"heads of values by turns of {count}"
        if axis:
            sizes = (prod(shape[:1]), count, own, size)
            stored = strides_of((shape[0], own, count, size))
            strides = (stored[0], stored[2], stored[1], stored[3])
            yield Reading((Piece(key, 0, shape, sizes, strides),), order)
            continue
        rows = [
            first + (each * count + group) * size + row
            for group in range(count)
            for each in range(own)
            for row in range(size)
        ]
        yield Reading((Piece(key, 0, shape, rows=(*range(first), *rows)),), order)
