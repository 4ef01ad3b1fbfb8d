"""Who is told how far a pass has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preview:
    """A verdict on a sample, told before more is read."""

    kind: str
    level: str
    rule: str
    text: str
    share: float
    """Share of everything that was read for it."""
    rounds: int
    """How often the sample was doubled, and one."""


class Progress:
    """Told how far a pass has come; does nothing of it.

    Derive from it and override what is wanted. Any method may raise to stop the pass.

    >>> class Percent(Progress):
    ...     def start(self, total):
    ...         self.total = total
    ...     def update(self, done):
    ...         self.percent = 100 * done // self.total
    >>> progress = Percent()
    >>> progress.stage("pairing tensors")
    >>> progress.start(200)
    >>> progress.update(50)
    >>> progress.percent
    25
    """

    def stage(self, text: str) -> None:
        """Be told in a few words what begins where no bytes are counted."""

    def start(self, total: int) -> None:
        """Be told of the bytes that will be read, over all checkpoints."""

    def update(self, done: int) -> None:
        """Be told of the bytes read so far; about twenty times a second."""

    def look(self, preview: Preview) -> None:
        """Be told of a verdict that rests on a sample, before more is read."""


SILENT = Progress()
"""Told, and tells nobody."""
