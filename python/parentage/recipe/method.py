"""What every method of merging has to say of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.recipe.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from parentage.align import Slice
    from parentage.recipe.recipe import Recipe
    from parentage.recipe.settings import Setting
    from parentage.stream import Program, Value
    from parentage.support import Floats


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a recipe may set of a method, beside the weights and densities of its parents.

    >>> Parameter("divide by the sum of weights", bool, default=True).default
    True
    """

    text: str
    """Say what it does, in a line."""
    type: type[float | bool] | tuple[str, ...] = float
    """``float`` for a number, which may vary as a :data:`parentage.recipe.Setting` does; ``bool``
    for true or false; or the words that it may be."""
    default: float | bool | str | None = None
    """What holds where a recipe does not say; ``None`` where no one value does."""
    required: bool = False
    """Whether the method can not be carried out without it."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make a child of parents: what is computed, what it takes, and how it is replayed.

    One file of :mod:`parentage.methods` defines one, or a row of a table there.
    """

    name: str
    """mergekit's name, where it has one."""
    formula: str
    """What is computed, in the notation of ``b`` base, ``p_i`` parents, ``d_i = p_i - b``."""
    source: str
    """Where that is defined: paper and code."""
    parameters: Mapping[str, Parameter]
    """What a recipe may set, by name, beside weights and densities."""
    arithmetics: Mapping[str, str]
    """Which operations are rounded to what, by the name of the arithmetic."""
    replay: Callable[[Replaying], Sequence[Value]]
    """Writes a recipe down as operations; several results leave a choice open between them, and an
    element that equals any of them is explained (``rust/core/src/replay/mod.rs``)."""
    fitted: Mapping[str, str] = field(default_factory=dict)
    """Numbers by slice that a replay takes from the recipe, since they depend on the data: what
    each is, by name, ``NAME`` being a parent's."""
    mergekit: Callable[[Recipe, Mapping[str, str]], dict[str, Any]] | None = None
    """Returns mergekit's configuration, given where checkpoints are by name; ``None`` if mergekit
    has no such method."""
    parents: int | None = None
    """How many parents it takes, where that is fixed."""
    needs_base: bool = False
    """Whether it measures displacements, and so needs a base to measure them from."""
    objection: Callable[[Recipe], str | None] | None = None
    """Says what else keeps a recipe of this method from being carried out; ``None`` if nothing."""
    kind: str = "merge"
    """The verdict on a child that a recipe of this method reproduces."""
    kind_of: Callable[[Recipe], str] | None = None
    """Returns the same where it depends on the recipe."""

    def verdict(self, recipe: Recipe) -> str:
        """Return the verdict on a child that a recipe of this method reproduces.

        What is all of one checkpoint, times a number, is no merge of several.
        """
        found = self.kind if self.kind_of is None else self.kind_of(recipe)
        return "re-encoded" if found == "merge" and len(recipe.checkpoints) == 1 else found


@dataclass(frozen=True, slots=True)
class Replaying:
    """A recipe that a method writes down as operations of a program, for some slices.

    What varies between slices becomes a scalar with a number for each; all else is the same
    program. A number that the recipe does not give for a slice is NaN, and no method computes with
    NaN of its own, so that such slices can be told.
    """

    program: Program
    """Collects the operations."""
    recipe: Recipe
    columns: Mapping[str, int]
    """The plan's column of every checkpoint, by name."""
    slices: Sequence[Slice]

    @property
    def dtype(self) -> str | None:
        """The dtype that results of operations are rounded to, beside float32; ``None`` if none."""
        prefix = self.recipe.arithmetic.split("-")[0]
        return {"bfloat16": "BF16", "float16": "F16"}.get(prefix)

    def column(self, name: str) -> Value:
        """Return the elements of a checkpoint."""
        return self.program.column(self.columns[name])

    def base(self) -> Value:
        """Return the elements of the base."""
        return self.column(self.recipe.base or "")

    def parents(self) -> list[Value]:
        """Return the elements of every ingredient, in the recipe's order."""
        return [self.column(each.name) for each in self.recipe.ingredients]

    def scalar(self, value: float | Floats) -> Value:
        """Return a number, one for all slices or one for each, as float32."""
        return self.program.scalar(value)

    def written(self, value: Value) -> Value:
        """Return a value rounded as the recipe writes it: to a dtype of its own in some slices."""
        recipe = self.recipe
        if not recipe.out_dtypes:
            return value.round(recipe.out_dtype)
        return self.program.rounded(value, [recipe.dtype_of(each.name) for each in self.slices])

    def resolve(self, setting: Setting | None) -> Floats:
        """Return (S,) what a setting is for every slice; NaN where it says nothing."""
        return (
            np.full(len(self.slices), np.nan) if setting is None else resolve(setting, self.slices)
        )

    def parameter(self, name: str, default: float | None = None) -> Floats:
        """Return (S,) what a parameter that is a number is for every slice.

        Raises
        ------
        KeyError
            If the recipe does not say, and there is no default.
        TypeError
            If it is no number.
        """
        value = self.recipe.parameters.get(name, default)
        if value is None:
            raise KeyError(name)
        if isinstance(value, bool | str):
            raise TypeError(f"{name} is a number, not {value!r}")
        return self.resolve(value)

    def weights(self) -> list[Floats]:
        """Return the ingredients' weights, (S,) each."""
        return [self.resolve(each.weight) for each in self.recipe.ingredients]

    def fitted(self, name: str, default: float = np.nan) -> Floats:
        """Return (S,) numbers that were read off the child, ``default`` where there is none."""
        values = self.recipe.fitted.get(name, {})
        return np.array([values.get(each.name, default) for each in self.slices])
