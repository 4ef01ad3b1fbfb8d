"""Children that are copies: of one checkpoint, or slice by slice of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.rules.wording import coverage_clause, reading_clause, reading_verb
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def identical(facts: Facts) -> Verdict | None:
    """Every bit compared is that of one checkpoint stored in the same dtypes."""
    return _reproduced(facts, "identical", same_dtype=True)


def re_encoded(facts: Facts) -> Verdict | None:
    """Every element is one checkpoint's, rounded to the child's dtype."""
    return _reproduced(facts, "re-encoded", same_dtype=False)


def _reproduced(facts: Facts, kind: str, *, same_dtype: bool) -> Verdict | None:
    for name, equal in facts.equal.items():
        if equal == facts.elements and facts.same_dtype[name] is same_dtype:
            what = "are bit for bit those of" if same_dtype else "are, cast to the child's dtype,"
            return Verdict(
                kind,
                "exact",
                "identical" if same_dtype else "re_encoded",
                f"all {facts.elements:,} elements {reading_verb(facts)} {what} "
                f"{name}.{coverage_clause(facts)}",
                {
                    "parent": name,
                    "equal": equal,
                    "elements": facts.elements,
                    "coverage": facts.coverage,
                },
            )
    return None


def assembled(facts: Facts) -> Verdict | None:
    """Every slice is bit for bit that of some checkpoint, and they are not all of one."""
    sources = {name: count for name, count in facts.copied.items() if count}
    if sum(sources.values()) < facts.slices or len(sources) < 2:
        return None
    parts = [f"{count:,} from {name}" for name, count in sources.items()]
    return Verdict(
        "assembled",
        "exact",
        "assembled",
        f"all {facts.slices:,} slices are copies{reading_clause(facts)}: "
        f"{listed(parts)}.{coverage_clause(facts)}",
        {**{f"slices_{name}": count for name, count in sources.items()}, "slices": facts.slices},
    )
