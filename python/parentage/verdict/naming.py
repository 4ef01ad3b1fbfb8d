"""Names of tensors and numbers of layers, short, as prose."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from parentage.checkpoint import is_of_the_body, place_of
from parentage.support import listed, runs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PART = re.compile(r"[0-9,]+ (?:rows?|columns?) of ")
"""What stands before the name of a tensor that part is meant of."""


def layer_ranges(numbers: Iterable[int]) -> str:
    """Return layers as prose.

    >>> layer_ranges([4, 5]), layer_ranges([0, 2, 3, 4])
    ('layers 4 to 5', 'layers 0, 2 to 4')
    """
    found = sorted(set(numbers))
    said = ", ".join(f"{a} to {b}" if b > a else f"{a}" for a, b in runs_of(found))
    return f"layer{'s' if len(found) > 1 else ''} {said}"


def named(names: Sequence[str], most: int = 4) -> str:
    """Return names of tensors, those of layers by layer, short.

    >>> named(["model.layers.4.a.weight", "model.layers.5.a.weight", "lm_head.weight"])
    'a of layers 4 to 5 and lm_head.weight'
    """
    kinds: dict[str, list[int]] = {}
    towers: Counter[str] = Counter()
    for name in names:
        component, layer, _ = place_of(name)
        part = _PART.match(name)
        end = name
        if layer is not None and not is_of_the_body(component):
            # A tower has layers of its own, which are none of the model's.
            end, layer = name.split(f".{layer}.", 1)[0], None
            towers[end] += 1
        if layer is not None:
            end = name.split(f".{layer}.", 1)[-1].removesuffix(".weight")
            end = f"{part[0]}{end}" if part else end
        kinds.setdefault(end if layer is not None else f"={name}", [])
        if layer is not None:
            kinds[end].append(layer)
    whole: dict[tuple[int, ...], list[str]] = {}
    for end, layers in kinds.items():
        whole.setdefault(tuple(sorted(layers)), []).append(end.removeprefix("="))
    parts: list[str] = []
    for numbers, ends in whole.items():
        if not numbers:
            parts += [
                f"{towers[end]:,} tensors of {end}" if towers[end] > 1 else end for end in ends
            ]
        elif len(ends) > most:
            parts.append(f"{len(ends) * len(numbers):,} tensors of {layer_ranges(numbers)}")
        else:
            parts.append(f"{listed(ends)} of {layer_ranges(numbers)}")
    if len(parts) > most:
        # Names that begin alike are told by their beginning.
        for depth in (3, 2, 1):
            whole_names = [_PART.sub("", name) for name in names]
            groups = Counter(".".join(name.split(".")[:depth]) for name in whole_names)
            if len(groups) <= most and len(groups) < len(parts):
                return listed(
                    f"{count:,} tensors of {start}"
                    if count > 1
                    else next(
                        name
                        for name in names
                        if _PART.sub("", name).split(".")[:depth] == start.split(".")
                    )
                    for start, count in groups.items()
                )
        parts = [*parts[:most], f"{len(parts) - most:,} more"]
    return listed(parts)
