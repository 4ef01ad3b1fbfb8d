"""Many names of slices in few words: ``v_proj of layers 0 to 5``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint import place_of
from parentage.places.change import some
from parentage.support import listed, natural_key, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST = 160
"""Letters of a list of names, at most."""

FEW = 8
"""Kinds of tensors of the same layers that are told by name; of more, the number is."""

_STACKED = re.compile(r"\[([0-9]{1,9})\]$")


class _Name(NamedTuple):
    """A name of a slice, taken apart."""

    template: tuple[str, ...]
    """Its parts without the numbers of layer and expert."""
    layer: int | None
    expert: int | None


def compress(names: Sequence[str], among: Sequence[str] = (), most: int = MOST) -> str:
    """Return names of slices as prose of at most ``most`` letters: by what they are, and layers.

    ``among`` are the names of all slices, where "all" and "all but" may be said.

    Examples
    --------
    >>> compress([f"model.layers.{i}.self_attn.v_proj.weight" for i in range(6)])
    'v_proj of layers 0 to 5'
    >>> compress(["model.embed_tokens.weight", "model.layers.3.mlp.up_proj.weight"])
    'up_proj of layer 3 and embed_tokens'
    """
    chosen = sorted(set(names), key=natural_key)
    everything = sorted(set(among), key=natural_key)
    if not chosen:
        return "none"
    if everything and set(chosen) >= set(everything):
        return "all"
    told = _told(chosen, everything or chosen)
    if everything and len(chosen) > len(everything) // 2 and set(chosen) <= set(everything):
        left = sorted(set(everything) - set(chosen), key=natural_key)
        but = _told(left, everything)
        if len(but) < len(told):
            text = f"all but {listed(text for text, _ in but)}"
            if len(text) <= most:
                return text
    return _fitting(told, most)


def _fitting(told: Sequence[tuple[str, int]], most: int) -> str:
    """Return as many parts as fit, and how many names are left out."""
    text = listed(text for text, _ in told)
    for kept in range(len(told) - 1, -1, -1):
        if len(text) <= most:
            break
        left = sum(size for _, size in told[kept:])
        parts = [text for text, _ in told[:kept]]
        text = ", ".join(parts) + f" and {left:,} more" if parts else f"{left:,} tensors"
    return text


def _told(names: Sequence[str], everything: Sequence[str]) -> list[tuple[str, int]]:
    """Return parts of prose with the number of names in each."""
    apart = {name: _taken_apart(name) for name in (*everything, *names)}
    short = _short({each.template for each in apart.values()})
    whole = _whole_layers(names, everything, apart) if len(everything) > len(names) else {}
    groups: defaultdict[str, list[_Name]] = defaultdict(list)
    for name in names:
        each = apart[name]
        if each.layer not in whole:
            groups[short[each.template]].append(each)
    # What is in the same layers, and experts, is told together.
    together: defaultdict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = defaultdict(list)
    for word, members in groups.items():
        layers = tuple(sorted({each.layer for each in members if each.layer is not None}))
        experts = tuple(sorted({each.expert for each in members if each.expert is not None}))
        by_layer: defaultdict[int | None, set[int | None]] = defaultdict(set)
        for each in members:
            by_layer[each.layer].add(each.expert)
        if len(set(map(frozenset, by_layer.values()))) == 1:
            together[layers, experts].append(word)
        else:
            for layer, those in by_layer.items():
                numbers = tuple(sorted(each for each in those if each is not None))
                together[() if layer is None else (layer,), numbers].append(word)
    parts: list[tuple[str, int]] = []
    if whole:
        layers_told = f"all of layer{'s' if len(whole) > 1 else ''} {some(sorted(whole))}"
        parts.append((layers_told, sum(whole.values())))
    outside = together.pop(((), ()), [])
    for (layers, experts), words in together.items():
        where = "".join(
            f" of {word}{'s' if len(numbers) > 1 else ''} {some(numbers)}"
            for word, numbers in (("expert", experts), ("layer", layers))
            if numbers
        )
        count = len(words) * max(len(layers), 1) * max(len(experts), 1)
        if len(words) > FEW:
            parts.append((f"{count:,} tensors{where}", count))
        else:
            parts.append((listed(words) + where, count))
    return parts + [(word, 1) for word in outside]


def _whole_layers(
    names: Sequence[str], everything: Sequence[str], apart: Mapping[str, _Name]
) -> dict[int, int]:
    """Return the layers all of whose names are given, with how many those are, from three on."""
    given, there = (Counter(apart[name].layer for name in each) for each in (names, everything))
    return {
        layer: count
        for layer, count in given.items()
        if layer is not None and count >= 3 and count == there[layer]
    }


def _taken_apart(name: str) -> _Name:
    """Return the parts of a name, its layer and its expert."""
    place = place_of(name)
    expert = place.expert
    stacked = _STACKED.search(name)
    if stacked:
        name, expert = name[: stacked.start()], int(stacked[1])
    parts = []
    layer_left, expert_left = place.layer, place.expert
    for part in name.split("."):
        if part.isascii() and part.isdecimal():
            if layer_left is not None and int(part) == layer_left:
                layer_left = None
                parts.append("*")
                continue
            if expert_left is not None and int(part) == expert_left:
                expert_left = None
                parts.append("*")
                continue
        parts.append(part)
    return _Name(tuple(parts), place.layer, expert)


def _short(templates: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return the shortest ends of templates that tell them apart."""
    found: dict[tuple[str, ...], str] = {}
    groups: dict[tuple[str, ...], list[str]] = {}
    for template in templates:
        parts = [part for part in template if part != "*"]
        if len(parts) > 1 and parts[-1] == "weight":
            parts = parts[:-1]
        groups[template] = parts
    for length in range(1, 1 + max((len(parts) for parts in groups.values()), default=1)):
        ends: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
        for template, parts in groups.items():
            # A bias alone says nothing of what it is the bias of.
            least = length + (parts[-1] == "bias" and len(parts) > 1)
            ends[".".join(parts[-least:])].append(template)
        for end, those in ends.items():
            if len(those) == 1 and those[0] not in found:
                found[those[0]] = printable(end) or "."
        if len(found) == len(groups):
            break
    return {
        template: found.get(template, printable(".".join(template)) or ".") for template in groups
    }
