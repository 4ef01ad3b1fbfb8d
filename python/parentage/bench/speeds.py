"""Speeds, beside the ceilings that they are compared with."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@dataclass
class Case:
    """Something to time, and how long it took."""

    what: str
    dtype: str
    warm: bool
    """Whether everything is in the page cache."""
    bytes: int
    call: Callable[[], object]
    parents: int | None = None
    ceiling: bool = False
    """Whether it may be the ceiling of the cases that are as warm, and of the same dtype."""
    seconds: list[float] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Median speed in GB/s, 10^9 bytes."""
        return self.bytes / statistics.median(self.seconds) / 1e9


@dataclass
class Bench:
    """What was measured, on which machine and which checkpoints."""

    machine: dict[str, Any]
    inputs: list[dict[str, Any]]
    """Per group of checkpoints: what they are, dtype, bytes, and the largest deviation."""
    cases: list[Case]
    skipped: list[str]
    """What was not measured, and why."""
    threads: int
    runs: int

    def skip(self, what: str) -> None:
        """Add something that is not measured, once."""
        if what not in self.skipped:
            self.skipped.append(what)

    def ceiling(self, case: Case) -> float:
        """Return the speed in GB/s that a case is compared with."""
        return max(
            other.speed
            for other in self.cases
            if other.ceiling and other.warm == case.warm and other.dtype == case.dtype
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for every case."""
        return [
            {
                "what": case.what,
                "dtype": case.dtype,
                "parents": case.parents,
                "cache": "warm" if case.warm else "cold",
                "bytes": case.bytes,
                "gb_per_s": round(case.speed, 3),
                "of_ceiling": round(case.speed / self.ceiling(case), 3),
                "seconds": [round(seconds, 5) for seconds in case.seconds],
            }
            for case in self.cases
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return {
            "schema": "parentage.bench/1",
            "tool": {"name": "parentage", "version": _core.__version__},
            "machine": self.machine,
            "threads": self.threads,
            "runs": self.runs,
            "inputs": self.inputs,
            "results": self.rows(),
            "skipped": self.skipped,
        }
