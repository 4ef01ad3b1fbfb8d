"""The sample: where its runs of elements lie."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import parentage
from common.families import F32, made, stored
from conftest import BF16, write_checkpoint
from hypothesis import example, given
from hypothesis import strategies as st
from parentage.align import align
from parentage.checkpoint import Checkpoint
from parentage.hypothesise import SEARCH, peaks
from parentage.sample import BUDGET, LEAST, RUN, SearchSample, runs
from parentage.stream import Options, Program

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


@given(st.integers(1, 1 << 20), st.integers(1, 1000), st.integers(0, 2**64 - 1))
def test_a_seed_moves_runs_within_their_strata(elements, times, seed):
    total, budget = elements * times, 1 << 14
    plain, drawn = runs(elements, total, budget), runs(elements, total, budget, seed)
    assert drawn == runs(elements, total, budget, seed)
    assert [count for _, count in drawn] == [count for _, count in plain]
    edges = [start for start, _ in plain] + [elements]
    for (start, count), low, high in zip(drawn, edges, edges[1:], strict=False):
        assert low <= start
        assert start + count <= max(high, low + count)


def test_seeds_read_other_places():
    places = {tuple(runs(1 << 20, 1 << 24, 1 << 18, seed)) for seed in range(10)}
    assert len(places) == 10


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


def test_slices_taken_some_at_a_time_change_no_bit(tmp_path, monkeypatch):
    """Of the sample, of spectra, of replays; a slice of integers has no run of any."""
    random = np.random.default_rng(0)
    folders = []
    for number, name in enumerate(("base", "one", "child")):
        noise = np.random.default_rng(number)
        tensors = {"model.ids": np.arange(9, dtype=np.int64)}
        for layer in range(9):
            values = np.random.default_rng(layer).normal(0, 0.02, (40, 60))
            values += noise.normal(0, 0.002, values.shape)
            tensors[f"model.layers.{layer}.mlp.up_proj.weight"] = values.astype(BF16)
            if layer == 4:
                tensors["model.more_ids"] = np.arange(9, dtype=np.int64)
        folders.append(write_checkpoint(tmp_path / name, tensors))
    base, one, child = map(Checkpoint.open, folders)
    alignment = align(child, [base, one])
    groups = np.arange(len(alignment.slices))
    weights = random.normal(0, 0.1, (len(groups), 2))

    def found(budget):
        sample = SearchSample(alignment, Options(2), budget)
        program = Program(len(groups))
        results = [program.column(0), (program.column(1) - program.column(0)).round("BF16")]
        at = peaks(sample, weights, 1, groups)
        counted = sample.replay([(program, [result]) for result in results])
        return [
            value.tobytes()
            for table in (sample.gram, at, counted)
            for value in (getattr(table, each.name) for each in fields(table))
        ]

    for budget in (6000, BUDGET):
        whole = found(budget)
        with monkeypatch.context() as patch:
            patch.setattr("parentage.sample.search_sample.AT_ONCE", 2)
            patch.setattr("parentage.hypothesise.cells.AT_ONCE", 1)
            assert found(budget) == whole
