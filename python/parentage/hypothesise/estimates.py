"""What a sample shows, and how the weights of its blends may have been written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import (
    BF16_LEAST_SHARE,
    FLOAT32_LEAST_SHARE,
    KEYS,
    Blend,
    BlendSearch,
    block_of,
    module_of,
    root_of,
)
from parentage.hypothesise.written_weights import (
    BF16_WEIGHT_ERROR,
    MOST_KNOTS,
    NEGLIGIBLE,
    design_of,
    fit_gradient,
    resample_knots,
    shortest_decimal,
    written_forms,
)
from parentage.recipe import layers, position, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.recipe import Setting
    from parentage.support import Floats

FLOAT_NOISE = 1e-12
"""Weights no larger than this are 0 that float64 has missed."""

FEW_DIGITS, LARGEST_DENOMINATOR = 3, 24
"""Decimals that are preferred to fractions, and the fractions that are preferred to others."""

OUTLYING_MOST_SHARE = 0.02
"""Share of elements that may lie in slices that do not fit a description."""


@dataclass(frozen=True, slots=True)
class WrittenWeights:
    """Weights of a blend as a person would have written them."""

    weights: Mapping[str, Setting]
    """By checkpoint, the base included."""
    uncertainty: Mapping[str, float]
    """By checkpoint, half the width of its weight's plateau."""
    normalized: bool = True
    """Whether effective weights sum to one."""
    is_coarse: bool = False
    """Whether they are meant for arithmetic that rounds more than once."""
    parameters: Mapping[str, Setting | bool | str] = field(default_factory=dict)


class SampleEstimates(BlendSearch):
    """What a sample shows of a child, worked out when it is asked for."""

    def describe(self, values: Floats, tolerance: Floats, known: NDArray[np.bool_]) -> Setting:
        """Return one number for all slices, or by layer or slice: the simplest that fits.

        ``values``, ``tolerance`` and ``known`` are (S,). Slices that are not ``known`` may have any
        value, and so may those with :data:`OUTLYING_MOST_SHARE` of the elements: in small slices
        other weights fit as well.
        """
        size = np.where(known, self.sample.weight, 0.0)
        if size.sum() == 0:
            return float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0

        def fits(candidate: Floats) -> bool:
            """Return whether (S,) values are near enough to the given ones."""
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
        gradient = self._gradient(values, tolerance, size, fits)
        if gradient is not None:
            return {"gradient": gradient}
        return {
            "slices": {
                slice_.name: shortest_decimal(float(value), min(float(width), 1e-3))
                for slice_, value, width in zip(
                    self.slices, np.nan_to_num(values, nan=middle), tolerance, strict=True
                )
            }
        }

    def _gradient(
        self,
        values: Floats,
        tolerance: Floats,
        size: Floats,
        fits: Callable[[Floats], bool],
    ) -> list[float] | None:
        """Return the fewest knots over layers whose interpolation fits, in few digits; or ``None``.

        ``values``, ``tolerance`` and ``size``, of which slices without a known value have 0, are
        (S,). Slices far from the interpolation of the others do not take part.
        """
        count = layers(self.slices)
        t = np.array([position(slice_, count) for slice_ in self.slices])
        for number in (*range(2, min(count, MOST_KNOTS + 1)), *([count] if count > 1 else [])):
            design = design_of(t, number)
            kept = size > 0
            for _ in range(3):
                root = np.sqrt(size[kept])[:, None]
                right = (values[kept] * root[:, 0])[:, None]
                knots = np.linalg.lstsq(design[kept] * root, right, rcond=None)[0][:, 0]
                gap = np.abs(np.nan_to_num(values) - design @ knots)
                kept = (size > 0) & (gap <= np.maximum(tolerance, 3.0 * np.median(gap[size > 0])))
            for digits in (1, 2, 3, 8):
                rounded = np.round(knots, digits)
                if fits(design @ rounded):
                    return [float(x) for x in rounded]
        return None

    def written_weights(self) -> Iterator[WrittenWeights]:
        """Yield ways in which the weights may have been written, for every blend."""
        for blend in self.blends:
            yield from self.written_weights_of(blend)

    @cached_property
    def _written(self) -> dict[int, tuple[WrittenWeights, ...]]:
        """Forms by the identity of their blend, which lives as long as this."""
        return {}

    def written_weights_of(self, blend: Blend) -> Iterator[WrittenWeights]:
        """Yield ways in which the weights of a blend may have been written."""
        # Every method that sums looks at them.
        if id(blend) not in self._written:
            self._written[id(blend)] = tuple(self._forms_of(blend))
        yield from self._written[id(blend)]

    def _forms_of(self, blend: Blend) -> Iterator[WrittenWeights]:
        """Yield them."""
        axes = [i for i in self.columns.parent_indices if np.any(blend.weights[:, i] != 0.0)]
        if not axes:
            return
        own = bool(np.any(blend.weights[:, 0] != 0.0))
        values, widths = blend.weights, blend.half_widths
        if blend.kind == "layers":
            yield from self._gradients(blend, axes)
        elif blend.kind != "constant":
            yield from self._tables(blend, axes)
        else:
            names = [self.columns.names[i] for i in axes]
            weights_found = [float(values[0, i]) for i in axes]
            least = _least_room(axes, own=own)
            tolerance = [max(4.0 * float(widths[0, i]), least) for i in axes]
            uncertainty = {name: float(widths[0, i]) for name, i in zip(names, axes, strict=True)}
            free = float(values[0, 0]) if own else 0.0
            for chosen, base in written_forms(weights_found, tolerance, free, own=own):
                weights = dict(zip(names, chosen, strict=True))
                yield WrittenWeights({**weights, self.columns.base: base}, uncertainty, not own)

    def _gradients(self, blend: Blend, axes: list[int]) -> Iterator[WrittenWeights]:
        """Yield weights that are piecewise linear over layers, with the fewest knots that do."""
        names = [self.columns.names[i] for i in axes]
        uncertainty = {
            name: float(blend.half_widths[:, i].max()) for name, i in zip(names, axes, strict=True)
        }
        for gradients, is_coarse in self._rounded_gradients(blend, axes):
            base = [1.0 - sum(knots) for knots in zip(*gradients, strict=True)]
            base = [shortest_decimal(x, 1e-9) for x in base]
            weights: dict[str, Setting] = {
                name: {"gradient": knots} for name, knots in zip(names, gradients, strict=True)
            }
            if any(abs(x) > NEGLIGIBLE for x in base):
                weights[self.columns.base] = {"gradient": base}
            yield WrittenWeights(weights, uncertainty, is_coarse=is_coarse)

    def _rounded_gradients(
        self, blend: Blend, axes: list[int]
    ) -> list[tuple[list[list[float]], bool]]:
        """Return the knots of each column's weights, in several roundings.

        With each comes whether it is meant for arithmetic that rounds more than once, which moves
        weights off the line.
        """
        fine = self._knots(blend, axes, 1e-6)
        short = [[shortest_decimal(x, 2e-6) for x in knots] for knots in fine]
        gradients = [(short, False), (fine, False)]
        if BF16_LEAST_SHARE <= blend.share < FLOAT32_LEAST_SHARE:
            coarse = [
                [shortest_decimal(x, BF16_WEIGHT_ERROR) for x in knots]
                for knots in self._knots(blend, axes, BF16_WEIGHT_ERROR)
            ]
            gradients += [(coarse, True), (fine, True)]
        return gradients

    def _knots(self, blend: Blend, axes: list[int], least: float) -> list[list[float]]:
        """Return the knots of each column's weights by layer, as many for one as for another.

        ``least`` is the least tolerance of a weight.
        """
        count = blend.weights.shape[0]
        t = [i / (count - 1) if count > 1 else 1.0 for i in range(count)]
        held = np.bincount(blend.groups, minlength=count) > 0
        gradients = []
        for i in axes:
            tolerance = np.maximum(8.0 * blend.half_widths[:, i], least)
            gradients.append(fit_gradient(blend.weights[:, i], t, held, tolerance))
        number = max(map(len, gradients))
        return [resample_knots(knots, number) for knots in gradients]

    def _tables(self, blend: Blend, axes: list[int]) -> Iterator[WrittenWeights]:
        """Yield weights by module, component, kind of tensor or slice, as the blend has them."""
        found = self._with_copies_whole(blend)
        rounded = found.copy()
        own = bool(np.any(found[:, 0] != 0.0))
        room = np.maximum(4.0 * blend.half_widths, _least_room(axes, own=own))
        for i in axes:
            for g in range(rounded.shape[0]):
                rounded[g, i] = shortest(float(rounded[g, i]), min(float(room[g, i]), 1e-3))
        size = np.bincount(blend.groups, self.sample.weight, len(rounded)).astype(np.float64)
        fine = np.where(np.abs(found) <= FLOAT_NOISE, 0.0, found)
        told = np.bincount(blend.groups, self.told & (self.sample.weight > 0), len(rounded)) > 0
        alike = shared(rounded, room, size)
        if told.any() and len(np.unique(alike[told], axis=0)) == 1:
            # What a blend does not give says nothing of its weights: those of the rest are as good.
            alike[~told] = alike[told][0]
        tables = [(alike, False), (rounded, False), (fine, False)]
        if not own and len(axes) > 1:
            # A base whose weight is less than what is not known of the others' has none.
            tables[:2] = [(closed(each, room, axes), False) for each, _ in tables[:2]]
        if BF16_LEAST_SHARE <= blend.share < FLOAT32_LEAST_SHARE:
            coarse = np.vectorize(lambda x: shortest_decimal(float(x), BF16_WEIGHT_ERROR))(fine)
            tables += [(coarse, True), (fine, True)]
        for weights, is_coarse in tables:
            base = 1.0 + weights[:, 0] - weights[:, 1:].sum(axis=1)
            base = np.array([shortest_decimal(float(x), 1e-9) for x in base])
            table = {self.columns.names[i]: weights[:, i] for i in axes} | {self.columns.base: base}
            settings = {
                name: self._setting(blend, values) for name, values in table.items() if values.any()
            }
            uncertainty = {
                self.columns.names[i]: float(blend.half_widths[:, i].max()) for i in axes
            }
            yield WrittenWeights(settings, uncertainty, not own, is_coarse)

    def _with_copies_whole(self, blend: Blend) -> Floats:
        """Return (G, columns - 1) a blend's weights, with groups of copies given to one checkpoint.

        Copies take no part in a fit, which says nothing of groups that have nothing else. Of
        several checkpoints with the same bits, the parent counts that weighs most.
        """
        weights = blend.weights.copy()
        heaviest = np.argsort(-np.abs(blend.by_slice[:, 1:]).sum(axis=0), kind="stable") + 1
        candidates = [*(int(i) for i in heaviest if i in self.columns.parent_indices), 0]
        for g in range(len(weights)):
            copies = self.copies[(blend.groups == g) & (self.sample.weight > 0)]
            if not len(copies):
                continue
            source = next((i for i in candidates if copies[:, i].all()), None)
            if source is not None:
                weights[g] = 0.0
                weights[g, source] = 1.0 if source else 0.0
        return weights

    def _setting(self, blend: Blend, values: Floats) -> Setting:
        """Return values (G,) by group of a blend as filters, or else by component or slice."""
        by_slice = values[blend.groups]
        if blend.kind in KEYS:
            filters = as_filters(self.slices, by_slice)
            if filters is not None:
                return {"filters": filters}
        if blend.kind == "components":
            return {
                "components": {
                    slice_.component: float(value)
                    for slice_, value in zip(self.slices, by_slice, strict=True)
                }
            }
        return {
            "slices": {
                slice_.name: float(value)
                for slice_, value in zip(self.slices, by_slice, strict=True)
            }
        }


def _least_room(axes: Sequence[int], *, own: bool) -> float:
    """Return how far a weight may be off at least, of blends of some columns.

    The room that several weights have together is wider than each of their plateaus.
    """
    return 1e-6 if own or len(axes) > 1 else 3e-7


def closed(weights: Floats, room: Floats, axes: Sequence[int]) -> Floats:
    """Return weights (G, n) of columns ``axes`` that sum to one where they may.

    Where what is missing is within what each of them may be off, ``room`` (G, n), the one with the
    most room takes it.

    >>> weights, room = np.array([[0.0, 0.667, 0.333]]), np.array([[0.0, 1e-3, 5e-4]])
    >>> closed(weights + [[0, 3e-5, 0]], room, [1, 2]).round(9).tolist()
    [[0.0, 0.667, 0.333]]
    >>> closed(np.array([[0.0, 0.5, 0.3]]), room, [1, 2]).tolist()
    [[0.0, 0.5, 0.3]]
    """
    out = weights.copy()
    columns = np.asarray(axes)
    for g in range(len(out)):
        own, rooms = out[g, columns], room[g, columns]
        missing = 1.0 - float(own.sum())
        # No more than nobody would write.
        is_near = abs(missing) <= min(float(rooms.sum()), NEGLIGIBLE)
        if missing and is_near and np.count_nonzero(own) > 1:
            last = int(columns[int(np.where(own != 0.0, rooms, -1.0).argmax())])
            others = float(own.sum()) - float(out[g, last])
            out[g, last] = 1.0 - others
    return out


def shortest(value: float, room: float) -> float:
    """Return the shortest number within some room of a value: a decimal, or else a fraction.

    Weights that go from block to block in equal steps are twelfths, in the presets of people.

    >>> shortest(0.60003, 1e-4), shortest(0.08333321, 1e-6) == 1 / 12, shortest(0.083219, 1e-6)
    (0.6, True, 0.083219)
    """
    decimal = shortest_decimal(value, room)
    if round(decimal, FEW_DIGITS) == decimal:
        return decimal
    fraction = float(Fraction(value).limit_denominator(LARGEST_DENOMINATOR))
    return fraction if abs(fraction - value) <= room else decimal


def shared(weights: Floats, room: Floats, size: Floats) -> Floats:
    """Return weights (G, n) of which those are the same that may be: of small groups, large ones'.

    ``room`` (G, n) is how far each may be off, ``size`` (G,) how many elements a group has.

    >>> weights, room = np.array([[0.6], [0.58], [0.2]]), np.array([[1e-6], [0.05], [0.05]])
    >>> shared(weights, room, np.array([900.0, 30.0, 20.0])).tolist()
    [[0.6], [0.6], [0.2]]
    """
    out = weights.copy()
    leaders: list[int] = []
    for g in np.argsort(-size, kind="stable").tolist():
        gaps = np.abs(weights[leaders] - weights[g])
        far = np.where((gaps <= room[g]).all(axis=1), gaps.max(axis=1, initial=0.0), np.inf)
        if np.isfinite(far).any():
            out[g] = weights[leaders[int(far.argmin())]]
        else:
            leaders.append(g)
    return out


def tensor_of(slice_: Slice) -> str:
    """Return the part of a name before ``weight`` or ``bias``: ``o_proj``, ``embed_tokens``."""
    parts = slice_.name.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in ("weight", "bias") else parts[-1]


def as_filters(slices: Sequence[Slice], values: Floats) -> dict[str, float] | None:
    """Return values (S,) as filters: the first key that a name contains counts, ``*`` for others.

    Keys are modules, how names begin, blocks or tensors: the fewest that say just that. ``None`` if
    none do.
    """
    size: Counter[float] = Counter()
    for slice_, value in zip(slices, values, strict=True):
        size[float(value)] += slice_.elements
    # What a default is matters little; that of tensors outside of layers makes the fewest filters.
    outside = [float(v) for s, v in zip(slices, values, strict=True) if s.layer is None]
    default = outside[0] if outside else size.most_common(1)[0][0]
    found: list[dict[str, float]] = []
    for key_of in (module_of, root_of, block_of, tensor_of):
        filters: dict[str, float] = {}
        for slice_, value in zip(slices, values, strict=True):
            if float(value) != default:
                filters.setdefault(key_of(slice_), float(value))
        filters["*"] = default
        if np.array_equal(resolve({"filters": filters}, slices), values):
            found.append(filters)
    return min(found, key=len, default=None)
