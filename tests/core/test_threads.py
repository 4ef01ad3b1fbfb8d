"""Threads belong to one call: a process that forks afterwards can stream again."""

import os
import warnings

import numpy as np
from conftest import family_path
from parentage import _core


def plan():
    checkpoints = [_core.Checkpoint(family_path(name)) for name in ("base", "parent", "child")]
    sizes = [int(np.prod(tensor[3])) for tensor in checkpoints[0].tensors()]
    numbers = np.tile(np.arange(len(sizes), dtype=np.uint64)[:, None], (1, 3))
    return _core.Plan(checkpoints, np.array(sizes, np.uint64), numbers, np.zeros_like(numbers))


def test_streaming_works_on_both_sides_of_a_fork():
    here = plan()
    before = _core.gram(here, 0, here.slices, threads=4).gram
    with warnings.catch_warnings():
        # Python warns of forks beside threads, which is what this test is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        status = 1
        try:
            after = _core.gram(here, 0, here.slices, threads=4).gram
            status = 0 if np.array_equal(before, after) else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert np.array_equal(before, _core.gram(here, 0, here.slices, threads=4).gram)


def test_the_default_is_what_this_process_may_use():
    assert _core.threads() == len(os.sched_getaffinity(0))
