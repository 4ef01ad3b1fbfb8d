"""Passes share a process with others: its signals, the handlers that it installs, and its forks."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import family_path

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX's")

BEGIN = f"""
import faulthandler, os, signal, threading
import numpy as np
from parentage import _core

paths = {[str(family_path(name)) for name in ("base", "parent", "child")]!r}
checkpoints = [_core.Checkpoint(path) for path in paths]
tensors = [t for t in checkpoints[2].tensors() if t[2] in ("BF16", "F16", "F32")]
rows = [[each.find(t[1]) for each in checkpoints] for t in tensors]
elements = np.array([int(np.prod(t[3])) for t in tensors], dtype=np.uint64)
table = np.array(rows, dtype=np.uint64)
plan = _core.Plan(checkpoints, elements, table, np.zeros_like(table))

def run():
    return _core.gram(plan, 0, plan.slices, threads=2).gram.tobytes()

first = run()
"""


def python(code):
    """Run code in a process of its own, where a pass was made before."""
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + code]
    return subprocess.run(command, check=False, capture_output=True, timeout=60)


@posix
def test_a_bus_error_that_is_sent_ends_the_process_as_it_would_without_us():
    done = python("os.kill(os.getpid(), signal.SIGBUS)")
    assert (done.returncode, done.stderr) == (-signal.SIGBUS, b"")


@posix
def test_a_handler_of_python_gets_its_signal_however_often():
    done = python("""
got = []
signal.signal(signal.SIGBUS, lambda *_: got.append(1))
assert run() == first
for _ in range(3):
    os.kill(os.getpid(), signal.SIGBUS)
assert run() == first
assert len(got) == 3, got
""")
    assert (done.returncode, done.stderr) == (0, b"")


@posix
@pytest.mark.parametrize("late", ["", "faulthandler.enable()"])
def test_the_handler_that_dumps_tracebacks_works_beside_ours(late):
    early = "" if late else "faulthandler.enable()"
    done = python(f"{early}\nassert run() == first\n{late}\nassert run() == first\n"
                  "os.kill(os.getpid(), signal.SIGBUS)")  # fmt: skip
    assert done.returncode == -signal.SIGBUS
    assert done.stderr.count(b"Fatal Python error: Bus error") == 1


@posix
def test_a_pass_works_in_a_fork():
    done = python("""
def in_fork():
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if run() == first else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

assert in_fork() == 0
# While other threads are in the middle of passes.
stop = threading.Event()
def work():
    while not stop.is_set():
        assert run() == first
workers = [threading.Thread(target=work) for _ in range(2)]
for each in workers:
    each.start()
assert [in_fork() for _ in range(20)] == [0] * 20
stop.set()
for each in workers:
    each.join()
""")
    assert (done.returncode, done.stderr) == (0, b"")
