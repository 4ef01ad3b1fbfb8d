"""Exceptions: one to catch them all, and one of the core for what the core finds."""

import pytest
from parentage import _core
from parentage.support import ParentageError, errors

NAMES = sorted(set(errors.__all__) - {"ParentageError"})


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_caught_by_one_name(name):
    error = getattr(errors, name)
    assert issubclass(error, ParentageError)
    assert error is not ParentageError
    with pytest.raises(ParentageError, match="what happened"):
        raise error("what happened")


def test_errors_of_the_core_are_those_of_python():
    for name in ("CheckpointError", "ParentageError", "PlanError", "ReadError"):
        assert getattr(errors, name) is getattr(_core, name)


def test_no_error_is_taken_for_another():
    kinds = [getattr(errors, name) for name in NAMES]
    for one in kinds:
        assert [issubclass(one, other) for other in kinds].count(True) == 1
