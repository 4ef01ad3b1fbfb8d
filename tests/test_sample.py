"""The sample: where its runs of elements lie."""

from __future__ import annotations

from typing import Any

import parentage
from conftest import BF16, write_checkpoint
from hypothesis import example, given
from hypothesis import strategies as st
from parentage.findings import SEARCH
from parentage.sample import BUDGET, LEAST, RUN, runs
from test_cells import F32, made, stored

SIZES = st.one_of(st.integers(1, 4 * RUN), st.integers(1, 1 << 24))
TIMES = st.floats(0.1, 40.0)
"""How many times the sample's elements there are of all."""


def elements_of(found: list[tuple[int, int]]) -> int:
    return sum(count for _, count in found)


@given(SIZES, TIMES, st.sampled_from([SEARCH, BUDGET]))
@example(5120, 1.1, BUDGET)
def test_runs_lie_in_their_slice_and_apart(elements, times, budget):
    found = runs(elements, max(elements, int(budget * times)), budget)
    end = 0
    for start, count in found:
        assert start >= end
        assert count > 0
        end = start + count
    assert end <= elements


@given(SIZES, TIMES, st.sampled_from([SEARCH, BUDGET]))
def test_slices_are_sampled_alike(elements, times, budget):
    total = max(elements, int(budget * times))
    found = elements_of(runs(elements, total, budget))
    if total <= budget or elements <= LEAST:
        assert found == elements
    else:
        share = max(LEAST, elements * budget // total)
        assert min(share, elements) <= found <= share + RUN


def test_a_child_a_little_larger_than_a_sample_can_be_traced(tmp_path):
    shapes = {f"model.layers.{i}.self_attn.q_proj.weight": (96, 64) for i in range(12)}
    assert SEARCH < 12 * 96 * 64 < 1.5 * SEARCH
    family = made({"one": 0.01}, 3, shapes)
    folders = {
        name: write_checkpoint(tmp_path / name, stored(family[name])) for name in ("base", "one")
    }
    child: dict[str, Any] = {t: F32(x * F32(0.7)).astype(BF16) for t, x in family["one"].items()}
    trace = parentage.trace(
        write_checkpoint(tmp_path / "child", child), base=folders["base"], parents=[folders["one"]]
    )
    assert trace.recipe.parameters == {"scale": 0.7}
