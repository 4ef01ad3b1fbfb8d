"""Traces in parts: their evidence is that of one machine, and what does not fit is refused."""

import json
import shutil

import parentage
import pytest
from common.evidence_of_workers import evidence_in, traced
from common.workers import Here
from conftest import family_path, write_checkpoint
from parentage import JournalError, join, trace_part
from parentage.checkpoint import Checkpoint
from parentage.evidence.journal import KeptRecords
from parentage.stream import Progress
from parentage.stream.backends import executor as module

ROLES = {
    "base": family_path("base"),
    "parents": [family_path("parent")],
    "controls": [family_path("sibling")],
}


def part(number, count, output, **options):
    given = {**ROLES, "seed": 7, "digest": "sha256", **options}
    return trace_part(family_path("child"), part=(number, count), output=output, **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return traced(tmp_path_factory.mktemp("whole"), patch, None, digest="sha256")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    for number in (3, 1, 2):
        assert part(number, 3, folder) == folder / f"part-{number}-of-3"
    return folder


@pytest.fixture
def some(parts, tmp_path):
    """A copy of the parts, to be spoiled."""
    return shutil.copytree(parts, tmp_path / "some")


def test_the_evidence_of_parts_is_that_of_one_machine(parts, whole, tmp_path):
    found = join(parts, output=tmp_path / "joined")
    assert evidence_in(tmp_path / "joined") == whole
    assert found.to_json().encode() == whole["evidence.json"]


def test_parts_read_everything_once(parts):
    ranges = []
    for number in (1, 2, 3):
        with KeptRecords(parts / f"part-{number}-of-3" / "trace.journal") as kept:
            ranges += [(x.values["first"], x.values["last"]) for x in kept.records("slices")]
    assert ranges[0][0] == 0
    assert [last for _, last in ranges[:-1]] == [first for first, _ in ranges[1:]]


def test_parts_of_one_slice_or_none_are_joined_as_well(tmp_path):
    count = 12
    for number in range(1, count + 1):
        part(number, count, tmp_path / "parts", recipes=False, digest=None)
    found = join(tmp_path / "parts")
    expected = parentage.trace(family_path("child"), **ROLES, seed=7, recipes=False)
    assert found.to_json() == expected.to_json()
    assert found.slices.equals(expected.slices)


def test_parts_of_workers_are_those_of_one_process(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST", 1 << 14)
    executors = [Here(), Here()]
    for number, executor in enumerate(executors, 1):
        part(number, 2, tmp_path / "parts", executor=executor)
        assert executor.given
    join(tmp_path / "parts", output=tmp_path / "joined")
    assert evidence_in(tmp_path / "joined") == whole


def test_parts_in_folders_of_their_own_are_joined(parts, whole, tmp_path):
    folders = []
    for number in (1, 2, 3):
        folders.append(tmp_path / f"{number}")
        folders[-1].mkdir()
        shutil.copy(parts / "parts.json", folders[-1])
        name = f"part-{number}-of-3"
        shutil.copytree(parts / name, folders[-1] / name)
    join(folders, output=tmp_path / "joined")
    assert evidence_in(tmp_path / "joined") == whole
    with pytest.raises(JournalError, match="of 3 parts, 2 is missing"):
        join([folders[0], folders[2]])
    with pytest.raises(
        JournalError, match=r"part 1/3 is there twice: .*part-1-of-3 and .*1.part-1-"
    ):
        join([parts, folders[0]])


def test_the_first_part_draws_the_seed_of_all(tmp_path):
    for number in (1, 2):
        part(number, 2, tmp_path / "parts", seed=None)
    seed = json.loads((tmp_path / "parts" / "parts.json").read_text())["seed"]
    found = join(tmp_path / "parts")
    again = parentage.trace(family_path("child"), **ROLES, seed=seed, digest="sha256")
    assert found.to_json() == again.to_json()


def test_missing_parts_are_named(some):
    shutil.rmtree(some / "part-2-of-3")
    with pytest.raises(JournalError, match="of 3 parts, 2 is missing"):
        join(some)
    shutil.rmtree(some / "part-1-of-3")
    with pytest.raises(JournalError, match="of 3 parts, 1, 2 are missing"):
        join(some)


def test_a_part_that_is_not_done_is_named(some):
    journal = some / "part-2-of-3" / "trace.journal"
    journal.write_bytes(journal.read_bytes()[:-1])
    with pytest.raises(
        JournalError, match="of 3 parts, 2 is not done; the same command with --res"
    ):
        join(some)
    (some / "part-2-of-3" / "trace.journal").unlink()
    with pytest.raises(JournalError, match="of 3 parts, 2 is not done"):
        join(some)


class Enough(Progress):
    """Stops a pass once something was read."""

    def update(self, done):
        if done:
            raise KeyboardInterrupt


def test_an_interrupted_part_goes_on(some, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("parentage.stream.cuts.RANGE_BYTES", 1)
    shutil.rmtree(some / "part-2-of-3")
    with pytest.raises(KeyboardInterrupt):
        part(2, 3, some, progress=Enough())
    part(2, 3, some, resume=(some / "part-2-of-3").exists())
    join(some, output=tmp_path / "joined")
    assert evidence_in(tmp_path / "joined") == whole


def test_a_part_that_is_done_is_never_overwritten(some):
    said = []
    part(2, 3, some, resume=True, note=said.append)
    assert said == [f"part 2/3 is done: {some / 'part-2-of-3'}"]
    with pytest.raises(JournalError, match="--resume"):
        part(2, 3, some)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 8}, "seed 7 there, and 8 here"),
        ({"recipes": False}, "recipes asked for there, and not asked for here"),
        ({"digest": None}, "digest asked for there, and not asked for here"),
        ({"controls": []}, "it was begun with child, base, parent 1, control 1, and this is child"),
    ],
)
def test_parts_of_another_trace_are_refused(some, changed, said):
    shutil.rmtree(some / "part-2-of-3")
    with pytest.raises(JournalError, match=f"parts of another trace: {said}"):
        part(2, 3, some, **changed)
    assert not (some / "part-2-of-3").exists()


def test_another_number_of_parts_is_refused(some):
    with pytest.raises(JournalError, match="parts 3 there, and 4 here"):
        part(4, 4, some)


def test_other_recipes_than_those_of_other_parts_are_refused(some):
    shutil.rmtree(some / "part-2-of-3")
    said = json.loads((some / "recipes.json").read_text())
    (some / "recipes.json").write_text(json.dumps({**said, "recipes": ["0" * 64]}))
    with pytest.raises(JournalError, match="are not those of the other parts"):
        part(2, 3, some)


def test_recipes_that_are_others_where_parts_are_joined_are_refused(some):
    sheet = json.loads((some / "parts.json").read_text())
    (some / "parts.json").write_text(json.dumps({**sheet, "recipes": False}))
    with pytest.raises(JournalError, match=r"can not be joined: what is compared \(recipes\)"):
        join(some)


def test_a_file_that_has_changed_since_is_refused(tmp_path):
    names = ("child", "base", "parent")
    places = {name: shutil.copytree(family_path(name), tmp_path / name) for name in names}
    given = {"base": places["base"], "parents": [places["parent"]], "output": tmp_path / "parts"}
    for number in (1, 2):
        trace_part(places["child"], part=f"{number}/2", **given)
    (places["base"] / "model.safetensors").touch()
    with pytest.raises(JournalError, match="modification time of model"):
        join(tmp_path / "parts")


def test_names_of_checkpoints_are_kept(tmp_path):
    named = Checkpoint.open(family_path("parent"), "mine")
    for number in (1, 2):
        part(number, 2, tmp_path, parents=[named])
    assert list(join(tmp_path).weights) == ["mine"]


def test_what_is_no_part_is_refused(tmp_path):
    for given in ("0/3", "4/3", "x", (1, 10**6), "1/2/3"):
        with pytest.raises(ValueError, match="is no part; write 3/64 for the third of 64"):
            trace_part(family_path("child"), part=given, output=tmp_path, **ROLES)
    with pytest.raises(ValueError, match="digest must be sha256"):
        part(1, 2, tmp_path, digest="md5")
    assert not list(tmp_path.iterdir())


def test_what_holds_no_parts_is_refused(tmp_path):
    with pytest.raises(JournalError, match="no parts of a trace are here; trace --part writes"):
        join(tmp_path)
    with pytest.raises(parentage.ReadError, match="none: read: No such file"):
        join(tmp_path / "none")
    with pytest.raises(ValueError, match="no folder of parts is given"):
        join([])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "x"}', "[" * 100_000, "\xff"])
def test_a_spoiled_sheet_is_an_error(some, text):
    (some / "parts.json").write_text(text, "latin-1")
    with pytest.raises(JournalError, match="this is not what parts of a trace agree on"):
        join(some)


@pytest.mark.parametrize("key", ["count", "seed", "work", "child", "parents", "digest"])
def test_a_sheet_that_lacks_something_is_an_error(some, key):
    sheet = json.loads((some / "parts.json").read_text())
    for spoiled in (None, "x"):
        (some / "parts.json").write_text(json.dumps({**sheet, key: spoiled}))
        with pytest.raises(parentage.ParentageError):
            join(some)


def test_a_sketch_has_no_parts(tmp_path):
    sketched = parentage.sketch(family_path("parent"), tmp_path / "parent.sketch")
    assert sketched is not None
    with pytest.raises(ValueError, match="parts are of whole files, and parent is a sketch"):
        part(1, 2, tmp_path / "parts", parents=[tmp_path / "parent.sketch"])


def test_a_checkpoint_that_lacks_some_tensors_is_joined_as_it_is_traced(weights, tmp_path):
    base = weights["base"]
    fewer = {name: x for number, (name, x) in enumerate(weights["parent"].items()) if number > 2}
    write_checkpoint(tmp_path / "base", base)
    write_checkpoint(tmp_path / "fewer", fewer)
    given = {"base": tmp_path / "base", "parents": [tmp_path / "fewer"], "seed": 7}
    for number in (1, 2):
        trace_part(family_path("child"), part=(number, 2), output=tmp_path / "parts", **given)
    expected = parentage.trace(family_path("child"), **given)
    assert join(tmp_path / "parts").to_json() == expected.to_json()
