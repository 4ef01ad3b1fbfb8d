"""What the answers of one model add up to, before it is worded or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.identity.comparisons import Comparison
    from parentage.identity.counts import ArmCounts
    from parentage.identity.names import Name
    from parentage.identity.overlap import Overlap
    from parentage.identity.records import Answers


@dataclass(frozen=True)
class Findings:
    """What the answers of one model add up to."""

    answers: Answers
    names: tuple[Name, ...]
    arms: Sequence[ArmCounts]
    comparisons: Sequence[Comparison]
    overlaps: Mapping[str, Sequence[Overlap]]
    """By the name of the text."""
    texts: Mapping[str, int]
    """Words of each text and control."""
    controls: tuple[str, ...]
    other: tuple[Answers, Sequence[ArmCounts]] | None = None
    """Another model, and what is counted of it."""
