"""How strongly an adapter was added to a base, and in which arithmetic: what a child says of it.

What is said beside an adapter is a first guess. The scale that the most of the child's elements
admit is looked for in a sample; whether it is all of the child is for others to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import ROUNDED, Coding, half_cells, to_bf16
from parentage.stream import read_elements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from parentage.align.adapters import Applied
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.checkpoint.codings import Rounded
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 1 << 20
"""Elements of all modules that are looked at, at most."""

OF_EACH = 1 << 13
"""Elements of each of them, at most."""

LEAST_EQUAL = 0.5
"""Least share of the elements that an adapter moves, for a scale that gives them to be the child's:
a scale that was not used gives them by chance, a few in a hundred."""

LEAST_MORE = 1e-3
"""Least share of these elements that another scale has to give beside, to be preferred to one that
is said or shorter: sums in another order move fewer."""

ARITHMETICS: dict[Rounded, str] = {
    "never": "float32",
    "BF16": "float32, the product rounded to bf16",
    "F16": "float32, the product rounded to f16",
    "BF16 twice": "bf16",
    "F16 twice": "f16",
}
"""How the product was computed, in words, by how it is rounded."""


@dataclass(frozen=True)
class Strength:
    """How an adapter is added."""

    scales: Mapping[str, float]
    """By tensor, what the product is multiplied by."""
    rounded: Rounded = "never"
    said: str = "1, since nothing says its scale"
    """The scale in words."""
    is_found: bool = False
    """Whether the child's values told it."""
    looked_at: int = 0
    """Elements of the child that were compared with what it gives."""
    rounding: int = 0
    """Those of them that are no farther off than sums of products in float32, in any order."""

    @property
    def scale(self) -> float | Mapping[str, float]:
        """One number if it is the same for all tensors, else all."""
        found = set(self.scales.values())
        return found.pop() if len(found) == 1 else self.scales

    def __str__(self) -> str:
        """Return scale and arithmetic: ``2 (alpha/r), in float32``."""
        return f"{self.said}, in {ARITHMETICS[self.rounded]}"


def strength_of(found: Applied, view: Checkpoint, child: Checkpoint, options: Options) -> Strength:
    """Return how an adapter was added to its base in a child, or as is said where it was not.

    ``view`` is the adapter's, under the child's names.
    """
    guess = _said(found)
    sample = _sample(found, view, child, options)
    if sample is None:
        return guess
    best, most = guess, LEAST_EQUAL * sample.telling
    for strength in _candidates(found, guess, sample):
        for rounded in ROUNDED:
            equal = sample.equal(strength, rounded)
            # Of those that give as much, what is said comes first, and so does float32.
            if equal > most:
                best = replace(strength, rounded=rounded, is_found=True)
                most = equal + LEAST_MORE * sample.telling
    return replace(
        best,
        looked_at=sample.child.size - sample.without,
        rounding=sample.near(best) - sample.without,
    )


def with_strength(view: Checkpoint, found: Applied, strength: Strength) -> Checkpoint:
    """Return a view of an adapter that is added as strongly as given, with a remark on it."""
    by_factor = {_factors(found.view, name): name for name in found.modules}
    codings = []
    for coding in view.codings:
        name = by_factor.get(_key(view, coding)) if coding.kind == "low_rank" else None
        codings.append(
            coding if name is None else coding.scaled_by(strength.scales[name], strength.rounded)
        )
    core = view.core.seen_as(list(view.tensors.values()), codings, kept=0)
    return replace(view, core=core, noted=(*view.noted, *found.remarks(str(strength))))


def reached(view: Checkpoint) -> frozenset[str]:
    """Return the tensors of a view that a product is added to, by name."""
    return frozenset(
        tensor.name
        for tensor in view.tensors.values()
        if any(coding.kind == "low_rank" for coding in view.pile_of(tensor)[-1:])
    )


def _key(view: Checkpoint, coding: Coding) -> tuple[tuple[int, int, int, str], ...]:
    """Return what tells a product from others: where its factors lie."""
    files = len(view.shards)
    out = []
    for each in coding.windows[:2]:
        at = each
        while at.shard >= files:
            at = view.codings[at.shard - files].windows[0]
        out.append((at.shard, at.begin, at.end, at.dtype))
    return tuple(out)


def _factors(view: Checkpoint, name: str) -> tuple[tuple[int, int, int, str], ...]:
    """Return the key of the product that is added to a tensor."""
    return _key(view, view.codings[view.tensors[name].shard - len(view.shards)])


def _said(found: Applied) -> Strength:
    """Return the scale that tensors and the configuration of an adapter say."""
    said = found.adapter.said
    scales = {name: said.scale_of(module) for name, module in found.modules.items()}
    if any(scale is None for scale in scales.values()):
        return Strength({name: 1.0 if x is None else x for name, x in scales.items()})
    return Strength(
        {name: x for name, x in scales.items() if x is not None},
        said=_words([x for x in scales.values() if x is not None], said.by_root),
    )


def _words(scales: list[float], by_root: bool = False) -> str:
    """Return scales in words.

    >>> _words([2.0, 2.0]), _words([1.0, 2.0]), _words([2.0], by_root=True)
    ('2 (alpha/r)', '1 to 2 (alpha/r)', '2 (alpha/sqrt r)')
    """
    low, high = min(scales), max(scales)
    number = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    return f"{number} ({'alpha/sqrt r' if by_root else 'alpha/r'})"


@dataclass(frozen=True)
class _Sample:
    """Some elements of modules that an adapter is added to."""

    names: tuple[str, ...]
    """Tensors, by the base's names."""
    product: Floats
    """(N,) what is added, without a scale."""
    origin: Floats
    """(N,) what it is added to."""
    child: Floats
    """(N,) what the child has."""
    ranks: Floats
    """(N,) terms of the sum that each of the products is."""
    without: int
    """Elements that are not finite somewhere, and zero here."""
    dtype: str
    """The child's."""
    count: int
    """Elements of each tensor."""

    @property
    def telling(self) -> int:
        """Elements that the child has otherwise than the base."""
        return int((self._cast(self.origin) != self.child).sum())

    def spread(self, scales: Mapping[str, float]) -> Floats:
        """Return (N,) scales of the tensors of all elements."""
        return np.repeat([scales[name] for name in self.names], self.count)

    def total(self, strength: Strength, rounded: Rounded) -> Floats:
        """Return (N,) sums as float32, before they are stored."""
        kind, twice = rounded.removesuffix(" twice"), rounded.endswith("twice")
        product = _rounded(self.product, kind) if twice else self.product
        scales = self.spread(strength.scales).astype(np.float32).astype(np.float64)
        product = _rounded((product * scales).astype(np.float32), kind)
        return (self.origin + product).astype(np.float32).astype(np.float64)

    def near(self, strength: Strength) -> int:
        """Return how many elements no order of summation could tell from what comes out.

        A sum of r products in float32 is r roundings off at most, of terms whose sizes add up to
        sqrt(r) times that of the sum, where signs are as those of chance.
        """
        total = self.total(strength, strength.rounded)
        below, above = half_cells(self.child, self.dtype)
        added = np.abs(self.product * self.spread(strength.scales)).reshape(-1, self.count)
        size = np.sqrt((added**2).mean(axis=1)).repeat(self.count)
        room = 2.0**-23 * (np.abs(total) + np.abs(self.origin) + self.ranks**1.5 * size)
        off = total - self.child
        return int(((off >= -below - room) & (off <= above + room)).sum())

    def equal(self, strength: Strength, rounded: Rounded) -> int:
        """Return how many of the telling elements come out, less those that come out otherwise."""
        total = self.total(strength, rounded)
        given, plain = self._cast(total), self._cast(self.origin)
        telling = self.child != plain
        return int((telling & (given == self.child)).sum()) - int(
            (~telling & (given != self.child)).sum()
        )

    def _cast(self, values: Floats) -> Floats:
        return _rounded(values.astype(np.float32).astype(np.float64), self.dtype)


def _rounded(values: Floats, dtype: str) -> Floats:
    """Return values rounded to a dtype of 16 bits; others stay."""
    if dtype == "BF16":
        return np.asarray(to_bf16(values), np.float64)
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(np.float16).astype(np.float64)
    return np.asarray(values, np.float64)


def _sample(
    found: Applied, view: Checkpoint, child: Checkpoint, options: Options
) -> _Sample | None:
    """Return some elements of the modules that a child has; ``None`` where it has none."""
    files = len(view.shards)
    keys = {_factors(found.view, name): name for name in found.modules}
    chosen: list[tuple[str, Tensor, Coding, Tensor]] = []
    for tensor in view.tensors.values():
        place = tensor.shard - files
        coding = view.codings[place] if place >= 0 else None
        mate = child.tensors.get(tensor.name)
        if coding is None or coding.kind != "low_rank" or mate is None:
            continue
        # Magnitudes make a sum that is not linear in its scale.
        is_plain = len(coding.windows) == 3 and (tensor.begin, tensor.end) == (
            0,
            view.computed[place],
        )
        if is_plain and mate.shape == tensor.shape and mate.dtype in ("F32", "BF16", "F16"):
            chosen.append((keys[_key(view, coding)], tensor, coding, mate))
    if not chosen:
        return None
    chosen = [each for each in chosen if each[3].dtype == chosen[0][3].dtype]
    count = min(OF_EACH, max(ELEMENTS // len(chosen), 1), *(each[1].elements for each in chosen))
    tensors, codings = [], []
    for number, (_, tensor, coding, _) in enumerate(chosen):
        width, rank, *_ = coding.numbers
        left, right, origin = coding.windows
        shape = tensor.elements // width, width
        codings.append(Coding.low_rank(left, right, shape, rank))
        place = view.places + number
        name = f"{number:06}"
        tensors += [
            tensor._replace(name=f"{name}.product", shard=place),
            tensor._replace(
                name=f"{name}.origin", dtype=origin.dtype,
                shard=origin.shard, begin=origin.begin, end=origin.end,
            ),
        ]  # fmt: skip
    parts = view.seen_as(tensors, codings)
    rows = [
        (*(parts.tensors[f"{n:06}.{part}"].index for part in ("product", "origin")), each[3].index)
        for n, each in enumerate(chosen)
    ]
    values = read_elements([parts.core, parts.core, child.core], rows, 0, count, options)
    finite = np.isfinite(values).all(axis=1)
    values[~finite] = 0.0
    product, base, stored = values.T
    ranks = np.repeat([float(each[2].numbers[1]) for each in chosen], count)
    names, dtype = tuple(each[0] for each in chosen), chosen[0][3].dtype
    return _Sample(names, product, base, stored, ranks, int((~finite).sum()), dtype, count)


def _candidates(found: Applied, guess: Strength, sample: _Sample) -> Iterator[Strength]:
    """Yield ways in which the adapter may have been added, what is said first."""
    yield guess
    ranks = {name: float(module.rank) for name, module in found.modules.items()}
    alphas = {
        name: alpha
        for name, module in found.modules.items()
        if (alpha := found.adapter.said.alpha_of(module)) is not None
    }
    if len(alphas) == len(ranks):
        for by_root in (False, True):
            scales = {
                name: alphas[name] / (rank**0.5 if by_root else rank)
                for name, rank in ranks.items()
            }
            yield Strength(scales, said=_words(list(scales.values()), by_root))
    units: list[tuple[str, dict[str, float]]] = [("", dict.fromkeys(ranks, 1.0))]
    if len(set(ranks.values())) > 1:
        units += [
            (" / r", {name: 1.0 / rank for name, rank in ranks.items()}),
            (" / sqrt r", {name: rank**-0.5 for name, rank in ranks.items()}),
        ]
    if len(set(guess.scales.values())) > 1:
        units.append((" times what is said of each module", dict(guess.scales)))
    for words, unit in units:
        for factor in _factors_of(sample, sample.spread(unit)):
            yield Strength(
                {name: factor * x for name, x in unit.items()},
                said=f"{_short(factor)}{words} (by its values)",
            )


def _short(number: float) -> str:
    return f"{number:.6g}"


def _factors_of(sample: _Sample, unit: Floats) -> Iterator[float]:
    """Yield what a product may have been multiplied by, the shortest that may be first."""
    product, moved = sample.product * unit, sample.child - sample.origin
    energy = float(product @ product)
    if not energy > 0.0 or not np.isfinite(energy):
        return
    middle = float(product @ moved) / energy
    rest = moved - middle * product
    noise = float(np.sqrt((rest @ rest) / max(rest.size - 1, 1) / energy))
    near = 6.0 * noise + 1e-7 * abs(middle)
    low, high = _most_admitted(sample, product, middle - near, middle + near)
    inside = (low + high) / 2.0
    half = max((high - low) / 2.0, 2.0**-22 * abs(inside))
    tried: list[float] = []
    for value, room in ((inside, half), (middle, near)):
        short = [float(Fraction(value).limit_denominator(n)) for n in (1, 8, 64)]
        short += [round(value, digits) for digits in range(1, 7)]
        tried += [x for x in short if abs(x - value) <= max(room, near)]
    for each in dict.fromkeys([*tried, inside, middle]):
        if each != 0.0:
            yield each


def _most_admitted(
    sample: _Sample, product: Floats, low: float, high: float
) -> tuple[float, float]:
    """Return the ends of the factors, of those between two, that the most rounding cells admit."""
    below, above = half_cells(sample.child, sample.dtype)
    tells = np.abs(product) * (high - low) > below + above
    if not tells.any():
        return low, high
    product, moved = product[tells], (sample.child - sample.origin)[tells]
    # The sum is rounded to float32 before it is stored.
    slack = 2.0**-23 * (np.abs(sample.origin[tells]) + np.abs(moved))
    ends = np.stack([moved - below[tells] - slack, moved + above[tells] + slack]) / product
    first, last = np.sort(ends, axis=0)
    at = np.concatenate([first, last])
    step = np.repeat([1, -1], first.size)
    order = np.argsort(at, kind="stable")
    admitted = np.cumsum(step[order])
    best = int(admitted.argmax())
    return float(at[order[best]]), float(at[order[min(best + 1, at.size - 1)]])
