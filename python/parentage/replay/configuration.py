"""mergekit's configurations, read as recipes: those that merge whole models, number by number."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import yaml

from parentage.checkpoint import MERGEKIT_DTYPES
from parentage.methods import METHODS
from parentage.support import RecipeError, printable

_KEYS = {
    "merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
    "chat_template", "name",
}  # fmt: skip

_FUSED = {("linear", "float32"): "float32-fma"}

_OF_MODELS = ("weight", "density")

_OF_STORAGE = {"int8_mask"}
"""Parameters that change no number."""


def is_configuration(text: str) -> bool:
    """Return whether text looks like a configuration of mergekit, which no JSON does.

    >>> is_configuration("merge_method: linear"), is_configuration('{"method": "linear"}')
    (True, False)
    """
    return not text.lstrip().startswith(("{", "[")) and "merge_method:" in text


def from_mergekit(text: str, origin: str = "configuration") -> str:
    """Return the JSON of the recipe that a configuration of mergekit says.

    Models are called as it calls them; those that are paths, by the names of their folders.

    Raises
    ------
    RecipeError
        If it is no YAML, or says what is not read here: layers of other models that are stacked,
        tokenizers that are merged, modules, or a dtype that is left to mergekit.
    """
    try:
        return json.dumps(_recipe(yaml.safe_load(text)))
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise RecipeError(f"{origin}: it is nested too deeply") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecipeError(f"{origin}: no configuration of mergekit: {error!r}") from error
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error}") from error


def _recipe(found: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(str(key) for key in found if key not in _KEYS)
    if unknown:
        raise RecipeError(f"{printable(unknown[0])} is not read of a configuration of mergekit")
    method = METHODS.get(found["merge_method"])
    if method is None:
        raise RecipeError(f"unknown merge_method {found['merge_method']!r}")
    if method.fitted:
        raise RecipeError(
            f"a replay of {method.name} needs numbers by tensor that depend on the data "
            f"({', '.join(method.fitted)}): a trace reads them off the child, and its evidence is "
            "replayed"
        )
    dtype = found.get("dtype")
    if dtype is None:
        raise RecipeError("it names no dtype, which mergekit then takes from the models")
    dtypes = {theirs: ours for ours, theirs in MERGEKIT_DTYPES.items()}
    if dtype not in method.arithmetics:
        raise RecipeError(f"{method.name} is not carried out in {dtype!r} here")
    general = dict(found.get("parameters") or {})
    base = None if found.get("base_model") is None else _name(found["base_model"])
    parents = []
    entries, layers = _models(found)
    for entry in entries:
        own = {**general, **(entry.get("parameters") or {})}
        name = _name(entry["model"])
        if name == base and method.needs_base and "weight" not in (entry.get("parameters") or {}):
            continue
        told = {key: _setting(own[key]) for key in _OF_MODELS if key in own}
        extra = set(entry.get("parameters") or {}) - set(_OF_MODELS)
        if extra:
            raise RecipeError(f"{printable(min(extra))} of a single model is not read")
        parents.append({"name": name, **told})
    if method.name == "slerp":
        parents.sort(key=lambda each: each["name"] != base)  # t = 0 is the base
    return {
        "method": method.name,
        "parents": parents,
        "base": base if method.needs_base else None,
        "parameters": {
            key: _setting(value)
            for key, value in general.items()
            if key not in _OF_MODELS and key not in _OF_STORAGE
        },
        # Sums of three terms and more are fused in what mergekit calls.
        "arithmetic": _FUSED.get((method.name, dtype), dtype),
        "out_dtype": dtypes[found.get("out_dtype") or dtype],
        # What does not go in has no layers that are taken.
        "layers": {
            name: taken
            for name, taken in layers.items()
            if name in (base if method.needs_base else None, *(each["name"] for each in parents))
        },
    }


def _models(found: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Return the models that go in, each with its parameters, and their layers where it says so."""
    if found.get("models") is not None:
        return list(found["models"]), {}
    modules = found.get("modules")
    if modules is not None and list(modules) != ["default"]:
        raise RecipeError("modules of several kinds are not read")
    slices = found.get("slices") if modules is None else modules["default"]["slices"]
    if not slices:
        raise RecipeError("it names no models")
    sources = [list(part["sources"]) for part in slices]
    plain = [[{**each, "layer_range": None} for each in part] for part in sources]
    names = [_name(each["model"]) for each in sources[0]]
    if any(part != plain[0] for part in plain) or len(set(names)) < len(names):
        raise RecipeError(
            "it stacks layers of other models, or with other parameters, and is not read: a trace "
            "finds such recipes, with the map of layers"
        )
    given = [found.get("parameters") or {}, *(each.get("parameters") or {} for each in plain[0])]
    if len(slices) > 1 and any(isinstance(x, list) for each in given for x in each.values()):
        raise RecipeError("what varies in each of several slices of layers is not read")
    layers: dict[str, list[int]] = {name: [] for name in names}
    for part in sources:
        ranges = [range(*each["layer_range"]) for each in part]
        if len({len(each) for each in ranges}) > 1 or not ranges[0]:
            raise RecipeError("the models of a slice have ranges of layers of one length")
        for name, taken in zip(names, ranges, strict=True):
            layers[name] += taken
    return list(sources[0]), layers


def _name(model: Any) -> str:
    path = model["model"]["path"] if isinstance(model, dict) else str(model)
    return PurePath(path).name if path.startswith(("/", ".", "~")) else path


def _setting(value: Any) -> Any:
    """Return a parameter as recipes have it."""
    if not isinstance(value, list):
        return value
    if all(isinstance(each, int | float) for each in value):
        return {"gradient": value}
    filters = {each.get("filter", "*"): each["value"] for each in value}
    if not all(isinstance(each, int | float) for each in filters.values()):
        raise RecipeError("a gradient below a filter is not read")
    return {"filters": filters}
