"""A search sample of the child and its parents, with its dtypes, copies and least squares."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import digits_of, half_cells, rounding_of
from parentage.sample import SearchSample
from parentage.statistics import fit
from parentage.stream import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment
    from parentage.checkpoint import Columns
    from parentage.sample import MatchCounts
    from parentage.stream import Options
    from parentage.support import Floats

SEARCH = 1 << 16
"""Elements of each checkpoint that weights are searched on, before they are refined on more."""

LEAST_GAIN_OVER_COPIES = 0.10
"""Share, beyond that of copies of one checkpoint, that a blend has to reproduce to be refined."""


class SampleView:
    """A search sample of what pairs, worked out when it is asked for."""

    def __init__(
        self, alignment: Alignment, columns: Columns, options: Options, seed: int | None = None
    ) -> None:
        """Take a sample of the slices that pair; ``columns`` says who is who in it.

        ``seed`` draws its places; without it, they are the first of their strata.
        """
        self.sample = SearchSample(alignment, options, seed=seed)
        # Where all is searched, no maker has anything to hide from it, and the same bytes are to
        # give the same evidence.
        self.seed = None if self.sample.is_whole else seed
        """What the sample hangs on; ``None`` where that is nothing."""
        self.small = (
            SearchSample(alignment, options, SEARCH, seed=self.seed)
            if int(self.sample.counts.sum()) > 2 * SEARCH
            else self.sample
        )
        self._alignment, self._options = alignment, options
        self.slices = alignment.slices
        self.columns = columns
        lists = zip(columns.names, alignment.layers, strict=False)
        self.layers = {name: layers for name, layers in lists if layers is not None}
        """By checkpoint whose layers are not those of the child, which each of the child is of."""

    def is_of(
        self, alignment: Alignment, columns: Columns, options: Options, seed: int | None
    ) -> bool:
        """Return whether a view of these, drawn by ``seed``, would show the same."""
        return (
            self._alignment is alignment
            and self.columns == columns
            and self._options.for_runs() == options.for_runs()
            and (self.sample.is_whole or self.seed == seed)
        )

    def whole(
        self, index: int, columns: Sequence[int], most: int | None = None, first: int = 0
    ) -> Floats:
        """Return elements of a slice from the ``first`` on, ``most`` or all, of some checkpoints.

        (elements, columns + 1), the child's last.
        """
        elements = self.slices[index].elements - first
        count = elements if most is None else min(elements, most)
        plan = self._alignment.part(
            np.array([index]),
            starts=np.array([first], dtype=np.uint64),
            counts=np.array([count], dtype=np.uint64),
            columns=(*columns, len(self._alignment.checkpoints) - 1),
        )
        options = self._options.for_runs()
        return options.backend.elements(plan, 0, 1, threads=options.threads, io=options.io)

    def cells_of(self, values: Floats) -> tuple[Floats, Floats]:
        """Return how far the rounding cells of stored values of the child reach down and up."""
        return half_cells(values, self.out_dtype)

    def sample_from(self, origin: int) -> SearchSample:
        """Return the search sample with column ``origin`` and the base exchanged."""
        order = list(range(len(self.columns.names)))
        order[0], order[origin] = order[origin], order[0]
        return SearchSample(self._alignment, self._options, SEARCH, order, self.seed)

    @cached_property
    def raw_gram(self) -> Floats:
        """(S, N + 1, N + 1) inner products over the sample of whole checkpoints and the child."""
        count = len(self.columns.names)
        change = np.zeros((count + 1, count + 1))
        change[:, 0] = 1.0
        for i in range(1, count + 1):
            change[i, i] = 1.0
        gram = self.sample.gram.total
        raw: Floats = np.einsum("ik,skl,jl->sij", change, gram, change)
        return raw

    @cached_property
    def energy(self) -> Floats:
        """(S,) sum of squared errors to be expected of rounding the sample to :attr:`out_dtype`."""
        factor = 4.0 ** max((digits_of(self._stored) or 0) - (digits_of(self.out_dtype) or 0), 0)
        energy: Floats = self.sample.gram.energy * factor
        return energy

    def floors(self, residual: Floats) -> float:
        """Return the root of the residual energies (S,) of all slices, in units of rounding."""
        energy = float(self.energy.sum())
        return float(np.sqrt(residual.sum() / energy)) if energy > 0 else float("inf")

    @property
    def stored_dtypes(self) -> tuple[tuple[str, ...], ...]:
        """For each checkpoint and the child, the dtype that each slice is stored in."""
        return self._alignment.dtypes

    @cached_property
    def _stored(self) -> str:
        """The floating-point dtype of the child's largest slice; bf16 if there is none."""
        floats = [slice_ for slice_ in self.slices if digits_of(slice_.dtype) is not None]
        return max(floats, key=lambda slice_: slice_.elements).dtype if floats else "BF16"

    @cached_property
    def out_dtype(self) -> str:
        """The dtype whose rounding the child's floating-point slices have.

        It is narrower than the one they are stored in where all sampled values would fit in it.
        """
        floats = [slice_ for slice_ in self.slices if digits_of(slice_.dtype) is not None]
        if not floats:
            return next((slice_.dtype for slice_ in self.slices), "BF16")
        stored = max(floats, key=lambda slice_: slice_.elements).dtype
        if stored not in ("F32", "F64"):
            return stored
        rows = [i for i, slice_ in enumerate(self.slices) if slice_.dtype == stored]
        used = int(self.sample.gram.precision[rows].max())
        return rounding_of(stored, used)

    @cached_property
    def out_dtypes(self) -> dict[str, str]:
        """By slice, the dtype whose rounding floating-point slices have that differ from most.

        A slice of float32 is rounded to what the values of all such slices need.
        """
        wide = [i for i, slice_ in enumerate(self.slices) if slice_.dtype in ("F32", "F64")]
        used = int(self.sample.gram.precision[wide].max()) if wide else 0
        found = {
            slice_.name: rounding_of(slice_.dtype, used)
            if slice_.dtype in ("F32", "F64")
            else slice_.dtype
            for slice_ in self.slices
            if digits_of(slice_.dtype) is not None
        }
        return {name: dtype for name, dtype in found.items() if dtype != self.out_dtype}

    @property
    def cell_dtype(self) -> str | None:
        """The dtype whose rounding cells are taken, if it is not the stored one."""
        is_own = all(
            self.out_dtypes.get(slice_.name, self.out_dtype) == slice_.dtype
            for slice_ in self.slices
            if digits_of(slice_.dtype) is not None
        )
        return None if is_own else self.out_dtype

    @cached_property
    def copied(self) -> float:
        """Largest share of sampled elements that a single checkpoint has bit for bit."""
        gram = self.sample.gram
        rows = self.sample.weight > 0
        total = float(gram.n[rows].sum())
        return float(gram.equal[rows].sum(axis=0).max()) / total if total else 0.0

    @cached_property
    def copies(self) -> NDArray[np.bool_]:
        """(S, checkpoints) whether all that was sampled of a slice is a checkpoint's, bit for bit.

        Never of slices of which nothing was sampled.
        """
        weight = self.sample.weight
        whole = np.where(weight > 0.0, weight, -1.0)
        found: NDArray[np.bool_] = self.sample.gram.equal == whole[:, None]
        return found

    @cached_property
    def is_assembled(self) -> bool:
        """Whether every sampled slice is a checkpoint's, bit for bit."""
        return bool(np.all(self.copies.any(axis=1) | (self.sample.weight == 0.0)))

    @cached_property
    def is_blended(self) -> NDArray[np.bool_]:
        """(S,) whether a slice may be blended: it is no checkpoint's copy; all, if all are copies.

        What was copied says nothing of the weights that others were blended with.
        """
        blended: NDArray[np.bool_] = np.logical_not(self.copies.any(axis=1))
        return blended if blended.any() else np.ones(len(blended), dtype=bool)

    @cached_property
    def copied_beyond(self) -> float:
        """The share of what may be blended that a blend has to reproduce to be searched further."""
        gram, rows = self.sample.gram, self.is_blended
        total = float(gram.n[rows].sum())
        copied = float(gram.equal[rows].sum(axis=0).max()) / total if total else 0.0
        return min(copied + LEAST_GAIN_OVER_COPIES, 0.9)

    def share(self, weights: Floats, sample: SearchSample | None = None) -> float:
        """Return the share of elements that a blend reproduces in float32, of what may be blended.

        ``weights`` are (S, columns - 1); ``sample`` is ``small`` by default.
        """
        found = self._replayed(weights, sample or self.small)
        rows = self.is_blended
        good = int((found.reproduced + found.explained)[rows].sum())
        total = good + int(found.mismatched[rows].sum())
        return good / total if total else 0.0

    def shares(self, weights: Floats) -> Floats:
        """Return (S,) the share of each slice's elements that a blend reproduces in float32.

        ``weights`` are (S, columns - 1); 0 for slices of which nothing was sampled.
        """
        found = self._replayed(weights, self.small)
        good = (found.reproduced + found.explained)[:, 0].astype(np.float64)
        return good / np.maximum(good + found.mismatched[:, 0], 1.0)

    def _replayed(self, weights: Floats, sample: SearchSample) -> MatchCounts:
        """Return what a blend of weights (S, columns - 1), in float32, reproduces of a sample."""
        program = Program(len(self.slices))
        base = program.column(0)
        total = base
        if np.any(weights[:, 0] != 0.0):
            total = program.fma(base, program.scalar(weights[:, 0]), total)
        for i in self.columns.parent_indices:
            if np.any(weights[:, i] != 0.0):
                delta = program.column(i) - base
                total = program.fma(delta, program.scalar(weights[:, i]), total)
        dtypes = [self.out_dtypes.get(each.name, self.out_dtype) for each in self.slices]
        return sample.replay([(program, [program.rounded(total, dtypes)])])

    def ols(self, axes: list[int], groups: NDArray[np.intp]) -> Floats:
        """Return least-squares weights (G, columns - 1) of the columns ``axes``."""
        count = int(groups.max(initial=-1)) + 1
        columns = self.sample.columns
        gram = np.zeros((count, columns, columns))
        total = self.sample.gram.total
        np.add.at(gram, groups[self.is_blended], total[self.is_blended])
        # Of groups that are copies altogether, these say whose.
        rest = ~np.isin(groups, groups[self.is_blended])
        np.add.at(gram, groups[rest], total[rest])
        weights = np.zeros((count, columns - 1))
        fitted = fit(gram, axes).weights
        weights[:, axes] = np.where(np.isnan(fitted), 0.0, fitted)
        return weights
