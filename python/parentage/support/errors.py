"""Exceptions: all are :class:`ParentageError`; arguments out of range are ``ValueError``."""

from parentage._core import CheckpointError, ParentageError, PlanError, ReadError

__all__ = [
    "CheckpointError",
    "JournalError",
    "ParentageError",
    "PlanError",
    "ReadError",
    "RecipeError",
    "WriteError",
]


class JournalError(ParentageError):
    """What is kept of an interrupted trace is of other work, in use, or in the way of a new one."""


class WriteError(ParentageError):
    """Evidence could not be written; nothing half-written is left."""


class RecipeError(ParentageError):
    """A recipe that is malformed, or that does not fit the checkpoints it is carried out on."""
