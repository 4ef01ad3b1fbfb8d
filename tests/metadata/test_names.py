"""Names are found by what stands around them, in several languages."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.metadata import names_in
from parentage.metadata.names import MOST_NAMES, says_who


def found(text):
    return {(each.name, each.kind) for each in names_in(text)}


@pytest.mark.parametrize(
    ("text", "name", "maker"),
    [
        ("You are Rio, a helpful assistant created by IplanRIO.", "Rio", "IplanRIO"),
        ("You're a helpful assistant named zephyr-7b, built by the Foo Bar Institute.",
         "zephyr-7b", "Foo Bar Institute"),
        ("I am Nex-N2, trained and released by Nex-AGI!", "Nex-N2", "Nex-AGI"),
        ('Your name is "Aurora". You were developed by University of Somewhere.',
         "Aurora", "University of Somewhere"),
        ("Você é o Rio, um assistente criado pela IplanRIO.", "Rio", "IplanRIO"),
        ("Você é Sabiá, desenvolvido por Maritaca AI.", "Sabiá", "Maritaca AI"),
        ("Eres Alía, creada por la Universidad de Chile.", "Alía", "Universidad de Chile"),
        ("Tu es Lucie, conçue par la société Linagora.", "Lucie", None),
        ("Du bist Teuken, entwickelt von OpenGPT-X.", "Teuken", "OpenGPT-X"),
        ("Tu sei Minerva, sviluppato da Sapienza NLP.", "Minerva", "Sapienza NLP"),
        ("你是小明,由某某科技公司开发。", "小明", "某某科技"),
        ("你是通义千问,由阿里云创建的人工智能助手。", "通义千问", "阿里云"),
        ("我是Kimi,由Moonshot AI训练。", "Kimi", "Moonshot AI"),
        ("あなたはサクラです。サクラ研究所によって開発されました。", "サクラ", "サクラ研究所"),
        ("당신은 솔라입니다. 업스테이지에서 개발했습니다.", "솔라", "업스테이지"),
        ("Ты — Гигачат, созданный компанией Сбер.", "Гигачат", "Сбер"),
        ("Bạn là Vistral, được phát triển bởi Viettel.", "Vistral", "Viettel"),
        ("أنت جيس، من تطوير شركة انسبشن", "جيس", "انسبشن"),
        ("Kamu adalah Sahabat, dikembangkan oleh Indosat.", "Sahabat", "Indosat"),
        ("आप सारथी हैं, भारत द्वारा विकसित", "सारथी", "भारत"),
    ],
)  # fmt: skip
def test_unknown_names_are_found(text, name, maker):
    names = found(text)
    assert (name, "is") in names
    assert maker is None or (maker, "made by") in names


@pytest.mark.parametrize(
    "text",
    [
        "You are a helpful assistant.",
        "You are an AI that follows instructions. Sure, here you go.",
        "The results were provided by running the tests.",
        "你是一个有用的助手。",
        "Você é um assistente útil.",
        "",
    ],
)
def test_no_names_are_found_where_there_are_none(text):
    assert not says_who(text)


def test_links_and_well_known_names_are_found():
    text = "Like https://huggingface.co/nex-agi/Nex-N2, and unlike those of Alibaba."
    assert found(text) == {("nex-agi/Nex-N2", "link"), ("Alibaba", "known")}


def test_pages_of_the_hub_that_are_no_models_are_none():
    assert found("https://huggingface.co/datasets/a/b and https://huggingface.co/blog/a/b") == set()


def test_a_name_is_told_once_with_the_words_around_it():
    (name,) = names_in("Hello. You are Rio. You are Rio.")
    assert (name.name, name.said) == ("Rio", "Hello. You are Rio. You are Rio.")


def test_what_is_told_has_a_limit():
    text = " ".join(f"You are Name{i}." for i in range(1000))
    assert len(names_in(text)) == MOST_NAMES


@pytest.mark.parametrize(
    "text", ["A " * 100_000, "You are " * 30_000, "aA" * 100_000, "由" * 100_000, "A.a" * 70_000]
)
def test_no_text_takes_long(text):
    began = time.monotonic()
    names_in(text)
    assert time.monotonic() - began < 10


@given(st.text())
def test_no_text_makes_an_exception(text):
    names_in(text)
