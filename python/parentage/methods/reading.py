"""Recipes read from JSON, checked as hostile input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import MERGEKIT_DTYPES
from parentage.methods.registry import METHODS
from parentage.recipe import SCHEMA, SETTING_KEYS, Ingredient, Recipe
from parentage.support import RecipeError

if TYPE_CHECKING:
    from os import PathLike
    from typing import Any


def open_recipe(path: str | PathLike[str]) -> Recipe:
    """Read a recipe from its file, or from an evidence file that holds one.

    Raises
    ------
    RecipeError
        If it can not be read, or is malformed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not JSON: {error}") from error
    return from_json(text, str(path))


def from_json(text: str, origin: str = "recipe") -> Recipe:
    """Read a recipe, or the recipe of an evidence file.

    Raises
    ------
    RecipeError
        If it is malformed; the message says where.
    """
    try:
        found = json.loads(text, parse_constant=lambda _: math.nan)
    # A number of too many digits is a ValueError of its own.
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{origin}: not JSON: {error}") from error
    if isinstance(found, dict) and str(found.get("schema", "")).startswith("parentage.evidence/"):
        found = found.get("recipe")
        if found is None:
            raise RecipeError(f"{origin}: this evidence holds no recipe")
    return _read(found, origin)


def _read(found: object, origin: str) -> Recipe:
    def wrong(what: str) -> RecipeError:
        return RecipeError(f"{origin}: {what}")

    if not isinstance(found, dict):
        raise wrong("a recipe is an object")
    schema = found.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise wrong(f"schema is {schema!r}, not {SCHEMA!r}")
    method = found.get("method")
    if not isinstance(method, str) or method not in METHODS:
        names = ", ".join(METHODS)
        raise wrong(f"unknown method {method!r}; known are {names}")
    parents = found.get("parents")
    if not isinstance(parents, list) or not parents:
        raise wrong("parents is a list of at least one")
    ingredients = []
    for i, each in enumerate(parents):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise wrong(f"parents[{i}] is an object with a name")
        unknown = set(each) - {"name", "weight", "uncertainty", "density", "effective_weight"}
        if unknown:
            raise wrong(f"parents[{i}] has unknown {sorted(unknown)[0]!r}")
        weight = each.get("weight")
        if weight is not None:
            _check_setting(weight, f"{origin}: parents[{i}].weight")
        for key in ("uncertainty", "density"):
            if each.get(key) is not None and not _is_number(each[key]):
                raise wrong(f"parents[{i}].{key} is a finite number")
        ingredients.append(
            Ingredient(each["name"], weight, each.get("uncertainty"), each.get("density"))
        )
    parameters = found.get("parameters", {})
    if not isinstance(parameters, dict):
        raise wrong("parameters is an object")
    for name, value in parameters.items():
        if name not in METHODS[method].parameters:
            known = ", ".join(METHODS[method].parameters) or "none"
            raise wrong(f"{method} has no parameter {name!r}; known: {known}")
        if not isinstance(value, (bool, str)):
            _check_setting(value, f"{origin}: parameters.{name}")
    arithmetic = found.get("arithmetic", "float32")
    if not isinstance(arithmetic, str) or arithmetic not in METHODS[method].arithmetics:
        known = ", ".join(METHODS[method].arithmetics)
        raise wrong(f"{method} knows no arithmetic {arithmetic!r}; known: {known}")
    out_dtype = found.get("out_dtype", "BF16")
    if out_dtype not in (*MERGEKIT_DTYPES, "F8_E4M3", "F8_E5M2"):
        raise wrong(f"out_dtype {out_dtype!r} can not be written")
    base = found.get("base")
    if base is not None and not isinstance(base, str):
        raise wrong("base is a name or null")
    equivalents = found.get("equivalents", [])
    if not isinstance(equivalents, list) or not all(isinstance(x, str) for x in equivalents):
        raise wrong("equivalents is a list of names")
    fitted = _tables(found.get("fitted", {}), f"{origin}: fitted")
    sources = found.get("sources", {})
    if not isinstance(sources, dict) or not all(isinstance(x, str) for x in sources.values()):
        raise wrong("sources is an object of names")
    return Recipe(
        method,
        tuple(ingredients),
        base,
        parameters,
        arithmetic,
        out_dtype,
        fitted,
        _matrices(found.get("matrices", {}), origin),
        sources,
        tuple(equivalents),
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _check_setting(value: object, where: str) -> None:
    if _is_number(value):
        return
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in SETTING_KEYS:
        key, inner = next(iter(value.items()))
        numbers = (
            inner if key == "gradient" else inner.values() if isinstance(inner, dict) else None
        )
        if numbers is not None and isinstance(inner, list if key == "gradient" else dict):
            numbers = list(numbers)
            if numbers and all(map(_is_number, numbers)):
                return
    raise RecipeError(
        f"{where} is a finite number, or an object of one of {', '.join(SETTING_KEYS)}"
    )


def _tables(found: object, where: str) -> dict[str, dict[str, float]]:
    if not isinstance(found, dict):
        raise RecipeError(f"{where} is an object")
    for name, values in found.items():
        if not isinstance(values, dict) or not all(map(_is_number, values.values())):
            raise RecipeError(f"{where}.{name} is an object of finite numbers by slice")
    return found


def _matrices(found: object, origin: str) -> dict[str, tuple[Any, Any]]:
    if not isinstance(found, dict):
        raise RecipeError(f"{origin}: matrices is an object")
    out = {}
    for name, pair in found.items():
        try:
            left, right = (np.asarray(each, dtype=np.float64) for each in pair)
        except (TypeError, ValueError, OverflowError) as error:
            raise RecipeError(f"{origin}: matrices.{name} is a pair of matrices") from error
        if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise RecipeError(f"{origin}: matrices.{name} do not multiply")
        largest = np.finfo(np.float32).max
        # Not a number compares with nothing.
        if not all((np.abs(each) <= largest).all() for each in (left, right)):
            raise RecipeError(f"{origin}: matrices.{name} is not finite in float32")
        out[name] = (left, right)
    return out
