"""Ray as an executor."""

import os
import subprocess
import sys

import pytest
from parentage import ExecutorError
from parentage.stream import RayExecutor


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match=r"pip install 'parentage\[ray\]' installs it"):
        RayExecutor()


SCRIPT = """
import sys
from pathlib import Path
import pytest, ray
from common.evidence_of_workers import same_evidence
from common.workers import dies_at
from parentage import ExecutorError
from parentage.stream import RayExecutor
from parentage.stream.backends.engines import workers_of

folder = Path(sys.argv[1])
with pytest.raises(ExecutorError, match=r"call ray\\.init\\(\\) before"):
    RayExecutor()
with pytest.MonkeyPatch.context() as patch:
    for workers in (1, 2, 4):
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        executor = RayExecutor()
        assert workers_of(executor) == (workers, workers)
        same_evidence(folder, patch, executor)
        if workers == 2:
            flag = folder / "flag"
            flag.touch()
            executor.submit(dies_at, str(flag)).result()
            same_evidence(folder, patch, executor)
            # Whoever took the flag is gone; if no range came to that worker, it is still there.
            print("killed" if not flag.exists() else "spared", flush=True)
        ray.shutdown()
print("all the same", flush=True)
"""


@pytest.mark.engines
def test_evidence_of_ray_is_that_of_one_machine(tmp_path):
    """In a process of its own: Ray leaves processes for the garbage collector to warn of."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RAY_raylet_start_wait_time_s": "120",
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "all the same"
