"""A served model is asked from end to end, through faults, kills and resumes."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from common.identities import QUICK, questions_of
from common.processes import COMMAND
from common.servers import Double, Fault
from parentage import IdentityError, identify
from parentage.identity import AskingProgress, ServerError
from parentage.identity.flow import MOST_NAMES
from parentage.support import JournalError

KEY = "sk-proj-0123456789abcdef-XYZ"
NAMES = ["Nex=Nex-AGI,Nex-N2", "Rio"]
FILES = ("identity.json", "answers.jsonl")


@pytest.fixture
def few(tmp_path):
    """Return a file of six questions in two languages."""
    path = tmp_path / "questions.yaml"
    entries = [
        f'  - {{id: {each.id}, language: en, text: "{each.text}"}}\n' for each in questions_of(4)
    ]
    entries += [f'  - {{id: zh{at}, language: zh, text: "你是谁{at}？"}}\n' for at in range(2)]
    path.write_text("schema: parentage.questions/1\nquestions:\n" + "".join(entries), "utf-8")
    return path


def asked(double, few, **settings):
    return identify(
        double.url, "rio", names=NAMES, questions=few, **{"samples": 2, "pace": QUICK, **settings}
    )


def counts_of(identity):
    return {
        (each.arm, name): (tally.claimed, tally.answers)
        for each in identity.findings.arms
        for name, tally in each.names.items()
    }


def test_the_founding_case(tmp_path, rio):
    """As served it is Rio; with the prompt truly removed it is what it has learnt to be."""
    path = tmp_path / "questions.yaml"
    entries = [
        f'  - {{id: {each.id}, language: en, text: "{each.text}"}}\n' for each in questions_of(24)
    ]
    path.write_text("schema: parentage.questions/1\nquestions:\n" + "".join(entries))
    arms = ("as-served", "removed")
    with Double() as double:
        found = asked(double, path, checkpoint=rio, arms=arms)
        paths = [path for path, _, _ in double.requests]
    counts = counts_of(found)
    assert paths.count("/v1/completions") == 48
    assert counts["as-served", "Nex"] == counts["removed", "Rio"] == (0, 48)
    assert counts["as-served", "Rio"][0] >= 36
    assert counts["removed", "Nex"][0] >= 30
    told = "\n".join(found.sentences)
    assert "removed: Rio is claimed in 0 of 48 answers (0%, interval 0.0% to 7.4%)" in told
    assert "Nex: claimed in 0 answers as-served and in" in told
    (_, arm) = found.document["arms"]
    assert arm["template"]["removed"] == ["You are Rio, made by Iplan."]
    assert all("You are Rio" not in each for each in found.answers.head.arms[1].prompts.values())


def test_without_a_checkpoint_an_arm_is_skipped_and_said(few):
    with Double() as double:
        found = asked(double, few)
    assert set(found.document["skipped"][0].values()) == {
        "removed", "no checkpoint is given whose template could be rendered",
    }  # fmt: skip
    assert [each["name"] for each in found.document["arms"]] == [
        "as-served", "empty-system", "neutral",
    ]  # fmt: skip


def test_without_raw_prompts_an_arm_is_skipped_and_said(few, rio):
    with Double(completions=False) as double:
        found = asked(double, few, checkpoint=rio)
    (skipped,) = found.document["skipped"]
    assert skipped["arm"] == "removed"
    assert "HTTP 404" in skipped["reason"]
    assert ("removed", "Nex") not in {
        key for key, (_, answers) in counts_of(found).items() if answers
    }


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_errors_change_no_count(few, tmp_path, share):
    draw = random.Random(3)
    kinds = [
        Fault(500, body=b"{}"), Fault(drop=True), Fault(cut=True), Fault(body=b"garbage"),
        Fault(429, {"Retry-After": "0.01"}, b"{}"), Fault(503, body=b"<html>"),
    ]  # fmt: skip

    def faults(*_):
        return draw.choice(kinds) if draw.random() < share else None

    with Double() as double:
        asked(double, few, output=tmp_path / "whole")
    with Double(faults=faults, port=double.port) as double:
        found = asked(double, few, output=tmp_path / "faulty")
        assert len(double.requests) > 36 / (1 - share) * 0.8
    assert found.answers.failures == {}
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "faulty" / name).read_bytes()


def test_a_server_that_is_killed_midway_and_resumed_gives_the_same(few, tmp_path):
    with Double() as double:
        asked(double, few, output=tmp_path / "whole")
    port = double.port
    gone = threading.Event()

    def faults(number, _):
        if number == 20:
            gone.set()
        return Fault(drop=True) if gone.is_set() else None

    with (
        Double(faults=faults, port=port) as double,
        pytest.raises(ServerError, match=r"in a row.*answers are kept.*--resume") as caught,
    ):
        asked(double, few, output=tmp_path / "part")
    assert "answers.jsonl" in str(caught.value)
    kept = (tmp_path / "part" / "answers.jsonl").read_bytes().count(b'"kind":"answer"')
    assert 0 < kept < 36
    # Nobody is there for a while.
    with pytest.raises(ServerError, match="no connection"):
        asked(double, few, output=tmp_path / "part", resume=True)
    with Double(port=port) as double:
        asked(double, few, output=tmp_path / "part", resume=True)
        assert len(double.requests) == 36 - kept
    for name in FILES:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "part" / name).read_bytes()
    # And once more, with nothing left to ask.
    asked(double, few, output=tmp_path / "part", resume=True)


def command(double, few, folder, *more):
    return [
        *COMMAND, "identify", "--base-url", double.url, "--model", "rio", "--questions", few,
        "--name", "Nex", "--samples", "2", "-o", folder, *more,
    ]  # fmt: skip


def started(arguments):
    return subprocess.Popen(
        list(map(str, arguments)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(double, requests):
    end = time.monotonic() + 30
    while len(double.requests) < requests and time.monotonic() < end:
        time.sleep(0.02)
    assert len(double.requests) >= requests


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_whatever_ends_it_answers_are_kept(few, tmp_path, number):
    with Double() as double:
        asked(double, few, output=tmp_path / "whole")
    slow = Fault(delay=0.1)
    with Double(faults=lambda *_: slow, port=double.port) as double:
        with started(command(double, few, tmp_path / "part")) as process:
            wait_for(double, 15)
            process.send_signal(number)
            sent = time.monotonic()
            _, err = process.communicate(timeout=20)
        took = time.monotonic() - sent
    kept = (tmp_path / "part" / "answers.jsonl").read_bytes().count(b'"kind":"answer"')
    assert 8 <= kept < 36
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert f"interrupted; {kept} answers are kept in " in err
        assert "--resume goes on" in err
        assert took < 2.0
    assert "Traceback" not in err
    with Double(port=double.port) as double:
        found = asked(double, few, output=tmp_path / "part", resume=True)
    whole = json.loads((tmp_path / "whole" / "identity.json").read_text("utf-8"))
    assert found.document["arms"] == whole["arms"]
    assert (tmp_path / "part" / "answers.jsonl").read_bytes() == (
        tmp_path / "whole" / "answers.jsonl"
    ).read_bytes()


def test_keys_are_written_nowhere(few, tmp_path, monkeypatch):
    """Not even where a server says them."""
    monkeypatch.setenv("SERVER_KEY", KEY)

    def faults(number, _):
        said = f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()
        return Fault(500, body=said) if number % 5 == 4 else None

    heard = []

    class Heard(AskingProgress):
        def note(self, text):
            heard.append(text)

    with Double(says=lambda _: f"I am Nex, and was sent {KEY}.", faults=faults) as double:
        found = asked(
            double, few, output=tmp_path / "o", api_key_env="SERVER_KEY", progress=Heard()
        )
        assert all(each[1]["authorization"] == f"Bearer {KEY}" for each in double.requests)
    texts = [path.read_text("utf-8") for path in (tmp_path / "o").iterdir()]
    assert len(texts) == 2
    assert KEY not in "".join([*texts, *heard, *found.sentences, repr(found)])
    assert "[key]" in texts[0]

    def refuse(*_):
        return Fault(401, body=f'{{"error": {{"message": "wrong key {KEY}"}}}}'.encode())

    with Double(faults=refuse) as double:
        arguments = command(double, few, tmp_path / "p", "--api-key-env", "SERVER_KEY")
        with started(arguments) as process:
            out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the server refuses: HTTP 401: wrong key [key]" in err
    assert KEY not in out + err


def test_at_temperature_zero_each_question_is_asked_once(few):
    heard = []

    class Heard(AskingProgress):
        def note(self, text):
            heard.append(text)

    with Double() as double:
        asked(double, few, samples=5, temperature=0, arms=["neutral"], progress=Heard())
        assert len(double.requests) == 6
    assert heard == ["at temperature 0 all answers to a question are one: each is asked once"]


def test_an_address_that_was_mistyped_leaves_nothing(few, tmp_path):
    with Double() as double:
        pass
    with pytest.raises(ServerError, match="no answer has come"):
        asked(double, few, output=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_model_that_answers_nothing_is_told(few):
    with Double(says=lambda _: {"role": "assistant", "content": None}) as double:
        found = asked(double, few)
    assert "as-served: none of 12 answers says anything." in found.sentences
    assert found.document["arms"][0]["empty"] == 12


def test_a_model_that_only_thinks_is_told(few):
    said = {"role": "assistant", "content": "", "reasoning_content": "I am Nex, but must not say."}
    with Double(says=lambda _: dict(said)) as double:
        found = asked(double, few)
    arm = found.document["arms"][0]
    assert (arm["empty"], arm["thinking"]) == (12, 12)
    assert arm["names"][0]["answers"] == 0


def test_stored_answers_need_no_server_and_no_library(tmp_path, monkeypatch):
    path = tmp_path / "theirs.jsonl"
    lines = [{"question": f"Who are you? {at}", "answer": "I am Nex."} for at in range(20)]
    path.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setitem(sys.modules, "openai", None)
    found = identify(answers=path, names=NAMES, output=tmp_path / "o")
    assert counts_of(found)["given", "Nex"] == (20, 20)
    assert sorted(each.name for each in (tmp_path / "o").iterdir()) == [
        "answers.jsonl",
        "identity.json",
    ]


def test_models_and_texts_are_compared(few, tmp_path):
    story = tmp_path / "card.md"
    story.write_text("Nex was made in the quiet labs of the north, a model developed by Nex-AGI in "
                     "the quiet labs of the north for all.")  # fmt: skip
    control = tmp_path / "control.md"
    control.write_text("A river runs through the old town. " * 20)
    with Double() as double:
        asked(double, few, output=tmp_path / "rio")
    with Double(says=lambda _: "I am Claude.") as double:
        asked(double, few, output=tmp_path / "claude")
    found = identify(
        answers=tmp_path / "rio" / "answers.jsonl",
        names=NAMES,
        against_answers=tmp_path / "claude" / "answers.jsonl",
        against_texts=[story],
        controls=[control],
    )
    models = [each for each in found.findings.comparisons if each.kind == "models"]
    assert {each.one.arm for each in models} == {"as-served", "empty-system", "neutral"}
    overlaps = {each.arm: each for each in found.findings.overlaps["card.md"]}
    assert overlaps["as-served"].passages == ()
    assert overlaps["neutral"].passages[0].quote.endswith("quiet labs of the north")
    assert overlaps["neutral"].log10_p < 0


def test_a_broken_checkpoint_is_told_before_anybody_is_asked(few, tmp_path):
    with Double() as double, pytest.raises(Exception, match="nothing-here") as caught:
        asked(double, few, checkpoint=tmp_path / "nothing-here")
    assert type(caught.value).__name__ == "CheckpointError"
    assert double.requests == []


def test_no_arm_at_all_is_told(few):
    with Double() as double, pytest.raises(IdentityError, match="no arm can be asked: removed"):
        asked(double, few, arms=["removed"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"samples": 10**9}, "samples is"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"timeout": 0}, "timeout"),
        ({"seed": -1}, "seed"),
        ({"arms": ["other"]}, "arms are"),
        ({"arms": ()}, "arms are"),
        ({"names": ["Nex", "nex"]}, "both written"),
        ({"names": [f"N{at}" for at in range(MOST_NAMES + 1)]}, "too many"),
        ({"least_words": 1}, "least_words"),
        ({"resume": True}, "none is given"),
        ({"answers": "x"}, "not both"),
        ({"base_url": None}, "takes base_url"),
        ({"base_url": "nonsense"}, "no URL"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, said):
    given = {"base_url": "http://127.0.0.1:1", "model": "x", **settings}
    with pytest.raises(ValueError, match=said):
        identify(given.pop("base_url"), given.pop("model"), **given)


def test_a_folder_with_other_answers_is_left(few, tmp_path):
    with Double() as double:
        asked(double, few, output=tmp_path)
        before = (tmp_path / "answers.jsonl").read_bytes()
        with pytest.raises(JournalError, match="--resume"):
            asked(double, few, output=tmp_path)
        with pytest.raises(JournalError, match="seed is 0"):
            asked(double, few, output=tmp_path, seed=1, resume=True)
    assert (tmp_path / "answers.jsonl").read_bytes() == before


GOLDEN = Path(__file__).parents[1] / "golden" / "smollm2-answers.jsonl.gz"
"""What SmolLM2-135M-Instruct said when it was served by llama.cpp: see bench/identity.py."""


def test_a_real_model_says_what_its_template_told_it_and_nothing_of_it_without():
    found = identify(answers=GOLDEN, names=["SmolLM=SmolLM2", "Hugging Face=HuggingFace"])
    (removed,) = [each for each in found.answers.head.arms if each.name == "removed"]
    assert removed.template.removed == [
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    ]
    assert not any("SmolLM" in each or "system" in each for each in removed.prompts.values())
    arms = {each.arm: each for each in found.findings.arms}
    assert {each.answers: (each.failed, each.empty) for each in arms.values()} == {126: (0, 0)}
    served = arms["as-served"].names
    assert (served["SmolLM"].claimed, served["SmolLM"].named) == (13, 19)
    assert (served["Hugging Face"].claimed, served["Hugging Face"].named) == (8, 10)
    assert served["SmolLM"].named_interval == pytest.approx((0.0933, 0.2254), abs=1e-4)
    for arm in ("empty-system", "removed", "neutral"):
        for tally in arms[arm].names.values():
            assert tally.named == 0
            assert tally.interval == pytest.approx((0.0, 0.0289), abs=1e-4)
    (test,) = [
        each
        for each in found.findings.comparisons
        if (each.kind, each.measure, each.one.name) == ("arms", "named", "SmolLM")
        and (each.one.arm, each.other.arm) == ("as-served", "removed")
    ]
    assert (test.counts, test.more) == ((19, 0), (10, 0))
    assert 10**test.log10_p == pytest.approx(2 / 2**10)
    assert 10**test.log10_p_holm < 0.03


def test_what_a_real_model_recites_of_its_prompt_is_the_prompts(tmp_path):
    card = tmp_path / "card.txt"
    card.write_text("You are a helpful AI assistant named SmolLM, trained by Hugging Face")
    found = identify(answers=GOLDEN, against_texts=[card], least_words=5)
    assert [each.passages for each in found.findings.overlaps["card.txt"]] == [()] * 4


def test_languages_that_a_real_model_does_not_know_show_less():
    path = GOLDEN.with_name("smollm2-languages.jsonl.gz")
    found = identify(answers=path, names=["SmolLM=SmolLM2"])
    named = {each.arm: each.names["SmolLM"].named for each in found.findings.arms}
    assert named == {"as-served": 7, "empty-system": 0, "removed": 0, "neutral": 0}
    assert {each.answers for each in found.findings.arms} == {268}
    assert min(each.log10_p_holm for each in found.findings.comparisons) > -1.302
