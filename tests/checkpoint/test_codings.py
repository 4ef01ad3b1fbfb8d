"""Codings give what the reference implementations give, of any range, by every way of reading."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import gguf
import ml_dtypes
import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage import _core
from parentage.checkpoint import Checkpoint, Coding, Tensor, Window
from parentage.support import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.generic]

E4M3 = ml_dtypes.float8_e4m3fn
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def stored(folder: Path, **tensors: Array) -> Checkpoint:
    """Return a checkpoint of these tensors."""
    write_checkpoint(folder, tensors)
    return Checkpoint.open(folder)


def computed(checkpoint: Checkpoint, coding: Coding, shape: tuple[int, ...]) -> Checkpoint:
    """Return a view that has one tensor, ``x``, which a coding gives."""
    width = 4 if coding.dtype in {"F32", "I32"} else 1 if coding.dtype == "F8_E4M3" else 2
    tensor = Tensor(0, "x", coding.dtype, shape, checkpoint.places, 0, prod(shape) * width)
    return checkpoint.seen_as([tensor], [coding])


def numbers(
    view: Checkpoint, first: int = 0, last: int | None = None, io: str = "mmap"
) -> NDArray[np.float64]:
    """Return elements of the tensor ``x``."""
    tensor = view.tensors["x"]
    last = tensor.elements if last is None else last
    lists = [last - first], [[tensor.index] * 2], [[first] * 2]
    tables = [np.array(each, np.uint64) for each in lists]
    plan = _core.Plan([view.core] * 2, *tables)
    found: NDArray[np.float64] = _core.elements(plan, 0, 1, threads=2, io=io)[:, 0]
    return found


def equal(view: Checkpoint, expected: Array) -> None:
    """Assert that all elements are these, bit for bit, and those of ranges of them, too."""
    expected = expected.astype(np.float64).ravel()
    found = numbers(view)
    np.testing.assert_array_equal(found, expected)
    assert (np.signbit(found) == np.signbit(expected)).all()
    rng = np.random.default_rng(3)
    for io in ("mmap", "pread", "direct"):
        for _ in range(12):
            first, last = np.sort(rng.integers(0, len(expected) + 1, 2))
            if first < last:
                part = numbers(view, int(first), int(last), io)
                np.testing.assert_array_equal(part, expected[first:last])


def window(checkpoint: Checkpoint, name: str) -> Window:
    """Return all of a tensor."""
    return checkpoint.tensors[name].window


@pytest.mark.parametrize("dtype", [np.dtype(E4M3), BF16, np.dtype(np.float32)])
def test_rows_and_columns_are_moved_bit_for_bit(tmp_path: Path, dtype: np.dtype) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(37, 53)).astype(np.float32).astype(dtype)
    opened = stored(tmp_path, m=matrix)
    rows, columns = rng.permutation(37)[:30], rng.permutation(53)
    at = window(opened, "m")
    for coding, expected in (
        (Coding.gather(at, 53, rows=rows.tolist()), matrix[rows]),
        (Coding.gather(at, 53, columns=columns.tolist()), matrix[:, columns]),
        (Coding.gather(at, 53, rows.tolist(), columns.tolist()), matrix[rows][:, columns]),
        (Coding.gather(at, 53), matrix),
        (Coding.strided(at, (53, 37), (1, 53)), matrix.T),
        (Coding.strided(at, (18, 53), (106, 1), first=53), matrix[1:36:2]),
        (Coding.strided(at, (37, 26), (53, 2), first=1), matrix[:, 1:53:2]),
    ):
        equal(computed(opened, coding, expected.shape), expected)


@pytest.mark.parametrize("dtype", [BF16, np.dtype(np.float16), np.dtype(np.float32)])
@pytest.mark.parametrize("into", ["F32", "BF16"])
def test_norms_are_shifted_in_float32_and_rounded_once(
    tmp_path: Path, dtype: np.dtype, into: str
) -> None:
    """As torch does: ``(w.float() + 1).to(dtype)``; ml_dtypes rounds as it does."""
    x = np.random.default_rng(1).normal(size=9000).astype(dtype)
    opened = stored(tmp_path, m=x)
    for offset in (1.0, -1.0):
        expected = x.astype(np.float32) + np.float32(offset)
        coding = Coding.shift(window(opened, "m"), offset, into)
        said = expected if into == "F32" else expected.astype(BF16)
        equal(computed(opened, coding, (9000,)), said)


@pytest.mark.parametrize("dtype", [BF16, np.dtype(np.float32), np.dtype(E4M3)])
@pytest.mark.parametrize("shape", [(64, 96), (65, 97), (3, 200), (200, 3), (33, 40)])
def test_squares_and_their_rests_are_turned(
    tmp_path: Path, dtype: np.dtype, shape: tuple[int, int]
) -> None:
    down, across = shape
    matrix = np.random.default_rng(4).normal(size=shape).astype(np.float32).astype(dtype)
    opened = stored(tmp_path, m=matrix)
    at = window(opened, "m")
    turned = Coding.strided(at, (across, down), (1, across))
    equal(computed(opened, turned, (across, down)), matrix.T)
    for first in (0, 1):
        expected = matrix.T[first::2]
        rows = len(expected)
        coding = Coding.strided(at, (rows, down), (2, across), first=first)
        equal(computed(opened, coding, (rows, down)), expected)


def test_stacks_are_transposed_each_for_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    stack = rng.normal(size=(5, 70, 90)).astype(BF16)
    opened = stored(tmp_path, m=stack)
    coding = Coding.strided(window(opened, "m"), (5, 90, 70), (6300, 1, 90))
    equal(computed(opened, coding, (5, 90, 70)), stack.transpose(0, 2, 1))


@pytest.mark.parametrize("block", [(128, 128), (1, 300), (200, 1), (200, 300), (32, 64)])
@pytest.mark.parametrize("kind", [E4M3, ml_dtypes.float8_e5m2, np.int8, np.uint8])
@pytest.mark.parametrize("scale", [np.float32, BF16])
def test_scaled_codes(tmp_path: Path, block: tuple[int, int], kind: type, scale: type) -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 256, (200, 300)).astype(np.uint8).view(kind)
    codes = np.where(np.isfinite(codes.astype(np.float32)), codes, np.zeros_like(codes))
    grid = (-(-200 // block[0]), -(-300 // block[1]))
    scales = rng.normal(size=grid).astype(scale)
    opened = stored(tmp_path, c=codes, s=scales)
    spread = np.kron(scales.astype(np.float32), np.ones(block, np.float32))[:200, :300]
    expected = codes.astype(np.float32) * spread
    for dtype, numpy in (("F32", np.float32), ("BF16", BF16)):
        at = window(opened, "c"), window(opened, "s")
        coding = Coding.scaled(*at, 300, block, dtype=dtype)
        equal(computed(opened, coding, (200, 300)), expected.astype(numpy))


def test_zero_points_are_taken_away_before_scaling(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    codes, zeros = rng.integers(0, 256, (40, 30)), rng.integers(0, 256, 40)
    scales = rng.uniform(0.01, 0.1, 40).astype(np.float32)
    opened = stored(tmp_path, c=codes.astype(np.uint8), s=scales, z=zeros.astype(np.uint8))
    at = [window(opened, name) for name in "csz"]
    coding = Coding.scaled(at[0], at[1], 30, (1, 30), zeros=at[2])
    expected = (codes - zeros[:, None]).astype(np.float32) * scales[:, None]
    equal(computed(opened, coding, (40, 30)), expected)


def test_llm_int8_is_the_row_maximum_by_127(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(-127, 128, (40, 30)).astype(np.int8)
    scales = rng.uniform(0.5, 2.0, 40).astype(np.float32)
    opened = stored(tmp_path, c=codes, s=scales)
    coding = Coding.scaled(window(opened, "c"), window(opened, "s"), 30, (1, 30), by_127=True)
    # bitsandbytes, functional.py: 7.874015718698502e-3.
    expected = codes.astype(np.float32) * scales[:, None] * np.float32(7.874015718698502e-3)
    equal(computed(opened, coding, (40, 30)), expected)


def test_mxfp4_of_gpt_oss(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, 256, (3, 20, 4, 16)).astype(np.uint8)
    scales = rng.integers(100, 140, (3, 20, 4)).astype(np.uint8)
    opened = stored(tmp_path, b=blocks, s=scales)
    pairs = np.stack([E2M1[blocks & 15], E2M1[blocks >> 4]], axis=-1).reshape(3, 20, 4, 32)
    expected = np.ldexp(pairs, scales.astype(np.int32)[..., None] - 127).reshape(3, 20, 128)
    coding = Coding.mxfp4(window(opened, "b"), window(opened, "s"))
    equal(computed(opened, coding, expected.shape), expected)


@pytest.mark.parametrize("divided", [False, True])
def test_nvfp4(tmp_path: Path, divided: bool) -> None:
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 256, (20, 32)).astype(np.uint8)
    scales = rng.uniform(0.5, 400.0, (20, 4)).astype(E4M3)
    whole = np.array([0.003 if not divided else 300.0], np.float32)
    opened = stored(tmp_path, c=codes, s=scales, w=whole)
    pairs = np.stack([E2M1[codes & 15], E2M1[codes >> 4]], axis=-1).reshape(20, 4, 16)
    grouped = scales.astype(np.float32)
    grouped = grouped / whole[0] if divided else grouped * whole[0]
    expected = (pairs * grouped[..., None]).reshape(20, 64).astype(BF16)
    coding = Coding.nvfp4(*(window(opened, name) for name in "csw"), divided=divided)
    equal(computed(opened, coding, expected.shape), expected)


@pytest.mark.parametrize("nested", [0, 4])
def test_nf4_of_bitsandbytes(tmp_path: Path, nested: int) -> None:
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 256, 960).astype(np.uint8)
    table = np.sort(rng.uniform(-1, 1, 16)).astype(np.float32)
    absmax = rng.uniform(0.1, 0.3, 30).astype(np.float32)
    tensors: dict[str, Array] = {"c": codes, "a": absmax, "m": table}
    if nested:
        tensors["a"] = rng.integers(0, 256, 30).astype(np.uint8)
        tensors["n"] = np.sort(rng.uniform(-1, 1, 256)).astype(np.float32)
        tensors["o"] = rng.uniform(0.1, 0.3, 8).astype(np.float32)
        absmax = tensors["n"][tensors["a"]] * np.repeat(tensors["o"], 4)[:30]
        absmax += np.float32(0.2)
    opened = stored(tmp_path, **tensors)
    pairs = np.stack([table[codes >> 4], table[codes & 15]], axis=-1).reshape(30, 64)
    expected = (pairs * absmax[:, None]).astype(np.float16)
    windows = [window(opened, name) for name in ("camno" if nested else "cam")]
    coding = Coding.nf4(windows, 64, nested, 0.2, dtype="F16")
    equal(computed(opened, coding, (48, 40)), expected)


def words(values: NDArray[np.int64], bits: int, order: tuple[int, ...] = ()) -> NDArray[np.int32]:
    """Return values packed along the last axis, the first one in the lowest bits."""
    each = 32 // bits
    values = np.pad(values, ((0, 0), (0, -values.shape[1] % each)))
    grouped = values.reshape(values.shape[0], -1, each)[..., list(order) or range(each)]
    shifts = bits * np.arange(each)
    return (grouped << shifts).sum(axis=-1).astype(np.uint32).view(np.int32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("packing", ["rows", "gptq", "awq"])
@pytest.mark.parametrize("zeros", [False, True])
def test_packed_integers(tmp_path: Path, bits: int, packing: str, zeros: bool) -> None:
    if packing == "awq" and bits == 8:
        return
    rng = np.random.default_rng(10)
    rows, columns, group = 48, 64, 16
    codes = rng.integers(0, 2**bits, (rows, columns))
    points = rng.integers(0, 2**bits - 1, (rows, columns // group))
    scales = rng.uniform(0.01, 0.1, (rows, columns // group)).astype(np.float16)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    offset = int(packing == "gptq" and zeros)
    tensors: dict[str, Array]
    if packing == "rows":
        packed_zeros = words(points.T, bits).T
        tensors = {"w": words(codes, bits), "s": scales, "z": np.ascontiguousarray(packed_zeros)}
    elif packing == "gptq":
        tensors = {"w": np.ascontiguousarray(words(codes, bits).T), "z": words(points.T, bits)}
        tensors["s"] = np.ascontiguousarray(scales.T)
    else:
        tensors = {"w": words(codes.T, 4, order), "z": words(points.T, 4, order)}
        tensors["s"] = np.ascontiguousarray(scales.T)
    opened = stored(tmp_path, **tensors)
    at = {name: window(opened, name) for name in tensors}
    coding = Coding.packed(
        at["w"], at["s"], (rows, columns), bits=bits, group=group, packing=packing,
        zeros=at["z"] if zeros else None, offset=offset,
    )  # fmt: skip
    middle = points + offset if zeros else np.full_like(points, 2 ** (bits - 1))
    spread = [np.repeat(each, group, axis=1) for each in (middle, scales.astype(np.float32))]
    expected = ((codes - spread[0]).astype(np.float32) * spread[1]).astype(np.float16)
    equal(computed(opened, coding, (rows, columns)), expected)


def test_gptq_columns_have_the_group_that_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    codes, groups = rng.integers(0, 16, (16, 32)), rng.permutation(32) % 4
    scales = rng.uniform(0.01, 0.1, (16, 4)).astype(np.float16)
    opened = stored(
        tmp_path, w=np.ascontiguousarray(words(codes, 4).T),
        s=np.ascontiguousarray(scales.T), g=groups.astype(np.int32),
    )  # fmt: skip
    at = {name: window(opened, name) for name in "wsg"}
    coding = Coding.packed(
        at["w"], at["s"], (16, 32), bits=4, group=32, packing="gptq", groups=at["g"]
    )
    expected = (codes - 8).astype(np.float32) * scales.astype(np.float32)[:, groups]
    equal(computed(opened, coding, (16, 32)), expected.astype(np.float16))


GGML = gguf.GGMLQuantizationType
KINDS = [
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "MXFP4",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_gguf_are_what_its_own_package_gives(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(12)
    _, size = gguf.GGML_QUANT_SIZES[GGML[kind]]
    raw = rng.integers(0, 256, (40, size)).astype(np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(raw, GGML[kind]).astype(np.float32)
    # Scales of random bits are also infinite and NaN: those blocks are no numbers.
    good = np.isfinite(expected).all(axis=1)
    raw, expected = raw[good], expected[good]
    opened = stored(tmp_path, b=raw.ravel())
    equal(computed(opened, Coding.gguf(window(opened, "b"), kind), expected.shape), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_hold_their_value_and_share_their_ends(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(13)
    _, size = gguf.GGML_QUANT_SIZES[GGML[kind]]
    raw = rng.integers(0, 256, (60, size)).astype(np.uint8)
    opened = stored(tmp_path, b=raw.ravel())
    coding = Coding.gguf(window(opened, "b"), kind)
    with np.errstate(all="ignore"):
        shape = gguf.quants.dequantize(raw, GGML[kind]).shape
    each = [numbers(computed(opened, one, shape)) for one in coding.cells()]
    value, low, high = (array.reshape(shape) for array in each)
    known = np.isfinite(value)
    assert known.mean() > 0.8
    assert ((low <= value) & (value <= high))[known].all()
    assert (np.isfinite(low) | np.isfinite(high))[known & (value != 0)].mean() > 0.99


def test_cells_of_scaled_codes_lie_halfway_to_their_neighbours(tmp_path: Path) -> None:
    every = np.tile(np.arange(256).astype(np.uint8).view(E4M3), (2, 1))
    opened = stored(tmp_path, c=every, s=np.array([[2.0], [-2.0]], np.float32))
    coding = Coding.scaled(window(opened, "c"), window(opened, "s"), 256, (1, 256))
    each = [numbers(computed(opened, one, (2, 256))) for one in coding.cells()]
    values, low, high = (array[~np.isnan(each[0])] for array in each)
    assert (low < values).all()
    assert (values < high).all()
    for row in (slice(0, 254), slice(254, 508)):
        order = np.unique(values[row], return_index=True)[1]
        np.testing.assert_array_equal(high[row][order][:-1], low[row][order][1:])
    assert np.isinf(low).sum() == np.isinf(high).sum() == 2


def test_a_coding_may_be_moved_and_pickled(tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    blocks = rng.integers(0, 256, (6, 2, 16)).astype(np.uint8)
    scales = np.full((6, 2), 127, np.uint8)
    opened = stored(tmp_path, b=blocks, s=scales)
    inner = Coding.mxfp4(window(opened, "b"), window(opened, "s"))
    outer = Coding.strided(Window(opened.places, 0, 6 * 64 * 2, "BF16"), (3, 64), (128, 1), 64)
    tensor = Tensor(0, "x", "BF16", (3, 64), opened.places + 1, 0, 3 * 64 * 2)
    view = opened.seen_as([tensor], [inner, outer])
    pairs = np.stack([E2M1[blocks & 15], E2M1[blocks >> 4]], axis=-1).reshape(6, 64)
    equal(view, pairs[1::2])
    again = type(view.core).restored(*view.core.__reduce__()[1])
    assert again.codings() == view.core.codings()
    assert again.tensors() == view.core.tensors()
    same = _core.same_bytes(view.core, again, [(0, 0)], threads=1)
    assert same.all()


@pytest.mark.parametrize(
    "wrong",
    [
        Coding.gather(Window(0, 0, 80, "BF16"), 4),
        Coding.gather(Window(0, 8 + 64, 8 + 64 + 10**6, "BF16"), 4),
        Coding.gather(Window(7, 0, 80, "BF16"), 4),
        Coding.gather(Window(1, 0, 80, "BF16"), 4),
        Coding("gather", "F32", "value", (Window(0, 200, 280, "BF16"),), (4,), ((), ())),
        Coding("gather", "BF16", "value", (), (4,), ((), ())),
    ],
)
def test_codings_that_do_not_fit_are_errors(tmp_path: Path, wrong: Coding) -> None:
    opened = stored(tmp_path, m=np.zeros((10, 4), BF16), n=np.zeros(400, np.float32))
    with pytest.raises(CheckpointError, match=r"coding 0|weights"):
        computed(opened, wrong, (10, 4))


def test_a_changed_file_is_an_error(tmp_path: Path) -> None:
    opened = stored(tmp_path, m=np.zeros((10, 4), BF16))
    view = computed(opened, Coding.gather(window(opened, "m"), 4, rows=[3, 2]), (2, 4))
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(_core.ReadError):
        numbers(view)


def low_rank_reference(
    left: Array, right: Array, scale: float, rounded: np.dtype | None = None, *, twice: bool = False
) -> NDArray[np.float32]:
    """Return a product of low rank as the core computes it: a chain of fused multiply-adds."""
    b, a = left.astype(np.float64), right.astype(np.float64)
    total = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(b.shape[1]):
        # Products of what has at most 12 bits each are exact, so that the sum is rounded once.
        total = (b[:, k : k + 1] * a[k] + total.astype(np.float64)).astype(np.float32)
    if rounded is not None and twice:
        total = total.astype(rounded).astype(np.float32)
    total = total * np.float32(scale)
    return total if rounded is None else total.astype(rounded).astype(np.float32)


def short(rng: np.random.Generator, shape: tuple[int, int], dtype: type) -> Array:
    """Return numbers of few bits: sums of their products in float64 are rounded only once."""
    return (rng.integers(-200, 201, shape) * 2.0**-9).astype(dtype)


@pytest.mark.parametrize("rank", [1, 3, 16, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
def test_products_of_low_rank_are_added(tmp_path: Path, rank: int, dtype: type) -> None:
    rng = np.random.default_rng(rank)
    left, right = short(rng, (37, rank), dtype), short(rng, (rank, 203), dtype)
    origin = rng.normal(size=(37, 203)).astype(dtype)
    opened = stored(tmp_path, b=left, a=right, w=origin)
    at = [window(opened, name) for name in "baw"]
    for rounded, numpy, twice in (
        ("never", None, False),
        ("BF16", BF16, False),
        ("F16", np.float16, False),
        ("BF16 twice", BF16, True),
        ("F16 twice", np.float16, True),
    ):
        product = low_rank_reference(left, right, 1.7, numpy, twice=twice)
        coding = Coding.low_rank(*at[:2], (37, 203), rank, scale=1.7, rounded=rounded)
        equal(computed(opened, coding, (37, 203)), product)
        assert Coding.of(opened.core.seen_as([], [coding]).codings()[0]) == coding
        coding = Coding.low_rank(*at[:2], (37, 203), rank, scale=1.7, rounded=rounded, origin=at[2])
        equal(computed(opened, coding, (37, 203)), origin.astype(np.float32) + product)


def test_rows_of_a_sum_have_the_norm_of_magnitudes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    left, right = short(rng, (11, 4), np.float32), short(rng, (4, 5000), np.float32)
    origin = rng.normal(size=(11, 5000)).astype(BF16)
    magnitudes = rng.uniform(0.5, 2.0, 11).astype(np.float32)
    opened = stored(tmp_path, b=left, a=right, w=origin, m=magnitudes)
    at = [window(opened, name) for name in "bawm"]
    coding = Coding.low_rank(*at[:2], (11, 5000), 4, origin=at[2], magnitudes=at[3])
    total = origin.astype(np.float32) + low_rank_reference(left, right, 1.0)
    squares = np.pad(total.astype(np.float64) ** 2, ((0, 0), (0, -5000 % 8))).reshape(11, -1, 8)
    norms = np.zeros(11)
    lanes = np.zeros((11, 8))
    for k in range(squares.shape[1]):
        lanes += squares[:, k]
    for lane in range(8):
        norms += lanes[:, lane]
    factor = magnitudes / np.sqrt(norms).astype(np.float32)
    equal(computed(opened, coding, (11, 5000)), total * factor[:, None])


def test_a_rank_that_fills_what_is_held_is_computed_in_strips(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    left, right = short(rng, (3, 700), BF16), short(rng, (700, 4000), BF16)
    opened = stored(tmp_path, b=left, a=right)
    coding = Coding.low_rank(window(opened, "b"), window(opened, "a"), (3, 4000), 700)
    equal(computed(opened, coding, (3, 4000)), low_rank_reference(left, right, 1.0))


def test_factors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    opened = stored(
        tmp_path, b=short(rng, (6, 2), BF16), a=short(rng, (2, 5), BF16), w=np.zeros(31, np.float32)
    )
    at = [window(opened, name) for name in "baw"]
    for coding in (
        Coding.low_rank(*at[:2], (6, 5), 2, origin=at[2]),
        Coding.low_rank(*at[:2], (6, 5), 0),
        Coding.low_rank(*at[:2], (6, 5), 5),
        Coding.low_rank(*at[:2], (6, 5), 2, magnitudes=at[2]),
        Coding.low_rank(at[0], at[1]._replace(dtype="I16"), (6, 5), 2),
    ):
        with pytest.raises(CheckpointError, match="coding 0"):
            computed(opened, coding, (6, 5))


def test_a_view_of_a_view_keeps_its_codings_and_adds_to_them(tmp_path: Path) -> None:
    opened = stored(tmp_path, m=np.arange(12, dtype=np.float32).reshape(3, 4))
    first = Coding.gather(window(opened, "m"), 4, [2, 0, 1], [])
    moved = opened.tensors["m"]._replace(name="x", shard=opened.places, begin=0, end=48)
    view = opened.seen_as([moved], [first])
    assert (view.codings, view.places) == ((first,), opened.places + 1)
    second = Coding.shift(view.tensors["x"].window, 1.0)
    again = view.seen_as([view.tensors["x"]._replace(shard=view.places)], [second])
    assert again.codings == (first, second)
    assert numbers(again, 0, 12).tolist() == [9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8]
    assert again.core.seen_as([], kept=1).codings() == view.core.codings()
    assert again.core.seen_as([], [first], kept=0).codings() == view.core.codings()
