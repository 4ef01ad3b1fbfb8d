"""What is claimed is counted by answers and by questions."""

import pytest
from common.identities import answers_of, head_of
from parentage.identity.counts import count, read_all
from parentage.identity.names import Name
from parentage.identity.questions import Question
from parentage.identity.records import Answer, Answers, Failure

NAMES = (Name("Nex"), Name("Rio"))


def counted(answers, names=NAMES):
    return {each.arm: each for each in count(answers, names, read_all(answers, names))}


def test_answers_are_counted_by_what_they_say():
    says = ["I am Nex.", "I am not Nex.", "I know Nex.", "I am an assistant."]
    found = counted(answers_of(lambda key: says[key.sample], samples=4))["as-served"]
    nex, rio = found.names.values()
    assert (nex.answers, nex.claimed, nex.denied, nex.mentioned, nex.named) == (12, 3, 3, 3, 9)
    assert (rio.answers, rio.claimed, rio.named) == (12, 0, 0)
    assert nex.says == {"self": 3}
    assert nex.of_question == {"q0": (1, 4), "q1": (1, 4), "q2": (1, 4)}
    assert nex.majorities == 0
    assert nex.quotes[:2] == [("q0", 0, "I am Nex."), ("q0", 1, "I am not Nex.")]


def test_questions_count_where_most_answers_claim():
    found = counted(
        answers_of(lambda key: "I am Nex." if key.sample <= key.at else "Hello.", samples=4)
    )
    nex = found["as-served"].names["Nex"]
    assert [claims for claims, _ in nex.of_question.values()] == [1, 2, 3]
    assert nex.majorities == 1
    assert nex.questions_interval[0] < 1 / 3 < nex.questions_interval[1]
    assert nex.interval == pytest.approx((0.2109, 0.7891), abs=1e-4)


def test_empty_answers_are_told_apart():
    says = ["", "<think>I am Nex, but", "  \n", "I am Nex."]
    found = counted(answers_of(lambda key: says[key.sample], samples=4))["as-served"]
    assert (found.answers, found.empty, found.thinking) == (12, 9, 3)
    assert (found.names["Nex"].answers, found.names["Nex"].claimed) == (3, 3)


def test_thoughts_are_counted_apart():
    text = "<think>The user wants me to be Rio. I am Nex.</think>I am Rio."
    found = counted(answers_of(lambda *_: text))["as-served"].names
    assert (found["Nex"].claimed, found["Nex"].named, found["Nex"].in_thoughts) == (0, 0, 6)
    assert (found["Rio"].claimed, found["Rio"].in_thoughts) == (6, 6)


def test_thoughts_that_a_server_tells_apart_are_thoughts():
    head = head_of(arms=("as-served",))
    answers = Answers("x", head)
    answers.add(Answer("as-served", "q0", 0, 0, "I am Rio.", reasoning="I am Nex."))
    answers.add(Answer("as-served", "q0", 1, 0, "", reasoning="I am Nex.", finish="length"))
    answers.add(Failure("as-served", "q1", 0, "HTTP 500"))
    found = counted(answers)["as-served"]
    assert (found.thinking, found.empty, found.cut, found.failed) == (2, 1, 1, 1)
    assert found.names["Nex"].in_thoughts == 1


def test_answers_that_repeat_another_word_for_word_are_told():
    found = counted(answers_of(lambda key: "I am Nex." if key.sample < 3 else "Hi.", samples=4))
    assert found["as-served"].repeated == 2 * 3


def test_what_a_question_names_is_not_counted():
    questions = [Question("a", "en", "Who are you?"), Question("b", "en", "Are you Nex?")]
    found = counted(answers_of(lambda *_: "I am Nex.", questions=questions))["as-served"].names
    assert (found["Nex"].answers, found["Nex"].claimed, found["Nex"].led) == (2, 2, 2)
    assert found["Rio"].led == 0


def test_languages_are_counted_apart():
    questions = [Question("a", "en", "Who are you?"), Question("b", "zh", "你是谁？")]
    found = counted(answers_of(lambda key: "Hi." if key.at else "I am Nex.", questions=questions))
    assert found["as-served"].languages == {
        "en": {"Nex": (2, 2), "Rio": (0, 2)},
        "zh": {"Nex": (0, 2), "Rio": (0, 2)},
    }


def test_other_names_are_listed_by_their_number():
    says = ["I am Claude.", "I'm CLAUDE, made by Anthropic.", "I am Claude.", "My name is Ada."]
    found = counted(answers_of(lambda key: says[key.sample], samples=4))["as-served"]
    assert found.others == [
        ("Claude", 9, 3, {"self": 9}),
        ("Ada", 3, 3, {"name": 3}),
        ("Anthropic", 3, 3, {"maker": 3}),
    ]


def test_nothing_at_all_is_counted_as_nothing():
    found = counted(answers_of(lambda *_: None), ())
    assert all(each.answers == 0 and not each.names for each in found.values())
