import numpy as np
import pytest
from common.devices import differences, related
from parentage import _core

pytestmark = pytest.mark.torch


def test_sums_run_over_chunks_in_the_order_of_the_plan(tmp_path, backend):
    """Numbers of all sizes, so that another order of addition has other bits."""
    alignment = related(tmp_path, ["F32", "F32"], [3_000_017, 40, 700_000], "bits", seed=3)
    plan = alignment.plan
    expected = _core.gram(plan, 0, plan.slices, threads=2)
    found = backend.gram(plan, 0, plan.slices, threads=3)
    assert differences(found, expected) == []


def test_a_range_is_part_of_the_whole(tmp_path, backend):
    alignment = related(tmp_path, ["BF16"] * 3, [9000, 70_000, 5, 80_000], "near", seed=3)
    plan = alignment.plan
    whole = backend.gram(plan, 0, 4, threads=1)
    for first, last in ((0, 1), (1, 3), (2, 4), (4, 4)):
        part = backend.gram(plan, first, last, threads=1)
        assert part.gram.tobytes() == whole.gram[first:last].tobytes()
        assert part.histogram.tobytes() == whole.histogram[first:last].tobytes()


def test_the_first_mismatch_is_that_of_the_slice(statistics):
    from types import SimpleNamespace

    from parentage.stream.backends.torch.layout import batches, chunks_of

    program = SimpleNamespace(applies=None)
    matches = statistics.Matches(1, [program])
    (batch,) = batches(chunks_of(np.array([160])), [("F32", "F32")], 1 << 20)
    rows = len(batch.chunks)
    zeros = np.zeros(rows, dtype=np.uint64)
    for places in ([-1] * rows, [-1, 70, 50, *[-1] * (rows - 3)], [-1] * rows):
        counts = statistics.ChunkCounts(
            zeros, zeros, zeros + np.uint64(1), zeros,
            np.zeros((rows, _core.ULPS), dtype=np.uint64), np.array(places),
        )  # fmt: skip
        matches.take(batch, [(batch, counts)])
    found = matches.replayed()
    assert found.first.tolist() == [[50]]
    assert found.mismatched.tolist() == [[3 * rows]]
    assert found.blocks.sum() == 3 * rows
