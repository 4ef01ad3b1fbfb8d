"""Names are words of their own, in whatever script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.identity.names import MOST_ALIASES, Name, distinct, plain


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("Nex", "I am Nex.", 1),
        ("Nex", "NEX, nex and Nex's", 3),
        ("Nex", "Nexus Annex nexus", 0),
        ("Nex", "Nex-AGI and nex-n2", 2),
        ("Qwen", "Qwen2.5 and Qwen 3", 2),
        ("Nex", "4Nex", 0),
        ("Nex", "我是Nex助手", 1),
        ("Nex", "저는 Nex입니다", 1),
        ("Nex", "私はNexです", 1),
        ("Nex", "Я — Nex", 1),
        ("Rio", "Sou o Rio!", 1),
        ("Rio", "Sou o Riô e o Trio", 0),
        ("通义千问", "我是通义千问的助手", 1),
        ("クロード", "私はクロードです", 1),
        ("네이버", "저는 네이버입니다", 1),
        ("네이버", "하네이버", 0),
        ("नेक्स", "मैं नेक्स हूँ", 1),
        ("नेक", "मैं नेक्स हूँ", 0),
        ("Hugging Face", "by Hugging\nFace", 1),
        ("Rio 3.5", "Rio 3.5 and Rio 3.51", 1),
        ("Алиса", "Меня зовут Алиса", 1),
        ("C++", "I am C++.", 1),
    ],
)
def test_words_are_found_whole(name, text, count):
    assert len(list(Name(name).found_in(plain(text)))) == count


def test_what_can_not_be_seen_hides_nothing():
    hidden = "I am N\u200be\u00adx, \uff2e\uff45\uff58, **Nex**, N`ex`."
    assert len(list(Name("Nex").found_in(plain(hidden)))) == 4


def test_aliases_are_the_name():
    name = Name.parse("Rio=Rio-3.5, Rio 3.5 ,Rio-3.5")
    assert name.aliases == ("Rio-3.5", "Rio 3.5")
    assert list(name.found_in("Rio-3.5 or Rio")) == [(0, 7), (11, 14)]


@pytest.mark.parametrize("text", ["", "=Rio", " ", "!!", "Rio=??", "a=" + ",".join("bcdef" * 99)])
def test_what_is_no_name_is_refused(text):
    if text.startswith("a="):
        text = "a=" + ",".join(f"b{at}" for at in range(MOST_ALIASES + 1))
    with pytest.raises(ValueError, match="no name"):
        Name.parse(text)


def test_names_are_distinct():
    assert distinct([Name("Nex"), Name("Rio")]) == (Name("Nex"), Name("Rio"))
    with pytest.raises(ValueError, match="both written 'nex'"):
        distinct([Name("Nex"), Name("Rio", ("NEX",))])


@given(st.text(max_size=40), st.sampled_from(["Nex", "通义", "네이버", "नेक्स", "C++"]))
def test_any_text_is_searched(text, name):
    text = plain(text)
    for begin, end in Name(name).found_in(text):
        assert text[begin:end].casefold() == name.casefold()


@given(st.text(max_size=60))
def test_plain_text_stays_as_it_is(text):
    # Removing marks may bring together what NFKC composes.
    assert plain(plain(plain(text))) == plain(plain(text))
