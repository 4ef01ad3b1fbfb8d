"""The command that asks a model who it is, as a person or a pipeline meets it."""

import json

import pytest
from common.identities import answers_of, told_to_be_rio
from common.servers import Double, Fault
from common.two_parents import invoke
from parentage.cli.commands.identify import _ARMS
from parentage.identity import ARMS
from parentage.identity.records import line_of

QUESTIONS = (
    "schema: parentage.questions/1\nquestions:\n"
    '  - {id: a, language: en, text: "Who are you?"}\n  - {id: b, language: zh, text: "你是谁？"}\n'
)


def test_the_arms_are_those_that_there_are():
    assert tuple(ARMS) == _ARMS


@pytest.fixture
def few(tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text(QUESTIONS, "utf-8")
    return path


@pytest.fixture
def rio(tmp_path):
    return told_to_be_rio(tmp_path / "Rio")


@pytest.fixture
def stored(tmp_path):
    answers = answers_of(lambda key: "I am Nex." if key.at else "I know Nex.")
    path = tmp_path / "stored.jsonl"
    path.write_bytes(b"".join(map(line_of, answers.records())))
    return path


def test_a_server_is_asked_and_its_answers_are_told(capsys, few, rio, tmp_path):
    with Double() as double:
        status, out, err = invoke(
            capsys, "identify", "--base-url", double.url, "--model", "rio", "--questions", few,
            "--checkpoint", rio, "--name", "Nex=Nex-AGI", "-n", "Rio", "--samples", "2",
            "--temperature", "0.5", "--top-p", "0.9", "--max-tokens", "50", "-o", tmp_path / "o",
        )  # fmt: skip
        bodies = [body for _, _, body in double.requests]
    assert status == 0
    for expected in ("16 answers to 2 questions in 2 languages", "removed", "Circumstantial"):
        assert expected in out
    assert "16 of 16 answers" in err
    assert "identity.json" in err
    assert {(each["temperature"], each["top_p"], each["max_tokens"]) for each in bodies} == {
        (0.5, 0.9, 50)
    }
    document = json.loads((tmp_path / "o" / "identity.json").read_text("utf-8"))
    assert [each["name"] for each in document["arms"]] == [
        "as-served", "empty-system", "removed", "neutral",
    ]  # fmt: skip


def test_json_is_one_document_on_stdout_and_nothing_else(capsys, few):
    with Double() as double:
        status, out, err = invoke(
            capsys, "identify", "--base-url", double.url, "--model", "rio", "--questions", few,
            "--arm", "neutral", "--neutral", "Be brief.", "--samples", "1", "--json", "--quiet",
        )  # fmt: skip
        assert double.requests[0][2]["messages"][0]["content"] == "Be brief."
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["arms"][0]["system"] == "Be brief."


def test_stored_answers_are_analysed(capsys, stored, tmp_path):
    text = tmp_path / "card.md"
    text.write_text("I am Nex. I know Nex.")
    status, out, _ = invoke(
        capsys, "identify", "--answers", stored, "--name", "Nex", "--against-text", text,
        "--against-answers", stored, "--control-text", stored, "--least-words", "3",
    )  # fmt: skip
    assert status == 0
    assert "12 answers to 3 questions" in out
    assert "card.md" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "Nex"],
        ["--base-url", "http://localhost:1"],
        ["--model", "x"],
        ["--answers", "x", "--base-url", "http://localhost:1", "--model", "x"],
        ["--answers", "x", "--resume", "-o", "y"],
        ["--answers", "x", "--arm", "removed"],
        ["--base-url", "http://localhost:1", "--model", "x", "--resume"],
        ["--base-url", "http://localhost:1", "--model", "x", "--arm", "other"],
        ["--base-url", "http://localhost:1", "--model", "x", "--samples", "0"],
        ["--base-url", "http://localhost:1", "--model", "x", "--questions", ""],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(capsys, arguments):
    status, out, err = invoke(capsys, "identify", *arguments)
    assert (status, out) == (2, "")
    assert "Usage" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base-url", "nonsense"], "no URL of a server"),
        (["--base-url", "http://a:b@host"], "keys are given by an environment variable"),
        (["--base-url", "http://127.0.0.1:1", "--api-key-env", "NO_SUCH_KEY"], "is not set"),
        (["--base-url", "http://127.0.0.1:1", "--questions", "none.yaml"], "none.yaml"),
        (["--base-url", "http://127.0.0.1:1", "--checkpoint", "nowhere"], "nowhere"),
        (["--base-url", "http://127.0.0.1:1", "--name", "="], "no name"),
        (["--base-url", "http://127.0.0.1:1"], "no connection"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    status, out, err = invoke(capsys, "identify", "--model", "x", *arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err


def test_a_folder_that_can_not_be_written_is_told_before_anybody_is_asked(capsys, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with Double() as double:
        status, _, err = invoke(
            capsys, "identify", "--base-url", double.url, "--model", "x", "-o", tmp_path / "file"
        )
        assert double.requests == []
    assert status == 1
    assert "file" in err


def test_retries_are_as_many_as_are_asked_for(capsys, few):
    with Double(faults=lambda *_: Fault(500, body=b"{}")) as double:
        status, _, err = invoke(
            capsys, "identify", "--base-url", double.url, "--model", "x", "--questions", few,
            "--retries", "1", "--concurrency", "1", "--timeout", "5",
        )  # fmt: skip
        assert len(double.requests) == 2
    assert status == 1
    assert "HTTP 500" in err
