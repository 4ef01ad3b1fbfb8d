"""Exceptions: all are :class:`ParentageError`; arguments out of range are ``ValueError``."""

from parentage._core import CheckpointError, ParentageError, PlanError, ReadError

__all__ = ["CheckpointError", "ParentageError", "PlanError", "ReadError", "WriteError"]


class WriteError(ParentageError):
    """Evidence could not be written; nothing half-written is left."""
