"""Shared passages are found exactly, however texts repeat themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.identity import passages
from parentage.identity.passages import Words, longest, shared

WORDS = st.lists(st.sampled_from("abc"), max_size=14).map(" ".join).map(Words.of)


def by_hand(answer, text):
    """Return, for each word of an answer, the longest run from it in a text."""
    found = []
    for begin in range(len(answer.words)):
        best = 0
        for at in range(len(text.words)):
            run = 0
            while (
                begin + run < len(answer.words)
                and at + run < len(text.words)
                and answer.words[begin + run] == text.words[at + run]
            ):
                run += 1
            best = max(best, run)
        found.append(best)
    return found


@given(st.lists(WORDS, max_size=4), WORDS)
def test_runs_are_the_longest(answers, text):
    assert longest(answers, text) == [max(by_hand(each, text), default=0) for each in answers]


@given(st.lists(WORDS, max_size=4), WORDS)
def test_passages_are_in_both_and_can_not_be_longer(answers, text):
    found = shared(answers, text, 3)
    for each in found:
        words = answers[each.answer].words
        run = words[each.begin : each.begin + each.length]
        assert text.words[each.at : each.at + each.length] == run
        runs = by_hand(answers[each.answer], text)
        assert runs[each.begin] == each.length >= 3
        assert each.begin == 0 or runs[each.begin - 1] <= each.length
    told = {(each.answer, each.begin) for each in found}
    for number, answer in enumerate(answers):
        reached = 0
        for begin, run in enumerate(by_hand(answer, text)):
            if run >= 3 and begin + run > reached:
                assert (number, begin) in told
            reached = max(reached, begin + run)


def test_words_are_those_of_the_script():
    assert Words.of("It's Nex-AGI, 2.5!").words == ("it's", "nex", "agi", "2", "5")
    assert Words.of("我是Nex助手").words == ("我", "是", "nex", "助", "手")
    assert Words.of("मेरा नाम नेक्स है").words == ("मेरा", "नाम", "नेक्स", "है")
    assert Words.of("I AM **Nex**").quote(1, 3) == "AM Nex"


def test_characters_count_half():
    text = Words.of("我是一个由海边的小城开发的助手和朋友")
    answer = Words.of("你好我是一个由海边的小城开发的")
    assert [each.length for each in shared([answer], text, 6)] == [13]
    assert shared([answer], text, 7) == []


@pytest.mark.parametrize(
    ("answers", "text"),
    [(["a " * 100] * 300, "a " * 60_000), (["a b " * 100] * 300, "a b " * 30_000)],
    ids=["one word", "two words"],
)
def test_texts_that_repeat_a_word_are_compared(answers, text):
    """Quadratic time would take these for ever."""
    found = longest([Words.of(each) for each in answers], Words.of(text))
    assert set(found) == {len(answers[0].split())}


def test_texts_that_are_too_long_are_refused(monkeypatch):
    monkeypatch.setattr(passages, "MOST_WORDS", 10)
    with pytest.raises(ValueError, match="too many"):
        longest([Words.of("a b c d e f")], Words.of("a b c d e f"))
