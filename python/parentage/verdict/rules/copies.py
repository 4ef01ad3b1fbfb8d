"""Children that are copies: of one checkpoint, or slice by slice of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.rules.wording import coverage_clause, reading_clause, reading_verb
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def identical(e: Facts) -> Verdict | None:
    """Every bit compared is that of one checkpoint stored in the same dtypes."""
    return _reproduced(e, "identical", same_dtype=True)


def re_encoded(e: Facts) -> Verdict | None:
    """Every element is one checkpoint's, rounded to the child's dtype."""
    return _reproduced(e, "re-encoded", same_dtype=False)


def _reproduced(e: Facts, kind: str, *, same_dtype: bool) -> Verdict | None:
    for name, equal in e.equal.items():
        if equal == e.elements and e.same_dtype[name] is same_dtype:
            what = "are bit for bit those of" if same_dtype else "are, cast to the child's dtype,"
            return Verdict(
                kind,
                "exact",
                "identical" if same_dtype else "re_encoded",
                f"all {e.elements:,} elements {reading_verb(e)} {what} {name}.{coverage_clause(e)}",
                {"parent": name, "equal": equal, "elements": e.elements, "coverage": e.coverage},
            )
    return None


def assembled(e: Facts) -> Verdict | None:
    """Every slice is bit for bit that of some checkpoint, and they are not all of one."""
    sources = {name: count for name, count in e.copied.items() if count}
    if sum(sources.values()) < e.slices or len(sources) < 2:
        return None
    parts = [f"{count:,} from {name}" for name, count in sources.items()]
    return Verdict(
        "assembled",
        "exact",
        "assembled",
        f"all {e.slices:,} slices are copies{reading_clause(e)}: {listed(parts)}.{coverage_clause(e)}",
        {**{f"slices_{name}": count for name, count in sources.items()}, "slices": e.slices},
    )
