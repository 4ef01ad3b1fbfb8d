"""Slices copied from one checkpoint or another, layers possibly from other places."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.checkpoint import layer_of
from parentage.errors import RecipeError
from parentage.findings import COPY, as_filters
from parentage.methods import span
from parentage.methods.method import Method, Replaying
from parentage.recipe import DTYPES, Ingredient, Recipe, Setting, for_mergekit
from parentage.spelling import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value


COPIES = 0.99
"""Least share of cells that admit the factor of a scaled copy."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the slice of the checkpoint that the recipe names, times its scale."""
    names = list(dict.fromkeys(r.recipe.sources.values()))
    value = r.column(names[0])
    for name in names[1:]:
        here = [float(r.recipe.sources.get(each.name) == name) for each in r.slices]
        value = r.program.select(r.scalar(np.array(here)), r.column(name), value)
    if "scale" not in r.recipe.parameters:
        return [value]
    scale = r.scalar(r.resolve(_scale(r.recipe)))
    return [r.program.select(scale - r.scalar(1.0), value * scale, value)]


def _scale(recipe: Recipe) -> Setting:
    scale = recipe.parameters["scale"]
    assert not isinstance(scale, bool | str), "a recipe that was read has numbers here"
    return scale


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the copies, if every sampled slice is one of some checkpoint's, or a multiple of it."""
    sampled = f.sample.weight
    equal = f.sample.gram.equal[:, : 1 + len(f.parents)] == sampled[:, None]
    held = sampled > 0
    if not held.any():
        return
    # Where several have the same slice, the one that most others are of.
    popular = np.argsort(-equal[held].sum(axis=0), kind="stable")
    chosen = np.array([next((int(i) for i in popular if row[i]), -1) for row in equal])
    scale = np.ones(len(f.slices))
    rest = held & (chosen < 0)
    if rest.any():
        chosen, scale = _scaled(f, chosen, rest)
        if (held & (chosen < 0)).any():
            return
    # What was not sampled is taken to be of the most popular one.
    sources = {
        each.name: f.names[column if column >= 0 else popular[0]]
        for each, column in zip(f.slices, chosen, strict=True)
    }
    used = tuple(name for name in f.names if name in sources.values())
    moved = {
        each.name: float(each.source_layer)
        for each in f.slices
        if each.source_layer is not None and each.source_layer != each.layer
    }
    parameters: dict[str, Setting | bool | str] = {}
    if np.any(scale != 1.0):
        parameters["scale"] = _written(f, scale)
    yield Recipe(
        "passthrough",
        tuple(Ingredient(name) for name in used),
        None,
        parameters,
        "copy",
        f.out_dtype,
        {"layer": moved} if moved else {},
        sources=sources,
    )


def _scaled(
    f: Findings, chosen: NDArray[np.intp], rest: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], Floats]:
    """Return (S,) columns, -1 where there is none, and (S,) factors, those of copies 1."""
    chosen, scale = chosen.copy(), np.ones(len(f.slices))
    columns = range(1 + len(f.parents))
    near = np.array([_leaves_rounding(f, column) for column in columns])
    if not all(near[:, i].any() for i in np.flatnonzero(rest)):
        return chosen, scale
    for column in sorted(columns, key=lambda i: -int((chosen == i).sum())):
        factor, width, share = f.scales(column)
        # Next to one, it is a copy that something else was done to.
        good = rest & (chosen < 0) & (share >= COPIES) & (np.abs(factor - 1.0) > COPY)
        chosen[good] = column
        for i in np.flatnonzero(good):
            # No -0: it would be another zero.
            scale[i] = decimal(float(factor[i]), max(4.0 * float(width[i]), 1e-6)) + 0.0
    return chosen, scale


def _leaves_rounding(f: Findings, column: int) -> NDArray[np.bool_]:
    """Return (S,) whether the best multiple of a checkpoint leaves no more than rounding would."""
    gram = f.raw_gram
    with np.errstate(divide="ignore", invalid="ignore"):
        left = gram[:, -1, -1] - gram[:, column, -1] ** 2 / gram[:, column, column]
    out: NDArray[np.bool_] = left <= span.FLOORS**2 * f.energy
    return out


def _written(f: Findings, scale: Floats) -> Setting:
    values = set(scale.tolist())
    if len(values) == 1:
        return float(values.pop())
    filters = as_filters(f.slices, scale)
    if filters is not None:
        return {"filters": filters}
    return {"slices": {each.name: float(x) for each, x in zip(f.slices, scale, strict=True)}}


def kind(recipe: Recipe) -> str:
    """Return the verdict: numbers that were multiplied are no longer those of a checkpoint."""
    return "merge" if "scale" in recipe.parameters else "assembled"


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration: runs of layers, each of one checkpoint."""
    moved = recipe.fitted.get("layer", {})
    places: dict[int, tuple[str, int]] = {}
    for name, source in recipe.sources.items():
        layer = layer_of(name)
        if layer is None:
            continue
        place = (source, int(moved.get(name, layer)))
        if places.setdefault(layer, place) != place:
            raise RecipeError(
                f"layer {layer} is of more than one checkpoint, which mergekit's passthrough can "
                "not do"
            )
    settings: dict[str, Any] = {}
    if "scale" in recipe.parameters:
        settings["parameters"] = {"scale": for_mergekit(_scale(recipe))}
    slices = []
    order = sorted(places)
    for _, run in groupby(enumerate(order), lambda e: (places[e[1]][0], places[e[1]][1] - e[0])):
        members = [layer for _, layer in run]
        source, first = places[members[0]]
        slices.append(
            {
                "sources": [
                    {
                        "model": paths[source],
                        "layer_range": [first, first + len(members)],
                        **settings,
                    }
                ]
            }
        )
    if not slices:
        raise RecipeError("mergekit's passthrough needs layers")
    return {
        "merge_method": "passthrough",
        "slices": slices,
        "dtype": DTYPES.get(recipe.out_dtype, "bfloat16"),
    }


METHOD = Method(
    name="passthrough",
    formula="every slice is that of one checkpoint, of the same layer or another, times scale",
    source="mergekit merge_methods/passthrough.py",
    parameters={"scale": "what elements are multiplied by (default: they are copied)"},
    arithmetics={"copy": "nothing is rounded but products with a scale, once"},
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    kind="assembled",
    kind_of=kind,
)
