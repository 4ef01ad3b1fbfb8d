"""Recipes: how a child was made, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.recipe.settings import show
from parentage.support import printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.recipe.settings import Setting

SCHEMA = "parentage.recipe/1"

WEIGHTED = ("linear", "task_arithmetic")
"""Methods that are weighted sums of checkpoints."""


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
    def checkpoints(self) -> tuple[str, ...]:
        """Names of all checkpoints that it needs: ingredients, the base and sources of slices."""
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

    def to_json(self) -> str:
        """Return it as JSON text, for :func:`parentage.methods.from_json`."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

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
