"""Names that begin otherwise: wrappers, towers, models within models."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Shape = tuple[int, ...]

MOST = 8
"""Prefixes that are exchanged between two checkpoints, at most."""

DEPTH = 6
"""Parts of a name, at most, that a prefix may have."""

AMBIGUOUS = 16
"""Names that end alike, from more than which on they speak for no prefix."""

WHOLE = 0.75
"""Least share of the names under one of two prefixes that have to be under the other as well: of a
part of a model, the names of another part may end alike. What is fused under one is not."""

LEAST = 2
"""Names, at least, that two prefixes have to have in common, unless they are all there are."""


class Prefix(NamedTuple):
    """How names begin in the child, and in another checkpoint."""

    mine: str
    theirs: str


def exchanged(
    mine: Mapping[str, Shape], theirs: Mapping[str, Shape]
) -> tuple[list[Prefix], dict[str, str]]:
    """Return which prefixes are exchanged, and the child's names by those of another checkpoint.

    ``mine`` and ``theirs`` are names that only the child or only the other has, with their shapes.
    Nothing is looked up in a table: two prefixes belong together if what follows them is the same
    in nearly all names under the one or the other, and shapes agree. The pair that gives most goes
    first.

    >>> exchanged({"a.x": (2,), "a.y": (3,)}, {"m.b.x": (2,), "m.b.y": (3,)})
    ([Prefix(mine='a.', theirs='m.b.')], {'m.b.x': 'a.x', 'm.b.y': 'a.y'})
    """
    free, there = dict(mine), dict(theirs)
    found: list[Prefix] = []
    renamed: dict[str, str] = {}
    while len(found) < MOST:
        best = next(_best(free, there), None)
        if best is None:
            break
        prefix, names = best
        if prefix.mine != prefix.theirs:
            found.append(prefix)
            renamed.update((other, name) for name, other in names.items())
        for name, other in names.items():
            del free[name], there[other]
    return found, renamed


def _best(
    free: Mapping[str, Shape], there: Mapping[str, Shape]
) -> Iterator[tuple[Prefix, dict[str, str]]]:
    """Yield prefixes that belong together, with the names under them; those of most votes first.

    Where a name may as well be another, as in two towers with the same names inside, none is
    yielded: names do not tell which is which.
    """
    known = []
    for prefix, _ in _votes(free, there).most_common(MOST):
        under = [name for name in free if name.startswith(prefix.mine)]
        names = {
            name: other
            for name in under
            if (other := prefix.theirs + name[len(prefix.mine) :]) in there
        }
        count = sum(other.startswith(prefix.theirs) for other in there)
        is_whole = len(names) >= WHOLE * min(len(under), count)
        if is_whole and len(names) >= min(LEAST, len(free), len(there)):
            known.append((prefix, names))
    for prefix, names in known:
        rivals = (other for _, other in known if len(other) >= WHOLE * len(names))
        if not any(_contradict(names, other) for other in rivals):
            yield prefix, names


def _contradict(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two ways to pair names give one name two partners.

    >>> _contradict({"a": "x"}, {"a": "x", "b": "y"}), _contradict({"a": "x"}, {"b": "x"})
    (False, True)
    """
    back = {there: name for name, there in other.items()}
    return any(
        other.get(name, there) != there or back.get(there, name) != name
        for name, there in one.items()
    )


def _votes(free: Mapping[str, Shape], there: Mapping[str, Shape]) -> Counter[Prefix]:
    """Return how many names of one shape speak for each pair of prefixes."""
    votes: Counter[Prefix] = Counter()
    by_end: dict[str, list[str]] = defaultdict(list)
    for other in there:
        for _, end in _split(other):
            if len(by_end[end]) <= AMBIGUOUS:
                by_end[end].append(other)
    for name, shape in free.items():
        for begin, end in _split(name):
            # What many names end in tells nothing of any.
            ending = by_end.get(end, ())
            others = [other for other in ending if there[other] == shape]
            if others and len(ending) <= AMBIGUOUS:
                votes.update(Prefix(begin, other[: len(other) - len(end)]) for other in others)
                break
    # What is before the first name of all may be no whole part: "net_layers.0", "net_head".
    plain = Prefix(_common(free), _common(there))
    if plain.mine != plain.theirs:
        count = sum(
            there.get(plain.theirs + name[len(plain.mine) :]) == shape
            for name, shape in free.items()
        )
        if count:
            votes[plain] = count
    return votes


def _split(name: str) -> Iterator[tuple[str, str]]:
    """Yield how a name begins and ends, the longest end first.

    >>> list(_split("a.b.c"))
    [('', 'a.b.c'), ('a.', 'b.c')]
    """
    parts = name.split(".")
    for depth in range(min(DEPTH, max(len(parts) - 1, 1))):
        begin = ".".join(parts[:depth]) + "." if depth else ""
        yield begin, name[len(begin) :]


def _common(names: Iterable[str]) -> str:
    """Return what all names begin with, but for the last part of any; whole parts with their dot.

    >>> _common(["net_a.x", "net_b.y"]), _common(["a.b.x", "a.b.y"])
    ('net_', 'a.b.')
    """
    names = list(names)
    ends = sorted(name.rpartition(".")[0] or name for name in names)
    if len(ends) < 2:
        return ""
    # Of sorted texts the first and the last differ first.
    alike = zip(ends[0], ends[-1], strict=False)
    common = ends[0][: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], alike))]
    is_whole = common and all(name.startswith(f"{common}.") for name in names)
    return f"{common}." if is_whole else common
