"""Who is told how far a pass has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from parentage.sample import Sampled
    from parentage.verdict import Verdict


class Watcher(Protocol):
    """Whoever wants to know how far a pass has come.

    A watcher may have a method ``look``, too, which is told of verdicts on samples (see
    :func:`parentage.sure.tell`), and ``stage``, which is told in a few words what begins where no
    bytes are counted (see :func:`begin`).
    """

    def start(self, total: int) -> None:
        """Be told of the bytes that will be read, over all checkpoints."""

    def update(self, done: int) -> None:
        """Be told of the bytes read so far; about twenty times a second. May raise to stop."""


def begin(watcher: object, stage: str) -> None:
    """Tell a watcher that wants to know, one with a method ``stage``, what begins."""
    told = getattr(watcher, "stage", None)
    if told is not None:
        told(stage)


def tell(watcher: Watcher | None, verdict: Verdict, sampled: Sampled) -> None:
    """Tell a watcher that wants to know, one with a method ``look``, of a verdict on a sample."""
    look = getattr(watcher, "look", None)
    if look is not None:
        look(verdict, sampled)
