"""What files say, on a terminal and as JSON."""

import json
import os
import subprocess
import time

import numpy as np
import pytest
from common.processes import COMMAND
from common.said import family, said_so
from common.templates import HOSTILE, RIO
from common.two_parents import invoke
from conftest import family_path
from parentage.metadata import rendering


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return family(tmp_path_factory.mktemp("family"))


def arguments(folder, *more):
    return (
        "compare-metadata", folder / "child", "-b", folder / "base", "-p", folder / "tuned", *more
    )  # fmt: skip


def test_what_files_say_is_printed(capsys, folder):
    status, out, err = invoke(capsys, *arguments(folder))
    assert (status, err) == (0, "")
    assert RIO in out
    words = " ".join(out.split())
    for expected in (
        "circumstantial",
        "Default prompt of child alone, told without a system message",
        "base and tuned say none",
        "is said to be made by IplanRIO",
        "hidden_size (architecture): agrees with base",
        "license: mit",
    ):
        assert expected in words


def test_what_files_say_is_one_document(capsys, folder):
    status, out, err = invoke(capsys, *arguments(folder, "--json"))
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert [each["text"] for each in document["prompts"]] == [RIO]
    assert document["weights"] is None


def test_all_says_what_agrees_too(capsys, folder):
    assert "model_type" not in invoke(capsys, *arguments(folder))[1]
    assert (
        "model_type (architecture): agrees with all"
        in invoke(capsys, *arguments(folder, "--all"))[1]
    )


def test_claims_stand_beside_the_verdict_of_evidence(capsys, tmp_path):
    child, base, parent = map(family_path, ("child", "base", "parent"))
    evidence = tmp_path / "evidence"
    assert invoke(capsys, "trace", child, "-b", base, "-p", parent, "-o", evidence)[0] == 0
    status, out, _ = invoke(
        capsys, "compare-metadata", child, "-b", base, "-p", f"ours={parent}", "--json",
        "--evidence", evidence,
    )  # fmt: skip
    assert status == 0
    assert json.loads(out)["weights"]["kind"] == "merge"
    status, _, err = invoke(capsys, "compare-metadata", base, "-b", child, "--evidence", evidence)
    assert status == 1
    assert "the evidence is of child, and base is one of the others in it" in err


def test_what_is_no_evidence_is_an_error(capsys, folder, tmp_path):
    status, out, err = invoke(capsys, *arguments(folder, "--evidence", tmp_path))
    assert (status, out) == (1, "")
    assert "evidence.json: read evidence: " in err


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(folder, width):
    environment = {**os.environ, "COLUMNS": str(width)}
    done = subprocess.run(
        [*COMMAND, *map(str, arguments(folder, "--all"))],
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )
    assert max(map(len, done.stdout.splitlines())) <= width


def test_hostile_files_end_in_remarks(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_SECONDS", 1)
    folder = said_so(
        tmp_path / "child\x1b[2J",
        {
            "config.json": "{",
            "tokenizer.json": b"[" * 200_000,
            "chat_template.jinja": HOSTILE["loops"],
            "README.md": "---\na: *b\n---\n\x1b]0;title\x07You are Evil\x1b[31m, a model.",
            "mergekit_config.yml": "a: &a [*a]",
        },
    )
    (folder / "LICENSE").symlink_to("/etc/passwd")
    began = time.monotonic()
    base = said_so(tmp_path / "base", {}, seed=1)
    status, out, _ = invoke(capsys, "compare-metadata", folder, "-b", base)
    assert time.monotonic() - began < 60
    assert status == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    words = " ".join(out.split())
    for expected in (
        "config.json: it is no JSON",
        "LICENSE is a link that leads out of the folder",
        "took more than 1 s of a CPU",
        "README.md: it is no YAML that is read",
    ):
        assert expected in words
    assert "root:" not in out


def test_without_templates_that_is_said(capsys, tmp_path):
    for name in ("child", "base"):
        np.savez(tmp_path / f"{name}.npz", w=np.arange(len(name), dtype=np.float32))
    _, out, _ = invoke(
        capsys, "compare-metadata", tmp_path / "child.npz", "-b", tmp_path / "base.npz"
    )
    assert "None of the checkpoints has one." in out
