"""Exceptions: all are :class:`ParentageError`; arguments out of range are ``ValueError``."""

from parentage._core import CheckpointError, ParentageError, PlanError, ReadError

__all__ = [
    "CheckpointError",
    "DeviceError",
    "EvidenceError",
    "ExecutorError",
    "JournalError",
    "ParentageError",
    "PlanError",
    "ReadError",
    "RecipeError",
    "ReportError",
    "WriteError",
]


class DeviceError(ParentageError, ValueError):
    """A device that is not there, that can not be used, or whose memory does not hold a chunk."""


class ExecutorError(ParentageError):
    """Workers are gone, can not be reached, or are not fit for the work."""


class JournalError(ParentageError):
    """The journal is of another trace, locked by another process, or would be overwritten."""


class WriteError(ParentageError):
    """Evidence could not be written; nothing half-written is left."""


class RecipeError(ParentageError):
    """A recipe that is malformed, or that does not fit the checkpoints it is carried out on."""


class EvidenceError(ParentageError):
    """Evidence that is incomplete, damaged, of a newer version, or that contradicts itself."""


class ReportError(ParentageError):
    """A report could not be made: its evidence is missing or no evidence, or what draws it is."""
