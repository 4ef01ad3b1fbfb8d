"""What goes wrong when a model is asked who it is."""

from __future__ import annotations

from parentage.support import ParentageError


class IdentityError(ParentageError):
    """A file of questions or answers that is none, or a server that can not be asked."""


class ServerError(IdentityError):
    """A server that is not there, refuses, or answers with what is no answer."""
