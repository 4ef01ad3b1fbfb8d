"""Text that is shown: escaped, counted, listed, in natural order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_RUNS = 16
"""Runs of numbers that are told; of more, the number is."""

_CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def printable(text: str) -> str:
    r"""Return ``text`` with everything that could act on a terminal escaped.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROL_CHARACTERS.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), text
    )


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key that puts ``layers.2`` before ``layers.10``.

    >>> sorted(["layers.10", "layers.2"], key=natural_key)
    ['layers.2', 'layers.10']
    """
    # Numbers compare by length, then as text: a name may hold more digits than int() takes.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0"))
        if part.isascii() and part.isdecimal()
        else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
    )


def percent(share: float) -> str:
    """Return a share with two digits that say something, and 100 % only for all.

    >>> percent(0.00234), percent(0.5), percent(0.99999)
    ('0.23%', '50%', '99.9%')
    """
    if share >= 0.1:
        return f"{100 * share if share == 1.0 else min(100 * share, 99.9):.3g}%"
    return f"{100 * share:.2g}%"


def listed(items: Iterable[str]) -> str:
    """Return names as prose: ``a, b and c``."""
    names = list(items)
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def runs_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each run of consecutive numbers, in their order.

    >>> runs_of([3, 7, 8, 9, 2])
    [(3, 3), (7, 9), (2, 2)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def are(count: int) -> str:
    """Return the verb of so many things: ``is`` of one."""
    return "is" if count == 1 else "are"


def number_ranges(numbers: Sequence[int]) -> str:
    """Return numbers as prose, in their order, runs of three and more by their ends.

    >>> number_ranges([0, 2, 4, 5]), number_ranges([0, 1, 2, 3, 2, 3]), number_ranges([3, 2, 1])
    ('0, 2, 4, 5', '0 to 3, 2, 3', '3 down to 1')
    """
    runs: list[list[int]] = []
    for number in numbers:
        run = runs[-1] if runs else []
        step = number - run[-1] if run else 0
        if abs(step) == 1 and (len(run) == 1 or run[1] - run[0] == step):
            run.append(number)
        else:
            runs.append([number])
    said: list[str] = []
    for run in runs:
        word = "to" if run[-1] > run[0] else "down to"
        said += [f"{run[0]} {word} {run[-1]}"] if len(run) > 2 else map(str, run)
    if len(said) > MOST_RUNS:
        said = [*said[:MOST_RUNS], "..."]
    return ", ".join(said)
