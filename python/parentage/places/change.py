"""What was done to a slice: a kind, a phrase with its numbers, and how phrases become one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage.support import listed, percent, runs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS = (
    "none",
    "nan",
    "zero",
    "constant",
    "copy",
    "permuted",
    "rows",
    "columns",
    "few",
    "scaled",
    "weight",
    "low rank",
    "quantised",
    "gridded",
    "units",
    "foreign",
    "noise",
    "moved",
)
"""Every kind of change, in the order in which they are tried."""

_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one slice.

    Examples
    --------
    >>> Change("noise", "noise of {size}", {"size": 0.0014}).text
    'noise of 0.0014'
    """

    kind: str
    """One of :data:`KINDS`."""
    pattern: str
    """The phrase, with fields for labels and for numbers, ``{share:percent}``, ``{few:count}`` or
    ``{factor:exact}``."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Always ``elements``, ``differing`` (elements), ``share`` (of them), ``rms`` (of the
    difference, as a share of the reference's) and ``roundings`` (the same in rms rounding errors of
    the dtype), and what the kind has."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Texts in the phrase, names of checkpoints among them. ``which`` and ``rest_which``, places
    inside of the slice, are left out where a phrase is of several slices that differ in them."""

    @property
    def text(self) -> str:
        """The phrase, without a full stop."""
        return phrase([self])

    @property
    def source(self) -> str:
        """The checkpoint by whose numbers it is told; empty for what it is compared with."""
        return self.labels.get("name", "").removesuffix(", ")

    @property
    def key(self) -> tuple[object, ...]:
        """What changes have in common that can be told as one."""
        labels = {name: text for name, text in self.labels.items() if not name.endswith("which")}
        return (self.kind, self.pattern, *sorted(labels.items()))


def phrase(changes: Sequence[Change]) -> str:
    """Return the phrase of changes of one key; numbers that differ become ranges.

    >>> phrase([Change("noise", "noise of {size}", {"size": size}) for size in (0.5, 0.25)])
    'noise of 0.25 to 0.5'
    """

    def filled(found: re.Match[str]) -> str:
        name, form = found[1], found[2]
        if name in changes[0].labels:
            texts = {change.labels[name] for change in changes}
            return texts.pop() if len(texts) == 1 else ""
        values = [change.numbers[name] for change in changes]
        low, high = (_formatted(value, form) for value in (min(values), max(values)))
        return low if low == high else f"{low} to {high}"

    # One pass: what stands in a label, a name of a file perhaps, is never taken for a field.
    return _FIELD.sub(filled, changes[0].pattern)


def nested(change: Change) -> tuple[str, dict[str, float], dict[str, str]]:
    """Return pattern, numbers and labels of a change that is told within another.

    Its fields begin with ``rest_``, so that they are not those of the whole.

    >>> nested(Change("few", "{few:count} differ", {"few": 3.0}))
    ('{rest_few:count} differ', {'rest_few': 3.0}, {})
    """
    known = {*change.numbers, *change.labels}

    def renamed(found: re.Match[str]) -> str:
        return f"{{rest_{found[0][1:]}" if found[1] in known else found[0]

    return (
        _FIELD.sub(renamed, change.pattern),
        {f"rest_{name}": value for name, value in change.numbers.items()},
        {f"rest_{name}": text for name, text in change.labels.items()},
    )


def _formatted(value: float, form: str | None) -> str:
    """Return a number in a form: a share as ``percent``, and as ``ratio`` what may exceed 100 %.

    As ``count``, as ``exact``, or with three digits.
    """
    if form == "percent":
        return percent(value) if math.isfinite(value) else "more than can be said"
    if form == "ratio":
        return f"{100.0 * value:.3g}%" if math.isfinite(value) else "more than can be said"
    if form == "count":
        return f"{int(value):,}"
    return f"{value:.7g}" if form == "exact" else f"{value:.3g}"


def some(indices: Sequence[int], most: int = 6) -> str:
    """Return numbers as prose, runs of three or more as ranges, no more than ``most`` of them.

    >>> some([3, 7, 8, 9, 12])
    '3, 7 to 9 and 12'
    >>> some(range(0, 100, 2), most=3)
    '0, 2, 4 and 47 more'
    """
    parts: list[tuple[str, int]] = []
    for first, last in runs_of(indices):
        if last - first >= 2:
            parts.append((f"{first} to {last}", last - first + 1))
        else:
            parts += [(str(each), 1) for each in range(first, last + 1)]
    if len(parts) > most:
        left = sum(size for _, size in parts[most:])
        parts = [*parts[:most], (f"{left:,} more", left)]
    return listed(text for text, _ in parts)
