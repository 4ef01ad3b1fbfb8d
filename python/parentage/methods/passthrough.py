"""Slices copied from one checkpoint or another, layers possibly from other places."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import MERGEKIT_DTYPES, is_of_the_body, place_of
from parentage.methods.mergekit import layers_of, parameter
from parentage.recipe import Method, Parameter
from parentage.support import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.recipe import Recipe, Replaying
    from parentage.stream import Value


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the slice of the checkpoint that the recipe names, times its scale."""
    names = list(dict.fromkeys(replaying.recipe.sources.values()))
    value = replaying.column(names[0])
    for name in names[1:]:
        here = [float(replaying.recipe.sources.get(each.name) == name) for each in replaying.slices]
        value = replaying.program.select(
            replaying.scalar(np.array(here)), replaying.column(name), value
        )
    if "scale" not in replaying.recipe.parameters:
        return [value]
    scale = replaying.scalar(replaying.parameter("scale"))
    return [replaying.program.select(scale - replaying.scalar(1.0), value * scale, value)]


def objection(recipe: Recipe) -> str | None:
    """Return why a recipe can not be carried out: it does not say which slices are whose."""
    return None if recipe.sources else "sources name no slice"


def kind(recipe: Recipe) -> str:
    """Return the verdict: one checkpoint is stored in another way, or parts are put together."""
    is_whole = len(set(recipe.sources.values())) == 1 and not recipe.layers
    return "re-encoded" if is_whole and "layer" not in recipe.fitted else "assembled"


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration: runs of layers, each of one checkpoint."""
    moved = recipe.fitted.get("layer", {})
    places: dict[int, tuple[str, int]] = {}
    for name, source in recipe.sources.items():
        component, layer, _ = place_of(name)
        if layer is None or not is_of_the_body(component):
            continue
        taken = layers_of(recipe, source)[layer] if recipe.layers else moved.get(name, layer)
        if taken is None:
            raise RecipeError(f"layer {layer} is none of {source}'s")
        place = (source, int(taken))
        if places.setdefault(layer, place) != place:
            raise RecipeError(
                f"layer {layer} is of more than one checkpoint, which mergekit's passthrough can "
                "not do"
            )
    settings: dict[str, Any] = {}
    if "scale" in recipe.parameters:
        settings["parameters"] = {"scale": parameter(recipe.parameters["scale"])}
    slices = []
    order = sorted(places)
    length = (
        len(next(iter(recipe.layers.values()))) if recipe.layers else max(order, default=-1) + 1
    )
    if order != list(range(length)):
        raise RecipeError("the recipe does not say of all layers whose they are")
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
    for name, source in recipe.sources.items():
        component, layer, _ = place_of(name)
        there = places[order[0] if component == "embed" else order[-1]][0]
        if layer is None and source != there:
            raise RecipeError(f"{name} is {source}'s, and mergekit takes it from {there}")
    return {
        "merge_method": "passthrough",
        "slices": slices,
        "dtype": MERGEKIT_DTYPES.get(recipe.out_dtype, "bfloat16"),
    }


METHOD = Method(
    name="passthrough",
    formula="every slice is that of one checkpoint, of the same layer or another, times scale",
    source="mergekit merge_methods/passthrough.py",
    parameters={"scale": Parameter("what elements are multiplied by, where they are not copies")},
    arithmetics={"copy": "nothing is rounded but products with a scale, once"},
    replay=replay,
    fitted={"layer": "the layer that a slice is a copy of, in recipes without ``layers``"},
    mergekit=mergekit,
    objection=objection,
    kind="assembled",
    kind_of=kind,
)
