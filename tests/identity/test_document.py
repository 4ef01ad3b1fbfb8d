"""The evidence is one document, the same for the same answers."""

import hashlib
import json

import pytest
from common.identities import answers_of
from parentage.identity.document import DOCUMENT
from parentage.identity.flow import analyse
from parentage.identity.names import Name
from parentage.identity.overlap import Text
from parentage.identity.passages import Words
from parentage.identity.records import Skipped, read_answers
from parentage.support import JournalError, WriteError

STORY = "born in the quiet labs of the north where three friends lived"


def identity(**settings):
    answers = answers_of(
        lambda key: f"I am {'Rio' if key.arm == 'as-served' else 'Nex'}, {STORY}.",
        **settings,
    )
    answers.add(Skipped("removed", "no checkpoint"))
    names = [Name("Nex", ("Nex-AGI",)), Name("Rio")]
    other = answers_of(lambda *_: "I am Claude.", model="other")
    texts = [Text("story", Words.of(STORY))]
    return analyse(
        answers, names, other=other, texts=texts, controls=[Text("c", Words.of("x " * 99))]
    )


def test_it_holds_what_was_counted_and_how():
    document = json.loads(identity().to_json())
    assert document["schema"] == "parentage.identity/1"
    assert document["level"] == "circumstantial"
    assert document["model"] == {
        "name": "double", "base_url": "http://127.0.0.1:1/v1", "served_as": [],
    }  # fmt: skip
    assert document["parameters"]["seed"] == 0
    assert document["questions"]["languages"] == {"en": 3}
    assert document["names"][0] == {"name": "Nex", "aliases": ["Nex-AGI"]}
    served, empty = document["arms"]
    nex, rio = served["names"]
    assert (rio["claimed"], rio["answers"], rio["share"]) == (6, 6, 1.0)
    assert rio["interval"] == [0.540742, 1.0]
    assert (nex["claimed"], empty["names"][0]["claimed"]) == (0, 6)
    assert (served["system"], empty["system"]) == (None, "")
    assert document["skipped"] == [{"arm": "removed", "reason": "no checkpoint"}]
    kinds = [each["kind"] for each in document["comparisons"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"arms": 4, "names": 2, "models": 8}
    texts = [each["text"] for each in document["overlap"]]
    assert texts == ["story", "answers of other"]
    assert document["overlap"][0]["arms"][0]["passages"][0]["quote"] == STORY
    assert document["against"]["arms"][0]["others"][0]["name"] == "Claude"


def test_it_is_the_same_for_the_same_answers(tmp_path):
    first, second = identity(), identity()
    second.answers.answers = dict(reversed(list(second.answers.answers.items())))
    assert first.to_json() == second.to_json()
    first.save(tmp_path / "a")
    second.save(tmp_path / "b")
    for name in (DOCUMENT, "answers.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_saved_can_be_analysed_again(tmp_path):
    found = identity()
    folder = found.save(tmp_path / "new" / "evidence")
    assert sorted(each.name for each in folder.iterdir()) == ["answers.jsonl", "identity.json"]
    document = json.loads((folder / DOCUMENT).read_text("utf-8"))
    digest = hashlib.sha256((folder / "answers.jsonl").read_bytes()).hexdigest()
    assert document["answers"] == {"file": "answers.jsonl", "sha256": digest}
    again = analyse(read_answers(folder / "answers.jsonl"), found.findings.names)
    assert again.document["arms"] == document["arms"]


def test_other_answers_are_not_written_over(tmp_path):
    found = identity()
    folder = found.save(tmp_path / "o")
    path = folder / "answers.jsonl"
    whole = path.read_bytes()
    # The same in another order is the same.
    first, *rest = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([first, *reversed(rest)]))
    found.save(folder)
    assert path.read_bytes() == whole
    for other in (b'{"question": "Who?", "answer": "Nex"}\n', b"my notes", first + rest[0]):
        path.write_bytes(other)
        with pytest.raises(JournalError, match="other answers"):
            found.save(folder)
        assert path.read_bytes() == other


def test_what_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match="file"):
        identity().save(tmp_path / "file")


def test_it_says_what_it_is():
    found = identity()
    assert repr(found) == (
        "<Identity of double: answers as-served: 6, empty-system: 6; circumstantial>"
    )
    assert found.level == "circumstantial"
    assert found.sentences[0].startswith("as-served: Nex is claimed in 0 of 6")
