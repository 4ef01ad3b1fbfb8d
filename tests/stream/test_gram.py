"""Gram matrices and counts, against numpy in extended precision."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from common.streams import read_slices
from conftest import BF16, DTYPES, FAMILY, columns_of, decode, gram_of, opened
from hypothesis import given
from hypothesis import strategies as st
from parentage import _core
from parentage.align import align
from parentage.checkpoint import Checkpoint
from parentage.statistics import displacement_ulps
from parentage.stream import Gram, Options, unpack

pytestmark = pytest.mark.levels


BLOCKS = _core.BLOCKS
MANTISSA = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7, "F8_E4M3": 3, "F8_E5M2": 2, "F8_E8M0": 0}


def stream(tmp_path, *arrays, **options):
    """The Gram of one slice: base, parents, child."""
    checkpoints = [opened(tmp_path, f"c{i}", {"x": array}) for i, array in enumerate(arrays)]
    alignment = align(checkpoints[-1], checkpoints[:-1])
    return read_slices(alignment, 0, 1, Options(**{"threads": 2, **options}))


def deviation(got, exact):
    """The largest |G_ij - exact| / (|x_i| |x_j|)."""
    norms = np.sqrt(np.diagonal(exact, axis1=-2, axis2=-1))
    bound = norms[..., :, None] * norms[..., None, :]
    error = np.abs(got - exact)
    assert np.all(error[bound == 0] == 0)
    return np.max(error[bound > 0] / bound[bound > 0], initial=0.0)


def blocks_of(arrays):
    """The elements of each block of a slice."""
    n = arrays[0].size
    flat = [array.reshape(-1) for array in arrays]
    edges = [n * block // BLOCKS for block in range(BLOCKS + 1)]
    return [[each[start:end] for each in flat] for start, end in pairwise(edges)]


def is_integer(dtype):
    return np.issubdtype(DTYPES[dtype], np.integer)


def as_stored(dtype, values):
    """Values as a checkpoint of that dtype would hold them."""
    if dtype == "F8_E8M0":
        return np.exp2(np.rint(np.log2(np.abs(values) + 1e-6))).astype(DTYPES[dtype])
    if is_integer(dtype):
        lowest = 0 if np.issubdtype(DTYPES[dtype], np.unsignedinteger) else -100
        values = np.clip(np.rint(values), lowest, 100)
    return values.astype(DTYPES[dtype])


def relatives(dtypes, n, seed=0):
    """A base, parents that left a fifth of it as it was, and a child that is mostly their mean."""
    random = np.random.default_rng(seed)
    size = 30.0 if is_integer(dtypes[0]) else 0.03
    arrays = [as_stored(dtypes[0], random.normal(0, size, n))]
    base = decode(arrays[0])
    for dtype in dtypes[1:-1]:
        moved = random.random(n) < 0.8
        arrays.append(as_stored(dtype, base + moved * random.normal(0, size / 10, n)))
    blend = np.mean([decode(each) for each in arrays], axis=0)
    child = np.where(random.random(n) < 0.1, base, blend)
    return [*arrays, as_stored(dtypes[-1], child)]


MIXED = [
    ("BF16", "BF16", "F16"),
    ("BF16", "BF16", "BF16", "F32"),
    ("F32", "BF16", "BF16"),
    ("F16", "BF16", "F64", "F8_E4M3"),
    ("BF16", "F8_E5M2", "F8_E4M3", "BF16"),
    ("F64", "F64", "F32"),
    ("I8", "I64", "I16", "U8"),
    ("U64", "I32", "U32"),
]
UNIFORM = [(dtype,) * 4 for dtype in DTYPES]


def identify(dtypes):
    return "-".join(dtypes)


def test_upper_triangles_by_rows_become_symmetric_matrices():
    assert unpack(np.array([1.0, 2, 3, 4, 5, 6])).tolist() == [[1, 2, 3], [2, 4, 5], [3, 5, 6]]
    packed = np.arange(2 * 3 * 55, dtype=np.float64).reshape(2, 3, 55)
    full = unpack(packed)
    assert full.shape == (2, 3, 10, 10)
    assert np.array_equal(full, full.swapaxes(-1, -2))
    rows, columns = np.triu_indices(10)
    assert np.array_equal(full[..., rows, columns], packed)


@pytest.mark.parametrize("dtypes", UNIFORM + MIXED, ids=identify)
def test_a_gram_matrix_is_within_its_bound(tmp_path, dtypes):
    arrays = relatives(dtypes, 5000)
    found = stream(tmp_path, *arrays)
    worst = deviation(found.total[0], gram_of(arrays))
    for block, part in enumerate(blocks_of(arrays)):
        worst = max(worst, deviation(found.blocks[0, block], gram_of(part)))
    print(f"largest deviation: {worst:.2g}")
    # The contract is 1e-8; this is what the definition promises for slices of this size.
    assert worst <= (8192 + 3 + 16 + 16 + 2) * 2.0**-53


@pytest.mark.parametrize("level", _core.levels())
def test_the_gram_matrix_of_the_family_is_within_its_bound(family, weights, level):
    checkpoints = [Checkpoint.open(family(name)) for name in FAMILY]
    alignment = align(checkpoints[-1], checkpoints[:-1])
    found = read_slices(alignment, 0, alignment.plan.slices, Options(threads=2, level=level))
    assert alignment.unaligned == ()
    worst = 0.0
    for i, each in enumerate(alignment.slices):
        arrays = [weights[name][each.name] for name in FAMILY]
        worst = max(worst, deviation(found.total[i], gram_of(arrays)))
        assert int(found.n[i]) == arrays[0].size
    print(f"largest deviation: {worst:.2g}")
    assert worst <= 1e-12


def test_large_offsets_do_not_drown_small_displacements(tmp_path):
    """What a float32 accumulation gets wrong: displacements of a thousandth of the weights."""
    random = np.random.default_rng(1)
    base = random.normal(1, 0.02, 300_000).astype(np.float32)
    parent = (base + random.normal(0, 2e-5, base.size)).astype(np.float32)
    child = (0.4 * base.astype(np.float64) + 0.6 * parent).astype(np.float32)
    found = stream(tmp_path, base, parent, child).total[0]
    exact = gram_of([base, parent, child])
    assert deviation(found, exact) <= 1e-12
    assert found[1, 2] / found[1, 1] == pytest.approx(exact[1, 2] / exact[1, 1], rel=1e-10)


def test_a_constant_tensor_repeats_no_rounding_error(tmp_path):
    arrays = [np.full(200_000, value, np.float32) for value in (0.1, 0.3, 0.7)]
    assert deviation(stream(tmp_path, *arrays).total[0], gram_of(arrays)) <= 1e-12


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 255, 257, 16 * 65536 + 1])
def test_blocks_are_sixteen_equal_parts_of_any_length(tmp_path, n):
    arrays = relatives(("BF16", "BF16", "BF16"), n, seed=n)
    found = stream(tmp_path, *arrays)
    for block, part in enumerate(blocks_of(arrays)):
        # Blocks of 65,536 elements of bf16 are multiplied in float32.
        assert deviation(found.blocks[0, block], gram_of(part)) <= (1e-12 if n < 1 << 19 else 1e-8)
    assert found.n.tolist() == [n]


def cast(dtype, values):
    """Values cast to a dtype as torch casts: through float32 where that is wider."""
    with np.errstate(over="ignore", invalid="ignore"):
        through = values if dtype == "F64" else values.astype(np.float32)
        return through.astype(DTYPES[dtype])


def bits(array):
    return array.view(f"u{array.dtype.itemsize}")


def differ(one, other):
    if one.dtype == other.dtype:
        return bits(one) != bits(other)
    a, b = decode(one), decode(other)
    return (a.view(np.uint64) != b.view(np.uint64)) & ~(np.isnan(a) & np.isnan(b))


def reproduces(array, child, dtype):
    if array.dtype == child.dtype:
        return bits(array) == bits(child)
    values, wanted = decode(array), decode(child)
    if np.issubdtype(child.dtype, np.integer):
        return values == wanted
    same = bits(cast(dtype, values)) == bits(child)
    nan = np.isnan(values), np.isnan(wanted)
    return np.where(nan[0] | nan[1], nan[0] & nan[1], same)


def check_counts(found, arrays, dtypes):
    base, *others, child = arrays
    values = np.stack([decode(array) for array in arrays])
    _, excluded = columns_of(arrays)
    moved = np.any([differ(base, other) for other in others], axis=0)
    assert found.excluded[0] == np.sum(excluded)
    assert found.moved[0] == np.sum(moved)
    assert found.stray[0] == np.sum(~moved & differ(base, child))
    assert found.equal[0].tolist() == [
        np.sum(reproduces(array, child, dtypes[-1])) for array in arrays[:-1]
    ]
    assert found.nan[0].tolist() == np.sum(np.isnan(values), axis=1).tolist()
    assert found.inf[0].tolist() == np.sum(np.isinf(values), axis=1).tolist()


@pytest.mark.parametrize("dtypes", UNIFORM + MIXED, ids=identify)
def test_counts_are_those_of_numpy(tmp_path, dtypes):
    arrays = relatives(dtypes, 3000, seed=2)
    # Some elements where the parents are the base.
    for array in arrays[1:-1]:
        array[:300] = decode(arrays[0][:300]).astype(array.dtype)
    found = stream(tmp_path, *arrays)
    check_counts(found, arrays, dtypes)
    assert found.moved[0] > 0
    assert found.equal[0, 0] > 0


@pytest.mark.parametrize(
    "dtypes", [("BF16",) * 3, ("F32",) * 4, ("F16", "BF16", "F32"), ("F64",) * 3], ids=identify
)
def test_what_is_not_finite_takes_no_part_and_is_counted(tmp_path, dtypes):
    arrays = relatives(dtypes, 4000, seed=3)
    random = np.random.default_rng(4)
    specials = [np.nan, np.inf, -np.inf, -0.0]
    for array in arrays:
        array[random.integers(0, 4000, 60)] = random.choice(specials, 60).astype(array.dtype)
    # The same special value in all columns.
    for array in arrays:
        array[:4] = np.array(specials).astype(array.dtype)
    found = stream(tmp_path, *arrays)
    assert deviation(found.total[0], gram_of(arrays)) <= 1e-12
    check_counts(found, arrays, dtypes)
    assert found.excluded[0] > 100


@pytest.mark.parametrize("dtype", ["BF16", "F32", "F64"])
def test_nan_everywhere_leaves_nothing(tmp_path, dtype):
    arrays = [np.full(1000, np.nan, DTYPES[dtype])] * 3
    found = stream(tmp_path, *arrays)
    assert np.all(found.blocks == 0)
    assert found.excluded.tolist() == [1000]
    assert found.energy.tolist() == [0.0]
    assert found.nan.tolist() == [[1000] * 3]


def test_integers_that_float64_can_not_hold_are_excluded(tmp_path):
    base = np.array([2**53, 2**53 + 1, -(2**53) - 1, 2**62, 5] * 4, np.int64)
    found = stream(tmp_path, base, base, base)
    assert found.excluded.tolist() == [8]
    assert found.inf.tolist() == [[8, 8, 8]]
    assert found.equal.tolist() == [[20, 20]]
    assert deviation(found.total[0], gram_of([base] * 3)) <= 1e-12


def test_squares_that_would_overflow_are_excluded(tmp_path):
    base = np.array([1e300, -1e300, 2.0**500, np.nextafter(2.0**500, 0), 1.0])
    found = stream(tmp_path, base, base, base)
    assert found.excluded.tolist() == [3]
    assert found.inf.tolist() == [[3, 3, 3]]
    assert np.all(np.isfinite(found.blocks))


def ulps(array, dtype):
    """Units in the last place, of zero for zero."""
    values = decode(array)
    values = np.where(np.isfinite(values), values, 0.0)
    exponents = np.frexp(values)[1] - 1
    # A subnormal has the unit that its leading bit would give it as a normal number.
    return np.where(values == 0, 0.0, np.exp2(exponents.astype(np.float64) - MANTISSA[dtype]))


@pytest.mark.parametrize("dtype", MANTISSA)
def test_rounding_energy_is_the_sum_of_squared_units_in_the_last_place(tmp_path, dtype):
    arrays = relatives((dtype,) * 3, 3000, seed=5)
    arrays[-1][::7] = 0 if dtype != "F8_E8M0" else 1
    found = stream(tmp_path, *arrays)
    expected = np.sum(ulps(arrays[-1], dtype) ** 2) / 12
    assert found.energy[0] == pytest.approx(expected, rel=1e-12)


def test_the_energy_of_rounding_is_what_rounding_leaves(tmp_path):
    """The mean of ulp^2 / 12 is the mean square of what a cast to bf16 rounds away."""
    values = np.random.default_rng(6).normal(0, 0.02, 400_000)
    stored = values.astype(np.float32).astype(BF16)
    found = stream(tmp_path, stored, stored, stored)
    rounded_away = np.sum((stored.astype(np.float64) - values) ** 2)
    assert found.energy[0] == pytest.approx(rounded_away, rel=0.01)


def test_integers_have_a_unit_of_one(tmp_path):
    arrays = relatives(("I8",) * 3, 1200)
    assert stream(tmp_path, *arrays).energy[0] == pytest.approx(100, rel=1e-14)


@pytest.mark.parametrize(
    ("units", "median"),
    [
        ([0.25], 0.25),
        ([1], 1),
        ([3], 3),
        ([-3], 3),
        ([32], 32),
        ([40], 48),  # [32.5, 64) is one bin, and [64, 128) the next
        ([100], 96),
        ([1, 1, 5], 1),
        ([0, 0, 0, 7], 7),  # what did not move does not count
        ([1, 2, 3, 4, 5], 3),
        ([0], np.nan),
    ],
)
def test_the_histogram_knows_the_median_displacement(tmp_path, units, median):
    n = 16 * 4096
    base = np.full(n, 1.0)
    moved = 1 + np.resize(units, n) * 2.0**-7
    child = np.ones(n, BF16)
    # The child's unit counts, whatever the parents are stored as.
    found = stream(tmp_path, base, moved, child)
    assert displacement_ulps(found.histogram)[0] == pytest.approx([median], nan_ok=True)


def test_the_histogram_samples_the_start_of_every_block(tmp_path):
    n = 16 * 4096
    base = np.ones(n, BF16)
    parent = base.copy()
    parent[::4096] = 1 + 2.0**-7
    found = stream(tmp_path, base, parent, base)
    sampled = found.histogram[0, 0]
    assert sampled[2] == BLOCKS
    assert sampled[0] == sampled.sum() - BLOCKS
    assert BLOCKS * 64 <= sampled.sum() <= n
    # Of a slice of fewer elements, fewer blocks.
    short = stream(tmp_path, base[: n // 4], parent[: n // 4], base[: n // 4]).histogram[0, 0]
    assert 0 < short.sum() <= sampled.sum() // 4


def test_slices_add_up_to_groups(tmp_path):
    arrays = relatives(("BF16",) * 4, 4096, seed=8)
    parts = [{f"t{i}": array[i * 1024 : (i + 1) * 1024] for i in range(4)} for array in arrays]
    checkpoints = [opened(tmp_path, f"c{i}", tensors) for i, tensors in enumerate(parts)]
    part = read_slices(align(checkpoints[-1], checkpoints[:-1]), 0, 4, Options(threads=1))
    groups = Gram.zeros(3, 4)
    groups.add(part, [0, 2, 0, 2])
    assert groups.n.tolist() == [2048, 0, 2048]
    halves = [np.concatenate([array[:1024], array[2048:3072]]) for array in arrays]
    assert deviation(groups.total[0], gram_of(halves)) <= 1e-12
    assert np.all(groups.total[1] == 0)
    assert groups.equal[2].tolist() == (part.equal[1] + part.equal[3]).tolist()
    inner = part.blocks[[0, 2]][:, :, 1:-1, -1]
    assert groups.squares[0] == pytest.approx(np.sum(inner**2, axis=(0, 1)), rel=1e-14)
    chosen = part.select(slice(1, 3))
    assert np.array_equal(chosen.blocks, part.blocks[1:3])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(1, 80))
def test_groups_are_summed_slice_by_slice_however_they_are_cut(labels, size):
    """Floats are added in the order of slices, so that no way of cutting changes a bit."""
    random = np.random.default_rng(len(labels))
    parts = Gram.zeros(len(labels), 3)
    for each in fields(parts):
        values = getattr(parts, each.name)
        values += (random.normal(0, 1, values.shape) * 1e3 + 2e3).astype(values.dtype)
    expected, found = Gram.zeros(7, 3), Gram.zeros(7, 3)
    for each in fields(parts):
        ufunc = np.maximum if each.name == "precision" else np.add
        for row, label in enumerate(labels):
            total = getattr(expected, each.name)
            total[label] = ufunc(total[label], getattr(parts, each.name)[row])
    for first in range(0, len(labels), size):
        rows = slice(first, first + size)
        found.add(parts.select(rows), labels[rows])
    for each in fields(parts):
        assert getattr(found, each.name).tobytes() == getattr(expected, each.name).tobytes()
