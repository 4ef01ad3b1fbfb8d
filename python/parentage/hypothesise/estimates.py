"""What a sample shows, and how the weights of its blends may have been written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import (
    BF16_LEAST_SHARE,
    FLOAT32_LEAST_SHARE,
    Blend,
    BlendSearch,
    module_of,
)
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.recipe import Setting
    from parentage.support import Floats

OUTLYING_MOST_SHARE = 0.02
"""Share of elements that may lie in slices that do not fit a description."""


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


class SampleEstimates(BlendSearch):
    """What a sample shows of a child, worked out when it is asked for."""

    def describe(self, values: Floats, tolerance: Floats, known: NDArray[np.bool_]) -> Setting:
        """Return one number for all slices, or by layer or slice: the simplest that fits.

        ``values`` and ``tolerance`` are (S,). Slices that are not ``known`` may have any value, and
        so may those with :data:`OUTLYING_MOST_SHARE` of the elements: in small slices other weights
        fit as well.
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
