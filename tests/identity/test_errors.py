"""Errors are of the family of all."""

from parentage import ParentageError
from parentage.identity.errors import IdentityError, ServerError


def test_they_are_errors_of_parentage():
    assert issubclass(ServerError, IdentityError)
    assert issubclass(IdentityError, ParentageError)
