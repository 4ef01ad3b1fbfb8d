"""What a worker answers."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
from common.results import bits
from common.workers import OTHER_VERSION
from conftest import BF16, opened
from parentage import _core
from parentage.align import align
from parentage.stream import CORE, Gram
from parentage.stream.backends.worker import (
    JOBS,
    Answer,
    Job,
    _jobs,
    carry_out,
    digests_of,
    headers_of,
    packed,
    unpacked,
    versions,
)


@pytest.fixture
def aligned(tmp_path):
    random = np.random.default_rng(0)
    made = [
        opened(
            tmp_path,
            name,
            {
                f"model.layers.{i}.w.weight": random.normal(0, 1, (8, 64)).astype(BF16)
                for i in range(6)
            },
            shards=2,
        )
        for name in ("base", "parent", "child")
    ]
    return align(made[-1], made[:-1])


def job_of(alignment, **changed):
    options = {
        "plan": alignment.plan, "backend": CORE, "threads": 1, "at_once": 1, "tile_bytes": None,
        "io": "mmap", "level": None, "headers": headers_of(alignment.plan), "room": None,
    }  # fmt: skip
    return packed(Job(**{**options, **changed}))


def ask(job, first=0, last=6, name="job", replays=(), digested=None, made_by=None):
    _jobs.pop(name, None)
    return carry_out(made_by or versions(), name, job, first, last, packed(list(replays)), digested)


def test_sums_are_the_core_s(aligned):
    answer = ask(job_of(aligned), 1, 5)
    assert (answer.kind, answer.said, answer.digests) == ("done", "", ())
    ((first, last, found),) = unpacked(answer.sums)
    assert (first, last) == (1, 5)
    expected = _core.gram(aligned.plan, 1, 5, threads=1)
    n = aligned.elements[1:5]
    assert bits(Gram.from_core(n, found)) == bits(Gram.from_core(n, expected))


def test_a_job_is_remembered_by_name(aligned):
    assert ask(None).kind == "lacks"
    assert ask(job_of(aligned)).kind == "done"
    again = carry_out(versions(), "job", None, 0, 2, packed([]), None)
    assert again.kind == "done"
    for number in range(JOBS):
        assert ask(job_of(aligned), name=f"other {number}").kind == "done"
    assert len(_jobs) == JOBS
    assert carry_out(versions(), "job", None, 0, 2, packed([]), None).kind == "lacks"


def test_another_version_is_refused_before_anything_is_unpacked():
    answer = ask(b"no pickle", made_by=OTHER_VERSION)
    assert answer.kind == "failed"
    assert answer.said.startswith(f"Version it has parentage {_core.__version__} ")
    assert "this is 0.0.0 (arithmetic 0)" in answer.said


def test_a_file_of_the_same_size_and_time_with_another_header_is_refused(aligned):
    headers = headers_of(aligned.plan)
    place = (1, 0)
    answer = ask(job_of(aligned, headers={**headers, place: "0" * 64}))
    assert answer.kind == "failed"
    kind, _, text = answer.said.partition(" ")
    assert kind == "ReadError"
    path = aligned.checkpoints[1].shards()[0][0]
    assert text.startswith(f"{path}: its header is not that of the file of this name")


def test_a_file_that_is_not_read_is_not_looked_at(aligned):
    headers = {place: "0" * 64 for place in headers_of(aligned.plan) if place[1] == 1}
    first = [int(each.extents[0].tensor) for each in aligned.slices]
    of_first_file = [
        at for at, each in enumerate(first) if aligned.checkpoints[0].tensor(each)[4] == 0
    ]
    at = of_first_file[0]
    assert ask(job_of(aligned, headers=headers), at, at + 1).kind == "done"


def test_a_missing_file_is_an_answer(aligned):
    path = aligned.checkpoints[0].shards()[0][0]
    job = job_of(aligned)
    path.unlink()
    answer = ask(job)
    assert (answer.kind, answer.said.split()[0]) == ("failed", "ReadError")
    assert str(path) in answer.said


def test_an_error_of_the_core_is_an_answer(aligned):
    answer = ask(job_of(aligned, io="nonsense"))
    assert (answer.kind, answer.said.split()[0]) == ("failed", "ValueError")


def test_notes_say_how_far_it_is(aligned, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    assert ask(job_of(aligned, room=str(room)), 2, 4).kind == "done"
    note = (room / "2").read_bytes()
    assert int.from_bytes(note, "little") <= aligned.plan.bytes(2, 4)


class Leaving:
    """A backend that has the room gone while it works."""

    def __init__(self, room):
        self.room = room

    def gram(self, *_, progress, **__):
        progress(1)
        shutil.rmtree(self.room)
        progress(2)
        raise AssertionError("nobody wants this")


def test_who_is_not_wanted_any_more_stops(aligned, tmp_path, monkeypatch):
    monkeypatch.setattr("parentage.stream.backends.worker.TELLING_SECONDS", 0.0)
    room = tmp_path / "room"
    room.mkdir()
    answer = ask(job_of(aligned, backend=Leaving(room), room=str(room)))
    assert (answer.kind, answer.said, answer.sums) == ("stopped", "", b"")


def test_digests_are_of_the_files_that_are_asked_for(aligned):
    answer = ask(job_of(aligned), 0, 6, digested=((0, 1), (2, 0)))
    assert [each[:2] for each in answer.digests] == [(0, 1), (2, 0)]
    for column, shard, digest in answer.digests:
        path = aligned.checkpoints[column].shards()[shard][0]
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_of_others_are_not_hashed(aligned):
    digests = digests_of(aligned.plan, {(0, 0)})
    done = {each[:2] for each in digests.complete()}
    assert done == {(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)}


def test_an_answer_travels():
    answer = Answer("done", "here", sums=b"1", digests=((0, 1, "a"),), seconds=2.0)
    assert pickle.loads(pickle.dumps(answer)) == answer
