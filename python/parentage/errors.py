"""Exceptions. All of them are :class:`ParentageError`; arguments out of range are ``ValueError``."""

from parentage._core import CheckpointError, ParentageError, PlanError, ReadError

__all__ = ["CheckpointError", "ParentageError", "PlanError", "ReadError"]
