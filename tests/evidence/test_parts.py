"""What parts agree on, and their journals as one."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage import JournalError, ReadError
from parentage.evidence import JoinedParts, Journal, PartOf, agreed, read_parts, same_trace
from parentage.evidence.parts import MOST_PARTS, SCHEMA

WORK = {"version": "1", "arithmetic": 1, "checkpoints": []}
ONE = {"name": "a", "place": "/a"}
SHEET = {
    "schema": SCHEMA, "count": 2, "seed": 7, "recipes": True, "digest": False,
    "child": ONE, "base": ONE, "parents": [ONE], "controls": [], "work": WORK,
}  # fmt: skip


def written(folder, done=(1, 2), count=2):
    """Write parts whose slices are their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parts.json").write_text(json.dumps({**SHEET, "count": count}))
    for number in range(1, count + 1):
        with Journal(folder / f"part-{number}-of-{count}", WORK, resume=False) as journal:
            journal.append("slices", {"first": number - 1, "last": number})
            if number in done:
                journal.append("done", {})
    return folder


@given(st.integers(1, MOST_PARTS), st.integers(1, MOST_PARTS))
def test_a_part_is_of_as_many_as_it_is_said_to_be(number, count):
    for given_ in (f"{number}/{count}", (number, count)):
        if number > count:
            with pytest.raises(ValueError, match="is no part; write 3/64"):
                PartOf.parse(given_)
        else:
            part = PartOf.parse(given_)
            assert (part.number, part.count, str(part)) == (number, count, f"{number}/{count}")
            assert PartOf.parse(part) is part


@given(st.text())
def test_what_is_no_part_is_refused(text):
    try:
        part = PartOf.parse(text)
    except ValueError:
        return
    assert 1 <= part.number <= part.count


def test_who_comes_first_writes_and_who_comes_later_reads(tmp_path):
    path = tmp_path / "new" / "sheet.json"
    found = []
    barrier = threading.Barrier(8)

    def come(number):
        barrier.wait()
        found.append(agreed(path, {"schema": SCHEMA, "number": number})["number"])

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [each.name for each in path.parent.iterdir()] == ["sheet.json"]


def test_records_of_parts_follow_each_other(tmp_path):
    parts = JoinedParts([written(tmp_path, done=range(1, 12), count=11)])
    assert [each.values["first"] for each in parts.records("slices")] == list(range(11))
    parts.expect("slices", {}, "nothing")
    parts.expect("other", {"x": 1}, "what nobody has said")
    with pytest.raises(JournalError, match=r"can not be joined: the end \(last\) is not"):
        parts.expect("slices", {"last": 1}, "the end")
    with pytest.raises(JournalError, match="parts do not hold all slices"):
        parts.append("slices", {})


def test_a_part_that_is_being_written_is_no_part_yet(tmp_path):
    written(tmp_path)
    with (
        Journal(tmp_path / "part-1-of-2", WORK, resume=True),
        pytest.raises(JournalError, match="a trace is still being written to this"),
    ):
        JoinedParts([tmp_path])
    JoinedParts([tmp_path])


def test_parts_of_other_numbers_do_not_fit(tmp_path):
    written(tmp_path)
    with Journal(tmp_path / "part-3-of-4", WORK, resume=False) as journal:
        journal.append("done", {})
    with pytest.raises(JournalError, match="part-3-of-4: is a part of 4, and the others of 2"):
        JoinedParts([tmp_path])


def test_undone_parts_are_named(tmp_path):
    with pytest.raises(JournalError, match="of 2 parts, 1, 2 are not done"):
        JoinedParts([written(tmp_path, done=())])


def test_a_part_that_is_no_journal_is_an_error(tmp_path):
    written(tmp_path)
    (tmp_path / "part-1-of-2" / "trace.journal").write_text("somebody's notes")
    with pytest.raises(JournalError, match="is no journal"):
        JoinedParts([tmp_path])
    (tmp_path / "part-1-of-2" / "trace.journal").unlink()
    (tmp_path / "part-1-of-2" / "trace.journal").mkdir()
    with pytest.raises(ReadError, match="open"):
        JoinedParts([tmp_path])


@pytest.mark.parametrize("key", sorted(SHEET))
def test_a_sheet_says_everything(tmp_path, key):
    path = tmp_path / "parts.json"
    path.write_text(json.dumps(SHEET))
    assert read_parts(path) == SHEET
    for spoiled in (None, "x", -1, [1], {"x": 1}):
        path.write_text(json.dumps({**SHEET, key: spoiled}))
        if key == "work" and spoiled == {"x": 1}:
            with pytest.raises(JournalError, match="not what parts of a trace agree on"):
                same_trace(path, read_parts(path), SHEET)
            continue
        with pytest.raises(JournalError, match="this is not what parts of a trace agree on"):
            read_parts(path)
