"""What a sample shows before anything is searched: dtypes, cells, copies, and whole slices."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from common.families import (
    F16,
    F32,
    F64,
    FAMILY,
    SHAPES,
    Array,
    bf16,
    blend,
    f16,
    found_in,
    weighted,
)
from common.recognised import same_when_read_again
from conftest import BF16
from parentage.hypothesise import hypothesise
from parentage.sample import SearchSample


@pytest.mark.parametrize(
    ("rounding", "dtype", "expected", "cell_dtype"),
    [
        (bf16, BF16, "BF16", None),
        (bf16, F32, "BF16", "BF16"),
        (bf16, F64, "BF16", "BF16"),
        (f16, F16, "F16", None),
        (f16, F32, "F16", "F16"),
        (F32, F32, "F32", None),
        (F32, F64, "F32", "F32"),
        (F64, F64, "F64", None),
    ],
)
def test_the_dtype_is_that_of_the_rounding(tmp_path, rounding, dtype, expected, cell_dtype):
    child = {}
    for tensor, base in FAMILY["base"].items():
        whole = weighted([base, FAMILY["one"][tensor]], [0.4, 0.6])
        child[tensor] = np.asarray(rounding(whole)).astype(dtype)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert (f.out_dtype, f.cell_dtype) == (expected, cell_dtype)
    if expected in ("BF16", "F16"):
        assert f.constant.weights[0] == pytest.approx([0.0, 0.6], abs=1e-4)
        assert f.constant.share > 0.999


def test_small_tensors_of_a_wider_dtype_do_not_decide(tmp_path):
    child = blend(FAMILY, {"one": 0.6})
    rng = np.random.default_rng(0)
    child["model.norm.weight"] = rng.normal(1, 0.1, 64).astype(F32)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    assert (f.out_dtype, f.cell_dtype) == ("BF16", None)
    assert f.out_dtypes == {"model.norm.weight": "F32"}


def test_a_child_of_integers_has_a_dtype_and_nothing_else(tmp_path):
    tensors = {"x": np.arange(64, dtype=np.int8)}
    family = {"base": tensors, "one": {"x": tensors["x"] + np.int8(1)}}
    f = found_in(tmp_path, family, tensors, ["one"])
    assert f.out_dtype == "I8"
    assert (f.copied, f.constant.share) == (0.0, 0.0)
    assert np.isnan(f.cells(np.zeros(1, dtype=np.intp))[0]).all()
    assert list(f.written_weights()) == []


def cells_in(folder, values: Array) -> tuple[Array, Array, Array, Array]:
    """Return how far cells reach down and up, and half the distances of neighbours."""
    tensors = {"x": values}
    f = found_in(folder, {"base": tensors, "one": tensors}, tensors, ["one"])
    below, above = f.cells_of(values.astype(F64))
    unsigned = {2: np.uint16, 4: np.uint32}[values.dtype.itemsize]
    bits, sign = values.view(unsigned), np.where(values < 0, -1, 1)
    size = values.astype(F64) * sign
    larger = (bits + unsigned(1)).view(values.dtype).astype(F64) * sign
    smaller = (bits - unsigned(1)).view(values.dtype).astype(F64) * sign
    smaller = np.where(values == 0, -larger, smaller)
    outward, inward = (larger - size) / 2.0, (size - smaller) / 2.0
    expected = np.where(sign > 0, inward, outward), np.where(sign > 0, outward, inward)
    return below, above, *expected


@pytest.mark.parametrize(("rounding", "dtype"), [(bf16, BF16), (f16, F16), (F32, F32)])
def test_cells_of_values_reach_halfway_to_their_neighbours(tmp_path, rounding, dtype):
    rng = np.random.default_rng(4)
    values = np.asarray(rounding(rng.normal(0, 0.03, 4000)), dtype=dtype)
    values = values[values != 0]
    # Subnormal numbers of float16 begin below 2^-14.
    powers = np.ldexp(1.0, -np.arange(24 if dtype == F16 else 60)).astype(dtype)
    below, above, inward, outward = cells_in(tmp_path, np.concatenate([values, powers, -powers]))
    assert np.array_equal(below, inward)
    assert np.array_equal(above, outward)


def test_the_cell_of_zero_reaches_halfway_to_the_least_number(tmp_path):
    values = np.array([0.0, 0.5, -0.5] * 100, dtype=BF16)
    below, above, inward, outward = cells_in(tmp_path, values)
    assert np.array_equal(below, inward)
    assert np.array_equal(above, outward)


def test_copies_are_counted_for_a_single_checkpoint(tmp_path):
    child = {t: x.astype(BF16) for t, x in FAMILY["one"].items()}
    child["model.embed_tokens.weight"] = FAMILY["two"]["model.embed_tokens.weight"].astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    total = sum(math.prod(shape) for shape in SHAPES.values())
    rest = total - math.prod(SHAPES["model.embed_tokens.weight"])
    assert rest / total <= f.copied < rest / total + 0.02


def test_whole_gram_and_whole_slices_are_those_of_the_files(plain):
    at = [each.name for each in plain.slices].index("model.embed_tokens.weight")
    whole = plain.whole(at, (1,))
    one = FAMILY["one"]["model.embed_tokens.weight"].ravel().astype(F64)
    child = blend(FAMILY, {"one": 0.6})["model.embed_tokens.weight"].ravel().astype(F64)
    assert np.array_equal(whole, np.stack([one, child], axis=1))
    assert np.array_equal(plain.whole(at, (1,), 100), whole[:100])
    names = ("base", "one", "other")
    columns = [FAMILY[name]["model.embed_tokens.weight"].ravel().astype(F64) for name in names]
    columns.append(child)
    expected = np.stack(columns) @ np.stack(columns).T
    assert plain.raw_gram[at] == pytest.approx(expected, rel=1e-6)


def test_a_sample_from_another_origin_swaps_two_columns(plain):
    usual, other = plain.sample_from(0).elements, plain.sample_from(1).elements
    assert np.array_equal(other[:, [1, 0, 2, 3]], usual)


def test_slices_of_another_dtype_are_rounded_to_it(tmp_path):
    child = {
        tensor: F32(F32(x * F32(0.6)) + F32(FAMILY["base"][tensor] * F32(0.4)))
        for tensor, x in FAMILY["one"].items()
    }
    child = {t: x if "norm" in t else x.astype(np.float16) for t, x in child.items()}
    found = found_in(tmp_path, FAMILY, child, ["one"])
    assert set(found.out_dtypes.values()) == {"F32"}
    assert set(found.out_dtypes) == {t for t in child if "norm" in t}
    best = hypothesise(found)[0]
    assert best.mismatched == 0
    assert best.recipe.dtype_of("model.norm.weight") == "F32"
    assert same_when_read_again(best.recipe, found)


def test_a_view_is_of_what_it_was_drawn_of(tmp_path):
    f = found_in(tmp_path, FAMILY, blend(FAMILY, {"one": 0.6}), ["one"])
    alignment, columns, options = f._alignment, f.columns, f._options
    assert f.is_of(alignment, columns, options, None)
    assert f.is_of(alignment, columns, options, 7), "where all is read no seed matters"
    f.sample = SearchSample(alignment, options, 1 << 10)
    assert f.is_of(alignment, columns, replace(options, io="pread"), None)
    assert not f.is_of(alignment, columns, options, 7)
    assert not f.is_of(alignment, columns, replace(options, threads=options.threads + 1), None)
    assert not f.is_of(alignment, replace(columns, parents=()), options, None)
    assert not f.is_of(replace(alignment), columns, options, None)
