"""Heads of linear and latent attention: which rows are whose."""

import numpy as np
import pytest
from common.hybrids import KEYS, OWN, VALUES, WIDE, gguf_latent, latent, qwen3_next, qwen35, tiled
from common.layouts import filled
from hypothesis import given
from hypothesis import strategies as st
from parentage.align.layouts import heads
from parentage.align.layouts.fused import readings

MODULE = "model.layers.0.linear_attn"
SPLIT = filled(qwen35(), 1, np.float32)
FUSED = qwen3_next(SPLIT)
SHAPES = {name: x.shape for name, x in SPLIT.items()}


def carried_out(piece, x):
    """Return the elements of a tensor that a piece names."""
    flat = x.ravel()
    if piece.rows:
        return x.reshape(x.shape[0], -1)[list(piece.rows)].reshape(piece.shape)
    if not piece.sizes:
        return flat[piece.first : piece.first + int(np.prod(piece.shape))].reshape(piece.shape)
    where = np.full(piece.sizes, piece.first)
    for axis, (size, step) in enumerate(zip(piece.sizes, piece.strides, strict=True)):
        shape = [1] * len(piece.sizes)
        shape[axis] = size
        where = where + (np.arange(size) * step).reshape(shape)
    return flat[where].reshape(piece.shape)


@pytest.mark.parametrize("name", ["in_proj_qkvz", "in_proj_ba"])
def test_one_reading_is_what_was_fused(name):
    whole = FUSED[f"{MODULE}.{name}.weight"]
    found = readings(f"{MODULE}.{name}.weight", whole.shape, SHAPES.get)
    assert found[-1].order == ""
    right = [
        each.order
        for each in found
        if all(np.array_equal(carried_out(x, whole), SPLIT[x.name]) for x in each.pieces)
    ]
    assert right == [f"{KEYS} heads of keys by turns"]


def test_every_element_is_in_one_piece():
    for name in ("in_proj_qkvz", "in_proj_ba"):
        shape = FUSED[f"{MODULE}.{name}.weight"].shape
        numbers = np.arange(np.prod(shape)).reshape(shape)
        for each in readings(f"{MODULE}.{name}.weight", shape, SHAPES.get):
            taken = np.concatenate([carried_out(x, numbers).ravel() for x in each.pieces])
            assert np.array_equal(np.sort(taken), numbers.ravel())


def test_keys_and_values_of_latent_attention_are_windows():
    plain = filled(latent(), 1, np.float32)
    split = gguf_latent(plain)
    whole = "model.layers.0.self_attn.kv_b_proj.weight"
    there = {
        f"model.layers.0.self_attn.{one}_b_proj.weight": split[f"blk.0.attn_{one}_b.weight"]
        for one in "kv"
    }
    shapes = {name: x.shape for name, x in there.items()}
    (found,) = readings(whole, plain[whole].shape, shapes.get)
    for piece in found.pieces:
        assert np.array_equal(carried_out(piece, plain[whole]), there[piece.name])


@pytest.mark.parametrize(
    ("tensor", "shape", "wide", "axis", "first"),
    [
        ("in_proj_z.weight", (VALUES * WIDE, 5), WIDE, 0, 0),
        ("in_proj_qkv.weight", (32 + VALUES * WIDE, 5), WIDE, 0, 32),
        ("conv1d.weight", (32 + VALUES * WIDE, 4), WIDE, 0, 32),
        ("in_proj_b.weight", (VALUES, 5), 1, 0, 0),
        ("dt_bias", (VALUES,), 1, 0, 0),
        ("out_proj.weight", (5, VALUES * WIDE), WIDE, 1, 0),
    ],
)
def test_heads_of_values_are_put_back(tensor, shape, wide, axis, first):
    x = np.arange(np.prod(shape)).reshape(shape)
    stored = np.concatenate([x[:first], tiled(x[first:], wide, axis)])
    found = list(heads.tiled(f"{MODULE}.{tensor}", shape, SHAPES.get))
    assert len(found) == 2
    right = [each for each in found if np.array_equal(carried_out(each.pieces[0], stored), x)]
    assert [each.order for each in right] == [f"heads of values by turns of {KEYS}"]
    back = [each for each in found if np.array_equal(carried_out(each.pieces[0], x), stored)]
    assert [each.order for each in back] == [f"heads of values by turns of {OWN}"]


def test_without_the_heads_there_is_no_order():
    name = f"{MODULE}.in_proj_qkvz.weight"
    lacking = {key: shape for key, shape in SHAPES.items() if "A_log" not in key}
    assert readings(name, FUSED[name].shape, lacking.get)  # dt_bias says it as well
    lacking = {key: shape for key, shape in lacking.items() if "dt_bias" not in key}
    assert readings(name, FUSED[name].shape, lacking.get) == []
    assert list(heads.tiled(f"{MODULE}.in_proj_z.weight", (48, 5), lacking.get)) == []
    assert heads.value_heads("m", {"m.A_log": (heads.MOST_HEADS + 1,)}.get) is None
    assert heads.value_heads("m", {"m.A_log": (0,), "m.dt_bias": (2, 2)}.get) is None


@given(
    shape=st.lists(st.integers(0, 40), max_size=3).map(tuple),
    one=st.lists(st.integers(0, 40), max_size=3).map(tuple),
    two=st.lists(st.integers(0, 40), max_size=3).map(tuple),
    count=st.integers(0, 9),
)
def test_shapes_that_do_not_fit_have_no_reading(shape, one, two, count):
    there = {f"{MODULE}.in_proj_qkv.weight": one, f"{MODULE}.in_proj_z.weight": two}
    there |= {f"{MODULE}.A_log": (count,)}
    for each in readings(f"{MODULE}.in_proj_qkvz.weight", shape, there.get):
        assert sum(int(np.prod(piece.shape)) for piece in each.pieces) == np.prod(shape)
    attention = "model.layers.0.self_attn"
    there = {f"{attention}.k_b_proj.weight": one, f"{attention}.v_b_proj.weight": two}
    for each in readings(f"{attention}.kv_b_proj.weight", shape, there.get):
        assert sum(int(np.prod(piece.shape)) for piece in each.pieces) == np.prod(shape)


def test_so_many_rows_are_of_no_model():
    most = heads.MOST_ROWS
    there = {f"{MODULE}.in_proj_qkv.weight": (most, 1), f"{MODULE}.in_proj_z.weight": (most, 1)}
    there |= {f"{MODULE}.A_log": (4,), f"{MODULE}.norm.weight": (most,)}
    assert readings(f"{MODULE}.in_proj_qkvz.weight", (2 * most, 1), there.get) == []
    assert list(heads.tiled(f"{MODULE}.in_proj_z.weight", (4 * most, 1), there.get)) == []
