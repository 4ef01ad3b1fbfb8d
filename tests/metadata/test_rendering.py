"""The process that carries templates out is asked, and not waited for."""

import time

import pytest
from common.templates import HOSTILE
from parentage.metadata import rendering
from parentage.metadata.rendering import TemplateError, ask


def question(source, **more):
    return {"do": "render", "source": source, "messages": [], "variables": {}, "now": None, **more}


def test_a_question_has_an_answer():
    assert ask(question("{{ 1 + 1 }}ü")) == {"text": "2ü"}


def test_what_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(rendering, "MOST_WAITED", 0.5)
    began = time.monotonic()
    with pytest.raises(TemplateError, match=r"given up after 0\.5 seconds"):
        ask(question(HOSTILE["loops"]))
    assert time.monotonic() - began < 5


def test_what_takes_too_much_of_a_cpu_is_given_up(monkeypatch):
    monkeypatch.setattr(rendering, "MOST_SECONDS", 1)
    with pytest.raises(TemplateError, match="1 s of a CPU"):
        ask(question("{{ 3 ** (3 ** 20) % 10 }}"))


def test_what_takes_too_much_memory_is_given_up(monkeypatch):
    with pytest.raises(TemplateError, match="more memory than it may"):
        ask(question("{{ 'x' * 10 ** 9 }}"))
    monkeypatch.setattr(rendering, "MOST_MEMORY", 4 << 30)
    with pytest.raises(TemplateError, match="more than 1,048,576 characters"):
        ask(question("{{ 'x' * 10 ** 9 }}"))


def test_without_a_process_there_is_an_error(monkeypatch):
    monkeypatch.setattr(rendering.sys, "executable", "/nowhere/python")
    with pytest.raises(TemplateError, match="no process"):
        ask(question("x"))


def test_a_question_that_the_process_does_not_understand_is_an_error():
    with pytest.raises(TemplateError):
        ask({"source": ""})
