"""Thresholds: numbers with the figures they come from, in an order that makes sense."""

import ast
import inspect
from dataclasses import FrozenInstanceError, fields, replace

import pytest
from parentage.verdict import Thresholds, thresholds

NAMES = [each.name for each in fields(Thresholds)]


@pytest.mark.parametrize("name", NAMES)
def test_every_threshold_is_a_number_and_says_where_it_comes_from(name):
    body = ast.parse(inspect.getsource(thresholds)).body
    (threshold_class,) = (each for each in body if isinstance(each, ast.ClassDef))
    statements = threshold_class.body
    (at,) = (
        i
        for i, each in enumerate(statements)
        if isinstance(each, ast.AnnAssign) and each.target.id == name
    )
    told = statements[at + 1]
    assert isinstance(told, ast.Expr)
    assert told.value.value.startswith(("Least", "Most", "Share", "A child", "Largest"))
    assert isinstance(getattr(Thresholds(), name), int | float)


def test_what_is_more_is_above_what_is_less():
    given = Thresholds()
    assert 1.0 < given.merge_residual < given.changed_residual
    assert given.partial < given.reproduced < 1.0
    assert given.own_direction < given.explained
    assert given.unrelated < given.related
    assert given.decoy < given.coverage
    assert given.significance < 0.0


def test_others_are_a_choice_of_a_caller_and_never_of_a_rule():
    strict = replace(Thresholds(), explained=0.99)
    assert strict.explained == 0.99
    assert strict != Thresholds()
    assert replace(strict, explained=Thresholds().explained) == Thresholds()
    with pytest.raises(FrozenInstanceError):
        strict.explained = 0.5
