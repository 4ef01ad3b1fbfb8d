"""Spherical interpolation between two whole checkpoints, an angle per tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.findings import SHARP
from parentage.methods import span
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.recipe import Setting
    from parentage.replay import Value


def replay(r: Replaying) -> Sequence[Value]:
    """Return a p_1 + b p_2, each product and the sum rounded; a and b are fitted by slice."""
    one, two = (r.column(each.name) for each in r.recipe.ingredients)
    t = r.resolve(_t(r.recipe))
    rest = (np.float32(1.0) - t.astype(np.float32)).astype(np.float64)
    a = _known(r.fitted("first"), rest)
    b = _known(r.fitted("second"), t)
    return [one * r.scalar(a) + two * r.scalar(b)]


def _known(values: Floats, default: Floats) -> Floats:
    return np.where(np.isnan(values), default, values)


def _t(recipe: Recipe) -> Setting:
    t = recipe.parameters["t"]
    assert not isinstance(t, bool | str), "a recipe that was read has numbers here"
    return t


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the interpolation between any two checkpoints whose span holds the child."""
    if f.constant.share >= SHARP:
        yield from _linear(f)
        return
    for columns, weights in span.sets(f, span.raw_fit, 0, (2,)):
        pair = (columns[0], columns[1])
        found, widths, known = span.located(f, pair, weights, raw=True)
        _, cosine = span.cosines(f.raw_gram, pair)
        angle = cosine[:, 0, 1]
        # The steeper of the two weights tells t best.
        t = span.interpolation(angle, np.clip(found[:, 1], -1.0, 2.0))
        known &= np.isfinite(t)
        slack = 1e-4 if f.sample.is_whole else 2e-3
        setting = f.describe(t, np.maximum(16.0 * widths, slack), known)
        values = span.setting_values(f, setting)
        predicted = span.slerp_weights(angle, values)
        fitted = predicted if f.sample.is_whole else np.where(known[:, None], found, predicted)
        names = [f.names[i] for i in pair]
        yield Recipe(
            "slerp",
            tuple(Ingredient(name) for name in names),
            names[0],
            {"t": setting},
            "float32",
            f.out_dtype,
            {"first": span.table(f, fitted[:, 0]), "second": span.table(f, fitted[:, 1])},
        )


def _linear(f: Findings) -> Iterator[Recipe]:
    """Yield the same between relatives so close that slerp is linear."""
    for spelling in f.spellings():
        names = [name for name, weight in spelling.weights.items() if weight != 0.0]
        if len(names) != 2 or not spelling.normalized:
            continue
        one, two = (f.columns[name] for name in names)
        _, cosine = span.cosines(f.raw_gram, (one, two))
        if np.all(np.abs(cosine[:, 0, 1]) > span.LINEAR):
            for first, second in (names, names[::-1]):
                yield Recipe(
                    "slerp",
                    (Ingredient(first), Ingredient(second)),
                    first,
                    {"t": spelling.weights[second]},
                    "float32",
                    f.out_dtype,
                )


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move both weights of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, ("first", "second")) if recipe.fitted else recipe


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    return configuration(recipe, paths)


METHOD = Method(
    name="slerp",
    formula="[sin((1 - t) theta) p_1 + sin(t theta) p_2] / sin theta, theta the angle between the "
    "two tensors; (1 - t) p_1 + t p_2 where |cos theta| > 0.9995",
    source="Shoemake 1985, Animating rotation with quaternion curves; mergekit "
    "merge_methods/slerp.py",
    parameters={"t": "how far from the first to the second"},
    arithmetics={"float32": "both weights, both products and the sum rounded to float32"},
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
