"""Verdicts: kind, level, rule, text and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = (
    "identical",
    "re-encoded",
    "merge",
    "merge-then-changed",
    "fine-tune",
    "assembled",
    "related",
    "unrelated",
    "undetermined",
)
"""Every verdict, as written in evidence and accepted by ``--fail-on``."""

NOTHING_AFTER = "No training after the merge: all of {} is reproduced."
"""What is said where every stored number of a child comes out of a merge."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A kind, the level of its evidence, the rule that decided and the numbers that met it."""

    kind: str
    """One of :data:`KINDS`."""
    level: str
    """``exact`` (bytes reproduced), ``statistical`` or ``circumstantial``."""
    rule: str
    """The name of the rule, a function in ``rules/``."""
    text: str
    """What it means, in a sentence or two."""
    numbers: Mapping[str, float | int | str | None]

    def __str__(self) -> str:
        return f"{self.kind} ({self.level}): {self.text}"
