"""Recipes read from JSON, checked as hostile input.

What a recipe's JSON may hold is said once, by the types below; what types can not say, by a few
checks at the end. Every message begins with where the text is from, and names the place in it:
``recipe.json: parents[1].weight is "0.6", and should be a finite number, or ...``.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from parentage.checkpoint import MERGEKIT_DTYPES, ROUNDED
from parentage.methods.registry import METHODS
from parentage.recipe import SCHEMA, SETTING_KEYS, Addition, Ingredient, Recipe
from parentage.support import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from parentage.recipe import Method, Setting

EVIDENCE = ("parentage.evidence/1", "parentage.evidence/2")
"""Schemas of evidence whose recipes are read."""

OUT_DTYPES = (*MERGEKIT_DTYPES, "F8_E4M3", "F8_E5M2")
"""Dtypes that can be written."""

MOST_PARENTS = 1_000
"""No merge has as many parents; a recipe that has more is a mistake, or made to be slow."""

MOST_LAYERS = 100_000
"""No model has as many layers."""

_LARGEST = float(np.finfo(np.float32).max)

_Float = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
_Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
# NaN fulfils no bound, and so these are finite.
Number = _Whole | _Float
_Entry = _Whole | float
# Whole numbers are never read as float: of those too large, msgspec before 0.22 raises what is no
# error of validation.

NUMBER = f"a number that is finite in float32, or an object of one of {', '.join(SETTING_KEYS)}"


class Varying(Struct, forbid_unknown_fields=True):
    """A number that varies, as an object of one key: see :data:`parentage.recipe.Setting`."""

    gradient: Annotated[
        Annotated[list[Number], Meta(min_length=1)] | UnsetType,
        Meta(description="a list of at least one finite number"),
    ] = UNSET
    filters: Annotated[
        Annotated[dict[str, Number], Meta(min_length=1)] | UnsetType,
        Meta(description="an object of finite numbers by part of a tensor's name"),
    ] = UNSET
    components: Annotated[
        Annotated[dict[str, Number], Meta(min_length=1)] | UnsetType,
        Meta(description="an object of finite numbers by component"),
    ] = UNSET
    slices: Annotated[
        Annotated[dict[str, Number], Meta(min_length=1)] | UnsetType,
        Meta(description="an object of finite numbers by slice"),
    ] = UNSET

    def __post_init__(self) -> None:
        """Refuse two kinds of variation at once, and none."""
        if sum(value is not UNSET for value in msgspec.structs.astuple(self)) != 1:
            raise ValueError("one key is needed")


class Parent(Struct, forbid_unknown_fields=True):
    """What a recipe says of a parent."""

    name: Annotated[str, Meta(description="a name")]
    weight: Annotated[Number | Varying | None, Meta(description=f"{NUMBER}, or null")] = None
    uncertainty: Annotated[Number | None, Meta(description="a finite number, or null")] = None
    density: Annotated[
        Annotated[int, Meta(ge=0, le=1)] | Annotated[float, Meta(ge=0.0, le=1.0)] | None,
        Meta(description="a number from 0 to 1, or null"),
    ] = None
    effective_weight: Any = None
    """Follows from the rest; a trace tells it."""


class Added(Struct, forbid_unknown_fields=True):
    """How an adapter is added to a base."""

    base: Annotated[str, Meta(description="a name")]
    scale: Annotated[
        Number | dict[str, Number],
        Meta(description="a finite number, or an object of them by tensor"),
    ] = 1.0
    rounded: Annotated[str, Meta(description=f"one of {', '.join(ROUNDED)}")] = "never"


class Document(Struct, forbid_unknown_fields=True):
    """What the JSON of a recipe holds, and what a trace adds to it."""

    method: Annotated[str, Meta(description="the name of a method")]
    parents: Annotated[
        Annotated[list[Parent], Meta(min_length=1, max_length=MOST_PARENTS)],
        Meta(description=f"a list of at least one parent and at most {MOST_PARENTS:,}"),
    ]
    schema: Annotated[str, Meta(description="a text")] = SCHEMA
    base: Annotated[str | None, Meta(description="a name, or null")] = None
    parameters: Annotated[dict[str, Any], Meta(description="an object")] = {}
    arithmetic: Annotated[str, Meta(description="the name of an arithmetic")] = "float32"
    out_dtype: Annotated[str, Meta(description=f"one of {', '.join(OUT_DTYPES)}")] = "BF16"
    out_dtypes: Annotated[
        dict[str, str], Meta(description="an object of names of dtypes by slice")
    ] = {}
    fitted: Annotated[
        dict[str, dict[str, Number]],
        Meta(description="an object of objects of finite numbers by slice"),
    ] = {}
    matrices: Annotated[
        dict[str, tuple[list[list[_Entry]], list[list[_Entry]]]],
        Meta(description="an object by slice of a pair of matrices, each a list of rows"),
    ] = {}
    sources: Annotated[
        dict[str, str], Meta(description="an object of names of checkpoints by slice")
    ] = {}
    equivalents: Annotated[list[str], Meta(description="a list of texts")] = []
    layers: Annotated[
        dict[
            str,
            Annotated[
                list[Annotated[int, Meta(ge=0, le=MOST_LAYERS)] | None],
                Meta(min_length=1, max_length=MOST_LAYERS),
            ],
        ],
        Meta(description="an object by checkpoint of a list of layers, each a number or null"),
    ] = {}

    adapters: Annotated[
        dict[str, Added],
        Meta(description="an object by checkpoint of what an adapter is added to, and how"),
    ] = {}

    # What a trace found when it carried the recipe out; read over.
    elements: Any = None
    mismatches: Any = None
    explained: Any = None
    unexplained: Any = None
    zero_signs: Any = None
    mismatch_ulps: Any = None
    exact_share: Any = None
    explained_share: Any = None
    decoy_share: Any = None
    mergekit: Any = None


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
        return _recipe(_document(_parsed(text)))
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error}") from error.__cause__


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_constant=lambda _: math.nan)
    except RecursionError as error:
        raise RecipeError("not JSON that is read: it is nested too deeply") from error
    except json.JSONDecodeError as error:
        hint = "" if text.lstrip().startswith(("{", "[")) else "; a recipe begins with {"
        raise RecipeError(f"not JSON: {error}{hint}") from error
    except ValueError as error:
        raise RecipeError("not JSON that is read: a number has too many digits") from error


def _document(found: object) -> Document:
    """Return the document of a recipe, taken out of evidence where it is in some."""
    if not isinstance(found, dict):
        raise RecipeError(f"is {_shown(found)}; a recipe is an object")
    schema = found.get("schema", SCHEMA)
    kind = schema.partition("/")[0] if isinstance(schema, str) else ""
    if kind == "parentage.evidence":
        _check_schema("evidence", schema, EVIDENCE)
        found = found.get("recipe")
        if found is None:
            raise RecipeError("this evidence holds no recipe")
        schema = found.get("schema", SCHEMA) if isinstance(found, dict) else SCHEMA
    elif kind != "parentage.recipe":
        raise RecipeError(
            f"schema is {_shown(schema)}; what is read is {SCHEMA}, or evidence that holds one"
        )
    _check_schema("recipe", schema, (SCHEMA,))
    return _converted(found, Document, "")


def _check_schema(what: str, schema: object, known: tuple[str, ...]) -> None:
    if schema not in known:
        numbers = " and ".join("/" + each.partition("/")[2] for each in known)
        told = schema if isinstance(schema, str) and schema.isprintable() else _shown(schema)
        raise RecipeError(f"{what} of schema {told}; this version reads {numbers}")


_T = TypeVar("_T")


def _converted(found: object, type_: type[_T] | Any, place: str) -> _T:
    """Return what was found as a type; ``place`` is where it was found, "" for the whole."""
    try:
        converted: _T = msgspec.convert(found, type_)
    except msgspec.ValidationError as error:
        raise RecipeError(_explained(str(error), found, place)) from error
    except UnicodeEncodeError as error:
        key = f"{error.object[:40]!a}"
        raise RecipeError(f"{place or 'the recipe'} has the unknown key {key}") from error
    except RecursionError as error:
        raise RecipeError(f"{place or 'the recipe'} is nested too deeply") from error
    return converted


_HINTS = {
    name: hint
    for struct in (Added, Document, Parent, Varying)
    for name, hint in get_type_hints(struct, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
"""What fields are, by name; of the two that are called base, the one that may be null."""

_EXPECTED: dict[str, str] = {
    name: hint.__metadata__[-1].description for name, hint in _HINTS.items()
}

_MESSAGE = re.compile(r"(?s)(.*) - at `\$((?:\.\w+|\[(?:\d+|\.\.\.)\])*)`")


def _explained(message: str, found: object, place: str) -> str:
    """Return in plain words what msgspec says, which is ``... - at `$.parents[1].weight```."""
    if isinstance(found, dict) and not place and message.startswith("Object contains unknown"):
        # An unknown key of the recipe itself could be made to look like a path.
        unknown = [key for key in found if key not in Document.__struct_fields__]
        if unknown:
            return f"the recipe has unknown {unknown[0]!r}; known are {_keys(Document)}"
    parts = _MESSAGE.fullmatch(message)
    what, path = parts.groups() if parts else (message, "")
    where, field, value = _found_at(path, found)
    where = (place + where).removeprefix(".")
    if field == "parents" and where.endswith("]"):
        unknown = re.findall(r"(?s)Object contains unknown field `(.*)`", what)
        if unknown:
            return f"{where} has unknown {unknown[0]!r}; known are {_keys(Parent)}"
        return f"{where} is {_shown(value)}, and should be an object with a name"
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        return f"{where or 'the recipe'} has no {missing[1]!r}"
    if where.endswith("]"):
        return f"{where} is {_shown(value)}; {field} is {_EXPECTED[field]}"
    should = _EXPECTED[field] if field else NUMBER if place else "an object"
    return f"{where or 'the recipe'} is {_shown(value)}, and should be {should}"


def _keys(struct: type[Struct]) -> str:
    """Return the keys of an object that a recipe may hold, without those that are read over."""
    return ", ".join(name for name in struct.__struct_fields__ if name in _EXPECTED)


def _found_at(path: str, found: Any) -> tuple[str, str, Any]:
    """Return the place that a path of msgspec's leads to, the last field on it, and what is there.

    Keys of objects are ``[...]`` in such paths: the first is meant that is not what it should be.
    """
    where, field = "", ""
    keys: list[str] = []
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if name:
            where, field, found, keys = f"{where}.{name}", name, found[name], []
        elif index != "...":
            where, found = f"{where}[{index}]", found[int(index)]
        else:
            key = next(key for key in found if not _is_good(field, [*keys, key], found[key]))
            keys.append(key)
            where, found = f"{where}[{json.dumps(key)}]", found[key]
    return where, field, found


def _is_good(field: str, keys: list[str], value: object) -> bool:
    """Return whether a field may hold a value under keys, the outermost first."""
    for key in reversed(keys):
        value = {key: value}
    try:
        msgspec.convert(value, _HINTS[field])
    except msgspec.ValidationError:
        return False
    return True


def _shown(found: object) -> str:
    """Return a value as JSON has it, if it is short."""
    if isinstance(found, list | dict) and len(found) > 3:
        return f"{'a list' if isinstance(found, list) else 'an object'} of {len(found):,}"
    try:
        text = json.dumps(found)
    except (RecursionError, ValueError):
        return "too deep or too long"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _recipe(told: Document) -> Recipe:
    """Return the recipe, after the checks that types do not make."""
    method = METHODS.get(told.method)
    if method is None:
        raise RecipeError(f"unknown method {told.method!r}; known are {', '.join(METHODS)}")
    if told.arithmetic not in method.arithmetics:
        known = ", ".join(method.arithmetics)
        raise RecipeError(f"{method.name} has no arithmetic {told.arithmetic!r}; known: {known}")
    if told.out_dtype not in OUT_DTYPES:
        raise RecipeError(f"out_dtype {told.out_dtype!r} is none of {', '.join(OUT_DTYPES)}")
    for name, dtype in told.out_dtypes.items():
        if dtype not in OUT_DTYPES:
            raise RecipeError(
                f"out_dtypes[{json.dumps(name)}] {dtype!r} is none of {', '.join(OUT_DTYPES)}"
            )
    if method.parents not in (None, len(told.parents)):
        raise RecipeError(
            f"{method.name} takes {method.parents} parents, and here are {len(told.parents)}"
        )
    if method.needs_base and told.base is None:
        raise RecipeError(f"{method.name} needs a base, to measure displacements from")
    recipe = Recipe(
        told.method,
        tuple(
            Ingredient(each.name, _setting(each.weight), each.uncertainty, each.density)
            for each in told.parents
        ),
        told.base,
        _parameters(told.parameters, method),
        told.arithmetic,
        told.out_dtype,
        told.fitted,
        {name: _matrices(name, pair) for name, pair in told.matrices.items()},
        told.sources,
        tuple(told.equivalents),
        told.out_dtypes,
        {name: tuple(layers) for name, layers in told.layers.items()},
        {
            name: Addition(each.base, each.scale, each.rounded)
            for name, each in told.adapters.items()
        },
    )
    _check_layers(recipe)
    _check_adapters(recipe)
    objection = method.objection and method.objection(recipe)
    if objection:
        raise RecipeError(objection)
    return recipe


def _check_adapters(recipe: Recipe) -> None:
    """Refuse adapters of no ingredient, added to what is one itself, or rounded in no known way."""
    for name, each in recipe.adapters.items():
        said = f"adapters[{json.dumps(name)}]"
        if name not in recipe.checkpoints:
            raise RecipeError(f"{said} is of no checkpoint that the recipe names")
        if each.base in recipe.adapters:
            raise RecipeError(f"{said} is added to {each.base!r}, which is an adapter too")
        if each.rounded not in ROUNDED:
            raise RecipeError(f"{said}: rounded {each.rounded!r} is none of {', '.join(ROUNDED)}")


def _check_layers(recipe: Recipe) -> None:
    """Refuse layers of checkpoints that the recipe does not need, and of several lengths."""
    for name in recipe.layers:
        if name not in recipe.checkpoints:
            raise RecipeError(
                f"layers[{json.dumps(name)}] is of no checkpoint that the recipe names"
            )
    lengths = {len(each) for each in recipe.layers.values()}
    if len(lengths) > 1:
        counts = " and ".join(map(str, sorted(lengths)))
        raise RecipeError(
            f"layers are lists of {counts} layers: each has one for every layer of the child"
        )


def _setting(told: float | Varying | None) -> Setting | None:
    if not isinstance(told, Varying):
        return told
    varying: dict[str, Any] = msgspec.to_builtins(told)
    return varying


def _parameters(told: Mapping[str, Any], method: Method) -> dict[str, Setting | bool | str]:
    """Return parameters, each of the type that its method says."""
    out: dict[str, Setting | bool | str] = {}
    for name, value in told.items():
        parameter = method.parameters.get(name)
        if parameter is None:
            known = ", ".join(method.parameters) or "none"
            raise RecipeError(f"{method.name} has no parameter {name!r}; known: {known}")
        words = (True, False) if parameter.type is bool else parameter.type
        if isinstance(words, tuple):
            # 1 is equal to True, and is none of the words.
            if not any(value is word or (value == word and value != 1) for word in words):
                should = " or ".join(map(_shown, words))
                raise RecipeError(f"parameters.{name} is {_shown(value)}, and should be {should}")
            out[name] = value
        else:
            number = _setting(_converted(value, Number | Varying, f"parameters.{name}"))
            assert number is not None, "null is no number"
            out[name] = number
    for name, parameter in method.parameters.items():
        if parameter.required and name not in told:
            raise RecipeError(f"{method.name} needs the parameter {name!r}: {parameter.text}")
    return out


def _matrices(
    name: str, pair: tuple[list[list[float]], list[list[float]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return two matrices that multiply and are finite in float32."""
    for each in pair:
        if len({len(row) for row in each}) != 1:
            raise RecipeError(
                f"matrices[{json.dumps(name)}] is no pair of matrices: rows differ in length"
            )
    left, right = (np.asarray(each, dtype=np.float64) for each in pair)
    if left.shape[1] != right.shape[0]:
        raise RecipeError(f"matrices[{json.dumps(name)}] do not multiply")
    # Not a number compares with nothing.
    if not all((np.abs(each) <= _LARGEST).all() for each in (left, right)):
        raise RecipeError(f"matrices[{json.dumps(name)}] is not finite in float32")
    return left, right
