"""How many workers there are, and processes that end with whoever started them."""

import os
import subprocess
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from common.workers import Here
from parentage.stream import CORE, Processes, spread_over
from parentage.stream.backends.engines import workers_of


class WithName(Here):
    def __init__(self, **names):
        super().__init__()
        self.__dict__.update(names)


class Client:
    """What Dask's executors have."""

    def nthreads(self):
        return {"tcp://10.0.0.1:1": 2, "tcp://10.0.0.1:2": 2, "tcp://10.0.0.2:1": 1}


def test_executors_are_asked_how_many_workers_they_have():
    with ThreadPoolExecutor(3) as pool:
        assert workers_of(pool) == (3, 3)
    assert workers_of(Processes(5)) == (5, 5)
    assert workers_of(WithName(num_workers=7)) == (7, 1)
    assert workers_of(WithName(_client=Client())) == (5, 4)
    assert workers_of(WithName(_client=None, max_workers="many")) == (None, 1)
    assert workers_of(lambda: None) == (None, 1)


def test_a_backend_over_workers_knows_them():
    backend = spread_over(WithName(num_workers=7), threads=2)
    assert (backend.workers, backend.at_once, backend.threads) == (7, 1, 2)
    assert backend.inner is CORE
    assert not backend.can_renew
    assert spread_over(Here()).workers == 64
    assert spread_over(Processes(2)).can_renew


def test_what_is_no_executor_is_refused():
    with pytest.raises(TypeError, match=r"interface of concurrent\.futures, and this is int"):
        spread_over(3)


def test_processes_work_and_end():
    with Processes(2) as processes:
        executor = processes()
        assert isinstance(executor, Executor)
        found = set(executor.map(os.getpid.__call__, [])) or {executor.submit(os.getpid).result()}
        assert os.getpid() not in found
        alive = processes._alive
        assert alive.is_dir()
    assert not alive.exists()
    with pytest.raises(RuntimeError, match="within a with statement"):
        Processes(1)()


PARENT = """
import os, sys, time
from parentage.stream import Processes
if __name__ == "__main__":
    with Processes(1) as processes:
        executor = processes()
        print(executor.submit(os.getpid).result(), flush=True)
        if sys.argv[1] == "busy":
            executor.submit(time.sleep, 60)
            time.sleep(0.5)
            raise SystemExit(3)
        time.sleep(60)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "busy"])
def test_processes_end_with_whoever_started_them(tmp_path, how):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), how], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        if how == "killed":
            parent.kill()
        begun = time.monotonic()
        parent.wait(timeout=20)
        while is_running(pid) and time.monotonic() - begun < 20:
            time.sleep(0.05)
        assert not is_running(pid)
