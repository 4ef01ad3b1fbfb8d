"""Slices copied from one checkpoint or another, layers possibly from other places."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.checkpoint import layer_of
from parentage.errors import RecipeError
from parentage.methods.method import Method, Replaying
from parentage.recipe import DTYPES, Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value


def replay(r: Replaying) -> Sequence[Value]:
    """Return the slice of the checkpoint that the recipe names."""
    names = list(dict.fromkeys(r.recipe.sources.values()))
    value = r.column(names[0])
    for name in names[1:]:
        here = [float(r.recipe.sources.get(each.name) == name) for each in r.slices]
        value = r.program.select(r.scalar(np.array(here)), r.column(name), value)
    return [value]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the copies, if every sampled slice is one of some checkpoint's."""
    sampled = f.sample.weight
    equal = f.sample.gram.equal[:, : 1 + len(f.parents)] == sampled[:, None]
    held = sampled > 0
    if not held.any() or not equal[held].any(axis=1).all():
        return
    # Where several have the same slice, the one that most others are of.
    popular = np.argsort(-equal[held].sum(axis=0), kind="stable")
    chosen = [next((int(i) for i in popular if row[i]), 0) for row in equal]
    sources = {each.name: f.names[column] for each, column in zip(f.slices, chosen, strict=True)}
    used = tuple(name for name in f.names if name in sources.values())
    moved = {
        each.name: float(each.source_layer)
        for each in f.slices
        if each.source_layer is not None and each.source_layer != each.layer
    }
    yield Recipe(
        "passthrough",
        tuple(Ingredient(name) for name in used),
        None,
        {},
        "copy",
        f.out_dtype,
        {"layer": moved} if moved else {},
        sources=sources,
    )


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
    slices = []
    order = sorted(places)
    for _, run in groupby(enumerate(order), lambda e: (places[e[1]][0], places[e[1]][1] - e[0])):
        members = [layer for _, layer in run]
        source, first = places[members[0]]
        slices.append(
            {"sources": [{"model": paths[source], "layer_range": [first, first + len(members)]}]}
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
    formula="every slice is that of one checkpoint, of the same layer or another",
    source="mergekit merge_methods/passthrough.py",
    parameters={},
    arithmetics={"copy": "nothing is rounded"},
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    kind="assembled",
)
