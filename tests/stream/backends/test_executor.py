"""Workers of an executor: the sums of one machine, whatever becomes of workers on the way."""

import hashlib
import pickle
import time
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import get_context

import numpy as np
import pytest
from common.results import bits
from common.streams import Witness
from common.workers import (
    Here,
    Late,
    Refusing,
    broken,
    dies_at,
    of_another_version,
)
from conftest import roles_in
from parentage import ExecutorError, ReadError, _core
from parentage.statistics import full_pass
from parentage.stream import CORE, SILENT, Options, Program, Spread
from parentage.stream.backends import executor as module
from parentage.stream.backends import worker
from parentage.stream.passes import Spreading


class EnoughError(Exception):
    pass


class Impatient(Witness):
    def update(self, _):
        raise EnoughError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Ranges are small, so that there are many."""
    monkeypatch.setattr(module, "LEAST", 1 << 12)
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)
    worker._jobs.clear()


@pytest.fixture(scope="module")
def replays(varied):
    program = Program(len(varied.slices))
    half = program.scalar(np.linspace(0.2, 0.6, program.slices))
    return [(program, [(program.column(0) + program.column(1) * half).round("BF16")])]


def passed(alignment, backend, replays=(), progress=SILENT, digests=None):
    options = Options(2, backend=backend, digests=digests)
    return bits(full_pass(alignment, roles_in(alignment, 1), options, progress, replays))


@pytest.fixture(scope="module")
def expected(varied, replays):
    return passed(varied, CORE, replays)


def spawned(workers, *initializer):
    return ProcessPoolExecutor(workers, get_context("spawn"), *initializer)


def test_many_ranges_are_joined_in_order(varied, replays, expected):
    executor = Here()
    assert passed(varied, Spread(executor, workers=4), replays) == expected
    assert len(executor.given) >= 4


def test_what_is_done_last_first_is_joined_in_order(varied, replays, expected):
    with Late() as executor:
        assert passed(varied, Spread(executor, workers=4), replays) == expected


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_processes_give_the_sums_of_one(varied, replays, expected, workers):
    with spawned(workers) as executor:
        assert passed(varied, Spread(executor, workers=workers), replays) == expected


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_give_the_sums_of_one(varied, replays, expected, workers):
    with ThreadPoolExecutor(workers) as executor:
        assert passed(varied, Spread(executor, workers=workers), replays) == expected


def test_what_is_small_stays_here(varied, expected, replays, monkeypatch):
    monkeypatch.setattr(module, "LEAST", 1 << 40)
    executor = Here()
    assert passed(varied, Spread(executor, workers=4), replays) == expected
    assert not executor.given


def test_calls_other_than_passes_are_those_of_the_core():
    backend = Spread(Here(), workers=1)
    assert isinstance(backend, Spreading)
    assert not isinstance(CORE, Spreading)
    for name in ("gram", "elements", "spectrum", "replay_slices", "replay_in_cells"):
        assert getattr(backend, name) is getattr(CORE, name)
    assert backend.write_replay is CORE.write_replay


def test_the_plan_is_sent_to_workers_and_not_with_every_range(varied, replays, expected):
    executor = Here()
    backend = Spread(executor, workers=1)
    assert passed(varied, backend, replays) == expected
    assert [arguments[2] is not None for arguments in executor.given] == [
        True,
        *[False] * (len(executor.given) - 1),
    ]


def test_a_worker_that_lacks_the_plan_is_sent_it(varied, replays, expected):
    class Forgetful(Here):
        def submit(self, call, /, *arguments):
            worker._jobs.clear()
            return super().submit(call, *arguments)

    executor = Forgetful()
    assert passed(varied, Spread(executor, workers=1), replays) == expected
    assert sum(arguments[2] is not None for arguments in executor.given) > 1


@pytest.mark.parametrize("lost", [{0}, {1, 2}, {0, 3, 5}])
def test_lost_ranges_are_done_again(varied, replays, expected, lost):
    said = []
    executor = Here(lost)
    assert passed(varied, Spread(executor, workers=2, note=said.append), replays) == expected
    assert len(said) == len(lost)
    assert all("a machine is gone" in each for each in said)


def test_a_range_that_loses_every_worker_is_an_error_that_names_it(varied):
    with pytest.raises(ExecutorError, match=r"slices? \d.*: lost with 3 workers; .* is gone"):
        passed(varied, Spread(Here(lost=range(100)), workers=1))


def test_a_broken_executor_leaves_the_rest_to_this_process(varied, replays, expected):
    said = []
    executor = Here(lost=range(2, 100), error=BrokenExecutor("a process is gone"))
    assert passed(varied, Spread(executor, workers=2, note=said.append), replays) == expected
    (only,) = said
    assert only == (
        "the executor is broken, and takes no more work; the rest is done here: "
        "BrokenExecutor: a process is gone"
    )


def test_what_makes_executors_is_asked_for_another(varied, replays, expected):
    made, said = [], []

    def make():
        made.append(broken() if not made else Here())
        return made[-1]

    assert passed(varied, Spread(make, workers=2, note=said.append), replays) == expected
    assert len(made) == 2
    assert said == ["workers were lost, and others are started: BrokenExecutor: a process is gone"]


def test_executors_that_break_one_after_the_other_are_an_error(varied):
    with pytest.raises(ExecutorError, match="workers were lost 3 times; the last: BrokenExecutor"):
        passed(varied, Spread(lambda: Here(range(9), BrokenExecutor("no memory")), workers=1))


def test_a_scheduler_that_is_gone_is_an_error(varied):
    with pytest.raises(ExecutorError, match="the executor has cancelled the work"):
        passed(varied, Spread(Here({1}, CancelledError()), workers=1))


def test_an_executor_that_takes_no_work_is_an_error(varied):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(ExecutorError, match="takes no work: RuntimeError: cannot schedule"):
        passed(varied, Spread(executor, workers=1))
    with pytest.raises(ExecutorError, match="takes no work: OSError: no route"):
        passed(varied, Spread(Refusing(OSError("no route")), workers=1))


def test_a_worker_without_this_package_is_an_error(varied):
    error = ModuleNotFoundError("No module named 'parentage'")
    with pytest.raises(ExecutorError, match="can not load parentage as it is here: Module"):
        passed(varied, Spread(Here({0}, error), workers=1))


def test_another_version_on_a_worker_is_refused_by_name(varied):
    with (
        spawned(1, of_another_version) as executor,
        pytest.raises(
            ExecutorError, match=r"a worker \(.*, process \d+\) .* has parentage 0\.0\.0"
        ),
    ):
        passed(varied, Spread(executor, workers=1))


def test_a_file_that_is_another_on_a_worker_is_refused_by_name(varied, monkeypatch):
    found = module.headers_of(varied.plan)
    monkeypatch.setattr(module, "headers_of", lambda _: {**found, (1, 0): "0" * 64})
    path = varied.checkpoints[1].shards()[0][0]
    with pytest.raises(ReadError, match=rf"{path.name}: its header is not .* \(on a worker: "):
        passed(varied, Spread(Here(), workers=1))


def test_out_of_memory_on_a_worker_is_told_as_that(varied):
    class Hungry(Here):
        def submit(self, call, /, *arguments):
            future = super().submit(call, *arguments)
            answer = future.result()
            future = type(future)()
            future.set_result(answer._replace(kind="failed", said="MemoryError "))
            return future

    with pytest.raises(ExecutorError, match="is not fit for the work: out of memory"):
        passed(varied, Spread(Hungry(), workers=1))


def test_progress_adds_up_and_never_falls(varied, replays, expected):
    witness = Witness()
    with ThreadPoolExecutor(2) as executor:
        backend = Spread(executor, workers=2)
        assert passed(varied, backend, replays, witness) == expected
    total = varied.plan.bytes(0, varied.plan.slices)
    assert witness.totals == [total]
    assert witness.seen == sorted(witness.seen)
    assert witness.seen[-1] == total


def test_files_are_hashed_by_workers_each_once(varied):
    digests = _core.Digests(list(varied.checkpoints))
    executor = Here()
    passed(varied, Spread(executor, workers=4), digests=digests)
    asked = [each for arguments in executor.given for each in arguments[-1]]
    assert len(asked) == len(set(asked)) == sum(len(x.shards()) for x in varied.checkpoints)
    assert {each[:2] for each in digests.complete()} == set(asked)
    for column, shard, digest in digests.complete():
        path = varied.checkpoints[column].shards()[shard][0]
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_folder_of_notes_is_gone_in_the_end(varied, tmp_path):
    passed(varied, Spread(Here(), workers=2, beside=tmp_path))
    assert not list(tmp_path.iterdir())

    with pytest.raises(EnoughError):
        passed(varied, Spread(Here(), workers=2, beside=tmp_path), progress=Impatient())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_no_hindrance(varied, replays, expected, tmp_path):
    backend = Spread(Here(), workers=2, beside=tmp_path / "none")
    assert passed(varied, backend, replays) == expected


def test_who_raises_in_the_middle_stops_the_workers(varied):
    with ThreadPoolExecutor(2) as executor:
        begun = time.monotonic()
        with pytest.raises(EnoughError):
            passed(varied, Spread(executor, workers=2), progress=Impatient())
        assert time.monotonic() - begun < 10


def test_what_can_not_be_sent_is_an_error(varied):
    class Unsendable(type(CORE)):
        def __reduce__(self):
            raise TypeError("it lives here alone")

    with pytest.raises(ExecutorError, match="can not be sent to workers: TypeError: it lives here"):
        passed(varied, Spread(Here(), inner=Unsendable(), workers=1))


def test_executors_that_were_made_for_a_pass_are_let_go_of(varied):
    class Closing(Here):
        def shutdown(self, wait=True):
            closed.append(wait)

    closed = []
    passed(varied, Spread(Closing, workers=2))
    assert closed == [False]
    given = Closing()
    passed(varied, Spread(given, workers=2))
    assert closed == [False]


def test_it_travels_as_what_workers_carry_out():
    again = pickle.loads(pickle.dumps(Options(3, backend=Spread(Here(), workers=1))))
    assert again.backend is CORE


def test_a_worker_killed_in_the_middle_changes_no_bit(varied, replays, expected, tmp_path):
    killed(varied, replays, expected, tmp_path)


@pytest.mark.slow
def test_a_worker_killed_in_each_of_ten_runs_changes_no_bit(varied, replays, expected, tmp_path):
    for _ in range(10):
        killed(varied, replays, expected, tmp_path)


def killed(varied, replays, expected, folder):
    """One of two workers kills itself; the pool is broken, and what made it makes another."""
    flag, made, said = folder / "flag", [], []
    flag.touch()

    def make():
        made.append(spawned(2, dies_at, (str(flag),)))
        return made[-1]

    try:
        assert passed(varied, Spread(make, workers=2, note=said.append), replays) == expected
    finally:
        for each in made:
            each.shutdown(cancel_futures=True)
    assert not flag.exists()
    assert len(made) == 2
    assert said[0].startswith("workers were lost, and others are started: BrokenProcessPool")


def test_a_pool_that_was_given_and_broke_leaves_the_rest_here(varied, replays, expected, tmp_path):
    flag, said = tmp_path / "flag", []
    flag.touch()
    with spawned(2, dies_at, (str(flag),)) as executor:
        backend = Spread(executor, workers=2, note=said.append)
        assert passed(varied, backend, replays) == expected
    assert not flag.exists()
    assert said[0].startswith("the executor is broken, and takes no more work; the rest is done")
