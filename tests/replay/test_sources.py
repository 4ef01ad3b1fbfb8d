"""Checkpoints that are not those of the evidence are told, and fail."""

import json

import pytest
from common.two_parents import invoke
from conftest import family_path
from parentage.checkpoint import Checkpoint
from parentage.cli import run
from parentage.replay import check_sources

NAMES = ("base", "parent")


@pytest.fixture(scope="module", params=["sha256", None])
def evidence(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("evidence")
    digest = [] if request.param is None else ["--digest", request.param]
    arguments = ["trace", family_path("child"), "-b", family_path("base")]
    arguments += ["-p", family_path("parent"), "-o", folder, "-q", *digest]
    assert run([str(each) for each in arguments]) == 0
    return folder, request.param


def opened(**places):
    return {name: Checkpoint.open(places.get(name, family_path(name)), name) for name in NAMES}


def test_the_same_files_are_told_by_what_was_compared(evidence):
    folder, digest = evidence
    found = check_sources((folder / "evidence.json").read_text(), opened())
    assert found.differences == ()
    assert found.checked == (digest or "bytes")


def test_other_bytes_of_the_same_size_are_told_where_there_is_a_digest(evidence, capsys):
    folder, digest = evidence
    places = opened(parent=family_path("sibling"))
    found = check_sources((folder / "evidence.json").read_text(), places)
    assert len(found.differences) == (digest is not None)
    arguments = ["replay", folder, "--from", family_path("base")]
    arguments += ["--from", f"parent={family_path('sibling')}", "--against", family_path("child")]
    _, out, _ = invoke(capsys, *arguments)
    assert ("not that of the evidence" in out) == (digest is not None)
    assert ("by size alone" in out) == (digest is None)
    assert invoke(capsys, *arguments, "--fail-on-mismatch")[0] == 3


def test_another_size_is_told_and_fails_though_every_element_is_there(evidence, capsys, tmp_path):
    folder, _ = evidence
    path = next(family_path("parent").glob("*.safetensors"))
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    (tmp_path / "parent").mkdir()
    padded = (length + 8).to_bytes(8, "little") + raw[8 : 8 + length] + b" " * 8
    (tmp_path / "parent" / path.name).write_bytes(padded + raw[8 + length :])
    arguments = ["replay", folder, "--from", family_path("base"), "--from", tmp_path / "parent"]
    arguments += ["--against", family_path("child")]
    status, out, _ = invoke(capsys, *arguments, "--fail-on-mismatch")
    assert status == 3
    assert "parent is not that of the evidence" in out
    told = json.loads(invoke(capsys, *arguments, "--json")[1])
    assert told["replay"]["agrees"] is True
    assert len(told["sources"]["differences"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", '{"schema": "parentage.evidence/2"}',
        '{"schema": "parentage.evidence/2", "inputs": {"base": 3, "parents": [null, {"name": 1}]}}',
        '{"schema": "parentage.evidence/2", "inputs": {"base": {"name": "base", "files": 3}}}',
    ],
)  # fmt: skip
def test_what_says_nothing_of_files_checks_nothing(text):
    assert check_sources(text, opened()) is None
