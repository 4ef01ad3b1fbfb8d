"""What is asked of a template in the process that carries it out."""

import jinja2
import pytest
from common.templates import HOSTILE, RIO, SAYING, SILENT
from hypothesis import given
from hypothesis import strategies as st
from parentage.metadata.sandbox import (
    MOST_TEXT,
    Study,
    TooLongError,
    answer,
    edited,
    environment,
    literals_of,
    rendered,
    texts_in,
    told,
)

SOURCES = [*SILENT.values(), *(source for source, _, _ in SAYING.values())]


@pytest.mark.parametrize("source", SOURCES)
def test_literals_stand_where_they_are_said_to(source):
    for literal in literals_of(source):
        inside = source[literal.begin : literal.end]
        if literal.quote:
            assert (inside[0], inside[-1]) == (literal.quote, literal.quote)
        else:
            assert inside == literal.text


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_with_its_own_texts_renders_the_same(source):
    same = edited(source, {each: each.text for each in literals_of(source)})
    messages = [{"role": "user", "content": "Hello"}]
    assert rendered(same, messages, {}) == rendered(source, messages, {})


@given(st.text(max_size=40), st.sampled_from("'\""))
def test_any_text_can_be_put_into_a_source(text, quote):
    (literal,) = literals_of(f"{{{{ {quote}word{quote} }}}}")
    source = edited(f"{{{{ {quote}word{quote} }}}}", {literal: text})
    assert environment().from_string(source).render() == text


def test_comments_and_raw_blocks_are_told_apart():
    source = "{# 'a b' #}{{ 'a b' }}{% raw %}{{ x }}{% endraw %}"
    found = [(each.begin, each.text) for each in literals_of(source)]
    assert found == [(14, "a b"), (31, "{{ x }}")]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("<|im_start|>user\n", []),
        ("<s>[INST] <<SYS>>\nBe kind now.\n<</SYS>>\n\n", ["Be kind now."]),
        ("### System:\nBe kind.\n\n### Instruction:\n", ["Be kind.\n\n### Instruction:"]),
        ("<|system|>\n你是由某公司开发的助手。<|end|>", ["你是由某公司开发的助手。"]),
        ("<|system|>คุณเป็นผู้ช่วย<|end|>", ["คุณเป็นผู้ช่วย"]),
        ("<|system|>Rio<|end|>", []),
        ("[gMASK]<sop><|assistant|>\n<think>\n", []),
    ],
)
def test_words_are_told_from_marks_of_turns(written, texts):
    assert texts_in(written) == texts


def test_marks_of_a_tokenizer_are_marks():
    assert texts_in("<custom mark>Be kind now", ["<custom mark>"]) == ["Be kind now"]


def test_a_text_is_given_up_where_it_gets_too_long():
    with pytest.raises(TooLongError):
        rendered("{% for a in range(9999) %}{{ 'x' * 999 }}{% endfor %}", [], {})
    assert len(rendered(f"{{{{ 'x' * {MOST_TEXT} }}}}", [], {})) == MOST_TEXT


@pytest.mark.parametrize("kind", sorted(set(HOSTILE) - {"loops", "one long text", "a long number"}))
def test_hostile_templates_are_answers(kind):
    question = {"source": HOSTILE[kind], "messages": [{"role": "user", "content": "x"}]}
    found = answer({"do": "render", "variables": {}, "now": None, **question})
    assert "refused" in found


def test_a_study_says_what_stands_where():
    source = "{# first #}\n{% if messages[0].role != 'system' %}\n" + RIO + "{% endif %}\n\n"
    source += "{{ messages[-1].content }}"
    found = answer({"do": "study", "source": source, "variables": {}, "markup": []})
    (prompt,) = found["prompts"]
    assert (prompt["text"], prompt["lines"]) == (RIO, [3])


def test_texts_that_are_not_reached_are_told_as_literals():
    source = "{% if messages|length > 9 %}You are Rio, truly.{% endif %}{{ messages[0].content }}"
    found = answer({"do": "study", "source": source, "variables": {}, "markup": []})
    assert found["prompts"] == []
    assert found["literals"] == [{"text": "You are Rio, truly.", "line": 1}]


def test_a_template_that_refuses_a_conversation_is_told_why():
    study = Study(SILENT["no system"], {}, [])
    assert study.tried.refused["given"] == "it refuses: System role not supported"
    assert "none" not in study.tried.refused


def test_what_stands_after_the_user_is_told():
    source = "{{ messages[-1].content }}<|end|>Remember that you are Rio.<|assistant|>"
    (prompt,) = Study(source, {}, []).prompts()
    assert (prompt["text"], prompt["after"]) == ("Remember that you are Rio.", True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RecursionError(), "calls itself"),
        (MemoryError(), "more memory than it may"),
        (jinja2.TemplateSyntaxError("x", 3), "line 3"),
        (ValueError("no"), "ValueError: no"),
    ],
)
def test_errors_are_told_in_words(error, said):
    assert said in told(error)
