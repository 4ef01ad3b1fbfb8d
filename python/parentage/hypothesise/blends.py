"""Blends of parents that the rounding cells of a sample admit: one for all slices, or several."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import half_cells, in_order
from parentage.hypothesise.cells import LEAST_NARROW, locate, peaks
from parentage.hypothesise.sample_view import SampleView
from parentage.hypothesise.written_weights import NEGLIGIBLE
from parentage.recipe import layers, position
from parentage.statistics import fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.hypothesise.cells import Located
    from parentage.support import Floats

FLOAT32_LEAST_SHARE = 0.99
"""Share of elements that float32 arithmetic reproduces of a merge done in it, at least."""

EVERYTHING = 0.9995
"""Share of elements from which on no other columns are tried: of another blend, so many cells would
miss more."""

BF16_LEAST_SHARE = 0.35
"""Share of elements that float32 arithmetic reproduces of a merge done in bf16 or f16, at least:
measured 0.6 to 0.9."""

STRUCTURE_LEAST_GAIN = 0.01
"""Least gain in share for which weights are said to vary between slices."""

CELLS_LEAST_SHARE = 0.3
"""Least share of cells that a weight must have to be called one: unrelated parents reach 0.07."""

LEAST_PER_WEIGHT = 8
"""Elements for each weight of a blend, at least, for it to tell anything."""

MOST_LESS = 0.3
"""How much less than the best the simplest blend may reproduce to be refined, too."""

AGREEING = 0.01
"""How far weights of slices may be from those of their group, beyond their plateaus, where the
group has one weight; arithmetic in bf16 moves them by thousandths."""

LEAST_AGREEING = 0.8
"""Least share of the elements of told slices that agree with their group for weights by group to be
looked for: merges by group reach 0.98, other merges below 0.6."""

COPY_DISTANCE = 0.003
"""Distance from 0 and 1 within which the peak of a spectrum is that of copied elements."""

OTHERS = 2.0
"""How much farther a weight may be off for each parent of several, since the others are held:
measured up to 4 for three."""

IDLE_MOST_WEIGHT = 0.02
"""Largest weight of a parent that is left out by way of trial where the blend explains nearly all,
or next to nothing."""


AGREED = 1e-3
"""How far weights of slices may be from each other, beyond their plateaus, that agree on one."""

LEAST_AGREED = 1_000
"""Sampled elements, at least, in slices that agree on weights, and in two slices."""

LEAST_AGREEING_SHARE = 0.5
"""Share of its elements, at least, that weights of its own reproduce of such a slice in float32:
arithmetic in 16 bits reaches 0.6, chance 0.3."""

LARGE = 1_000
"""Sampled elements from which on a group's weights are known by themselves."""

NEAR_DECIMAL = 5e-4
"""How far a weight of a large group is from the shorter one that is tried in its place, at most: of
twelfths and sevenths two digits are further off, and are not taken."""

MOST_OTHERS = 16
"""Groups whose weights are tried for small ones, the largest."""

MOST_TRIED = 64
"""Slices whose weights are tried for those that most agree on, the largest."""


STRUCTURES = {
    "rooted": "roots",
    "modular": "modules",
    "componentwise": "components",
    "layered": "layers",
    "blocked": "blocks",
    "by_kind": "kinds",
    "slicewise": "slices",
}
"""Kinds of groups by the property that has their blend, the simplest first."""


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of the base and the parents, by group of slices."""

    kind: str
    """``constant``, ``roots`` (of names), ``layers``, ``blocks``, ``components``, ``modules``,
    ``kinds`` (of tensors) or ``slices``: what the groups are."""
    groups: NDArray[np.intp]
    """(S,) the group of each slice."""
    weights: Floats
    """(G, columns - 1): that of the base is beyond what makes the sum one."""
    half_widths: Floats
    """(G, columns - 1) half the width of the plateau that each weight lies on."""
    share: float
    """Share of the sampled elements that the blend reproduces in float32."""

    @property
    def by_slice(self) -> Floats:
        """(S, columns - 1) the weights of each slice's group."""
        weights: Floats = self.weights[self.groups]
        return weights


def _best_by(kind: str) -> cached_property[Blend]:
    """Return a property: the best blend with weights of their own for groups of a kind."""
    return cached_property(lambda view: view._structured(kind))


def _simpler(
    weights: Floats,
    axes: list[int],
    size: Floats,
    is_large: NDArray[np.bool_],
    *,
    is_whole: bool,
) -> Iterator[Floats]:
    """Yield (G, columns - 1) weights that are tried in place of those found, the likely first.

    ``axes`` are the columns that have weights, ``size`` (G,) the elements of each group; those that
    ``is_large`` keep weights that are near their own. ``is_whole`` says that all sum to one.
    """
    last = axes[-1]

    def summed(rows: Floats) -> Floats:
        """Return weights whose sum is one, if it is one of all large groups."""
        if is_whole:
            rows[:, last] = np.round(1.0 - rows[:, axes[:-1]].sum(axis=1), 9)
        return rows

    for digits in (1, 2):
        rounded = np.round(weights, digits)
        is_near = np.abs(rounded - weights).max(axis=1) <= NEAR_DECIMAL
        yield np.where((is_near | ~is_large)[:, None], summed(rounded), weights)
    yield np.where(is_large[:, None], weights, summed(np.round(weights, 3)))
    large = np.flatnonzero(is_large)
    order = large[np.argsort(-size[large], kind="stable")].tolist()
    # Fractions are no short decimals: those of large groups are taken as they were found.
    alike = {tuple(np.round(weights[row], 4).tolist()): row for row in reversed(order)}
    for row in sorted(alike.values(), key=order.index)[:MOST_OTHERS]:
        yield np.where(is_large[:, None], weights, weights[row])
    if is_whole and len(axes) == 2:
        for part in np.linspace(0.0, 1.0, 21).round(2).tolist():
            whole = np.zeros(weights.shape[1])
            whole[axes] = part, 1.0 - part
            yield np.where(is_large[:, None], weights, whole.round(9))
        for step in range(-4, 5):
            rows = np.round(weights, 2)
            rows[:, axes[0]] = np.round(rows[:, axes[0]] + step / 100.0, 2)
            yield np.where(is_large[:, None], weights, summed(rows))


class BlendSearch(SampleView):
    """The blends of a sample: with one weight per parent, by layer, component, module or slice."""

    is_settled = False
    """Whether one weight for each checkpoint was seen to give everything, so that none other is
    looked for."""

    @cached_property
    def constant(self) -> Blend:
        """The best blend of one weight per parent for the whole model."""
        groups = np.zeros(len(self.slices), dtype=np.intp)
        every = list(self.columns.parent_indices)
        tries: list[tuple[list[int], float | None]] = [([i], None) for i in every]
        if len(every) > 1:
            tries += [(every, 0.1), (every, 0.6)]
        best: Blend | None = None
        for axes, reach in tries:
            best = self._better(best, self._locate("constant", groups, axes, reach))
            # All columns once more, from farther away, find no other blend where one is known.
            if best.share >= (FLOAT32_LEAST_SHARE if axes == every else EVERYTHING):
                break
        if best is None:
            return self._nothing("constant", groups)
        return self._without_idle(best)

    @cached_property
    def free(self) -> Blend | None:
        """The best blend of weights that need not sum to one: unnormalised sums, scaled copies.

        ``None`` where the constant blend leaves nothing to explain, or the sum is one.
        """
        if self.constant.share >= FLOAT32_LEAST_SHARE:
            return None
        groups = self.constant.groups
        every = list(self.columns.parent_indices)
        start = self.ols([0, *every], groups)[0]
        if abs(start[0]) <= NEGLIGIBLE:
            return None
        axes = [0, *(i for i in every if abs(start[i]) > 0.02)]
        return self._locate("constant", groups, axes, 0.05)

    def _nothing(self, kind: str, groups: NDArray[np.intp]) -> Blend:
        """Return the blend in which no parent takes part."""
        count = int(groups.max(initial=-1)) + 1
        zeros = np.zeros((count, self.sample.columns - 1))
        return Blend(kind, groups, zeros, zeros, self.share(zeros[groups]))

    def _refined(self, blend: Blend) -> Blend:
        """Return the blend searched again, close by, on the whole sample, if it is worth it."""
        if self.small is self.sample or blend.share < self.copied_beyond:
            return blend
        axes = [i for i in range(self.sample.columns - 1) if np.any(blend.weights[:, i] != 0.0)]
        if not axes:
            return blend
        located = locate(
            self.sample,
            blend.weights,
            axes,
            blend.groups,
            dtype=self.cell_dtype,
            reach=1e-3,
            rounds=2,
        )
        return self._better(blend, self._blend(blend.kind, blend.groups, located))

    def _locate(
        self, kind: str, groups: NDArray[np.intp], axes: list[int], reach: float | None
    ) -> Blend:
        """Return the blend of the columns ``axes`` that most cells of a part of the sample admit.

        The search starts from least squares and goes up to ``reach`` from there at first.
        """
        start = self.ols(axes, groups)
        located = locate(self.small, start, axes, groups, dtype=self.cell_dtype, reach=reach)
        return self._blend(kind, groups, located)

    def _blend(self, kind: str, groups: NDArray[np.intp], located: Located) -> Blend:
        """Return the blend of located weights, with the share that it reproduces."""
        share = self.share(located.weights[groups])
        return Blend(kind, groups, located.weights, located.half_widths, share)

    @staticmethod
    def _better(one: Blend | None, two: Blend) -> Blend:
        """Return the blend that reproduces more; the first, if they reproduce the same."""
        return two if one is None or two.share > one.share + 1e-12 else one

    def _without_idle(self, blend: Blend) -> Blend:
        """Return the blend without parents whose weight is negligible, or that add nothing to it.

        A parent that is itself a blend of others takes weight from them, and the search stops on
        the way: without it the others reach more.
        """
        axes = [i for i in range(self.sample.columns - 1) if np.any(blend.weights[:, i] != 0.0)]
        is_worth_more = blend.share >= self.copied_beyond
        for i in sorted(axes, key=lambda i: float(np.abs(blend.weights[:, i]).max())):
            rest = [axis for axis in axes if axis != i]
            largest = float(np.abs(blend.weights[:, i]).max())
            if not rest or (
                largest > IDLE_MOST_WEIGHT
                and (blend.share >= FLOAT32_LEAST_SHARE or not is_worth_more)
            ):
                break
            less = self._locate(blend.kind, blend.groups, rest, 0.1 if len(rest) > 1 else None)
            if less.share >= blend.share - (1e-6 if largest > NEGLIGIBLE else 1e-3):
                blend, axes = less, rest
        return blend

    @cached_property
    def consensus(self) -> Blend | None:
        """The blend of one weight per parent that whole slices agree on, however few they are.

        Where most of a merge was changed afterwards, those left alone show what all were made with.
        ``None`` where too few agree.
        """
        return self._consensus[0]

    @cached_property
    def _consensus(self) -> tuple[Blend | None, NDArray[np.bool_]]:
        """The same, and (S,) which slices agree on it."""
        weights, widths = self.slicewise.weights, self.slicewise.half_widths
        is_whole = self.is_blended & (self.shares(weights) >= LEAST_AGREEING_SHARE)
        size = np.where(is_whole, self.small.weight, 0.0)
        largest = np.argsort(-size, kind="stable")[:MOST_TRIED]
        room = AGREED + 4.0 * widths
        agree = [
            is_whole & (np.abs(weights - weights[row]) <= room + 4.0 * widths[row]).all(axis=1)
            for row in largest.tolist()
        ]
        agreed = [float(size[rows].sum()) for rows in agree]
        best = int(np.argmax(agreed))
        rows = agree[best]
        if agreed[best] < LEAST_AGREED or int((rows & (size > 0.0)).sum()) < 2:
            return None, rows
        sure = size[rows, None] / np.maximum(widths[rows], NEGLIGIBLE / 100.0) ** 2
        start = np.average(weights[rows], axis=0, weights=sure)[None]
        start[np.abs(start) <= AGREED] = 0.0
        axes = [i for i in range(start.shape[1]) if start[0, i] != 0.0]
        if not axes:
            return None, rows
        groups = self.constant.groups
        located = locate(
            self.sample, start, axes, groups, dtype=self.cell_dtype, reach=AGREED, rounds=2
        )
        return self._blend("constant", groups, located), rows

    rooted = _best_by("roots")
    """The best blend with weights of their own for all names that begin alike."""

    blocked = _best_by("blocks")
    """The best blend with weights of their own for every numbered block of names."""

    layered = _best_by("layers")
    """The best blend with weights of their own for every layer."""

    componentwise = _best_by("components")
    """The best blend with weights of their own for every component."""

    modular = _best_by("modules")
    """The best blend with weights of their own for every module: what follows the layer."""

    by_kind = _best_by("kinds")
    """The best blend with weights of their own for every tensor name without its layer."""

    slicewise = _best_by("slices")
    """The best blend with weights of their own for every slice."""

    def groups(self, kind: str) -> NDArray[np.intp]:
        """Return (S,) the group of each slice, of a kind of groups as a :class:`Blend` has them."""
        if kind == "layers":
            count = layers(self.slices)
            # What is in no layer goes with the first one, as mergekit has it.
            return np.array(
                [round(position(slice_, count) * max(count - 1, 0)) for slice_ in self.slices],
                dtype=np.intp,
            )
        if kind == "components":
            present = {name: i for i, name in enumerate(in_order(s.component for s in self.slices))}
            return np.array([present[s.component] for s in self.slices], dtype=np.intp)
        if kind == "slices":
            return np.arange(len(self.slices), dtype=np.intp)
        keys = [KEYS[kind](each) for each in self.slices]
        index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        return np.array([index[key] for key in keys], dtype=np.intp)

    def can_tell(self, kind: str) -> bool:
        """Return whether there are enough elements for weights of their own for groups of a kind.

        As many weights as elements reproduce anything.
        """
        weights = (int(self.groups(kind).max(initial=0)) + 1) * len(self.columns.parents)
        return int(self.small.counts.sum()) >= LEAST_PER_WEIGHT * weights

    @cached_property
    def told(self) -> NDArray[np.bool_]:
        """(S,) whether the blend by slice reproduces a slice as weights of its own would."""
        shares = self.shares(self.slicewise.by_slice)
        return shares >= CELLS_LEAST_SHARE

    def agreeing(self, kind: str) -> float:
        """Return the share of elements of told slices whose weights are those of their group.

        A search for weights by group can find no more than weights by slice show: where these
        differ within groups it is not worth it. 0 where no slice is told.
        """
        groups, blend = self.groups(kind), self.slicewise
        size = np.where(self.told, self.sample.weight, 0.0)
        total = float(size.sum())
        if total == 0.0:
            return 0.0
        agrees = np.ones(len(groups), dtype=bool)
        for i in range(blend.weights.shape[1]):
            values = blend.weights[:, i]
            gap = np.abs(values - medians(values, size, groups))
            agrees &= gap <= AGREEING + 4.0 * blend.half_widths[:, i]
        return float(size[agrees].sum()) / total

    def _structured(self, kind: str) -> Blend:
        """Return the best blend with weights of their own for every group of slices of a kind."""
        groups = self.groups(kind)
        every = list(self.columns.parent_indices)
        best: Blend | None = None
        tries: list[tuple[list[int], float | None]] = [([i], None) for i in every]
        if len(every) > 1:
            tries.append((every, 0.1))
            used = [i for i in every if np.any(self.constant.weights[:, i] != 0.0)]
            if 1 < len(used) < len(every):
                tries.append((used, 0.1))
        for axes, reach in tries:
            best = self._better(best, self._locate(kind, groups, axes, reach))
        if best is None:
            return self._nothing(kind, groups)
        return self._without_idle(best)

    @property
    def blends(self) -> tuple[Blend, ...]:
        """The blends whose weights are worth writing, simplest first.

        One with weights for more groups only if it reproduces much more.
        """
        return self._plain if self.is_settled else self._every

    @cached_property
    def _plain(self) -> tuple[Blend, ...]:
        """The blends of one weight for each checkpoint: the best, or those that sum to one too."""
        constant, free = self.constant, self.free
        if free is None or free.share <= constant.share + STRUCTURE_LEAST_GAIN:
            return (self._refined(constant),)
        return constant, self._refined(free)

    @cached_property
    def _every(self) -> tuple[Blend, ...]:
        """The blends of all structures that are worth writing."""
        worthwhile = [self.constant]
        best = self.constant.share
        if self.free is not None and self.free.share > best + STRUCTURE_LEAST_GAIN:
            worthwhile.append(self.free)
            best = self.free.share
        # Weights of their own for every slice say whether anything less can help, if slices are
        # large enough to tell them.
        is_told = self.can_tell("slices")
        if (
            best < FLOAT32_LEAST_SHARE
            and len(self.slices) > 1
            and (not is_told or self.slicewise.share > best + STRUCTURE_LEAST_GAIN)
        ):
            if is_told and self.consensus is not None and self.consensus.share < best:
                worthwhile.append(self.consensus)
            # Where copies alone reproduce nearly as much, weights by group have nothing to explain.
            is_worth_more = not is_told or self.slicewise.share >= self.copied_beyond
            seen = {partition(self.constant.groups)}
            for name, kind in STRUCTURES.items():
                groups = partition(self.groups(kind))
                if groups in seen or not self.can_tell(kind):
                    continue
                seen.add(groups)
                is_group = kind != "slices"
                if is_group and not is_worth_more:
                    continue
                if is_group and is_told and self.agreeing(kind) < LEAST_AGREEING:
                    continue
                blend: Blend = getattr(self, name)
                if blend.share > best + STRUCTURE_LEAST_GAIN:
                    worthwhile.append(blend)
                    best = blend.share
                if best >= FLOAT32_LEAST_SHARE:
                    break
        # Those in between have served their purpose: to show that more is needed. So has the first,
        # where it reproduces much less.
        least = best - MOST_LESS
        return tuple(
            self._tidied(self._refined(blend))
            if place == len(worthwhile) - 1 or (place == 0 and blend.share >= least)
            else blend
            for place, blend in enumerate(worthwhile)
        )

    def _tidied(self, blend: Blend) -> Blend:
        """Return a blend by group with shorter weights, or other groups', that give as much.

        Of norms there are so few elements that many weights give all of them, and the search finds
        any: the weights of a large group, short ones and those whose sum is that of all large
        groups are tried first.
        """
        axes = [i for i in self.columns.parent_indices if np.any(blend.weights[:, i] != 0.0)]
        if blend.kind == "constant" or not axes or np.any(blend.weights[:, 0] != 0.0):
            return blend
        count = len(blend.weights)
        size: Floats = np.bincount(blend.groups, self.small.weight, count).astype(np.float64)

        def shares(weights: Floats) -> Floats:
            """Return (G,) the share that weights by group reproduce of each."""
            given = self.shares(weights[blend.groups]) * self.small.weight
            found: Floats = np.bincount(blend.groups, given, count) / np.maximum(size, 1.0)
            return found

        best, reached = blend.weights.copy(), shares(blend.weights)
        is_large = (size >= LARGE) & (reached >= CELLS_LEAST_SHARE)
        if not is_large.any():
            return blend
        sums = best[is_large][:, axes].sum(axis=1)
        is_whole = bool(np.all(np.abs(sums - 1.0) <= 4.0 * NEGLIGIBLE)) and len(axes) > 1
        for weights in _simpler(best, axes, size, is_large, is_whole=is_whole):
            found = shares(weights)
            # A weight that is written shorter is taken where it gives as much, the first of all.
            is_better = (found > reached) | ((found == reached) & (best == blend.weights).all(1))
            best = np.where(is_better[:, None], weights, best)
            reached = np.maximum(found, reached)
        return replace(blend, weights=best, share=self.share(best[blend.groups]))

    def cells(self, groups: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Return the parents' weights that most cells admit, by group of slices.

        With each come how far from it weights lie that as many cells admit, but for chance, and the
        share of cells that admit it. All are (G, parents), and NaN where nothing is to be told: of
        slices that are copies, every one. Each weight is searched for with
        the others held at those of the best blend. A peak at 0 or 1 says that elements are copies,
        one that few narrow cells admit says nothing: there the first two are NaN.
        """
        count = int(groups.max(initial=-1)) + 1
        weights = np.full((count, len(self.columns.parents)), np.nan)
        half_widths = np.full((count, len(self.columns.parents)), np.nan)
        shares = np.full((count, len(self.columns.parents)), np.nan)
        blend = self.blends[-1]
        if self.is_assembled or (blend.share < self.copied_beyond and self.copied < 0.5):
            return weights, half_widths, shares
        held = blend.by_slice
        used = int(np.any(held[:, list(self.columns.parent_indices)] != 0.0, axis=0).sum())
        # What several weights have room for together is wider than along each with others held.
        others = 1.0 if used < 2 else OTHERS * used
        for i in range(len(self.columns.parents)):
            if not np.any(held[:, 1 + i] != 0.0):
                continue
            peak = peaks(self.sample, held, 1 + i, groups, dtype=self.cell_dtype)
            share = np.where(peak.intervals[:, 1] >= LEAST_NARROW, peak.narrow, peak.share)
            is_copy = np.minimum(np.abs(peak.weight), np.abs(peak.weight - 1.0)) < COPY_DISTANCE
            # What wide cells alone admit is known to no digit: nothing is said of such groups.
            is_told = peak.intervals[:, 1] >= LEAST_NARROW
            said = (share >= CELLS_LEAST_SHARE) & ~is_copy & is_told
            weights[:, i] = np.where(said, peak.weight, np.nan)
            half_widths[:, i] = np.where(said, others * peak.reach, np.nan)
            shares[:, i] = share
        return weights, half_widths, shares

    def scales(self, column: int) -> tuple[Floats, Floats, Floats]:
        """Return the multiple of a checkpoint's slice that most cells of the child's admit.

        (S,) each: the multiple, half the width of its plateau, and the share of cells that admit
        it. ``column`` is that of the checkpoint.
        """
        sample = self.sample_from(column)
        weights = np.zeros((len(self.slices), self.sample.columns - 1))
        groups = np.arange(len(self.slices), dtype=np.intp)
        peak = peaks(sample, weights, 0, groups, dtype=self.cell_dtype)
        share = np.where(peak.intervals[:, 1] >= LEAST_NARROW, peak.narrow, peak.share)
        return 1.0 + peak.weight, peak.half_width, share

    @cached_property
    def effective(self) -> Mapping[str, float] | None:
        """Weights by checkpoint, the base last, of a blend whose arithmetic rounds more than once.

        Weighted least squares: such arithmetic moves the weights that cells show by thousandths,
        but adds noise of no direction. Elements weigh by their unit in the last place, or by the
        median one: those near zero would decide alone. ``None`` where float32 arithmetic reproduces
        either everything or next to nothing.
        """
        found = [blend for blend in self.blends if blend.kind == "constant"]
        best = max(found, key=lambda blend: blend.share)
        rows = self.is_blended
        if best.share >= EVERYTHING:
            return None
        if best.share < BF16_LEAST_SHARE:
            if len(found) < 2 or self.consensus is None:
                return None
            best, rows = self.consensus, self._consensus[1]
        axes = [i for i in self.columns.parent_indices if np.any(best.weights[:, i] != 0.0)]
        gram = np.zeros((self.sample.columns, self.sample.columns))
        least, first = 0.0, 0
        counts = rows[self.sample.element_owner]
        for part in self.sample.pieces():
            chosen = counts[first : first + len(part)] & np.isfinite(part).all(axis=1)
            first += len(part)
            x = part[chosen]
            ulp = np.add(*half_cells(x[:, -1], self.out_dtype))
            least = least or (float(np.median(ulp)) if len(ulp) else 0.0)
            x[:, 1:] -= x[:, :1].copy()
            x /= np.maximum(ulp, least)[:, None]
            gram += np.einsum("ni,nj->ij", x, x)
        fitted = fit(gram[None], [0, *axes]).weights[0]
        if not np.isfinite(fitted).all():
            return None
        weights = {self.columns.names[i]: float(x) for i, x in zip(axes, fitted[1:], strict=True)}
        return {**weights, self.columns.base: 1.0 + float(fitted[0]) - sum(weights.values())}


def medians(values: Floats, size: Floats, groups: NDArray[np.intp]) -> Floats:
    """Return (S,) the median of each slice's group, slices counting by their size.

    >>> medians(np.array([1.0, 5.0, 2.0]), np.array([1.0, 1.0, 3.0]), np.zeros(3, int)).tolist()
    [2.0, 2.0, 2.0]
    """
    found = np.zeros(len(values))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        order = members[np.argsort(values[members], kind="stable")]
        reached = np.cumsum(size[order])
        found[members] = values[order[int(np.searchsorted(reached, reached[-1] / 2.0))]]
    return found


def partition(groups: NDArray[np.intp]) -> tuple[int, ...]:
    """Return groups numbered in the order in which they come.

    >>> partition(np.array([2, 0, 2])) == partition(np.array([0, 1, 0]))
    True
    """
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(each, len(numbers)) for each in groups.tolist())


def root_of(slice_: Slice) -> str:
    """Return how a slice's name begins: its first two parts, or fewer before a number.

    Text encoders, image encoders and the model in one file, or embeddings, layers and the head.
    """
    parts = re.sub(r"\.\d+\..*", "", slice_.name).split(".")
    return ".".join(parts[:2])


def block_of(slice_: Slice) -> str:
    """Return a slice's name up to the first number with its dot, or all of a name without one.

    Blocks of models whose layers are not counted through: ``input_blocks.4.``.
    """
    found = re.match(r".*?\.\d+\.", slice_.name)
    return found[0] if found else slice_.name


def kind_of(slice_: Slice) -> str:
    """Return a slice's name with stars for numbers."""
    return re.sub(r"\.\d+\.", ".*.", slice_.name)


def module_of(slice_: Slice) -> str:
    """Return what follows the layer in a slice's name, or all of a name without one.

    It is what the filters of merge configurations are about: ``self_attn``, ``mlp``.
    """
    parts = slice_.name.split(".")
    number = str(slice_.layer)
    if slice_.layer is None or number not in parts[:-1]:
        return slice_.name
    return parts[parts.index(number) + 1]


KEYS = {"roots": root_of, "modules": module_of, "blocks": block_of, "kinds": kind_of}
"""What slices of one group have in common, by the kind of groups."""
