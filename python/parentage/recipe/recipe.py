"""Recipes: how a child was made, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.recipe.settings import show, values_of
from parentage.support import listed, number_ranges, printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.recipe.settings import Setting

SCHEMA = "parentage.recipe/1"

WEIGHTED = ("linear", "task_arithmetic")
"""Methods that are weighted sums of checkpoints."""

BETWEEN = ("slerp", "nuslerp")
"""Methods that interpolate between two checkpoints."""

EXACTLY = 1e-6
"""How far from 0 and 1 weights are that are called 0 and 1: what float32 can not tell apart."""


NAMED = 3
"""Copied slices that are told by name, at most."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What an adapter is seen as: a base with products of two factors added."""

    base: str
    """The base's name."""
    scale: float | Mapping[str, float] = 1.0
    """What products are multiplied by: one number, or one for each of the base's tensors."""
    rounded: str = "never"
    """How products are rounded, one of :data:`parentage.checkpoint.ROUNDED`."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        scale = self.scale if isinstance(self.scale, int | float) else dict(self.scale)
        return {"base": self.base, "scale": scale, "rounded": self.rounded}


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
    """By slice, the checkpoint that it is a copy of: of ``passthrough`` all slices are; of other
    methods, those that the method leaves out."""
    equivalents: tuple[str, ...] = ()
    """Other ways, ``method (arithmetic)``, that give the same bytes on this child."""
    out_dtypes: Mapping[str, str] = field(default_factory=dict)
    """By slice, the dtype of those that are rounded to another one than :attr:`out_dtype`."""
    layers: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    """By checkpoint, the layer that each layer of the child, from 0 on, is made of; ``None`` where
    it is made of none. A checkpoint that is not among them has every layer where the child has it.
    """
    adapters: Mapping[str, Addition] = field(default_factory=dict)
    """By checkpoint, how those that are adapters are added to a base before anything else."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names of all checkpoints that it needs: ingredients, the base and sources of slices."""
        named = [each.name for each in self.ingredients]
        if self.base is not None:
            named.append(self.base)
        named += self.sources.values()
        return tuple(dict.fromkeys([*named, *(each.base for each in self.adapters.values())]))

    def describe(self) -> str:
        """Return it in a line, as a person would say it."""
        settings = [f"{name} {show(value)}" for name, value in self.parameters.items()]
        base = f" on {self.base}" if self.base and self.base not in self.parents_added else ""
        if self.layers:
            settings.append(self._layers_taken())
        tail = f"; {', '.join(settings)}" if settings else ""
        if self.method == "lora" and self.matrices:
            count = len(self.matrices)
            return (
                f"{self._sum()} with a matrix of low rank added to {count:,} tensor"
                f"{'s' * (count != 1)}, as a LoRA is (lora), fitted to the child{tail}, in "
                f"{self.arithmetic}"
            )
        if self.method == "passthrough" and len(set(self.sources.values())) == 1:
            how = "rescaled copy" if "scale" in self.parameters else "copy"
            name = self.parents_added[0]
            added = self.adapters.get(name)
            what = name if added is None else f"{added.base} with {name} added"
            return f"{how} of {what}{tail}"
        copied = f", with {self._copies_taken()}" if self.copied else ""
        return f"{self.method} of {self._sum()}{base}{tail}, in {self.arithmetic}{copied}"

    @property
    def copied(self) -> Mapping[str, str]:
        """By slice, the checkpoint that it is a copy of, where the method is no copying itself."""
        return {} if self.method == "passthrough" else self.sources

    def _copies_taken(self) -> str:
        """Return which slices are copies of which checkpoints."""
        by_source: dict[str, list[str]] = {}
        for slice_, source in self.copied.items():
            by_source.setdefault(source, []).append(slice_)
        return ", ".join(
            f"{listed(names if len(names) <= NAMED else [f'{len(names):,} tensors'])} "
            f"copied from {source}"
            for source, names in by_source.items()
        )

    def _layers_taken(self) -> str:
        """Return which layers of which checkpoints are taken, in the child's order."""
        alike: dict[tuple[int | None, ...], list[str]] = {}
        for name, sources in self.layers.items():
            alike.setdefault(sources, []).append(name)
        is_of_all = len(alike) == 1 and set(self.layers) == set(self.checkpoints)
        said = []
        for sources, names in alike.items():
            taken = [each for each in sources if each is not None]
            text = f"layer{'s' if len(taken) > 1 else ''} {number_ranges(taken)}"
            said.append(text if is_of_all else f"{text} of {' and '.join(names)}")
        return ", ".join(said)

    def _sum(self) -> str:
        """Return the ingredients with their weights: shares, where those are divided by their sum.

        The weights that were written are told as well where they are no shares.
        """
        plain = [each.weight for each in self.ingredients if isinstance(each.weight, int | float)]
        is_ratio = (
            self.method == "linear"
            and len(plain) == len(self.ingredients)
            and bool(self.parameters.get("normalize", True))
            and sum(plain) != 0.0
            and abs(sum(plain) - 1.0) > EXACTLY
        )
        divisor = sum(plain) if is_ratio else None
        out = ""
        for each in self.ingredients:
            weight = each.weight
            if divisor is not None and isinstance(weight, int | float):
                weight = weight / divisor
            sign = " + " if out else ""
            if out and isinstance(weight, int | float) and weight < 0.0:
                sign, weight = " - ", -weight
            said = "" if weight is None else f"{show(weight)} "
            density = "" if each.density is None else f" (density {each.density:.4g})"
            out += f"{sign}{said}{each.name}{density}"
        if divisor is None:
            return out
        written = ", ".join(show(weight) for weight in plain)
        return f"{out} (weights {written}, divided by their sum)"

    @property
    def copy_of(self) -> str | None:
        """The checkpoint that it comes to a copy of; ``None`` if it does more than copy one.

        >>> Recipe("slerp", (Ingredient("b"), Ingredient("p")), parameters={"t": 1.0}).copy_of
        'p'
        """
        return self.nearly_copy_of(EXACTLY)

    def nearly_copy_of(self, tolerance: float) -> str | None:
        """Return the checkpoint whose weight is 1 and beside which no other has one.

        ``tolerance`` is how far from 1 and 0 they may be; ``None`` if there is no such checkpoint.
        """
        weights = self._shares()
        if weights is None:
            return None
        whole = [n for n, xs in weights.items() if all(abs(x - 1.0) <= tolerance for x in xs)]
        none = [n for n, xs in weights.items() if all(abs(x) <= tolerance for x in xs)]
        is_copy = len(whole) == 1 and len(none) == len(weights) - 1
        # What is copied beside it has to be of the same.
        return whole[0] if is_copy and set(self.copied.values()) <= set(whole) else None

    def _shares(self) -> dict[str, list[float]] | None:
        """Return all shares that each checkpoint has, by tensor or not; ``None`` if not known."""
        names = self.parents_added
        if self.method == "passthrough":
            is_copy = len(set(self.sources.values())) == 1 and "scale" not in self.parameters
            return {names[0]: [1.0]} if is_copy and not self.fitted and not self.layers else None
        if self.method in BETWEEN and len(names) == 2:
            t = self.parameters.get("t")
            if t is None or isinstance(t, bool | str):
                pair = [each.weight for each in self.ingredients]
                plain = [float(x) for x in pair if isinstance(x, int | float)]
                if len(plain) < 2 or sum(plain) == 0.0:
                    return None
                t = plain[1] / sum(plain)
            there = values_of(t)
            return {names[0]: [1.0 - x for x in there], names[1]: there}
        effective = self.effective_weights
        if effective is not None:
            return {name: [weight] for name, weight in effective.items()}
        if self.method in WEIGHTED and not self.parameters:
            found = {each.name: values_of(each.weight or 0.0) for each in self.ingredients}
            if self.base is not None:
                totals = [sum(xs) for xs in zip(*found.values(), strict=False)]
                found.setdefault(self.base, [1.0 - total for total in totals])
            return found
        return None

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

    def dtype_of(self, slice_: str) -> str:
        """Return the dtype that results are rounded to in a slice, by its name."""
        return self.out_dtypes.get(slice_, self.out_dtype)

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
            "out_dtypes": dict(self.out_dtypes),
            "equivalents": list(self.equivalents),
            "fitted": {name: dict(values) for name, values in self.fitted.items()},
            "matrices": {
                name: [np.asarray(left).tolist(), np.asarray(right).tolist()]
                for name, (left, right) in self.matrices.items()
            },
            "sources": dict(self.sources),
            **(
                {"adapters": {name: each.as_dict() for name, each in self.adapters.items()}}
                if self.adapters
                else {}
            ),
            **({"layers": {k: list(x) for k, x in self.layers.items()}} if self.layers else {}),
        }
