"""Chat templates: found where loaders look, tried, and rendered without what they say."""

import json
import time
from datetime import datetime

import numpy as np
import pytest
from common.templates import ALWAYS, HOSTILE, RIO, SAYING, SILENT, TURNS
from conftest import write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.metadata import ChatTemplate, DefaultPrompt, TemplateError, rendering

HELLO = [{"role": "user", "content": "Hello"}]
TOLD = [{"role": "system", "content": "Be brief."}, *HELLO]


def in_parts(messages):
    return [{**each, "content": [{"type": "text", "text": each["content"]}]} for each in messages]


@pytest.fixture
def folder(tmp_path):
    return write_checkpoint(tmp_path / "model", {"w": np.ones(2, np.float32)})


def opened(folder):
    return ChatTemplate.of(Checkpoint.open(folder))


@pytest.mark.parametrize("kind", SILENT)
def test_a_template_that_says_nothing_has_no_prompt(kind):
    template = ChatTemplate(SILENT[kind], "here", variables={"bos_token": "<s>"})
    assert template.default_prompts() == ()
    assert template.without_default() is template


@pytest.mark.parametrize("kind", SAYING)
def test_a_prompt_is_found_quoted_and_left_out(kind):
    source, arms, left = SAYING[kind]
    template = ChatTemplate(source, "here")
    (prompt,) = template.default_prompts()
    assert prompt.text == RIO
    assert prompt.arms == tuple(arms.split())
    assert bool(prompt.lines) == (kind != "put together")
    assert RIO in template.render(HELLO)
    bare = template.without_default()
    assert bare.default_prompts() == ()
    without = bare.render(HELLO)
    assert "Rio" not in without
    assert "IplanRIO" not in without
    assert ("system" in without or "SYS" in without) == (left == "empty")
    assert template.study["without"]["turn"] == left
    # A system message is written as before.
    if prompt.arms == ("none",):
        assert bare.render(TOLD) == template.render(TOLD)
    assert "Be brief." in bare.render(TOLD)
    assert without.count("Hello") == 1


def test_without_its_prompt_a_template_is_what_it_was_made_of():
    source, _, _ = SAYING["branch"]
    assert ChatTemplate(source, "here").without_default().render(HELLO) == ChatTemplate(
        TURNS, "here"
    ).render(HELLO)


@pytest.mark.parametrize("kind", ALWAYS)
def test_what_is_said_whatever_is_given_is_left_out_as_well(kind):
    source, alone, told = ALWAYS[kind]
    template = ChatTemplate(source, "here")
    assert "always" in {each.when.split(",")[0] for each in template.default_prompts()} or any(
        "given" in each.arms for each in template.default_prompts()
    )
    bare = template.without_default()
    assert bare.default_prompts() == ()
    assert (bare.render(HELLO), bare.render(TOLD)) == (alone, told)


def test_a_prompt_that_no_text_holds_is_quoted_and_left_out_with_its_turn():
    source = (
        "{% if messages[0].role != 'system' %}<|system|>"
        "{{ '.oiR era uoY' | reverse }}<|end|>{% endif %}" + TURNS
    )
    template = ChatTemplate(source, "here")
    (prompt,) = template.default_prompts()
    assert (prompt.text, prompt.lines) == ("You are Rio.", ())
    assert template.without_default().render(HELLO) == ChatTemplate(TURNS, "x").render(HELLO)


def test_a_prompt_in_one_piece_with_the_users_turn_is_quoted_and_not_left_out():
    source = (
        "{% for m in messages %}"
        "{{ (('oiR era uoY' | reverse) ~ '<|sep|>' if loop.first else '') ~ m.content ~ '</s>' }}"
        "{% endfor %}"
    )
    template = ChatTemplate(source, "here")
    assert [each.text for each in template.default_prompts()] == ["You are Rio"]
    with pytest.raises(TemplateError, match="was not left out"):
        template.without_default()


def test_what_is_left_of_a_prompt_is_not_called_nothing():
    source = (
        "{% set ns = namespace(name='Ri') %}{% set ns.name = ns.name ~ 'o' %}"
        "{% for m in messages %}"
        "{{ ('You are ' ~ ns.name | upper ~ ', an assistant.<|sep|>' if loop.first else '')"
        " ~ m.content ~ '</s>' }}{% endfor %}"
    )
    template = ChatTemplate(source, "here")
    assert [each.text for each in template.default_prompts()] == ["You are RIO, an assistant."]
    with pytest.raises(TemplateError, match="was not left out"):
        template.without_default()


def test_a_date_is_told_by_its_format():
    source = "<|system|>Today is {{ strftime_now('%d %B') }}, a day.<|end|>" + TURNS
    (prompt,) = ChatTemplate(source, "here").default_prompts()
    assert prompt.text == "Today is %d %B, a day."


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_templates_end_in_an_error(kind, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_SECONDS", 1)
    template = ChatTemplate(HOSTILE[kind], "here")
    began = time.monotonic()
    with pytest.raises(TemplateError):
        template.render(HELLO)
    assert time.monotonic() - began < 25


def test_a_template_of_a_million_characters_is_none():
    with pytest.raises(TemplateError, match="characters"):
        ChatTemplate("x" * (1 << 21), "here").render(HELLO)


def test_a_template_sees_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "hush")
    assert (
        ChatTemplate("{{ SECRET }}{{ environ }}{{ messages[0].content }}", "here").render(HELLO)
        == "Hello"
    )


def test_a_template_is_told_the_time_that_it_is_given():
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }}", "here")
    assert template.render(HELLO, now=datetime(2026, 2, 1)) == "01 Feb 2026"


def test_variables_reach_the_template():
    template = ChatTemplate("{{ thinking }}{{ tools | tojson }}", "here")
    assert template.render(HELLO, thinking=True, tools=[{"a": "ü"}]) == 'True[{"a": "ü"}]'


def test_loaders_take_the_file_before_the_configuration(folder):
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "config"}))
    assert opened(folder).source == "config"
    (folder / "chat_template.jinja").write_text("file")
    assert (opened(folder).source, opened(folder).origin) == ("file", "chat_template.jinja")
    checkpoint = Checkpoint.open(folder)
    assert [each.source for each in ChatTemplate.all_of(checkpoint)] == ["file", "config"]


def test_named_templates_are_all_there(folder):
    named = [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert opened(folder).source == "a"
    names = [each.name for each in ChatTemplate.all_of(Checkpoint.open(folder))]
    assert names == ["tool_use", "default"]


def test_special_tokens_are_those_of_the_tokenizer(folder):
    said = {"chat_template": "{{ bos_token }}{{ eos_token }}", "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**said, "eos_token": {"content": "</s>", "special": True}})
    )
    assert opened(folder).render(HELLO) == "<s></s>"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"chat_template": 3}', b"\xff", b"[" * 100_000])
def test_a_configuration_that_is_none_has_no_template(folder, raw):
    (folder / "tokenizer_config.json").write_bytes(raw)
    assert opened(folder) is None


def test_when_a_prompt_is_told_is_said():
    assert DefaultPrompt("x", ("none", "empty", "given"), ()).when.startswith("always")
