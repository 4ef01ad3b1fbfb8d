"""The compute seam: every backend has the core's bits, and whatever computes asks the one given."""

import pickle
from collections import Counter

import numpy as np
import pytest
from common.results import bits
from common.two_parents import RECIPE, merge, names_in
from conftest import BF16, FAMILY, family_path, opened, roles_in
from parentage import _core
from parentage.align import align
from parentage.checkpoint import Checkpoint
from parentage.replay import plan_write
from parentage.replay.comparison import _count, prepare
from parentage.sample import SearchSample
from parentage.statistics import full_pass
from parentage.stream import CORE, SILENT, Options, Program
from parentage.stream.backends.torch import Torch

CALLS = ("gram", "elements", "spectrum", "replay_slices", "write_replay")


def counted(name):
    def call(self, *arguments, **options):
        self.calls[name] += 1
        return getattr(CORE, name)(*arguments, **options)

    return call


class Counting:
    """The core, and how often each of its calls was asked for."""

    gram, elements, spectrum, replay_slices, write_replay = map(counted, CALLS)

    def __init__(self):
        self.calls = Counter()


BACKENDS = [
    pytest.param(CORE, id="core"),
    pytest.param(Counting(), id="counting"),
    pytest.param(Torch("cpu", least=0), id="torch", marks=pytest.mark.torch),
]
"""Whoever adds one puts it here."""


@pytest.fixture(scope="module")
def alignment():
    checkpoints = [Checkpoint.open(family_path(name)) for name in FAMILY]
    return align(checkpoints[3], checkpoints[:3])


@pytest.fixture(scope="module")
def program(alignment):
    """Half of the base and half of the parent."""
    out = Program(len(alignment.slices))
    half = out.scalar(0.5)
    return out, [(out.column(0) * half + out.column(1) * half).round("BF16")]


def arrays(result, names):
    return [(name, getattr(result, name).tobytes()) for name in names.split()]


COUNTS = "reproduced explained mismatched zero_signs ulps first"


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_are_the_core_s(alignment, program, backend):
    replay = program[0].replay(program[1], np.arange(2, 9))
    names = "gram energy bias precision excluded moved stray equal nan inf histogram"
    found, expected = (
        each.gram(alignment.plan, 2, 9, threads=2, replays=[replay]) for each in (backend, _core)
    )
    assert arrays(found, names) == arrays(expected, names)
    assert arrays(found.replayed, COUNTS) == arrays(expected.replayed, COUNTS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_elements_are_the_core_s(alignment, backend):
    found, expected = (
        each.elements(alignment.plan, 1, 3, threads=2, io="pread") for each in (backend, _core)
    )
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_spectra_are_the_core_s(alignment, backend):
    found, expected = (
        each.spectrum(
            alignment.plan,
            0,
            4,
            weights=np.zeros((4, 3)),
            axis=1,
            groups=[0, 0, 1, 1],
            windows=np.array([[-0.5, 1.5], [0.5, 0.7]]),
            bins=512,
            threads=2,
            widen=0.25,
        )
        for each in (backend, _core)
    )
    names = "coverage intervals fixed fixed_admitted"
    assert arrays(found, names) == arrays(expected, names)


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_of_replays_are_the_core_s(alignment, program, backend):
    replay = program[0].replay(program[1])
    found, expected = (
        each.replay_slices(alignment.plan, 0, alignment.plan.slices, [replay], threads=2)
        for each in (backend, _core)
    )
    assert arrays(found, COUNTS) == arrays(expected, COUNTS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bytes_of_replays_are_the_core_s(tmp_path, backend):
    random = np.random.default_rng(0)
    columns = [
        opened(tmp_path, name, {"a": random.normal(0, 1, 1000).astype(BF16)})
        for name in ("base", "parent")
    ]
    alignment = align(columns[0], columns)
    program = Program(1)
    half = program.scalar(0.5)
    replay = program.replay([(program.column(0) + program.column(1) * half).round("BF16")])
    written = []
    for number, each in enumerate((backend, _core)):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes(2010))
        each.write_replay(alignment.plan, replay, [path], [(0, 10, "BF16")], threads=1)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert any(written[0])


@pytest.fixture
def counting():
    return Counting()


def test_a_full_pass_asks_the_backend_that_is_given(alignment, counting):
    roles = roles_in(alignment, 1)
    found = full_pass(alignment, roles, Options(2, backend=counting))
    assert bits(found) == bits(full_pass(alignment, roles, Options(2)))
    # Scattered elements tell how far rounding can move least squares.
    assert counting.calls == {"gram": 1, "elements": 1}


def test_a_sample_asks_the_backend_that_is_given(alignment, program, counting):
    found, usual = (
        SearchSample(alignment, Options(2, backend=each), 1 << 14) for each in (counting, CORE)
    )
    rows = len(alignment.slices)
    weights, groups = np.zeros((rows, 3)), np.zeros(rows, dtype=np.intp)
    windows = np.array([[-0.5, 1.5]])

    def seen(sample):
        spectrum = sample.spectrum(weights, 1, groups, windows, 256)
        return [
            bits(sample.gram),
            sample.elements.tobytes(),
            arrays(spectrum, "coverage intervals fixed fixed_admitted"),
            bits(sample.replay([program])),
        ]

    assert seen(found) == seen(usual)
    assert counting.calls == dict.fromkeys(("gram", "elements", "spectrum", "replay_slices"), 1)


def test_a_comparison_asks_the_backend_that_is_given(tmp_path, counting):
    folder = merge(tmp_path)
    parents = [Checkpoint.open(folder / name) for name in ("one", "two")]
    aligned = align(Checkpoint.open(folder / "child"), parents)
    prepared = prepare(RECIPE, ["one", "two"], aligned.slices)
    found, usual = (
        _count(aligned.plan, prepared, Options(1, backend=each), SILENT)
        for each in (counting, CORE)
    )
    assert {name: x.tobytes() for name, x in found.items()} == {
        name: x.tobytes() for name, x in usual.items()
    }
    assert counting.calls == {"replay_slices": 1}


def test_writing_asks_the_backend_that_is_given(tmp_path, counting):
    folder = merge(tmp_path)
    places = {name: folder / name for name in ("one", "two")}
    written = []
    for name, backend in (("found", counting), ("usual", CORE)):
        plan_write(RECIPE, places, folder / name, 10**9, Options(1, backend=backend)).run()
        written.append(
            {each: (folder / name / each).read_bytes() for each in names_in(folder / name)}
        )
    assert written[0] == written[1]
    assert counting.calls == {"write_replay": 1}


def test_a_backend_travels_with_options(counting):
    counting.calls["gram"] = 2
    again = pickle.loads(pickle.dumps(Options(3, io="pread", backend=counting)))
    assert (again.threads, again.io) == (3, "pread")
    assert type(again.backend) is Counting
    assert again.backend.calls == {"gram": 2}
