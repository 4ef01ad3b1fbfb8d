"""What answers share with a text, beside what they share with controls."""

import re

import pytest
from common.identities import answers_of
from parentage.identity.counts import read_all
from parentage.identity.errors import IdentityError
from parentage.identity.overlap import MOST_BYTES, Text, overlap
from parentage.identity.passages import Words
from parentage.identity.records import line_of

STORY = (
    "Nex was born in the quiet labs of the north, where three friends wanted a model that "
    "anybody could run at home, and never slept."
)
OTHER = "A river runs through the old town, and in the evening people sit beside it and talk. " * 3
RECITED = "Well: born in the quiet labs of the north, where three friends wanted a model. Bye."


def told(says, text=STORY, controls=(), prompts=None, least=8, **settings):
    answers = answers_of(says, arms=("as-served",), **settings)
    asked = {each.id: each.text for each in answers.head.questions}
    (found,) = overlap(
        Text("story", Words.of(text)),
        [Text(f"control {at}", Words.of(each)) for at, each in enumerate(controls)],
        read_all(answers, []),
        {"as-served": asked | (prompts or {})},
        least,
    )
    return found


def test_passages_are_quoted_from_the_text():
    found = told(lambda key: RECITED if key.at else "Hello.")
    (passage,) = found.passages
    assert passage.quote == (
        "born in the quiet labs of the north, where three friends wanted a model"
    )
    assert (passage.words, passage.answers, passage.questions, passage.at) == (
        14, 4, ("q1", "q2"), 2,
    )  # fmt: skip
    assert (found.answers, found.sharing, found.longest, found.median) == (6, 4, 14, 14.0)
    assert (found.log10_p, found.why_no_test) == (None, "no control text is given")


def test_what_controls_share_as_well_is_nobodys():
    assert told(lambda *_: RECITED, controls=[STORY]).passages == ()


def test_what_the_prompt_says_is_the_prompts():
    found = told(lambda *_: RECITED, prompts={f"q{at}": f"Say: {STORY}" for at in (0, 1)})
    assert found.passages[0].questions == ("q2",)


def test_a_text_is_tested_against_controls_over_questions():
    found = told(lambda *_: RECITED, controls=[OTHER], questions=10)
    assert found.median_control < 3
    assert 10**found.log10_p == pytest.approx(2 / 2**10)
    indifferent = told(lambda *_: "Hello.", controls=[OTHER], questions=10)
    assert (indifferent.log10_p, indifferent.median) == (0.0, 0.0)


def test_controls_that_are_shorter_are_no_null():
    found = told(lambda *_: RECITED, controls=["A short word."])
    assert found.log10_p is None
    assert "fewer" in found.why_no_test
    assert found.passages


def test_short_runs_are_no_passages():
    assert told(lambda *_: RECITED, least=15).passages == ()
    assert told(lambda *_: RECITED, least=14).passages


def test_an_arm_that_says_nothing_is_left_out():
    answers = answers_of(lambda *_: "", arms=("as-served",))
    text = Text("story", Words.of(STORY))
    assert overlap(text, [], read_all(answers, []), {"as-served": {}}) == []


def test_answers_of_another_model_are_a_text_each():
    """No passage goes on from one answer into the next."""
    other = answers_of(
        lambda key: f"one two three four {key.at}",
        questions=2, samples=1, arms=("as-served",),
    )  # fmt: skip
    text = Text.of_answers(other)
    assert text.name == "double"
    joined = "one two three four 0 one two three four 1"
    found = told(lambda *_: joined, text=text.words.text, least=3)
    assert found.longest > 5
    answers = answers_of(lambda *_: joined, arms=("as-served",), questions=1)
    prompts = {"as-served": {each.id: "" for each in answers.head.questions}}
    (apart,) = overlap(text, [], read_all(answers, []), prompts, 3)
    assert apart.longest == 5
    assert apart.passages[0].quote == "one two three four 0"


def test_files_are_opened(tmp_path):
    path = tmp_path / "card.md"
    path.write_text("\ufeff# Nex\nBorn **in** the labs.", "utf-8")
    text = Text.open(path)
    assert (text.name, text.words.words) == ("card.md", ("nex", "born", "in", "the", "labs"))
    answers = tmp_path / "answers.jsonl"
    kept = answers_of(lambda *_: "<think>No.</think>I am Nex.", questions=1, samples=1)
    answers.write_bytes(b"".join(map(line_of, kept.records())))
    assert Text.open(answers).words.words[:3] == ("i", "am", "nex")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"ab\xff", "byte 2 is no UTF-8"), (b" \n", "no word"), (b"x" * (MOST_BYTES + 1), "the most")],
)
def test_what_is_no_text_is_told(tmp_path, content, said):
    path = tmp_path / "card.md"
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=re.escape(said)):
        Text.open(path)
    with pytest.raises(IdentityError, match="No such file"):
        Text.open(tmp_path / "none.md")
