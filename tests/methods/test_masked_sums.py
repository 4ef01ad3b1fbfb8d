"""Sums of displacements of which some are dropped: what is open, and what is not."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from common.carried import LITTLE, TINY, compared, recipe_of
from common.families import F32, Array, bf16
from common.masked import BOTH, NAMES, Case, combined, found
from conftest import BF16, opened
from hypothesis import given
from hypothesis import strategies as st
from parentage.methods.masked_sums import LARGEST, sum_in_order
from parentage.recipe import Ingredient, Recipe
from parentage.replay import compile_recipe
from parentage.stream import Program


def alternatives(case: Case, rows: Sequence[Array], base: Array, open_: Array) -> set[float]:
    """What one element may become: rows of free masks, combined in every way."""
    q = bf16 if case.dtype == "bfloat16" else F32
    out = set()
    for bits in product((0, 1), repeat=len(rows)):
        if any(free == 0 and bit == 0 for free, bit in zip(open_, bits, strict=True)):
            continue
        kept = [q(d * F32(b)) for d, b in zip(rows, bits, strict=True)]
        change = combined(case, kept, q)
        out.add(float(q(base + change).astype(BF16)[0]))
    return out


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(BOTH), count=st.integers(1, 2))
def test_replay_is_what_numpy_computes(
    seed: int, dtype: str, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    n = 64
    base = rng.normal(0, 0.03, n).astype(BF16)
    parents = [
        (base.astype(F32) + rng.normal(0, 0.004, n).astype(F32)).astype(BF16) for _ in range(count)
    ]
    weights = [float(round(w, 2)) for w in rng.uniform(0.1, 1.0, count)]
    case = Case("ties", weights, dtype=dtype)
    q = bf16 if dtype == "bfloat16" else F32
    deltas = [q(p.astype(F32) - base.astype(F32)) for p in parents]
    sizes = [np.abs(delta) for delta in deltas]
    low = [float(np.quantile(size, 0.3)) for size in sizes]
    high = [float(np.quantile(size, 0.7)) for size in sizes]
    allowed = []
    for e in range(n):
        rows = [
            np.where(s[[e]] < lo, F32(0), d[[e]])
            for d, s, lo in zip(deltas, sizes, low, strict=True)
        ]
        free = np.array(
            [lo <= s[e] <= hi for s, lo, hi in zip(sizes, low, high, strict=True)], dtype=int
        )
        allowed.append(alternatives(case, rows, base[[e]].astype(F32), free))
    child = np.array([sorted(each)[rng.integers(len(each))] for each in allowed]).astype(BF16)
    strange = rng.random(n) < 0.1
    child[strange] = rng.normal(0, 0.03, int(strange.sum())).astype(BF16)
    folder = tmp_path_factory.mktemp("family")
    checkpoints = [
        opened(folder, name, {"w": values})
        for name, values in zip(("child", "base", *NAMES), (child, base, *parents), strict=False)
    ]
    names = ("base", *NAMES[:count])
    f = found(checkpoints, names)
    recipe = Recipe(
        "ties",
        tuple(Ingredient(name, w) for name, w in zip(names[1:], weights, strict=True)),
        "base",
        arithmetic=dtype,
        fitted={f"low:{name}": {"w": x} for name, x in zip(names[1:], low, strict=True)}
        | {f"high:{name}": {"w": x} for name, x in zip(names[1:], high, strict=True)},
    )
    counted = f.sample.replay([compile_recipe(recipe, f.columns.indices, f.slices)])
    values = child.astype(np.float64)
    good = [float(value) in each for value, each in zip(values, allowed, strict=True)]
    sole = [each == {float(value)} for value, each in zip(values, allowed, strict=True)]
    assert int(counted.reproduced.sum()) == sum(sole)
    assert int(counted.explained.sum()) == sum(good) - sum(sole)


def test_sums_are_added_up_in_order():
    program = Program(1)
    columns = [program.column(i) for i in range(3)]
    sum_in_order(columns)
    assert program.operations[3:] == [("add", [0, 1]), ("add", [3, 2])]
    assert sum_in_order(columns[:1]) is columns[0]


def kept_by_chance(tensor, name, rng):
    base = LITTLE["base"][tensor]
    delta = F32(LITTLE[name][tensor] - base)
    return delta * (rng.random(base.shape) < 0.5)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_masks_drawn_at_random_leave_every_subset_open(tmp_path, method):
    rng = np.random.default_rng(7)
    scales = {name: {t: float(F32(rng.uniform(1.5, 2.5))) for t in TINY} for name in NAMES[:2]}
    case = Case(method, (0.6, 0.3))
    child, other = {}, {}
    for tensor in TINY:
        base = LITTLE["base"][tensor]
        kept = [
            F32(kept_by_chance(tensor, name, rng) * F32(scales[name][tensor]))
            for name in case.names
        ]
        child[tensor] = F32(base + combined(case, kept, F32)).astype(BF16)
        other[tensor] = F32(base + 3.0 * combined(case, kept, F32)).astype(BF16)
    recipe = recipe_of(
        method,
        {"one": 0.6, "two": 0.3},
        "base",
        fitted={f"scale:{name}": table for name, table in scales.items()},
    )
    whole = compared(tmp_path / "a", recipe, child)
    assert whole.mismatched == 0
    assert whole.explained > 0.5 * whole.elements
    assert compared(tmp_path / "b", recipe, other).mismatched > 0.3 * whole.elements


@pytest.mark.parametrize("method", ["ties", "breadcrumbs", "breadcrumbs_ties"])
def test_masks_by_size_leave_nothing_open_between_thresholds(tmp_path, method):
    case = Case(method, (0.6, 0.3))
    child = {}
    low, high = 0.01, 0.03
    for tensor in TINY:
        base = LITTLE["base"][tensor]
        deltas = [F32(LITTLE[name][tensor] - base) for name in case.names]
        kept = [d * ((np.abs(d) > low) & (np.abs(d) < high)) for d in deltas]
        child[tensor] = F32(base + combined(case, kept, F32)).astype(BF16)
    edges = {"low": low, "high": low, "top_low": high, "top_high": high}
    fitted = {
        f"{edge}:{name}": dict.fromkeys(TINY, x) for edge, x in edges.items() for name in case.names
    }
    recipe = recipe_of(method, {"one": 0.6, "two": 0.3}, "base", fitted=fitted)
    found_in = compared(tmp_path, recipe, child)
    assert (found_in.mismatched, found_in.explained) == (0, 0)
    assert found_in.reproduced == found_in.elements == sum(x.size for x in child.values())


def test_without_thresholds_everything_may_be_kept_or_dropped(tmp_path):
    child = {tensor: LITTLE["base"][tensor].astype(BF16) for tensor in TINY}
    recipe = recipe_of("ties", {"one": 0.6}, "base")
    assert compared(tmp_path / "a", recipe, child).mismatched == 0
    none = {f"{edge}:one": dict.fromkeys(TINY, LARGEST) for edge in ("low", "high")}
    recipe = recipe_of("ties", {"one": 0.6}, "base", fitted=none)
    dropped = compared(tmp_path / "b", recipe, child)
    assert (dropped.mismatched, dropped.explained) == (0, 0)
