"""Recipes as mergekit's configurations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from parentage.checkpoint import MERGEKIT_DTYPES
from parentage.recipe import of_component
from parentage.support import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from parentage.align import Slice
    from parentage.recipe import Recipe, Setting


def models(recipe: Recipe, paths: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return mergekit's list of models with a weight each, and a density where there is one."""
    out = []
    for each in recipe.ingredients:
        settings: dict[str, Any] = {}
        if each.weight is not None:
            settings["weight"] = for_mergekit(each.weight)
        if each.density is not None:
            settings["density"] = each.density
        entry: dict[str, Any] = {"model": paths[each.name]}
        if settings:
            entry["parameters"] = settings
        out.append(entry)
    return out


def configuration(
    recipe: Recipe,
    paths: Mapping[str, str],
    **parameters: Any,
) -> dict[str, Any]:
    """Return mergekit's configuration with models, parameters and dtypes in its usual order.

    Its dtype is what the recipe's arithmetic begins with, as ``float32`` in ``float32-fma``.
    """
    dtype = recipe.arithmetic.split("-")[0]
    out: dict[str, Any] = {"merge_method": recipe.method}
    if recipe.base is not None:
        out["base_model"] = paths[recipe.base]
    out["models"] = models(recipe, paths)
    settings = {**recipe.parameters, **parameters}
    if settings:
        out["parameters"] = {name: parameter(value) for name, value in settings.items()}
    out["dtype"] = dtype
    out_dtype = MERGEKIT_DTYPES.get(recipe.out_dtype, "bfloat16")
    if out_dtype != dtype:
        out["out_dtype"] = out_dtype
    return out


def layers_of(recipe: Recipe, name: str) -> tuple[int | None, ...]:
    """Return by layer of the child that of a checkpoint, of a recipe that says which."""
    length = len(next(iter(recipe.layers.values())))
    return recipe.layers.get(name, tuple(range(length)))


def with_layers(found: dict[str, Any], recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration of models as one of slices of them, where a recipe says of which.

    Raises
    ------
    RecipeError
        If mergekit has no way to say so: what varies over layers varies over those of one slice.
    """
    if not recipe.layers or "models" not in found:
        return found
    names = {paths[name]: name for name in recipe.checkpoints}
    entries = list(found["models"])
    if recipe.base is not None and all(each["model"] != paths[recipe.base] for each in entries):
        entries.append({"model": paths[recipe.base]})
    given = [found.get("parameters", {}), *(each.get("parameters", {}) for each in entries)]
    if any(_is_gradient(value) for settings in given for value in settings.values()):
        raise RecipeError("a gradient over layers that were moved can not be said in mergekit's")
    taken = [layers_of(recipe, names[each["model"]]) for each in entries]
    runs: list[tuple[list[int], int]] = []
    for place in zip(*taken, strict=True):
        starts = [layer for layer in place if layer is not None]
        if len(starts) < len(place):
            raise RecipeError("a layer is not made of all models, which mergekit can not do")
        first, count = runs[-1] if runs else ([], 0)
        if first and starts == [layer + count for layer in first]:
            runs[-1] = (first, count + 1)
        else:
            runs.append((starts, 1))
    slices = [
        {
            "sources": [
                {"model": each["model"], "layer_range": [start, start + count]}
                | {key: value for key, value in each.items() if key != "model"}
                for each, start in zip(entries, first, strict=True)
            ]
        }
        for first, count in runs
    ]
    return {
        "slices" if key == "models" else key: slices if key == "models" else value
        for key, value in found.items()
    }


def _is_gradient(value: Any) -> bool:
    """Return whether a parameter of a configuration varies over layers."""
    return isinstance(value, list) and not any(isinstance(each, dict) for each in value)


def parameter(value: Setting | bool | str) -> Any:
    """Return the value of a parameter as mergekit has it."""
    return value if isinstance(value, bool | str) else for_mergekit(value)


def for_mergekit(setting: Setting) -> Any:
    """Return a setting as mergekit's parameters have it.

    Raises
    ------
    RecipeError
        For a setting by component: mergekit filters by names, see :func:`with_filters`.
    """
    if not isinstance(setting, Mapping):
        return float(setting)
    ((kind, value),) = setting.items()
    if kind == "gradient":
        return [float(x) for x in value]
    if kind == "filters":
        named = [{"filter": key, "value": float(x)} for key, x in value.items() if key != "*"]
        return [*named, *([{"value": float(value["*"])}] if "*" in value else [])]
    if kind == "slices":
        return [{"filter": name, "value": float(x)} for name, x in value.items()]
    raise RecipeError("settings by component need the names of tensors to be filters")


def with_filters(recipe: Recipe, slices: Sequence[Slice]) -> Recipe:
    """Return the recipe with weights by component as weights by slice, which mergekit can say."""

    def spelled(setting: Setting | None) -> Setting | None:
        if isinstance(setting, Mapping) and "components" in setting:
            values = setting["components"]
            known = {each.name: of_component(values, each.component) for each in slices}
            return {"slices": {name: x for name, x in known.items() if not math.isnan(x)}}
        return setting

    return replace(
        recipe,
        ingredients=tuple(
            replace(each, weight=spelled(each.weight)) for each in recipe.ingredients
        ),
    )


class _Dumper(yaml.SafeDumper):
    """Writes every string, number and list so that any reader of YAML gives the same back."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write what stands in two places twice, where YAML would point from one to the other."""
        return True

    def string(self, text: str) -> yaml.Node:
        # PyYAML leaves 1e3 and y as they are, for itself; other readers take them for something
        # else. Line breaks of Unicode come back as others unless they are escaped.
        is_open = not text.isprintable() or text.lower() in ("y", "n") or _is_number(text)
        return self.represent_scalar("tag:yaml.org,2002:str", text, '"' if is_open else None)

    def number(self, value: float) -> yaml.Node:
        # Numbers of numpy are floats too, and are written as such.
        return self.represent_float(float(value))

    def list(self, values: Sequence[Any]) -> yaml.Node:
        is_flat = not any(isinstance(value, Mapping | list) for value in values)
        return self.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_flat)


_Dumper.add_representer(str, _Dumper.string)
_Dumper.add_representer(list, _Dumper.list)
_Dumper.add_multi_representer(float, _Dumper.number)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_yaml(value: Any) -> str:
    """Return YAML of nested dictionaries, lists, strings, numbers and booleans, keys in order.

    >>> print(to_yaml({"models": [{"model": "1e3", "parameters": {"weight": 1e-6}}], "t": [1.0]}))
    models:
    - model: "1e3"
      parameters:
        weight: 1.0e-06
    t: [1.0]
    <BLANKLINE>

    Raises
    ------
    RecipeError
        If it holds anything else.
    """
    try:
        text: str = yaml.dump(
            value,
            Dumper=_Dumper,
            default_flow_style=False,
            sort_keys=False,
            allow_unicode=True,
            width=math.inf,
        )
    except yaml.YAMLError as error:
        raise RecipeError(f"this can not be said in YAML: {error}") from error
    return text
