"""How often verdicts were wrong, as counted by the bench: ``bench/error_rates.py`` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

CONFIDENCE = 0.95
"""Confidence of the bound on a rate of which no case was seen."""


@dataclass(frozen=True)
class ErrorRates:
    """Counts of cases of known making, and of attempts to mislead."""

    rows: list[dict[str, Any]]
    source: str
    attacks: list[dict[str, Any]]
    attacks_source: str

    def total(self, key: str) -> int:
        """Return a count over all combinations."""
        return sum(int(row[key]) for row in self.rows)

    @property
    def summary(self) -> str:
        """All of it, in sentences."""
        n, wrong, undetermined = (self.total(key) for key in ("n", "wrong", "undetermined"))
        merges = self.total("called_merge_exact") + self.total("called_merge_statistical")
        tricks, false = (sum(int(row[key]) for row in self.attacks) for key in ("n", "wrong"))
        none = (
            f"none was wrongly called a merge (at {CONFIDENCE:.0%} confidence, fewer than "
            f"{100 * most_of_none(n):.1f} in a hundred of such cases are)"
            if merges == 0
            else f"{merges} were wrongly called a merge"
        )
        return (
            f"Of {n:,} combinations of small models of known making, {wrong:,} verdicts were wrong "
            f"and {undetermined:,} undetermined; {none}. Of {tricks:,} attempts to mislead, "
            f"{false:,} ended in a false statement. These models are small, the rules were written "
            "with some of them at hand, and rates of other models may differ."
        )


@cache
def error_rates() -> ErrorRates:
    """Return the counts that come with the package."""
    text = (files("parentage.report") / "page" / "error_rates.json").read_text("utf-8")
    found = json.loads(text)
    calibration, attacks = found["calibration"], found["attacks"]
    return ErrorRates(
        calibration["rows"], calibration["source"], attacks["rows"], attacks["source"]
    )


def most_of_none(n: int) -> float:
    """Return the rate of which no case is seen among ``n`` with a chance of 5 %, the exact bound.

    >>> round(most_of_none(429), 4)
    0.007
    """
    return 1.0 - (1.0 - CONFIDENCE) ** (1.0 / n) if n else 1.0
