"""Degrees of kinship, and the thresholds between them, with the figures they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.verdict import Verdict

RELATIONS = (
    "identical",
    "re-encoded",
    "close relatives",
    "one family",
    "unrelated",
    "undetermined",
    "not compared",
)
"""What two checkpoints may be to each other, the nearest first. None says who came first."""


@dataclass(frozen=True, slots=True)
class Degrees:
    """What tells one degree from the next: cosines of the weights themselves, over matrices."""

    close: float = 0.98
    """Least cosine of close relatives: a fine-tune and its base, siblings and their merges have
    0.985 to 1 on every family measured; training that went on for as long again keeps 0.936."""
    family: float = Thresholds().related
    """Least cosine of one family. Independent models have 0.00 to 0.02 in size."""
    unrelated: float = Thresholds().unrelated
    """Most cosine, in size, of models that are not related; between the two nothing is said."""
    shared: float = Thresholds().alone
    """Least share of the elements in matrices that are the same in both, bit for bit, and no
    constants, for kinship whatever the rest is: independent models have none."""
    strange: float = 0.1
    """Most share of the elements in matrices that are no more alike than independent ones, of close
    relatives."""


def degree_of(
    verdict: Verdict | None,
    likeness: float,
    shared: float,
    crossed: Callable[[], float],
    degrees: Degrees | None = None,
    strange: float = 0.0,
) -> str:
    """Return the relation of two checkpoints, by what the rules of verdicts found and by cosines.

    Parameters
    ----------
    verdict
        What the rules on copies and strangers found; ``None`` where none of them decides.
    likeness
        Cosine of the weights over matrices that are no constants; NaN without any.
    shared
        Share of the elements in matrices that are the same bit for bit, constants left out.
    crossed
        The largest cosine of any layer of the one with any of the other: layers may have moved.
    degrees
        The thresholds; by default those that are documented.
    strange
        Share of the elements in matrices that are no more alike than independent ones: of large
        numbers, few decide the cosine of all.
    """
    limits = degrees or Degrees()
    if verdict is not None:
        if verdict.kind in ("identical", "re-encoded", "undetermined"):
            return verdict.kind
        if verdict.rule == "disguised":
            return "one family"
    if likeness >= limits.close and strange <= limits.strange:
        return "close relatives"
    if likeness >= limits.family or shared >= limits.shared:
        return "one family"
    # Without constants: with them, strangers may be alike.
    is_strange = abs(likeness) <= limits.unrelated and crossed() < limits.family
    return "unrelated" if is_strange else "undetermined"
