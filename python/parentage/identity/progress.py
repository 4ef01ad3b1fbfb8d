"""What is told while questions are asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """How far the asking has come."""

    total: int = 0
    """Answers that are wanted."""
    kept: int = 0
    """Of these, answers from before."""
    answered: int = 0
    """Answers from now."""
    failed: int = 0
    """Questions given up, until the end or the next time."""
    errors: int = 0
    """Attempts that failed, for whatever reason, and were or will be made again."""


class AskingProgress:
    """Told how questions are answered; a class to derive from, whose methods do nothing.

    They are called from the thread that asks, one at a time.
    """

    def start(self, tally: Tally) -> None:
        """Asking begins."""

    def update(self, tally: Tally) -> None:
        """An answer has come, or an attempt has failed."""

    def note(self, text: str) -> None:
        """Something is to be known: an arm is skipped, the server asks to wait."""
