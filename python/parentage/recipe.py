"""Recipes: how a child was made, as data that can be saved, replayed and given to mergekit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.checkpoint import is_of_the_body, printable
from parentage.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from parentage.align import Slice
    from parentage.carry import Comparison
    from parentage.checkpoint import Checkpoint
    from parentage.gram import Floats
    from parentage.write import Written

SCHEMA = "parentage.recipe/1"

Setting = float | Mapping[str, Any]
"""A number; ``{"gradient": [...]}``, piecewise linear over layers as mergekit has it;
``{"filters": {part of a name: number, "*": number}}``, the first that a tensor's name contains;
``{"components": {name: number}}``; or ``{"slices": {name: number}}``."""

WEIGHTED = ("linear", "task_arithmetic")
"""Methods that are weighted sums of checkpoints."""
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""mergekit's names of dtypes."""
_KEYS = ("gradient", "filters", "components", "slices")


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A checkpoint that went in, and how much of it."""

    name: str
    weight: Setting | None = None
    uncertainty: float | None = None
    """Half the width of the plateau of weights that the cells admit; 0 if a spelling is exact."""
    density: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Recipe:
    """Method, parents, weights, arithmetic and output dtype that turn parents into a child."""

    method: str
    """mergekit's name, or that of a method that mergekit lacks; see :mod:`parentage.methods`."""
    ingredients: tuple[Ingredient, ...]
    """In the order in which they are added up; the base among them where it has a weight."""
    base: str | None = None
    """The checkpoint that displacements are measured from, where the method has one."""
    parameters: Mapping[str, Setting | bool | str] = field(default_factory=dict)
    arithmetic: str = "float32"
    """Which operations are rounded to what; the method's file tells."""
    out_dtype: str = "BF16"
    """The dtype, by its safetensors name, that results are rounded to."""
    fitted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Numbers by slice that depend on the data (an angle, a scale) and are read off the child."""
    matrices: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """By slice, the factors (rows, rank) and (rank, columns) of a low-rank matrix."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """By slice, the checkpoint that it is a copy of, where slices are copies."""
    equivalents: tuple[str, ...] = ()
    """Other ways, ``method (arithmetic)``, that give the same bytes on this child."""

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of all checkpoints that it needs, the base's included."""
        named = [each.name for each in self.ingredients]
        if self.base is not None:
            named.append(self.base)
        return tuple(dict.fromkeys([*named, *self.sources.values()]))

    def describe(self) -> str:
        """Return it in a line, as a person would say it."""
        parts = []
        for each in self.ingredients:
            weight = "" if each.weight is None else f"{show(each.weight)} "
            density = "" if each.density is None else f" (density {each.density:.4g})"
            parts.append(f"{weight}{each.name}{density}")
        settings = [f"{name} {show(value)}" for name, value in self.parameters.items()]
        base = f" on {self.base}" if self.base and self.base not in self.parents_added else ""
        what = " + ".join(parts)
        tail = f"; {', '.join(settings)}" if settings else ""
        return f"{self.method} of {what}{base}{tail}, in {self.arithmetic}"

    def __repr__(self) -> str:
        return f"<Recipe: {printable(self.describe())}>"

    @property
    def effective_weights(self) -> dict[str, float] | None:
        """What each checkpoint weighs in the end: divided by the sum, times lambda, the base's too.

        ``None`` where that is no one number for each: for other methods than sums of whole
        checkpoints or displacements, and where weights differ between tensors.

        >>> Recipe("linear", (Ingredient("p", 3.0), Ingredient("b", 2.0))).effective_weights
        {'p': 0.6, 'b': 0.4}
        """
        weights = {each.name: each.weight for each in self.ingredients}
        factor = self.parameters.get("lambda", 1.0)
        plain = {name: float(w) for name, w in weights.items() if isinstance(w, int | float)}
        if self.method not in WEIGHTED or len(plain) < len(weights):
            return None
        if isinstance(factor, bool | str | Mapping):
            return None
        total = sum(plain.values())
        if self.parameters.get("normalize", self.base is None) and total != 0.0:
            plain = {name: weight / total for name, weight in plain.items()}
        plain = {name: weight * factor for name, weight in plain.items()}
        if self.base is not None:
            plain[self.base] = 1.0 - sum(plain.values())
        return plain

    @property
    def parents_added(self) -> tuple[str, ...]:
        """Names of the ingredients."""
        return tuple(each.name for each in self.ingredients)

    def to_mergekit(self, paths: Mapping[str, str] | None = None) -> str:
        """Return YAML that mergekit accepts and that means the same.

        ``paths`` says where checkpoints are, by name; a name stands for itself otherwise.

        Raises
        ------
        RecipeError
            If mergekit has no such method, or no way to say so.
        """
        from parentage.methods import METHODS

        method = METHODS[self.method]
        if method.mergekit is None:
            raise RecipeError(f"mergekit has nothing that does what {self.method} does")
        return to_yaml(method.mergekit(self, {**{n: n for n in self.parents}, **(paths or {})}))

    def to_json(self) -> str:
        """Return it as JSON text, for :func:`from_json`."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Recipe:
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

    def replay(
        self,
        parents: Mapping[str, str | PathLike[str] | Checkpoint],
        against: str | PathLike[str] | Checkpoint,
        **options: Any,
    ) -> Comparison:
        """Carry it out on ``parents``, by name, and count what it reproduces of ``against``.

        Options are those of :func:`parentage.carry.compare`.

        >>> from parentage.demo import family
        >>> recipe = Recipe("linear", (Ingredient("parent", 0.6), Ingredient("base", 0.4)))
        >>> places = {name: family(name) for name in recipe.parents}
        >>> recipe.replay(places, family("child")).elements
        294488
        """
        from parentage.carry import compare

        return compare(self, parents, against, **options)

    def write(
        self,
        parents: Mapping[str, str | PathLike[str] | Checkpoint],
        folder: str | PathLike[str],
        **options: Any,
    ) -> Written:
        """Write what it gives of ``parents``, by name, as a checkpoint in ``folder``.

        Options are those of :func:`parentage.write.write`.
        """
        from parentage.write import write

        return write(self, parents, folder, **options)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it: everything."""
        return {
            "schema": SCHEMA,
            "method": self.method,
            "parents": [
                {
                    "name": each.name,
                    "weight": each.weight,
                    "uncertainty": each.uncertainty,
                    **({} if each.density is None else {"density": each.density}),
                }
                for each in self.ingredients
            ],
            "base": self.base,
            "parameters": dict(self.parameters),
            "arithmetic": self.arithmetic,
            "out_dtype": self.out_dtype,
            "equivalents": list(self.equivalents),
            "fitted": {name: dict(values) for name, values in self.fitted.items()},
            "matrices": {
                name: [np.asarray(left).tolist(), np.asarray(right).tolist()]
                for name, (left, right) in self.matrices.items()
            },
            "sources": dict(self.sources),
        }


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
    from parentage.methods import METHODS

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
    if out_dtype not in (*DTYPES, "F8_E4M3", "F8_E5M2"):
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
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _KEYS:
        key, inner = next(iter(value.items()))
        numbers = (
            inner if key == "gradient" else inner.values() if isinstance(inner, dict) else None
        )
        if numbers is not None and isinstance(inner, list if key == "gradient" else dict):
            numbers = list(numbers)
            if numbers and all(map(_is_number, numbers)):
                return
    raise RecipeError(f"{where} is a finite number, or an object of one of {', '.join(_KEYS)}")


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


def resolve(setting: Setting, slices: Sequence[Slice]) -> Floats:
    """Return (S,) what a setting is for every slice.

    A gradient is evaluated as mergekit evaluates it: at ``t = layer / (layers - 1)`` in the body of
    the model, and at ``t = 0`` for all else, the final norm and the head included.

    >>> resolve(0.6, []).tolist()
    []
    """
    if not isinstance(setting, Mapping):
        return np.full(len(slices), float(setting))
    ((kind, value),) = setting.items()
    if kind == "gradient":
        count = layers(slices)
        return np.array([gradient(value, position(each, count)) for each in slices])
    if kind == "filters":
        return np.array([filtered(value, each.name) for each in slices])
    if kind == "components":
        return np.array([float(value.get(each.component, math.nan)) for each in slices])
    return np.array([float(value.get(each.name, math.nan)) for each in slices])


def filtered(filters: Mapping[str, float], name: str) -> float:
    """Return the value of the first filter that a name contains, as mergekit has it.

    >>> filtered({"self_attn": 0.3, "*": 0.5}, "model.layers.0.self_attn.q_proj.weight")
    0.3
    """
    return next((float(x) for key, x in filters.items() if key == "*" or key in name), math.nan)


def gradient(values: Sequence[float], t: float) -> float:
    """Interpolate between values at equal steps from t = 0 to 1, in mergekit's operations.

    >>> gradient([0.1, 0.9], 0.25)
    0.30000000000000004
    """
    scaled = t * (len(values) - 1)
    first = int(scaled)
    second = min(len(values) - 1, first + 1)
    fraction = scaled - first
    return (1 - fraction) * values[first] + fraction * values[second]


def layers(slices: Sequence[Slice]) -> int:
    """Return the number of layers of the body."""
    numbers = [
        each.layer for each in slices if each.layer is not None and is_of_the_body(each.component)
    ]
    return max(numbers, default=-1) + 1


def position(each: Slice, count: int) -> float:
    """Return t of a slice in a body of ``count`` layers."""
    if each.layer is None or not is_of_the_body(each.component):
        return 0.0
    return each.layer / (count - 1) if count > 1 else 1.0


def show(setting: Setting | bool | str | None) -> str:
    """Return a setting in few characters."""
    if isinstance(setting, bool | str) or setting is None:
        return str(setting).lower() if isinstance(setting, bool) else str(setting)
    if not isinstance(setting, Mapping):
        return f"{setting:.7g}"
    ((kind, value),) = setting.items()
    if kind == "gradient":
        return "[" + ", ".join(f"{x:.7g}" for x in value) + "]"
    if kind in ("components", "filters"):
        return "{" + ", ".join(f"{name} {x:.7g}" for name, x in value.items()) + "}"
    numbers = list(value.values())
    return f"{min(numbers):.4g} to {max(numbers):.4g} by slice"


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
