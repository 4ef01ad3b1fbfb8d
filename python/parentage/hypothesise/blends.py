"""Blends of parents that the rounding cells of a sample admit, and how their weights vary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import COMPONENTS, half_cells
from parentage.hypothesise.cells import LEAST_NARROW, locate, peaks
from parentage.hypothesise.sample_view import SampleView
from parentage.hypothesise.written_weights import (
    NEGLIGIBLE,
)
from parentage.recipe import layers, position
from parentage.statistics import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.hypothesise.cells import Located
    from parentage.support import Floats

FLOAT32_LEAST_SHARE = 0.99
"""Share of elements that float32 arithmetic reproduces of a merge done in it, at least."""

BF16_LEAST_SHARE = 0.35
"""Share of elements that float32 arithmetic reproduces of a merge done in bf16 or f16, at least:
measured 0.6 to 0.9."""

STRUCTURE_LEAST_GAIN = 0.01
"""Least gain in share for which weights are said to vary between slices."""

CELLS_LEAST_SHARE = 0.3
"""Least share of cells that a weight must have to be called one: unrelated parents reach 0.07."""

COPY_DISTANCE = 0.003
"""Distance from 0 and 1 within which the peak of a spectrum is that of copied elements."""

IDLE_MOST_WEIGHT = 0.02
"""Largest weight of a parent that may take no part, where nothing says that others are amiss."""


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of the base and the parents, by group of slices."""

    kind: str
    """``constant``, ``layers``, ``components``, ``modules``, ``kinds`` (of tensors) or ``slices``:
    what the groups are."""
    groups: NDArray[np.intp]
    """(S,)"""
    weights: Floats
    """(G, columns - 1): that of the base is beyond what makes the sum one."""
    half_widths: Floats
    """(G, columns - 1)"""
    share: float
    """Share of the sampled elements that it reproduces in float32."""

    @property
    def by_slice(self) -> Floats:
        """(S, columns - 1) the weights of each slice's group."""
        out: Floats = self.weights[self.groups]
        return out


class BlendSearch(SampleView):
    """The blends of a sample: with one weight per parent, by layer, component, module or slice."""

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
        if best is None:
            return self._nothing("constant", groups)
        return self._without_idle(best)

    @cached_property
    def free(self) -> Blend | None:
        """The same with weights that need not sum to one: unnormalised sums, scaled copies.

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
        count = int(groups.max(initial=-1)) + 1
        zeros = np.zeros((count, self.sample.columns - 1))
        return Blend(kind, groups, zeros, zeros, self.share(zeros[groups]))

    def _refined(self, blend: Blend) -> Blend:
        """Search again, close by, on the whole sample, where there is something to refine."""
        if self.small is self.sample or blend.share < self.copied_beyond:
            return blend
        axes = [i for i in range(self.sample.columns - 1) if np.any(blend.weights[:, i] != 0.0)]
        if not axes:
            return blend
        found = locate(
            self.sample,
            blend.weights,
            axes,
            blend.groups,
            dtype=self.cell_dtype,
            reach=1e-3,
            rounds=2,
        )
        return self._better(blend, self._blend(blend.kind, blend.groups, found))

    def _locate(
        self, kind: str, groups: NDArray[np.intp], axes: list[int], reach: float | None
    ) -> Blend:
        start = self.ols(axes, groups)
        found = locate(self.small, start, axes, groups, dtype=self.cell_dtype, reach=reach)
        return self._blend(kind, groups, found)

    def _blend(self, kind: str, groups: NDArray[np.intp], found: Located) -> Blend:
        share = self.share(found.weights[groups])
        return Blend(kind, groups, found.weights, found.half_widths, share)

    @staticmethod
    def _better(one: Blend | None, two: Blend) -> Blend:
        return two if one is None or two.share > one.share + 1e-12 else one

    def _without_idle(self, blend: Blend) -> Blend:
        """Leave out parents whose weight is nothing, or that the share does not miss.

        A parent that is itself a blend of others takes weight from them, and the search stops on
        the way: without it the others reach more.
        """
        axes = [i for i in range(self.sample.columns - 1) if np.any(blend.weights[:, i] != 0.0)]
        found = blend.share >= self.copied_beyond
        for i in sorted(axes, key=lambda i: float(np.abs(blend.weights[:, i]).max())):
            rest = [axis for axis in axes if axis != i]
            largest = float(np.abs(blend.weights[:, i]).max())
            if not rest or (
                largest > IDLE_MOST_WEIGHT and (blend.share >= FLOAT32_LEAST_SHARE or not found)
            ):
                break
            less = self._locate(blend.kind, blend.groups, rest, 0.1 if len(rest) > 1 else None)
            if less.share >= blend.share - (1e-6 if largest > NEGLIGIBLE else 1e-3):
                blend, axes = less, rest
        return blend

    @cached_property
    def layered(self) -> Blend:
        """The best blend with weights of their own for every layer."""
        count = layers(self.slices)
        # What is in no layer goes with the first one, as mergekit has it.
        groups = np.array(
            [round(position(each, count) * max(count - 1, 0)) for each in self.slices],
            dtype=np.intp,
        )
        return self._structured("layers", groups)

    @cached_property
    def componentwise(self) -> Blend:
        """The best blend with weights of their own for every component."""
        present = [name for name in COMPONENTS if any(s.component == name for s in self.slices)]
        groups = np.array([present.index(each.component) for each in self.slices], dtype=np.intp)
        return self._structured("components", groups)

    @cached_property
    def modular(self) -> Blend:
        """The best blend with weights of their own for every module: what follows the layer."""
        names = [module_of(each) for each in self.slices]
        index = {name: i for i, name in enumerate(dict.fromkeys(names))}
        return self._structured("modules", np.array([index[name] for name in names], dtype=np.intp))

    @cached_property
    def by_kind(self) -> Blend:
        """The best blend with weights of their own for every tensor name without its layer."""
        kinds = [re.sub(r"\.\d+\.", ".*.", each.name) for each in self.slices]
        index = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
        groups = np.array([index[kind] for kind in kinds], dtype=np.intp)
        return self._structured("kinds", groups)

    @cached_property
    def slicewise(self) -> Blend:
        """The best blend with weights of their own for every slice."""
        return self._structured("slices", np.arange(len(self.slices), dtype=np.intp))

    def _structured(self, kind: str, groups: NDArray[np.intp]) -> Blend:
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

    @cached_property
    def blends(self) -> tuple[Blend, ...]:
        """The blends worth spelling out, simplest first: one more only if it says much more."""
        out = [self.constant]
        best = self.constant.share
        if self.free is not None and self.free.share > best + STRUCTURE_LEAST_GAIN:
            out.append(self.free)
            best = self.free.share
        # Weights of their own for every slice say whether anything less can help.
        if (
            best < FLOAT32_LEAST_SHARE
            and len(self.slices) > 1
            and self.slicewise.share > best + STRUCTURE_LEAST_GAIN
        ):
            for name in ("modular", "componentwise", "layered", "by_kind", "slicewise"):
                blend: Blend = getattr(self, name)
                if blend.share > best + STRUCTURE_LEAST_GAIN:
                    out.append(blend)
                    best = blend.share
                if best >= FLOAT32_LEAST_SHARE:
                    break
        # Those in between have served their purpose: to show that more is needed.
        return tuple(
            self._refined(blend) if place in (0, len(out) - 1) else blend
            for place, blend in enumerate(out)
        )

    def cells(self, groups: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Return the parents' weights by group of slices, as the cells have them.

        With each come half the width of its plateau, in which no weight is admitted by fewer cells,
        and the share of cells that admit it, all (G, parents): each weight with the others held at
        those of the best blend. A peak at 0 or 1 says that elements are copies, one that few narrow
        cells admit says nothing: there the first two are NaN.
        """
        count = int(groups.max(initial=-1)) + 1
        weights = np.full((count, len(self.columns.parents)), np.nan)
        half_widths = np.full((count, len(self.columns.parents)), np.nan)
        shares = np.full((count, len(self.columns.parents)), np.nan)
        blend = self.blends[-1]
        if blend.share < self.copied_beyond and self.copied < 0.5:
            return weights, half_widths, shares
        held = blend.by_slice
        for i in range(len(self.columns.parents)):
            if not np.any(held[:, 1 + i] != 0.0):
                continue
            found = peaks(self.sample, held, 1 + i, groups, dtype=self.cell_dtype)
            share = np.where(found.intervals[:, 1] >= LEAST_NARROW, found.narrow, found.share)
            is_copy = np.minimum(np.abs(found.weight), np.abs(found.weight - 1.0)) < COPY_DISTANCE
            said = (share >= CELLS_LEAST_SHARE) & ~is_copy
            weights[:, i] = np.where(said, found.weight, np.nan)
            half_widths[:, i] = np.where(said, found.half_width, np.nan)
            shares[:, i] = share
        return weights, half_widths, shares

    def scales(self, column: int) -> tuple[Floats, Floats, Floats]:
        """Return what each slice is as a multiple of a checkpoint's, as the cells have it.

        (S,) each: the factor, half the width of its plateau, and the share of cells that admit it.
        """
        sample = self.sample_from(column)
        weights = np.zeros((len(self.slices), self.sample.columns - 1))
        groups = np.arange(len(self.slices), dtype=np.intp)
        found = peaks(sample, weights, 0, groups, dtype=self.cell_dtype)
        share = np.where(found.intervals[:, 1] >= LEAST_NARROW, found.narrow, found.share)
        return 1.0 + found.weight, found.half_width, share

    @cached_property
    def effective(self) -> Mapping[str, float] | None:
        """What each checkpoint weighs in a blend whose arithmetic rounds more than once.

        Weighted least squares: such arithmetic moves the weights that cells show by thousandths,
        but adds noise of no direction. Elements weigh by their unit in the last place, or by the
        median one: those near zero would decide alone. ``None`` where float32 arithmetic reproduces
        either everything or next to nothing.
        """
        shares = [each.share for each in self.blends if each.kind == "constant"]
        if not BF16_LEAST_SHARE <= max(shares) < FLOAT32_LEAST_SHARE:
            return None
        best = self.blends[0] if shares[0] == max(shares) else self.blends[1]
        axes = [i for i in self.columns.parent_indices if np.any(best.weights[:, i] != 0.0)]
        gram = np.zeros((self.sample.columns, self.sample.columns))
        least = 0.0
        for part in self.sample.pieces():
            x = part[np.isfinite(part).all(axis=1)]
            ulp = np.add(*half_cells(x[:, -1], self.out_dtype))
            least = least or (float(np.median(ulp)) if len(ulp) else 0.0)
            x[:, 1:] -= x[:, :1].copy()
            x /= np.maximum(ulp, least)[:, None]
            gram += np.einsum("ni,nj->ij", x, x)
        found = fit(gram[None], [0, *axes]).weights[0]
        if not np.isfinite(found).all():
            return None
        out = {self.columns.names[i]: float(x) for i, x in zip(axes, found[1:], strict=True)}
        return {**out, self.columns.base: 1.0 + float(found[0]) - sum(out.values())}


def module_of(each: Slice) -> str:
    """Return what follows the layer in a slice's name, or all of a name without one.

    It is what the filters of merge configurations are about: ``self_attn``, ``mlp``.
    """
    parts = each.name.split(".")
    number = str(each.layer)
    if each.layer is None or number not in parts[:-1]:
        return each.name
    return parts[parts.index(number) + 1]
