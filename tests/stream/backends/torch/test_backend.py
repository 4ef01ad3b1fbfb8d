import pickle

import numpy as np
import pytest
from common.devices import differences, gram_differences, related, replays_of
from conftest import BF16, opened
from parentage import _core
from parentage.align import align
from parentage.stream.backends.torch import Torch

pytestmark = pytest.mark.torch


@pytest.fixture
def varied(tmp_path):
    """Floats between integers, which a device does not decode."""
    random = np.random.default_rng(0)
    columns = []
    for number in range(3):
        tensors = {}
        for row, size in enumerate((70_001, 500, 9_000, 1, 80_000, 300)):
            kind = np.int16 if row in (1, 2, 5) else BF16
            scale = 100 if kind is np.int16 else 0.01
            values = np.random.default_rng(row).normal(0, scale, size)
            values += number * random.normal(0, scale / 9, size)
            tensors[f"w{row}"] = values.astype(kind)
        columns.append(opened(tmp_path, f"c{number}", tensors))
    return align(columns[-1], columns[:-1])


def test_what_a_device_does_not_decode_is_the_core_s(varied, backend):
    kinds = [each.dtype for each in varied.slices]
    assert {"BF16", "I16"} <= set(kinds)
    applies = np.array([kind == "BF16" for kind in kinds])
    from parentage.stream import Program

    program = Program(len(kinds))
    weight = program.scalar(np.linspace(0.2, 0.4, len(kinds)))
    value = program.fma(program.column(1), weight, program.column(0)).round("BF16")
    replay = program.replay([value], applies=applies)
    assert gram_differences(backend, varied, [replay]) == []
    plan = varied.plan
    found, expected = (
        each.replay_slices(plan, 0, plan.slices, [replay], threads=1) for each in (backend, _core)
    )
    assert differences(found, expected) == []
    told = []
    backend.gram(plan, 0, plan.slices, threads=1, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == plan.bytes(0, plan.slices)


def test_spectra_of_both_add_up(varied, backend):
    plan = varied.plan
    asked = {
        "weights": np.zeros((plan.slices, 2)),
        "axis": 1,
        "groups": [0] * plan.slices,
        "windows": np.array([[-1.0, 2.0]]),
        "bins": 100,
        "threads": 1,
    }
    found, expected = (each.spectrum(plan, 0, plan.slices, **asked) for each in (backend, _core))
    assert found.coverage.tobytes() == expected.coverage.tobytes()
    assert found.intervals.tolist() == expected.intervals.tolist()


def test_few_elements_are_not_worth_a_device_s_while(tmp_path, engine, monkeypatch):
    alignment = related(tmp_path, ["BF16"] * 2, [2000], "near", seed=0)

    def none(*_):
        raise AssertionError

    monkeypatch.setattr(engine.Engine, "run", none)
    assert gram_differences(Torch("cpu"), alignment) == []


@pytest.mark.parametrize(
    "options",
    [{"threads": 0}, {"tile_bytes": 5}, {"io": "tape"}, {"level": "none"}],
)
def test_arguments_out_of_range_are_the_core_s_errors(tmp_path, backend, options):
    alignment = related(tmp_path, ["BF16"] * 2, [70_000], "near", seed=0)
    said = []
    for each in (backend, _core):
        with pytest.raises((ValueError, _core.ParentageError)) as error:
            each.gram(alignment.plan, 0, 1, **({"threads": 1} | options))
        said.append(str(error.value))
    assert said[0] == said[1]
    with pytest.raises((ValueError, _core.ParentageError), match="2"):
        backend.gram(alignment.plan, 0, 2, threads=1)


def test_it_travels_by_name(tmp_path):
    alignment = related(tmp_path, ["BF16"] * 2, [70_000], "near", seed=0)
    backend = Torch("cpu", 1 << 28, least=0)
    assert gram_differences(backend, alignment) == []
    again = pickle.loads(pickle.dumps(backend))
    assert repr(again) == "Torch('cpu')"
    assert gram_differences(again, alignment) == []


def test_two_passes_at_a_time_do_not_disturb_each_other(tmp_path, backend):
    from concurrent.futures import ThreadPoolExecutor

    alignment = related(tmp_path, ["BF16"] * 2, [200_000, 70_000], "near", seed=0)
    replays = replays_of(alignment, "BF16")
    with ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda _: gram_differences(backend, alignment, replays), range(6))
        assert list(found) == [[]] * 6
