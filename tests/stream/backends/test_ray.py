"""Ray as an executor."""

import sys

import pytest
from common.evidence_of_workers import same_evidence
from common.workers import dies_at
from parentage import ExecutorError
from parentage.stream import RayExecutor
from parentage.stream.backends.engines import workers_of


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match=r"pip install 'parentage\[ray\]' installs it"):
        RayExecutor()


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
def test_a_ray_that_is_not_running_is_an_error():
    with pytest.raises(ExecutorError, match=r"call ray\.init\(\) before"):
        RayExecutor()


@pytest.mark.engines
@pytest.mark.filterwarnings("default")
def test_evidence_of_ray_is_that_of_one_machine(tmp_path, monkeypatch):
    import ray

    for workers in (1, 2, 4):
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        try:
            executor = RayExecutor()
            assert workers_of(executor) == (workers, workers)
            same_evidence(tmp_path, monkeypatch, executor)
            if workers == 2:
                flag = tmp_path / "flag"
                flag.touch()
                executor.submit(dies_at, str(flag)).result()
                same_evidence(tmp_path, monkeypatch, executor)
        finally:
            ray.shutdown()
