"""Digests that are computed on the way."""

import numpy as np
from common.digests import sha256
from conftest import opened
from parentage import _core


def test_a_pass_can_be_given_digests_of_fewer_checkpoints(tmp_path):
    arrays = {"x": np.arange(5000, dtype=np.float32)}
    one, other = (opened(tmp_path, name, arrays) for name in ("one", "other"))
    digests = _core.Digests([one.core])
    zeros = np.zeros((1, 2), np.uint64)
    plan = _core.Plan([one.core, other.core], np.array([5000], np.uint64), zeros, zeros)
    _core.gram(plan, 0, 1, threads=1, digests=digests)
    assert digests.complete() == [(0, 0, sha256(one.shards[0].path))]
