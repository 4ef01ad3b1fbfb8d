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

NOTHING_AFTER = "No training after the merge, if its parents came first: all of {} is reproduced."
"""What is said where every stored number of a child comes out of a merge."""


HEADINGS = {
    ("fine-tune", "shared_slices"): "either way round, or both of one that was not offered",
    ("fine-tune", "noised"): "noise on top",
    ("assembled", "assembled"): "copies by slice, either way round",
    ("assembled", "shared_slices"): "copies by slice, in part",
    ("assembled", "part_of"): "a copy in part",
    ("assembled", "chosen"): "copies by element, either way round",
}
"""What is said beside a kind, by kind and rule, where the kind alone is read as more."""


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

    @property
    def heading(self) -> str:
        """The kind as people read it: more words where one alone would say more than was tested.

        >>> Verdict("fine-tune", "statistical", "noised", "it is noise", {}).heading
        'fine-tune (noise on top)'
        """
        told = HEADINGS.get((self.kind, self.rule))
        return f"{self.kind} ({told})" if told else self.kind

    def __str__(self) -> str:
        return f"{self.kind} ({self.level}): {self.text}"
