"""Interrupted traces: what is kept, what is refused, and that going on changes no byte."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import parentage
import pytest
from common.digests import paths
from common.processes import COMMAND
from common.results import bits
from conftest import BF16, family_path, opened, roles_in
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage import JournalError, cli
from parentage.align import align
from parentage.checkpoint import open_all
from parentage.evidence import MAGIC, NAME, Journal, differs, identity
from parentage.statistics import full_pass
from parentage.stream import SILENT, Options, Program, Progress
from parentage.support import WriteError

HEAD = {"version": "1", "arithmetic": 1, "checkpoints": []}
FILES = (
    *("evidence.json", "facts.json", "manifest.json", "metadata.json", "recipe.yaml"),
    *("report.html", "slices.parquet", "spectrum.parquet", "sums.parquet"),
)


@pytest.fixture
def small_ranges(monkeypatch):
    """Make every slice a range of its own."""
    monkeypatch.setattr("parentage.stream.cuts.RANGE_BYTES", 1)


def contents(folder):
    # The log of custody is of each time, and is kept apart.
    assert sorted(each.name for each in folder.iterdir()) == sorted([*FILES, "custody.jsonl"])
    return [(folder / name).read_bytes() for name in FILES]


def family_trace(output, progress=SILENT, **options):
    return parentage.trace(
        family_path("child"),
        base=family_path("base"),
        parents=[family_path("parent")],
        controls=[family_path("sibling")],
        output=output,
        progress=progress,
        **options,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The evidence of a trace that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    family_trace(folder)
    return contents(folder)


class Interrupter(Progress):
    """Interrupts a pass once so many bytes are read."""

    def __init__(self, after):
        self.after = after
        self.totals, self.seen = [], []

    def start(self, total):
        self.totals.append(total)

    def update(self, done):
        self.seen.append(done)
        if done >= self.after * self.totals[0]:
            raise KeyboardInterrupt


# --- records ------------------------------------------------------------------------------------


def test_records_come_back_as_they_were_written(tmp_path):
    arrays = {
        "floats": np.array([[0.1, -0.0], [np.nan, np.inf]]),
        "large": np.array([0, 2**64 - 1], dtype=np.uint64),
        "small": np.arange(200, dtype=np.uint64).reshape(2, 100),
        "signed": np.array([-1, 5]),
        "none": np.zeros((3, 0), dtype=np.uint64),
    }
    with Journal(tmp_path, HEAD, resume=False) as journal:
        journal.append("slices", {"first": 0, "last": 3}, arrays)
        journal.append("other", {"name": "ü\n"})
        found = list(journal.records("slices"))
        assert [each.values for each in journal.records("other")] == [{"name": "ü\n"}]
    assert [each.values for each in found] == [{"first": 0, "last": 3}]
    for name, array in arrays.items():
        read = found[0].arrays[name]
        assert (read.dtype, read.shape) == (array.dtype, array.shape), name
        assert read.tobytes() == array.tobytes(), name


def written(folder, records=4):
    """Write a journal of some records, leave it there, and return its bytes."""
    with Journal(folder, HEAD, resume=False) as journal:
        for i in range(records):
            journal.append("slices", {"first": i, "last": i + 1}, {"x": np.arange(5.0) + i})
        return journal.path.read_bytes()


def readable(folder):
    with Journal(folder, HEAD, resume=True) as journal:
        return [each.values["first"] for each in journal.records("slices")]


@given(st.data())
def test_a_torn_or_damaged_tail_is_cut_off(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("torn")
    raw = written(folder)
    ends = [len(MAGIC)]
    while ends[-1] < len(raw):
        ends.append(ends[-1] + 24 + int.from_bytes(raw[ends[-1] : ends[-1] + 8], "little"))
    del ends[0]
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw = raw[:at]
    else:
        flipped = raw[at] ^ data.draw(st.integers(1, 255))
        raw = raw[:at] + bytes([flipped]) + raw[at + 1 :]
    (folder / NAME).write_bytes(raw)
    if len(MAGIC) > at and len(raw) > at:
        with pytest.raises(
            JournalError, match=r"no journal of parentage|goes on with parentage\.journal/2"
        ):
            readable(folder)
        return
    # What is read is all that ends before the damage.
    expected = list(range(max(sum(end <= at for end in ends) - 1, 0)))
    assert readable(folder) == expected
    assert readable(folder) == expected


def test_what_follows_a_cut_is_written_over_it(tmp_path):
    raw = written(tmp_path)
    (tmp_path / NAME).write_bytes(raw[:-3])
    with Journal(tmp_path, HEAD, resume=True) as journal:
        journal.append("slices", {"first": 3, "last": 4}, {"x": np.arange(5.0) + 3})
    assert (tmp_path / NAME).read_bytes() == raw


def test_it_is_not_overwritten_unless_nothing_is_finished(tmp_path):
    written(tmp_path, records=2)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(JournalError, match=r"trace\.journal: an interrupted trace .* --resume"):
        Journal(tmp_path, HEAD, resume=False)
    assert (tmp_path / NAME).read_bytes() == before
    written(tmp_path / "new", records=0)
    with Journal(tmp_path / "new", HEAD, resume=False) as journal:
        assert journal.kept is None


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    (tmp_path / NAME).write_text("somebody's notes")
    for resume in (False, True):
        with pytest.raises(JournalError, match="is no journal"):
            Journal(tmp_path, HEAD, resume=resume)
    assert (tmp_path / NAME).read_text() == "somebody's notes"


@pytest.mark.parametrize("number", [1, 3, 12])
def test_a_journal_of_another_version_is_refused_by_its_number(tmp_path, number):
    raw = written(tmp_path)
    other = f"parentage.journal/{number}\n".encode() + raw[len(MAGIC) :]
    (tmp_path / NAME).write_bytes(other)
    for resume in (False, True):
        with pytest.raises(JournalError, match=rf"this is parentage\.journal/{number}\b.*/2 alone"):
            Journal(tmp_path, HEAD, resume=resume)
    assert (tmp_path / NAME).read_bytes() == other


def test_a_second_process_is_refused(tmp_path):
    with (
        Journal(tmp_path, HEAD, resume=False),
        pytest.raises(JournalError, match="another trace is being written to this folder"),
    ):
        Journal(tmp_path, HEAD, resume=True)
    with Journal(tmp_path, HEAD, resume=False):
        pass


def test_without_anything_finished_nothing_is_left(tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "a" / "b", HEAD, resume=False):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(parentage.WriteError, match="make folder"):
        Journal(tmp_path / "file" / "evidence", HEAD, resume=False)


# --- identity -----------------------------------------------------------------------------------


def copied_family(folder):
    for name in ("child", "base", "parent", "sibling"):
        shutil.copytree(family_path(name), folder / name)
    return [folder / name for name in ("child", "base", "parent", "sibling")]


def head_of(folders):
    child, base, parent, control = folders
    return json.loads(json.dumps(identity(open_all(child, base, [parent], [control]))))


def test_the_same_files_are_the_same_work_wherever_they_are(tmp_path):
    one, two = copied_family(tmp_path / "one"), copied_family(tmp_path / "two")
    assert differs(head_of(one), head_of(two)) is None


def set_time(path):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def set_header(path):
    stat = path.stat()
    raw = path.read_bytes()
    assert b"norm" in raw
    path.write_bytes(raw.replace(b"norm", b"morn", 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def set_name(path):
    path.rename(path.with_name("other.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_time, "modification time of model.safetensors of the parent 1 parent has changed"),
        (set_header, "header of model.safetensors of the parent 1 parent has changed"),
        (set_name, "model.safetensors is gone from the parent 1 parent"),
    ],
)
def test_a_file_that_changed_is_named_with_what_of_it(tmp_path, change, message):
    folders = copied_family(tmp_path)
    before = head_of(folders)
    change(folders[2] / "model.safetensors")
    assert message in differs(before, head_of(folders))


def test_other_work_is_named(tmp_path):
    child, base, parent, sibling = copied_family(tmp_path)
    head = head_of([child, base, parent, sibling])
    assert "its parent 1 is parent, and this one is sibling" in differs(
        head, head_of([child, base, sibling, parent])
    )
    fewer = identity(open_all(child, base, [parent, sibling], []))
    assert "begun with child, base, parent 1, control 1, and this is child" in differs(head, fewer)
    assert "version 1, and this is 2" in differs({**HEAD}, {**HEAD, "version": "2"})
    assert "arithmetic definition 1, and this is 2" in differs(HEAD, {**HEAD, "arithmetic": 2})


# --- passes -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Slices in layers and experts, of sizes that end in no whole chunk."""
    folder = tmp_path_factory.mktemp("many")
    made = []
    for number in range(3):
        noise = np.random.default_rng(number)
        tensors = {}
        for layer in range(4):
            shape = (3, 70 + layer, 100)
            name = f"model.layers.{layer}.mlp.experts.up_proj"
            values = np.random.default_rng(layer).normal(0, 0.02, shape)
            tensors[name] = (values + noise.normal(0, 0.001, shape)).astype(BF16)
            tensors[f"model.layers.{layer}.norm.weight"] = np.ones(7 + number, BF16)[:7]
        made.append(opened(folder, f"c{number}", tensors))
    return align(made[2], made[:2])


@settings(max_examples=12)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_no_way_of_cutting_and_going_on_changes_a_bit(many, tmp_path_factory, chunks, chance):
    """Every run has ranges and options of its own, and all but the last are interrupted."""
    folder = tmp_path_factory.mktemp("cut")
    reference = bits(full_pass(many, roles_in(many, 1), Options(1)))
    with pytest.MonkeyPatch.context() as patch:
        for place, size in enumerate([*chunks, 1 << 15]):
            patch.setattr("parentage.stream.cuts.RANGE_CHUNKS", size)
            options = Options(chance.choice([1, 2]), 4096, chance.choice(["mmap", "pread"]))
            is_last = place == len(chunks)
            stop = Interrupter(2.0 if is_last else chance.random())
            try:
                with Journal(folder, HEAD, resume=True) as journal:
                    found = full_pass(many, roles_in(many, 1), options, stop, journal=journal)
            except KeyboardInterrupt:
                continue
            assert bits(found) == reference
    assert bits(found) == reference


@pytest.mark.usefixtures("small_ranges")
def test_what_is_kept_is_not_read_again(many, tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path, HEAD, resume=False) as journal:
        full_pass(many, roles_in(many, 1), Options(1), Interrupter(0.5), journal=journal)
    kept = journal.done
    assert 0 < kept < journal.total
    witness = Interrupter(2.0)
    with Journal(tmp_path, HEAD, resume=True) as journal:
        full_pass(many, roles_in(many, 1), Options(1), witness, journal=journal)
        assert journal.done == journal.total
    assert witness.seen[0] == kept
    assert witness.seen[-1] == witness.totals[0]


@pytest.mark.usefixtures("small_ranges")
def test_other_slices_or_recipes_are_refused(many, tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path, HEAD, resume=False) as journal:
        full_pass(many, roles_in(many, 1), Options(1), Interrupter(0.5), journal=journal)
    program = Program(len(many.slices))
    replays = [(program, [program.column(0)])]
    with (
        pytest.raises(JournalError, match=r"can not go on: what is compared \(recipes\)"),
        Journal(tmp_path, HEAD, resume=True) as journal,
    ):
        full_pass(many, roles_in(many, 1), Options(1), journal=journal, replays=replays)


# --- traces -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("after", [0.01, 0.4, 0.99, 1.0])
def test_an_interrupted_trace_goes_on_to_the_same_evidence(tmp_path, whole, after):
    output, said = tmp_path / "evidence", []
    with pytest.raises(KeyboardInterrupt) as raised:
        family_trace(output, Interrupter(after), threads=1)
    if (output / NAME).exists():
        told = r"[\d.]+ of [\d.]+ GB read are kept in .*evidence; the same command with --resume"
        assert raised.match(told)
    family_trace(output, resume=True, io="pread", tile_bytes=4096, note=said.append)
    assert contents(output) == whole
    assert len(said) == 1


def test_resume_without_anything_kept_begins_and_says_so(tmp_path, whole):
    said = []
    family_trace(tmp_path, resume=True, note=said.append)
    assert contents(tmp_path) == whole
    assert [each.partition(": ")[2] for each in said] == ["starting from the beginning"]


@pytest.mark.usefixtures("small_ranges")
def test_an_error_keeps_what_is_finished(tmp_path, whole):
    said = []

    class Breaker(Interrupter):
        def update(self, done):
            if done >= self.after * self.totals[0]:
                raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        family_trace(tmp_path, Breaker(0.5), note=said.append)
    assert "kept in" in said[0]
    with pytest.raises(JournalError, match="an interrupted trace is kept here"):
        family_trace(tmp_path)
    family_trace(tmp_path, resume=True)
    assert contents(tmp_path) == whole


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume needs output"):
        family_trace(None, resume=True)
    assert cli.run(["trace", "x", "-b", "y", "--resume"]) == 2


ARGUMENTS = ["trace", str(family_path("child")), "-b", str(family_path("base"))]
ARGUMENTS += ["-p", str(family_path("parent")), "-c", str(family_path("sibling"))]
SLOWLY = """
import time, parentage.stream.cuts as cuts, parentage.stream.passes as stream
cuts.RANGE_BYTES = 1
found = stream.one_pass
def slow(*arguments):
    time.sleep(0.02)
    return found(*arguments)
stream.one_pass = slow
from parentage.cli import main
main()
"""


def killed(tmp_path, whole, times, seed):
    """Kill traces at random moments, go on with each, and compare what they end in."""
    chance = random.Random(seed)
    for number in range(times):
        output = tmp_path / f"killed{number}"
        deaths = 0
        while True:
            command = [
                sys.executable,
                "-c",
                SLOWLY,
                *ARGUMENTS,
                "-o",
                str(output),
                "-q",
                "--resume",
            ]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            # Some die before the pass, some in it; a third start is left alone.
            wait = chance.uniform(0.2, 2.0) if deaths < 2 else 60
            try:
                assert process.wait(wait) == 0
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                deaths += 1
        assert contents(output) == whole


def test_killed_traces_go_on_to_the_same_evidence(tmp_path, whole):
    killed(tmp_path, whole, 2, seed=1)


def test_what_was_being_written_when_a_trace_was_killed_is_removed(tmp_path, whole):
    output = tmp_path / "evidence"
    left = output / ".writing-abc"
    left.mkdir(parents=True)
    (left / "evidence.json").write_text("{")
    subprocess.run([*COMMAND, *ARGUMENTS, "-o", str(output), "-q"], check=True)
    assert contents(output) == whole


@pytest.mark.slow
def test_killed_traces_go_on_to_the_same_evidence_twenty_times(tmp_path, whole):
    killed(tmp_path, whole, 20, seed=2)


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tmp_path, whole):
    output = tmp_path / "evidence"
    arguments = [*ARGUMENTS, "-o", str(output)]
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        while not (output / NAME).exists() or (output / NAME).stat().st_size < 20_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert f"read are kept in {output}; the same command with --resume goes on" in said
    again = subprocess.run(
        [*COMMAND, *arguments, "--resume"], capture_output=True, text=True, check=True
    )
    assert "going on with" in again.stderr
    assert contents(output) == whole


def test_digests_that_were_complete_are_kept_for_a_resume(tmp_path):
    child, others = paths()
    # What a trace leaves that was killed after its last slice.
    plain = parentage.trace(child, **others, digest="sha256", recipes=False)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parentage.Trace, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            parentage.trace(child, **others, digest="sha256", recipes=False, output=tmp_path)
    with Journal(tmp_path, identity(open_all(child, **others, controls=())), resume=True) as kept:
        digests = list(kept.records("digest"))
    again = parentage.trace(
        child, **others, digest="sha256", recipes=False, output=tmp_path, resume=True
    )
    assert again.to_json() == plain.to_json()
    assert json.loads((tmp_path / "evidence.json").read_text()) == plain.evidence
    for each in digests:
        assert len(each.values["sha256"]) == 64


@pytest.mark.skipif(os.name != "posix", reason="such files are POSIX's")
@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_of_its_own_is_in_the_way_and_left_alone(tmp_path, kind):
    path = tmp_path / "out" / NAME
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    with pytest.raises((JournalError, WriteError), match=NAME):
        Journal(path.parent, {}, resume=False)
    assert not (tmp_path / "elsewhere").exists()
    assert path.is_symlink() == (kind == "link")
