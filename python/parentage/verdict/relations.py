"""What was decided, for each checkpoint offered, of who came first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from parentage.verdict.facts import Facts
    from parentage.verdict.verdict import Verdict

RELATIONS = ("ancestor", "descendant", "sibling", "stranger", "undecided")
"""What a checkpoint may be to the child."""

FORWARD = ("replayed", "rounding_left", "changed_in_part", "changed", "merge")
"""Rules that hold only where the child was made from the blend."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What one checkpoint is to the child, and the test that says so."""

    name: str
    relation: str
    """One of :data:`RELATIONS`."""
    test: str | None
    """``"both_ways"``, ``"lost"``, ``"noise"``, ``"meeting"``, ``"cosine"``; ``None`` without."""
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    """What the test measured."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "checkpoint": self.name,
            "relation": self.relation,
            "test": self.test,
            "numbers": dict(self.numbers),
        }


def decided_relations(facts: Facts, verdict: Verdict) -> tuple[Relation, ...]:
    """Return what each checkpoint offered is to the child, as far as it was decided."""
    return tuple(_relation(name, facts, verdict) for name in facts.likeness)


def _relation(name: str, facts: Facts, verdict: Verdict) -> Relation:
    """Return what one checkpoint is to the child."""
    cosine = facts.likeness[name]
    numbers: dict[str, float | None] = {"cosine": None if cosine != cosine else cosine}
    own = facts.own.get(name)
    if own is not None:
        numbers |= {"own_values": float(own.elements), "own_values_kept": own.kept}
    if name in facts.descendants:
        return Relation(name, "descendant", "both_ways", numbers)
    both = facts.both_ways
    if both is not None and name in both.back:
        numbers |= {"forward": both.forward, "back": both.back[name]}
        is_claimed = verdict.kind in ("merge", "merge-then-changed") and verdict.rule in FORWARD
        if is_claimed and facts.order == "forward":
            return Relation(name, "ancestor", "both_ways", numbers)
    if verdict.kind == "fine-tune" and verdict.numbers.get("parent") == name:
        if verdict.rule == "noised":
            return Relation(name, "ancestor", "noise", numbers)
        if verdict.rule == "kept" and not facts.meets_at(name):
            return Relation(name, "ancestor", "lost", numbers)
    met = facts.meets_at(facts.base) if verdict.rule == "fine_tune" else {}
    if name in met:
        return Relation(name, "sibling", "meeting", {**numbers, "meeting_cosine": met[name]})
    if abs(cosine) < facts.thresholds.unrelated:
        return Relation(name, "stranger", "cosine", numbers)
    return Relation(name, "undecided", None, numbers)
