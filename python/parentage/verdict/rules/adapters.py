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
    added, base = facts.added[name], facts.added[name].base
    if base not in facts.equal:
        return None
    differ = facts.elements - facts.equal[name]
    moved = facts.elements - facts.equal[base]
    if moved - differ < max(limits.decisive, limits.partial * moved):
        return None
    is_small = differ <= min(limits.decoy * moved, (1.0 - limits.reproduced) * facts.elements)
    is_rounding = 0 < added.looked_at == added.rounding and not facts.beyond.get(name, 0)
    if not (is_small or is_rounding):
        return None
    whole = facts.wholes.by_name.get(name)
    is_all = differ == 0 and whole is not None and whole.compared == facts.wholes.compared
    is_exact = is_all and whole is not None and whole.is_equal
    if is_exact:
        gives = (
            f"gives all {facts.elements:,} elements {reading_verb(facts)}, bit for bit once they "
            "are stored in the child's dtype"
        )
    else:
        gives = (
            f"gives {1.0 - differ / facts.elements:.4%} of the elements {reading_verb(facts)}, and "
            f"{differ:,} differ"
        )
    if is_rounding and differ:
        gives += (
            f"; of {added.looked_at:,} looked at, spread over all modules, none is farther off "
            "than sums in float32 are that are taken in another order"
        )
    if facts.finite < 1.0:
        gives += (
            f"; {round((1.0 - facts.finite) * facts.elements):,} are not finite in some checkpoint"
        )
    numbers: dict[str, float | int | str | None] = {
        "parent": name,
        "base": base,
        "equal": facts.equal[name],
        "elements": facts.elements,
        "moved": moved,
        "mismatched": differ,
        "looked_at": added.looked_at,
        "within_rounding": added.rounding,
        "coverage": facts.coverage,
    }
    if facts.child in facts.added:
        return _same_products(facts, name, gives, numbers, is_exact=is_exact)
    return Verdict(
        "merge",
        "exact" if is_exact else "statistical",
        "adapted",
        f"{base} with the adapter {name} added, its product times {added.strength}, {gives}. "
        f"{moved:,} of the child's elements are not {base}'s. Which was there first, the adapter "
        f"or the child, that does not say.{coverage_clause(facts)}",
        numbers,
    )


def _same_products(
    facts: Facts,
    name: str,
    gives: str,
    numbers: dict[str, float | int | str | None],
    *,
    is_exact: bool,
) -> Verdict:
    """Return the verdict on an adapter whose products are another's."""
    base = facts.added[name].base
    return Verdict(
        "re-encoded",
        "exact" if is_exact else "statistical",
        "adapted",
        f"the adapter {facts.child} does to {base} what {name} does: added to it, {name} {gives}. "
        f"Their factors were not compared, only what their products make of {base}; which of the "
        f"two came first is not decided.{coverage_clause(facts)}",
        numbers,
    )
