"""Sums over runs, against those of a full pass."""

from __future__ import annotations

import numpy as np
import pytest
from common.results import bits
from conftest import BF16, family_path, opened, roles_in
from parentage import _core
from parentage.align import align
from parentage.checkpoint import Checkpoint
from parentage.sample import GROUPS, Runs, SampledSums, Sampling
from parentage.statistics import full_pass
from parentage.stream import Options, Program

OPTIONS = Options(threads=2)


def family_alignment(*members):
    others = [Checkpoint.open(family_path(name)) for name in ("base", *members)]
    return align(Checkpoint.open(family_path("child")), others)


def half_and_half(alignment):
    """Half of the parent and half of the base: a recipe that reproduces some of the child."""
    program = Program(len(alignment.slices))
    half = program.scalar(0.5)
    return program, [(program.column(0) * half + program.column(1) * half).round("BF16")]


def whole(alignment):
    sizes = np.array([each.elements for each in alignment.slices], dtype=np.uint64)
    every = np.arange(len(sizes))
    return Runs(every, np.zeros_like(sizes), sizes, np.full(len(sizes), -1))


def cut(alignment, length):
    """All of every slice, in runs."""
    owner, starts, counts = [], [], []
    for index, each in enumerate(alignment.slices):
        for start in range(0, each.elements, length):
            owner.append(index)
            starts.append(start)
            counts.append(min(length, each.elements - start))
    return Runs(
        np.array(owner),
        np.array(starts, dtype=np.uint64),
        np.array(counts, dtype=np.uint64),
        np.arange(len(owner)) % _core.BLOCKS,
    )


def test_slices_that_are_read_whole_give_the_bits_of_a_full_pass():
    alignment = family_alignment("parent", "sibling")
    replays = [half_and_half(alignment)]
    collected = SampledSums(alignment, roles_in(alignment, 1), OPTIONS, replays)
    collected.add(whole(alignment))
    expected = full_pass(alignment, roles_in(alignment, 1), OPTIONS, replays=replays)
    assert bits(collected.statistics()) == bits(expected)
    assert collected.share == 1.0
    assert collected.elements == sum(each.elements for each in alignment.slices)


def test_runs_of_everything_add_up_to_a_full_pass():
    alignment = family_alignment("parent", "sibling")
    replays = [half_and_half(alignment)]
    collected = SampledSums(alignment, roles_in(alignment, 1), OPTIONS, replays)
    runs = cut(alignment, 1000)
    # In two parts, the later one first.
    for chosen in (runs.owner % 2 == 1, runs.owner % 2 == 0):
        collected.add(Runs(*(getattr(runs, name)[chosen] for name in Runs.__slots__)))
    found, expected = (
        collected.statistics(),
        full_pass(alignment, roles_in(alignment, 1), OPTIONS, replays=replays),
    )
    for table, other in (
        (found.slices, expected.slices),
        (found.components, expected.components),
        (found.model, expected.model),
    ):
        for name in ("n", "excluded", "moved", "stray", "equal", "nan", "inf"):
            assert np.array_equal(getattr(table, name), getattr(other, name)), name
        assert np.allclose(table.energy, other.energy, rtol=1e-12)
        assert np.allclose(table.estimates.gram, other.estimates.gram, rtol=1e-9)
        assert np.array_equal(table.used, other.used)
    for name in ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first"):
        assert np.array_equal(getattr(found.replayed, name), getattr(expected.replayed, name))


@pytest.mark.parametrize("options", [Options(1), Options(3, 4096), Options(2, io="pread")])
def test_threads_and_io_change_no_bit(options):
    alignment = family_alignment("parent")
    tables = []
    for each in (OPTIONS, options):
        collected = SampledSums(alignment, roles_in(alignment, 1), each)
        collected.add(Sampling(alignment, 1 << 18, 0).fresh)
        tables.append(bits(collected.statistics()))
    assert tables[0] == tables[1]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A small slice with weight 0.2 and a large one whose weight drifts about 0.7.

    Errors of neighbouring elements are alike, so that naive errors of samples would be too small.
    """
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("uneven")
    roles: dict[str, dict[str, np.ndarray]] = {"base": {}, "parent": {}, "child": {}}
    for name, rows in (("model.norm.weight", 8), ("model.layers.0.mlp.up_proj.weight", 1024)):
        shape = (rows, 512)
        base, moved = rng.normal(0, 0.02, shape), rng.normal(0, 0.005, shape)
        drift = 0.1 * np.sin(np.linspace(0, 60, rows))[:, None] + rng.normal(0, 0.05, (rows, 1))
        weight = 0.2 if rows == 8 else 0.7 + drift
        roles["base"][name] = base.astype(np.float32)
        roles["parent"][name] = (base + moved).astype(np.float32)
        roles["child"][name] = (base + weight * moved).astype(BF16)
    checkpoints = {name: opened(folder, name, tensors) for name, tensors in roles.items()}
    return align(checkpoints["child"], [checkpoints["base"], checkpoints["parent"]])


def sampled(alignment, budget, seed):
    collected = SampledSums(alignment, roles_in(alignment, 1), OPTIONS)
    collected.add(Sampling(alignment, budget, seed).fresh)
    return collected.statistics()


def test_standard_errors_of_samples_are_those_of_the_estimate_of_everything(uneven):
    full = full_pass(uneven, roles_in(uneven, 1), OPTIONS).model.estimates.parents.weights[0, 0]
    budget = uneven.plan.bytes(0, 2) // 5
    deviations = []
    for seed in range(150):
        found = sampled(uneven, budget, seed).model.estimates
        deviations.append((found.parents.weights[0, 0] - full) / found.standard_error[0, 0])
    # Student's t with 15 degrees of freedom: 95 % lie within 2.13. Errors may be too large, not
    # too small: 150 samples of which 95 % are covered show 88 % but once in ten thousand.
    covered = np.mean(np.abs(deviations) < 2.13)
    assert covered >= 0.88
    # What rounding may have done is in them, and is here far less than chance.
    assert np.std(deviations) > 0.2
    assert abs(np.mean(deviations)) < 0.4


def test_a_slice_weighs_what_it_has_and_not_what_was_read_of_it(uneven):
    budget = uneven.plan.bytes(0, 2) // 20
    found, full = sampled(uneven, budget, 0), full_pass(uneven, roles_in(uneven, 1), OPTIONS)
    weight, size = found.slices.n / full.slices.n, full.slices.n
    small = int(np.argmin(size))
    assert weight[small] == 1.0
    assert weight.min() < 0.1
    read = found.model.estimates.parents.weights[0, 0]
    expected = full.model.estimates.parents.weights[0, 0]
    # Were it counted as read, the small slice would pull the weight down by about 0.05.
    assert abs(read - expected) < 0.03
    assert np.array_equal(found.slices.used, full.slices.used)
    assert np.isclose(found.model.energy[0], full.model.energy[0], rtol=0.05)
    assert found.model.n[0] < full.model.n[0] / 10


def test_a_slice_with_one_run_has_no_standard_error_of_its_own(tmp_path):
    rng = np.random.default_rng(0)
    tensors: dict[str, dict[str, np.ndarray]] = {"base": {}, "parent": {}, "child": {}}
    for i in range(20):
        name = f"model.layers.{i}.mlp.up_proj.weight"
        base, moved = rng.normal(0, 1, (64, 256)), rng.normal(0, 1, (64, 256))
        values = (base, base + moved, base + 0.5 * moved + rng.normal(0, 0.1, base.shape))
        for role, value in zip(tensors, values, strict=True):
            tensors[role][name] = value.astype(np.float32)
    opened_ = [opened(tmp_path, role, each) for role, each in tensors.items()]
    found = sampled(align(opened_[-1], opened_[:-1]), 1, 0)
    assert np.isnan(found.slices.estimates.standard_error).all()
    # Of all slices together the runs vary enough: the error is that of twenty runs of 4096.
    error = found.model.estimates.standard_error[0, 0]
    assert 0.3 < error / (0.1 / np.sqrt(20 * 4096)) < 2.0


def test_a_group_that_is_left_out_is_gone_and_whole_slices_stay(uneven):
    collected = SampledSums(uneven, roles_in(uneven, 1), OPTIONS)
    runs = Sampling(uneven, uneven.plan.bytes(0, 2) // 4, 1).fresh
    collected.add(runs)
    everything = collected.statistics()
    left = np.zeros((GROUPS, 2), dtype=np.int64)
    for group in range(GROUPS):
        found = collected.statistics(without=group)
        mine = runs.blocks % GROUPS == group
        gone = np.bincount(runs.owner[mine & (runs.blocks >= 0)], minlength=2) > 0
        left[group] = (everything.slices.n - found.slices.n).astype(np.int64)
        assert ((left[group] > 0) == gone).all()
    read = everything.slices.n.astype(np.int64)
    small = int(np.argmin(read))
    assert left[:, small].sum() == 0
    # Every run of the others is in one group.
    assert left.sum() == read.sum() - read[small]
