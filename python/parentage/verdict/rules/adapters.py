"""Children that are a base with an adapter added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.verdict.rules.wording import coverage_clause, reading_verb
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def adapted(facts: Facts) -> Verdict | None:
    """A base with an adapter added, as it is computed where the child tells it, gives the child.

    The base without it stands in for any other adapter in the same place: what it misses, others
    give by chance.
    """
    limits = facts.thresholds
    known = [name for name in facts.added if name in facts.equal]
    name = max(known, key=lambda each: facts.equal[each], default=None)
    if name is None or facts.coverage < limits.coverage:
        return None
    base, strength = facts.added[name]
    if base not in facts.equal:
        return None
    differ = facts.elements - facts.equal[name]
    moved = facts.elements - facts.equal[base]
    is_told = moved - differ >= limits.decisive and differ <= limits.decoy * moved
    if not is_told or differ > (1.0 - limits.reproduced) * facts.elements:
        return None
    whole = facts.wholes.by_name.get(name)
    is_all = differ == 0 and whole is not None and whole.compared == facts.wholes.compared
    is_exact = is_all and whole is not None and whole.is_equal
    gives = (
        f"gives all {facts.elements:,} elements {reading_verb(facts)}, bit for bit once they are "
        "stored in the child's dtype"
        if is_exact
        else f"gives {1.0 - differ / facts.elements:.4%} of the elements {reading_verb(facts)}; "
        f"{differ:,} differ"
    )
    return Verdict(
        "merge",
        "exact" if is_exact else "statistical",
        "adapted",
        f"{base} with the adapter {name} added, its product times {strength}, {gives}. Of the "
        f"{moved:,} elements that are not {base}'s, it misses {differ:,}. That does not say which "
        f"was there first, the adapter or the child.{coverage_clause(facts)}",
        {
            "parent": name,
            "base": base,
            "equal": facts.equal[name],
            "elements": facts.elements,
            "moved": moved,
            "mismatched": differ,
            "coverage": facts.coverage,
        },
    )
