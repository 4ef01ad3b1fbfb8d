"""Workers of Dask: what is refused without one, and evidence with one."""

import socket
import sys

import pytest
from common.evidence_of_workers import same_evidence
from parentage import ExecutorError
from parentage.stream import dask_workers
from parentage.stream.backends import dask


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("host", "host: no address of a scheduler; write tcp://host:8786, or local:4"),
        ("local:", "local:: no address of a scheduler"),
        ("local:0", "local:0: there is no work without a worker"),
        ("lo\x1bcal", "no address of a scheduler"),
    ],
)
def test_what_is_no_address_is_refused(address, said):
    with pytest.raises(ExecutorError) as error, dask_workers(address):
        pass
    assert said in str(error.value)
    assert "\x1b" not in str(error.value)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ExecutorError, match=r"pip install 'parentage\[dask\]' installs it"),
        dask_workers("local:1"),
    ):
        pass


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
def test_an_address_that_nobody_answers_at_is_an_error_in_bounded_time(monkeypatch):
    monkeypatch.setattr(dask, "ANSWER_SECONDS", 2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with (
            pytest.raises(ExecutorError, match=f"^{address}: no scheduler answers: ") as error,
            dask_workers(address),
        ):
            pass
    assert "\n" not in str(error.value)


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_evidence_of_dask_is_that_of_one_machine(tmp_path, monkeypatch, workers):
    with dask_workers(f"local:{workers}") as executor:
        same_evidence(tmp_path, monkeypatch, executor)


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
def test_a_worker_of_dask_that_is_killed_changes_no_byte(tmp_path, monkeypatch):
    from common.workers import dies_at

    flag = tmp_path / "flag"
    flag.touch()
    with dask_workers("local:2") as executor:
        executor._client.run(dies_at, str(flag))
        same_evidence(tmp_path, monkeypatch, executor)
    assert not flag.exists()


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_goes_away_is_an_error(tmp_path, monkeypatch):
    import distributed
    from common.evidence_of_workers import traced

    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=60
    )
    with dask_workers(cluster.scheduler_address) as executor:
        given = executor.submit

        def last(*arguments):
            future = given(*arguments)
            cluster.close(timeout=5)
            return future

        executor.submit = last
        with pytest.raises(ExecutorError, match="the executor"):
            traced(tmp_path, monkeypatch, executor)
