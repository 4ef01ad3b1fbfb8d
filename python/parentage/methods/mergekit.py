"""Recipes as mergekit's configurations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.checkpoint import MERGEKIT_DTYPES
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
    dtype: str = "float32",
    **parameters: Any,
) -> dict[str, Any]:
    """Return mergekit's configuration with models, parameters and dtypes in its usual order."""
    out: dict[str, Any] = {"merge_method": recipe.method}
    if recipe.base is not None:
        out["base_model"] = paths[recipe.base]
    out["models"] = models(recipe, paths)
    settings = {**recipe.parameters, **parameters}
    if settings:
        out["parameters"] = {
            name: value if isinstance(value, bool | str) else for_mergekit(value)
            for name, value in settings.items()
        }
    out["dtype"] = dtype
    out_dtype = MERGEKIT_DTYPES.get(recipe.out_dtype, "bfloat16")
    if out_dtype != dtype:
        out["out_dtype"] = out_dtype
    return out


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
            known = [each for each in slices if each.component in values]
            return {"slices": {each.name: values[each.component] for each in known}}
        return setting

    return replace(
        recipe,
        ingredients=tuple(
            replace(each, weight=spelled(each.weight)) for each in recipe.ingredients
        ),
    )


# Neither a number (.5, -1), nor a mark of a list or document (-, ---, ...) begins like this.
_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/|~/)[A-Za-z0-9_./@+~-]*\Z")

_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")

_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}


def to_yaml(value: Any, indent: int = 0) -> str:
    """Return YAML of nested dictionaries, lists, strings and numbers.

    >>> print(to_yaml({"models": [{"model": "a b", "parameters": {"weight": 0.6}}], "t": [1.0]}))
    models:
    - model: "a b"
      parameters:
        weight: 0.6
    t: [1.0]
    <BLANKLINE>
    """
    pad = " " * indent
    out = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping) or _is_block(inner):
                deeper = indent if _is_block(inner) else indent + 2
                out.append(f"{pad}{key}:\n{to_yaml(inner, deeper)}")
            else:
                out.append(f"{pad}{key}: {_scalar(inner)}\n")
        return "".join(out)
    for inner in value:
        body = to_yaml(inner, indent + 2)
        out.append(f"{pad}- {body[indent + 2 :]}")
    return "".join(out)


def _is_block(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        text = repr(value)
        # YAML 1.1 takes 1e-06 for a string.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
