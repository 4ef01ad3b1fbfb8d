"""The core as a backend."""

import copy
import pickle

import pytest
from parentage import _core
from parentage.stream import CORE, Options


@pytest.mark.parametrize("name", ["gram", "elements", "spectrum", "replay_slices", "write_replay"])
def test_its_calls_are_the_core_s(name):
    assert getattr(CORE, name) is getattr(_core, name)


def test_it_is_the_one_there_is_wherever_it_travels():
    for again in (pickle.loads(pickle.dumps(CORE)), copy.copy(CORE), copy.deepcopy(CORE)):
        assert again is CORE
    assert pickle.loads(pickle.dumps(Options(1))).backend is CORE


def test_it_is_what_options_have():
    assert Options(1).backend is CORE
    assert Options(1).for_runs().backend is CORE
