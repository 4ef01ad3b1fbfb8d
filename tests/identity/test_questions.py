"""Files of questions: those of the package, and what users make of them."""

import re
from collections import Counter

import pytest
from parentage.identity.errors import IdentityError
from parentage.identity.questions import (
    ABOUT,
    MOST_BYTES,
    MOST_QUESTIONS,
    digest_of,
    read_questions,
)


def file_of(tmp_path, text):
    path = tmp_path / "questions.yaml"
    path.write_text(text, "utf-8")
    return path


def test_there_are_many_in_many_languages():
    questions = read_questions()
    languages = Counter(each.language for each in questions)
    assert len(questions) >= 40
    assert min(languages[each] for each in ("en", "zh", "pt")) >= 8
    assert {"es", "fr", "de", "ja", "ar", "hi"} <= set(languages)
    assert {each.about for each in questions} == set(ABOUT)


def test_none_names_anybody():
    """What an answer names is to come from the model."""
    names = "qwen|nex|rio|llama|gpt|claude|gemini|gemma|mistral|smol|deepseek|openai|google|meta"
    for each in read_questions():
        assert not re.search(rf"(?<!\w)(?:{names})(?!\w)", each.text, re.IGNORECASE), each.text


def test_scripts_are_those_of_the_language():
    scripts = {
        "zh": "[\u4e00-\u9fff]", "ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7af]",
        "ru": "[\u0400-\u04ff]", "ar": "[\u0600-\u06ff]", "hi": "[\u0900-\u097f]",
    }  # fmt: skip
    for each in read_questions():
        if each.language in scripts:
            assert re.search(scripts[each.language], each.text), each.text


def test_a_file_of_the_users_is_asked_instead(tmp_path):
    path = file_of(
        tmp_path,
        "schema: parentage.questions/1\nquestions:\n"
        '  - {id: a, language: nl, text: "Wie ben je?"}\n',
    )
    (question,) = read_questions(path)
    assert (question.id, question.language, question.about) == ("a", "nl", "introduction")


def test_the_digest_is_of_what_is_sent():
    questions = read_questions()
    assert digest_of(questions) == digest_of(list(questions))
    assert digest_of(questions) != digest_of(questions[1:])


ENTRY = "{id: a, language: en, text: 'Who?'}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML"),
        ("a: &a [x]\nb: *a", "aliases are not read"),
        ("!!python/object/apply:os.system [ls]", "no YAML"),
        ("- 1", "no questions"),
        ("schema: x\nquestions: []", "schema"),
        ("schema: parentage.questions/1\nquestions: []", "0 questions"),
        (f"schema: parentage.questions/1\nquestions: [{ENTRY}, {ENTRY}]", "there before"),
        ("schema: parentage.questions/1\nquestions: [{id: a, language: en, text: ' '}]", "text"),
        ("schema: parentage.questions/1\nquestions: [{id: a/b, language: en, text: x}]", "id"),
        (
            "schema: parentage.questions/1\nquestions: [{id: a, language: en, text: x, about: y}]",
            "about is one of",
        ),
        ("schema: parentage.questions/1\nquestions: [{id: a, language: en, txt: x}]", "txt"),
        ("schema: parentage.questions/1\nquestions: [{id: a, language: 7, text: x}]", "questions"),
        ("[" * 100_000, "no YAML"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, said):
    with pytest.raises(IdentityError, match=re.escape(said)) as caught:
        read_questions(file_of(tmp_path, text))
    assert "questions.yaml" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_too_many_are_not_asked(tmp_path):
    entries = "".join(
        f"  - {{id: q{at}, language: en, text: 'Who?'}}\n" for at in range(MOST_QUESTIONS + 1)
    )
    with pytest.raises(IdentityError, match="2,001 questions"):
        read_questions(file_of(tmp_path, f"schema: parentage.questions/1\nquestions:\n{entries}"))


def test_what_is_no_file_of_questions_is_not_read(tmp_path):
    with pytest.raises(IdentityError, match="No such file"):
        read_questions(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(IdentityError, match="too many"):
        read_questions(large)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x80\x81\x00\x01")
    with pytest.raises(IdentityError, match="no YAML"):
        read_questions(binary)
