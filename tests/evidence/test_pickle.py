"""Traces, checkpoints and results travel: between processes, and as copies."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import parentage
import pytest
from conftest import family_path, write_checkpoint
from parentage.support import ParentageError


@pytest.fixture(scope="module")
def trace():
    return parentage.trace(
        family_path("child"),
        base=family_path("base"),
        parents=[family_path("parent")],
        controls=[family_path("sibling")],
    )


@pytest.fixture(scope="module")
def comparison(trace):
    places = {name: family_path(name) for name in trace.recipe.checkpoints}
    return trace.recipe.replay(places, family_path("child"))


def copies(value):
    return [copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))]


def test_a_trace_is_the_same_after_its_journey(trace):
    for again in copies(trace):
        assert again.to_json() == trace.to_json()
        assert again.slices.equals(trace.slices)
        assert again.recipe == trace.recipe
        assert repr(again) == repr(trace)


def test_a_comparison_is_the_same_after_its_journey(comparison):
    for again in copies(comparison):
        assert again.as_dict() == comparison.as_dict()
        assert again.slices.equals(comparison.slices)


def test_what_is_written_is_the_same_after_its_journey(trace, tmp_path):
    places = {name: family_path(name) for name in trace.recipe.checkpoints}
    written = trace.recipe.write(places, tmp_path / "out")
    for again in copies(written):
        assert again.as_dict() == written.as_dict()


def test_a_checkpoint_travels_by_its_headers(trace):
    for again in copies(trace.inputs.child):
        assert again.name == "child"
        assert list(again.tensors) == list(trace.inputs.child.tensors)
        assert again.shards == trace.inputs.child.shards
        found = parentage.trace(again, base=family_path("base"), recipes=False)
        assert found.elements == trace.elements


def test_a_checkpoint_that_has_changed_on_the_way_is_an_error(tmp_path):
    tensors = {"a": np.ones((8, 8), np.float32)}
    path = write_checkpoint(tmp_path / "one", tensors)
    packed = pickle.dumps(parentage.Checkpoint.open(path))
    other = write_checkpoint(tmp_path / "other", tensors)
    write_checkpoint(path, {**tensors, "b": tensors["a"]})
    with pytest.raises(ParentageError, match=r"model\.safetensors"):
        parentage.trace(pickle.loads(packed), base=other, recipes=False)


def test_another_process_reads_what_was_packed(trace, tmp_path):
    (tmp_path / "trace").write_bytes(pickle.dumps(trace))
    code = (
        "import pickle, sys\n"
        "trace = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(trace.verdict.kind, trace.weights['parent'].hex())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "trace"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [trace.verdict.kind, trace.weights["parent"].hex()]


def test_traces_come_back_from_other_processes():
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    work = partial(parentage.trace, base=family_path("base"), recipes=False)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(work, [family_path("child"), family_path("parent")]))
    assert [each.inputs.child.name for each in found] == ["child", "parent"]


@pytest.mark.parametrize("kind", ["inputs", "verdict", "outcome", "tables"])
def test_parts_of_a_trace_travel(trace, kind):
    value = getattr(trace, kind)
    assert pickle.loads(pickle.dumps(value)) is not None


def test_what_was_estimated_of_a_sample_travels(trace):
    from parentage.align import pair
    from parentage.hypothesise import SampleEstimates
    from parentage.stream import Options

    options = Options(1)
    alignment = pair(trace.inputs, options).main.alignment
    estimates = SampleEstimates(alignment, trace.inputs.columns, options)
    again = pickle.loads(pickle.dumps(estimates))
    assert again.constant.weights.tolist() == estimates.constant.weights.tolist()
