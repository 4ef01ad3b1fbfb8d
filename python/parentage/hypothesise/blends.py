"""What a sample shows: blends of parents, how their weights vary, and how those may be spelled."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import COMPONENTS, digits_of, half_cells, narrowest
from parentage.hypothesise.cells import LEAST_NARROW, locate, peaks
from parentage.hypothesise.written_weights import (
    BF16_WEIGHT_ERROR,
    NEGLIGIBLE,
    design_of,
    fit_gradient,
    resample_knots,
    shortest_decimal,
    written_forms,
)
from parentage.recipe import layers, position, resolve
from parentage.sample import SearchSample
from parentage.statistics import fit
from parentage.stream import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.checkpoint import Columns
    from parentage.hypothesise.cells import Located
    from parentage.recipe import Setting
    from parentage.stream import Options
    from parentage.support import Floats

SEARCH = 1 << 16
"""Elements of each checkpoint that weights are searched on, before they are refined on more."""

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

OUTLYING_MOST_SHARE = 0.02
"""Share of elements that may lie in slices that do not fit a description."""

LEAST_GAIN_OVER_COPIES = 0.10
"""Share, beyond what a copy of one checkpoint has, below which a search is not refined."""


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


@dataclass(frozen=True, slots=True)
class WrittenWeights:
    """Weights as a person would have written them."""

    weights: Mapping[str, Setting]
    """By checkpoint, the base included."""
    uncertainty: Mapping[str, float]
    normalized: bool = True
    """Whether effective weights sum to one."""
    is_coarse: bool = False
    """Whether it is meant for arithmetic that rounds more than once."""
    parameters: Mapping[str, Setting | bool | str] = field(default_factory=dict)


class SampleEstimates:
    """What a sample shows of a child, worked out when it is asked for."""

    def __init__(self, alignment: Alignment, columns: Columns, options: Options) -> None:
        """Take a sample of the slices that pair; ``columns`` says who is who in it."""
        self.sample = SearchSample(alignment, options)
        self.small = (
            SearchSample(alignment, options, SEARCH)
            if int(self.sample.counts.sum()) > 2 * SEARCH
            else self.sample
        )
        self._alignment, self._options = alignment, options
        self.slices = alignment.slices
        self.columns = columns

    def whole(self, index: int, columns: Sequence[int], most: int | None = None) -> Floats:
        """Return all elements of a slice, or the first, of some checkpoints and the child.

        (elements, columns + 1), the child's last.
        """
        elements = self.slices[index].elements
        chosen = [*columns, -1]
        extents = [self.slices[index].extents[i] for i in chosen]
        plan = _core.Plan(
            [self._alignment.checkpoints[i] for i in chosen],
            np.array([elements if most is None else min(elements, most)], dtype=np.uint64),
            np.array([[each.tensor for each in extents]], dtype=np.uint64),
            np.array([[each.start for each in extents]], dtype=np.uint64),
        )
        options = self._options.for_runs()
        return options.backend.elements(plan, 0, 1, threads=options.threads, io=options.io)

    def cells_of(self, values: Floats) -> tuple[Floats, Floats]:
        """Return how far the rounding cells of values that the child stores reach down and up."""
        return half_cells(values, self.out_dtype)

    def sample_from(self, origin: int) -> SearchSample:
        """Return the search sample with column ``origin`` and the base exchanged."""
        order = list(range(len(self.columns.names)))
        order[0], order[origin] = order[origin], order[0]
        return SearchSample(self._alignment, self._options, SEARCH, order)

    @cached_property
    def raw_gram(self) -> Floats:
        """(S, N + 1, N + 1) inner products over the sample of whole checkpoints and the child."""
        count = len(self.columns.names)
        change = np.zeros((count + 1, count + 1))
        change[:, 0] = 1.0
        for i in range(1, count + 1):
            change[i, i] = 1.0
        gram = self.sample.gram.total
        out: Floats = np.einsum("ik,skl,jl->sij", change, gram, change)
        return out

    @cached_property
    def energy(self) -> Floats:
        """(S,) the energy of rounding to :attr:`out_dtype` of the sampled elements."""
        factor = 4.0 ** max((digits_of(self._stored) or 0) - (digits_of(self.out_dtype) or 0), 0)
        out: Floats = self.sample.gram.energy * factor
        return out

    def floors(self, residual: Floats) -> float:
        """Return the root of residual energies of all slices, in units of the rounding."""
        energy = float(self.energy.sum())
        return float(np.sqrt(residual.sum() / energy)) if energy > 0 else float("inf")

    def describe(self, values: Floats, tolerance: Floats, known: NDArray[np.bool_]) -> Setting:
        """Return one number for all slices, or by layer or slice: the simplest that fits.

        ``values`` and ``tolerance`` are (S,). Slices that are not ``known`` may have any value, and
        so may those with :data:`OUTLYING_MOST_SHARE` of the elements: in small slices other weights fit as
        well.
        """
        size = np.where(known, self.sample.weight, 0.0)
        if size.sum() == 0:
            return float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0

        def fits(candidate: Floats) -> bool:
            near = np.abs(np.nan_to_num(values) - candidate) <= tolerance
            return float(size[~near].sum()) <= OUTLYING_MOST_SHARE * float(size.sum())

        order = np.argsort(values[known])
        half = np.cumsum(size[known][order]) >= size.sum() / 2.0
        middle = float(values[known][order][int(half.argmax())])
        for digits in range(1, 5):
            if fits(np.full_like(values, round(middle, digits))):
                return round(middle, digits)
        if fits(np.full_like(values, middle)):
            return middle
        count = layers(self.slices)
        t = np.array([position(each, count) for each in self.slices])
        for number in range(2, count + 1):
            design = design_of(t, number)
            kept = size > 0
            for _ in range(3):
                root = np.sqrt(size[kept])[:, None]
                right = (values[kept] * root[:, 0])[:, None]
                solution = np.linalg.lstsq(design[kept] * root, right, rcond=None)[0][:, 0]
                gap = np.abs(np.nan_to_num(values) - design @ solution)
                kept = (size > 0) & (gap <= np.maximum(tolerance, 3.0 * np.median(gap[size > 0])))
            for digits in (1, 2, 3, 8):
                rounded = np.round(solution, digits)
                if fits(design @ rounded):
                    return {"gradient": [float(x) for x in rounded]}
        return {
            "slices": {
                each.name: shortest_decimal(float(value), min(float(width), 1e-3))
                for each, value, width in zip(
                    self.slices, np.nan_to_num(values, nan=middle), tolerance, strict=True
                )
            }
        }

    @cached_property
    def _stored(self) -> str:
        floats = [each for each in self.slices if digits_of(each.dtype) is not None]
        return max(floats, key=lambda each: each.elements).dtype if floats else "BF16"

    @cached_property
    def out_dtype(self) -> str:
        """The dtype whose rounding the child's floating-point slices have."""
        floats = [each for each in self.slices if digits_of(each.dtype) is not None]
        if not floats:
            return next((each.dtype for each in self.slices), "BF16")
        stored = max(floats, key=lambda each: each.elements).dtype
        if stored not in ("F32", "F64"):
            return stored
        rows = [i for i, each in enumerate(self.slices) if each.dtype == stored]
        used = int(self.sample.gram.precision[rows].max())
        return narrowest(used)

    @property
    def cell_dtype(self) -> str | None:
        """The dtype that cells are taken of, if it is not the stored one."""
        stored = {each.dtype for each in self.slices}
        return None if stored <= {self.out_dtype} else self.out_dtype

    @cached_property
    def copied(self) -> float:
        """Largest share of sampled elements that a single checkpoint has bit for bit."""
        gram = self.sample.gram
        rows = self.sample.weight > 0
        total = float(gram.n[rows].sum())
        return float(gram.equal[rows].sum(axis=0).max()) / total if total else 0.0

    def share(self, weights: Floats, sample: SearchSample | None = None) -> float:
        """Return the share of elements that weights (S, columns - 1) reproduce in float32."""
        program = Program(len(self.slices))
        base = program.column(0)
        total = base
        if np.any(weights[:, 0] != 0.0):
            total = program.fma(base, program.scalar(weights[:, 0]), total)
        for i in self.columns.parent_indices:
            if np.any(weights[:, i] != 0.0):
                delta = program.column(i) - base
                total = program.fma(delta, program.scalar(weights[:, i]), total)
        result = total.round(self.out_dtype)
        return float((sample or self.small).replay([(program, [result])]).share[0])

    def ols(self, axes: list[int], groups: NDArray[np.intp]) -> Floats:
        """Return least-squares weights (G, columns - 1) of the columns ``axes``."""
        count = int(groups.max(initial=-1)) + 1
        columns = self.sample.columns
        gram = np.zeros((count, columns, columns))
        np.add.at(gram, groups, self.sample.gram.total)
        out = np.zeros((count, columns - 1))
        found = fit(gram, axes).weights
        out[:, axes] = np.where(np.isnan(found), 0.0, found)
        return out

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

    @property
    def copied_beyond(self) -> float:
        """The share that a blend has to exceed to be worth more than a look."""
        return min(self.copied + LEAST_GAIN_OVER_COPIES, 0.9)

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

    def spellings(self) -> Iterator[WrittenWeights]:
        """Yield ways in which the weights may have been written, for every blend."""
        for blend in self.blends:
            yield from self.spelled(blend)

    def spelled(self, blend: Blend) -> Iterator[WrittenWeights]:
        """Yield ways in which the weights of a blend may have been written."""
        axes = [i for i in self.columns.parent_indices if np.any(blend.weights[:, i] != 0.0)]
        if not axes:
            return
        own = bool(np.any(blend.weights[:, 0] != 0.0))
        values, widths = blend.weights, blend.half_widths
        if blend.kind == "layers":
            yield from self._gradients(blend, axes)
        elif blend.kind in ("modules", "components", "kinds", "slices"):
            yield from self._tables(blend, axes)
        else:
            names = [self.columns.names[i] for i in axes]
            v = [float(values[0, i]) for i in axes]
            # The room that several weights have together is wider than each of their plateaus.
            least = 1e-6 if own or len(axes) > 1 else 3e-7
            tolerance = [max(4.0 * float(widths[0, i]), least) for i in axes]
            uncertainty = {name: float(widths[0, i]) for name, i in zip(names, axes, strict=True)}
            free = float(values[0, 0]) if own else 0.0
            for chosen, base in written_forms(v, tolerance, free, own=own):
                weights = dict(zip(names, chosen, strict=True))
                yield WrittenWeights({**weights, self.columns.base: base}, uncertainty, not own)

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

    def _gradients(self, blend: Blend, axes: list[int]) -> Iterator[WrittenWeights]:
        """Yield weights that are piecewise linear over layers, with the fewest knots that do."""
        count = blend.weights.shape[0]
        t = [i / (count - 1) if count > 1 else 1.0 for i in range(count)]
        held = np.bincount(blend.groups, minlength=count) > 0
        names = [self.columns.names[i] for i in axes]

        def written(least: float) -> list[list[float]]:
            found = []
            for i in axes:
                tolerance = np.maximum(8.0 * blend.half_widths[:, i], least)
                found.append(fit_gradient(blend.weights[:, i], t, held, tolerance))
            number = max(map(len, found))
            return [resample_knots(each, number) for each in found]

        found = written(1e-6)
        spellings = [
            ([[shortest_decimal(x, 2e-6) for x in each] for each in found], False),
            (found, False),
        ]
        if BF16_LEAST_SHARE <= blend.share < FLOAT32_LEAST_SHARE:
            # Arithmetic that rounds more than once moves weights off the line.
            moved = [
                [shortest_decimal(x, BF16_WEIGHT_ERROR) for x in each]
                for each in written(BF16_WEIGHT_ERROR)
            ]
            spellings += [(moved, True), (found, True)]
        for chosen, is_coarse in spellings:
            number = len(chosen[0])
            base = [1.0 - sum(each[k] for each in chosen) for k in range(number)]
            base = [shortest_decimal(x, 1e-9) for x in base]
            weights: dict[str, Setting] = {
                name: {"gradient": each} for name, each in zip(names, chosen, strict=True)
            }
            if any(abs(x) > NEGLIGIBLE for x in base):
                weights[self.columns.base] = {"gradient": base}
            uncertainty = {
                name: float(blend.half_widths[:, i].max())
                for name, i in zip(names, axes, strict=True)
            }
            yield WrittenWeights(weights, uncertainty, is_coarse=is_coarse)

    def _tables(self, blend: Blend, axes: list[int]) -> Iterator[WrittenWeights]:
        """Yield weights by component or by slice."""
        rounded = blend.weights.copy()
        for i in axes:
            for g in range(rounded.shape[0]):
                tolerance = max(4.0 * float(blend.half_widths[g, i]), 3e-7)
                rounded[g, i] = shortest_decimal(float(rounded[g, i]), min(tolerance, 1e-3))
        own = bool(np.any(blend.weights[:, 0] != 0.0))
        tables = [(rounded, False), (blend.weights, False)]
        if BF16_LEAST_SHARE <= blend.share < FLOAT32_LEAST_SHARE:
            moved = np.vectorize(lambda x: shortest_decimal(float(x), BF16_WEIGHT_ERROR))(
                blend.weights
            )
            tables += [(moved, True), (blend.weights, True)]
        for weights, is_coarse in tables:
            base = 1.0 + weights[:, 0] - weights[:, 1:].sum(axis=1)
            base = np.array([shortest_decimal(float(x), 1e-9) for x in base])
            table = {self.columns.names[i]: weights[:, i] for i in axes} | {self.columns.base: base}
            settings = {name: self._setting(blend, values) for name, values in table.items()}
            uncertainty = {
                self.columns.names[i]: float(blend.half_widths[:, i].max()) for i in axes
            }
            yield WrittenWeights(settings, uncertainty, not own, is_coarse)

    def _setting(self, blend: Blend, values: Floats) -> Setting:
        by_slice = values[blend.groups]
        if blend.kind in ("modules", "kinds"):
            filters = as_filters(self.slices, by_slice)
            if filters is not None:
                return {"filters": filters}
        if blend.kind == "components":
            return {
                "components": {
                    each.component: float(value)
                    for each, value in zip(self.slices, by_slice, strict=True)
                }
            }
        return {
            "slices": {
                each.name: float(value) for each, value in zip(self.slices, by_slice, strict=True)
            }
        }


def module_of(each: Slice) -> str:
    """Return what follows the layer in a slice's name, or all of a name without one.

    It is what the filters of merge configurations are about: ``self_attn``, ``mlp``.
    """
    parts = each.name.split(".")
    number = str(each.layer)
    if each.layer is None or number not in parts[:-1]:
        return each.name
    return parts[parts.index(number) + 1]


def tensor_of(each: Slice) -> str:
    """Return the part of a name before ``weight`` or ``bias``: ``o_proj``, ``embed_tokens``."""
    parts = each.name.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in ("weight", "bias") else parts[-1]


def as_filters(slices: Sequence[Slice], values: Floats) -> dict[str, float] | None:
    """Return values as filters: the first key that a name contains counts, ``*`` for all others.

    Keys are modules, or else tensors; ``None`` if no such filters say just that.
    """
    size: Counter[float] = Counter()
    for each, value in zip(slices, values, strict=True):
        size[float(value)] += each.elements
    # What a default is matters little; that of tensors outside of layers makes the fewest filters.
    outside = [float(v) for s, v in zip(slices, values, strict=True) if s.layer is None]
    default = outside[0] if outside else size.most_common(1)[0][0]
    for key_of in (module_of, tensor_of):
        filters: dict[str, float] = {}
        for each, value in zip(slices, values, strict=True):
            if float(value) != default:
                filters.setdefault(key_of(each), float(value))
        filters["*"] = default
        if np.array_equal(resolve({"filters": filters}, slices), values):
            return filters
    return None
