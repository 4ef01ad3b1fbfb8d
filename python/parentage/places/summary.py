"""Sentences of what was done to many slices: equal kinds together, most elements first."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from parentage.places.change import Change, phrase
from parentage.places.names import compress
from parentage.support import natural_key, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 5
"""Groups that are told; the rest is counted."""


def summarise(
    changes: Sequence[tuple[str, int, Change]],
    total: int | None = None,
    among: Sequence[str] = (),
    most: int = MOST,
) -> str:
    """Return sentences that say which slices were changed how, most elements first.

    Parameters
    ----------
    changes
        The name of each slice, its elements and what was done to it.
    total
        Elements that shares are of; those of the slices given by default.
    among
        Names of all slices, for "all" and "all but" to be said.
    most
        Groups that are told, at most.

    Examples
    --------
    >>> new = Change("foreign", "no relative of any that was offered")
    >>> names = [f"model.layers.{i}.self_attn.v_proj.weight" for i in range(6)]
    >>> summarise([(name, 100, new) for name in names], total=10000)
    'v_proj of layers 0 to 5 (6 tensors, 6% of the elements): no relative of any that was offered.'
    """
    groups: defaultdict[tuple[object, ...], list[tuple[str, int, Change]]] = defaultdict(list)
    for each in sorted(changes, key=lambda each: natural_key(each[0])):
        groups[each[2].key].append(each)
    whole = sum(elements for _, elements, _ in changes) if total is None else total

    def size(group: Sequence[tuple[str, int, Change]]) -> int:
        return sum(elements for _, elements, _ in group)

    # Sorted names come first among groups of one size: the order of groups is that of the names.
    ordered = sorted(groups.values(), key=lambda group: -size(group))
    told = []
    for group in ordered[:most]:
        names = compress([name for name, _, _ in group], among)
        amount = _amount(len(group), size(group), whole)
        # Where there are too many names, their number is all that is said of them.
        place = amount if names == f"{len(group):,} tensors" else f"{names} ({amount})"
        said = phrase([change for _, _, change in group])
        each_of = "in each, " if len(group) > 1 and " of its " in said else ""
        told.append(f"{place}: {each_of}{said}.")
    left = [each for group in ordered[most:] for each in group]
    if left:
        ways = f"{len(ordered) - most} more way{'s' if len(ordered) - most > 1 else ''}"
        names = compress([name for name, _, _ in left], among)
        told.append(f"In {ways}: {_amount(len(left), size(left), whole)}, {names}.")
    return " ".join(told)


def _amount(tensors: int, elements: int, total: int) -> str:
    """Return how many tensors, and which share of the elements."""
    count = f"{tensors:,} tensor{'s' if tensors != 1 else ''}"
    return f"{count}, {percent(elements / total)} of the elements" if total else count
