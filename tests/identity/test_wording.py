"""Sentences say what was counted, and no more."""

from common.identities import answers_of
from parentage.identity.flow import analyse
from parentage.identity.names import Name
from parentage.identity.overlap import Text
from parentage.identity.passages import Words
from parentage.identity.wording import LEVEL, MEANS, p_value, share

NAMES = [Name("Nex"), Name("Rio")]


def said(says, *, names=NAMES, **settings):
    extra = {key: settings.pop(key) for key in ("texts", "controls", "other") if key in settings}
    return analyse(answers_of(says, **settings), names, **extra).sentences


def test_shares_are_told_with_their_intervals():
    found = said(lambda key: "I am Nex." if key.at else "I know Nex.", questions=4)
    assert found[0] == (
        "as-served: Nex is claimed in 6 of 8 answers (75%, interval 34.9% to 96.8%), in most "
        "answers to 3 of 4 questions; it stands in 8 answers in all (100%, 63.1% to 100.0%)."
    )
    assert found[1] == (
        "as-served: Rio is claimed in 0 of 8 answers (0%, interval 0.0% to 36.9%), in most "
        "answers to 0 of 4 questions."
    )


def test_differences_are_told_where_they_are_more_than_chance():
    def says(key):
        return "I am Rio." if key.arm == "as-served" else "I am Nex."

    found = said(says, questions=20)
    (rio,) = [each for each in found if each.startswith("Rio: claimed")]
    assert rio.startswith(
        "Rio: claimed in 40 answers as-served and in 0 empty-system, of 40 each; in more of them "
        "in 20 questions, in fewer in 0 (p = 10^-"
    )
    assert not [each for each in said(says, questions=3) if "p =" in each]


def test_denials_are_told():
    (found, *_) = said(lambda *_: "I am not Nex.", names=NAMES[:1])
    assert found.endswith("and is denied in 6.")


def test_silence_is_told():
    assert "as-served: none of 6 answers says anything." in said(lambda *_: "")


def test_passages_are_told():
    story = "born in the quiet labs of the north where three friends lived"
    texts = [Text("story\x1b[2J", Words.of(story))]
    found = said(lambda *_: f"I was {story}.", names=[], texts=texts)
    assert found[0] == (
        "story\\x1b[2J, as-served: 6 of 6 answers share passages with it, the longest of 12 words."
    )
    assert said(lambda *_: "Hello.", names=[], texts=texts)[0].endswith(
        "no answer shares a passage with it."
    )


def test_models_are_told_apart():
    other = answers_of(lambda *_: "I am Nex.", questions=20, model="other")
    found = said(lambda *_: "Hello.", names=NAMES[:1], questions=20, other=other)
    told = [each for each in found if "by double" in each]
    assert len(told) == 4
    assert told[0].startswith("Nex (as-served): claimed in 0 answers by double and in 40 by other")


def test_the_level_is_said():
    assert LEVEL == "circumstantial"
    assert "decides nothing" in MEANS


def test_p_values_are_never_nothing():
    assert p_value(-601.7) == "p = 10^-601.7"
    assert p_value(-3.0) == "p = 0.001"


def test_names_are_shown_inert():
    found = analyse(answers_of(lambda *_: "I am N\x1b[2J."), [Name("N\x1b[2J")])
    tally = found.findings.arms[0].names["N\x1b[2J"]
    assert "\x1b" not in share(tally)
