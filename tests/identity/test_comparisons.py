"""Arms, names and models are compared over questions."""

import math

import numpy as np
import pytest
from common.identities import answers_of
from parentage.identity.comparisons import (
    Side,
    between,
    compare,
    corrected,
    marks_of,
    within,
)
from parentage.identity.counts import read_all
from parentage.identity.names import Name
from parentage.statistics import holm

ONE, OTHER = Side("m", "as-served", "Nex"), Side("m", "removed", "Nex")


def test_a_question_is_one_unit_however_often_it_is_asked():
    """A hundred answers to one question prove nothing about others."""
    first, second = {"q0": [True] * 100}, {"q0": [False] * 100}
    found = compare("arms", "claimed", ONE, OTHER, first, second)
    assert 10**found.log10_p == pytest.approx(1.0)
    assert found.log10_p_naive < -50
    many = [{f"q{at}": [claims] for at in range(20)} for claims in (True, False)]
    assert compare("arms", "claimed", ONE, OTHER, *many).log10_p == pytest.approx(
        math.log10(2 / 2**20)
    )


def test_as_many_answers_are_compared_as_both_have():
    first = {"q0": [True, True, True], "q1": [True], "q2": [True]}
    second = {"q0": [False], "q1": [False, True], "q3": [True]}
    found = compare("arms", "claimed", ONE, OTHER, first, second)
    assert (found.counts, found.answers, found.questions, found.more) == ((2, 0), 2, 2, (2, 0))
    assert compare("arms", "claimed", ONE, OTHER, first, {"q9": [True]}) is None


def test_marks_are_of_answers_that_say_anything():
    says = ["I am Nex.", "", "I know Nex.", "Hello."]
    reads = read_all(
        answers_of(lambda key: says[key.sample], samples=4, questions=2), [Name("Nex")]
    )["as-served"]
    assert marks_of(reads, "Nex", "claimed") == {"q0": [True, False, False],
                                                 "q1": [True, False, False]}  # fmt: skip
    assert marks_of(reads, "Nex", "named", frozenset({"q0"})) == {"q1": [True, True, False]}


def test_arms_and_names_are_compared_within_a_model():
    yes, no = {"q0": [True]}, {"q0": [False]}
    marks = {
        (measure, arm, name): yes if name == "Nex" else no
        for measure in ("claimed", "named")
        for arm in ("as-served", "removed")
        for name in ("Nex", "Rio")
    }
    found = [(each.kind, each.measure, each.one, each.other) for each in within("m", marks)]
    assert len(found) == len(set(found)) == 6
    assert ("arms", "named", ONE, OTHER) in found
    rio = Side("m", "removed", "Rio")
    assert ("names", "claimed", OTHER, rio) in found
    assert not [each for each in found if each[:2] == ("names", "named")]


def test_models_are_compared_where_both_have_an_arm():
    ours = {("claimed", "as-served", "Nex"): {"q0": [True]}, ("claimed", "removed", "Nex"): {}}
    theirs = {("claimed", "as-served", "Nex"): {"q0": [False]}}
    (found,) = between(("a", "b"), ours, theirs)
    assert (found.kind, found.one.model, found.other.model, found.counts) == (
        "models", "a", "b", (1, 0),
    )  # fmt: skip


def test_tests_are_corrected_for_all_that_could_be_significant():
    marks = [
        ({f"q{at}": [True] for at in range(count)}, {f"q{at}": [False] for at in range(count)})
        for count in (0, 3, 5, 6, 8, 12)
    ]
    marks[0] = ({"q0": [True]}, {"q0": [True]})
    found = corrected([compare("arms", "claimed", ONE, OTHER, *each) for each in marks])
    expected = holm(np.array([each.log10_p for each in found[3:]]))
    assert [each.log10_p_holm for each in found] == pytest.approx([0.0] * 3 + expected.tolist())
    assert found[5].log10_p_holm == pytest.approx(found[5].log10_p + math.log10(3))
    assert [each.least_log10_p for each in found] == pytest.approx(
        [min(0.0, (1 - count) * math.log10(2)) for count in (0, 3, 5, 6, 8, 12)]
    )
    assert corrected([]) == []


def test_the_correction_holds_where_nothing_differs():
    """Of a hundred tests with chance alone in them, the least p is seldom below one in twenty."""
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        tests = []
        for _ in range(20):
            questions = draw.integers(1, 16)
            sides = [
                {f"q{at}": [bool(mark)] for at, mark in enumerate(draw.integers(0, 2, questions))}
                for _ in range(2)
            ]
            tests.append(compare("arms", "claimed", ONE, OTHER, *sides))
        wrong += min(each.log10_p_holm for each in corrected(tests)) <= math.log10(0.05)
    assert wrong <= 20
