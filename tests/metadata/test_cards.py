"""What cards claim."""

import pytest
from common.said import CARD
from hypothesis import given
from hypothesis import strategies as st
from parentage.metadata.cards import as_names, card_of


def test_a_card_is_read():
    card = card_of(CARD)
    assert card.base_models == ("org/base",)
    assert card.fields["license"] == "mit"
    assert card.fields["tags"] == ["a", "b"]
    assert card.from_scratch == ("Trained from scratch by IplanRIO",)
    assert card.parameters == (("1.2 billion param", 1.2e9),)
    assert "license" not in card.text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("397B parameters", 397e9),
        ("It has 7,5 bilhões de parâmetros", None),
        ("1,128 million trainable parameters", 1128e6),
        ("0.6B-parameters", 0.6e9),
        ("over 2T tokens", None),
        ("a 7B model", None),
    ],
)
def test_numbers_of_parameters_are_read(text, number):
    assert [each for _, each in card_of(text).parameters] == ([] if number is None else [number])


@pytest.mark.parametrize(
    "text",
    [
        "It was trained entirely from scratch.",
        "O modelo foi treinado do zero.",
        "该模型从零开始训练。",
        "entrenado desde cero",
    ],
)
def test_that_it_was_trained_from_scratch_is_quoted(text):
    (quote,) = card_of(text).from_scratch
    assert quote in text


@pytest.mark.parametrize(
    ("text", "said"),
    [("---\n- a\n---\n", "no mapping"), ("---\na: [\n---\n", "no YAML"), ("---\na: 1", "no end")],
)
def test_what_is_wrong_with_a_card_is_said(text, said):
    assert said in card_of(text).problems[0]


def test_names_may_be_one_or_several():
    assert as_names(["a", {"b": 1}, "c"]) == ("a", "c")
    assert as_names(3) == ()


@given(st.text())
def test_no_text_makes_an_exception(text):
    card_of("---\n" + text + "\n---\n" + text)
