"""Watchers are told how far a pass is, and stop it."""

import pytest
from common.streams import Witness, big, slowly
from conftest import roles_in
from parentage.align import align
from parentage.statistics import full_pass
from parentage.stream import Options


@pytest.mark.parametrize("chunks", [7, 1 << 15])
def test_a_watcher_sees_the_bytes_rise_to_the_total(checkpoints, varied, monkeypatch, chunks):
    monkeypatch.setattr("parentage.stream.cuts.RANGE_CHUNKS", chunks)
    witness = Witness()
    full_pass(varied, roles_in(varied, 1), Options(2, level="scalar"), witness)
    tensors = [tensor for each in checkpoints for tensor in each.tensors.values()]
    assert witness.totals == [sum(each.end - each.begin for each in tensors if each.name)]
    assert witness.seen == sorted(witness.seen)
    assert witness.seen[-1] == witness.totals[0]


class Stopped(Exception):  # noqa: N818
    """Raised by a watcher."""


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_watcher_that_raises_stops_the_pass(tmp_path, io):
    alignment = align(big(tmp_path, "child"), [big(tmp_path, "base")])

    class Stopper(Witness):
        def update(self, done):
            super().update(done)
            raise Stopped(f"after {done} bytes")

    stopper = Stopper()
    with pytest.raises(Stopped, match=r"after \d+ bytes"):
        full_pass(alignment, roles_in(alignment, 0), slowly(io), stopper)
    assert len(stopper.seen) == 1, "a watcher that has raised is left alone"
    assert stopper.seen[0] < stopper.totals[0]


def test_a_watcher_that_raises_at_the_very_end_is_heard(varied):
    class Stopper(Witness):
        def update(self, done):
            if done == self.totals[0]:
                raise Stopped

    with pytest.raises(Stopped):
        full_pass(varied, roles_in(varied, 1), Options(2), Stopper())
