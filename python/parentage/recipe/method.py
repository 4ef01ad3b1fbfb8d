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

Parameter = str
"""What a parameter means, in a line."""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make a child of parents."""

    name: str
    """mergekit's name, where it has one."""
    formula: str
    """What is computed, in the notation of ``b`` base, ``p_i`` parents, ``d_i = p_i - b``."""
    source: str
    """Where that is defined."""
    parameters: Mapping[str, Parameter]
    """What a recipe may set, beside weights and densities."""
    arithmetics: Mapping[str, str]
    """Which operations are rounded to what, by the name of the arithmetic."""
    replay: Callable[[Replaying], Sequence[Value]]
    """The recipe as operations; several results leave a choice open, see ``replay/mod.rs``."""
    mergekit: Callable[[Recipe, Mapping[str, str]], dict[str, Any]] | None = None
    """mergekit's configuration, given where checkpoints are; ``None`` if it has no such method."""
    kind: str = "merge"
    """The verdict on a child that it reproduces."""
    kind_of: Callable[[Recipe], str] | None = None
    """The same where it depends on the recipe."""

    def verdict(self, recipe: Recipe) -> str:
        """Return the verdict on a child that a recipe of this method reproduces."""
        return self.kind if self.kind_of is None else self.kind_of(recipe)


@dataclass(frozen=True, slots=True)
class Replaying:
    """A recipe that is being written down as operations."""

    program: Program
    recipe: Recipe
    columns: Mapping[str, int]
    """The plan's column of every checkpoint."""
    slices: Sequence[Slice]
    decoys: frozenset[str] = field(default_factory=frozenset)
    """Checkpoints in whose place their own elements are put in another order."""

    def column(self, name: str) -> Value:
        """Return the elements of a checkpoint."""
        return self.program.column(self.columns[name])

    def scalar(self, value: float | Floats) -> Value:
        """Return a number, one for all slices or one for each, as float32."""
        return self.program.scalar(value)

    def resolve(self, setting: Setting | None) -> Floats:
        """Return (S,) what a setting is for every slice."""
        return (
            np.full(len(self.slices), np.nan) if setting is None else resolve(setting, self.slices)
        )

    def weights(self) -> list[Floats]:
        """Return the ingredients' weights, (S,) each."""
        return [self.resolve(each.weight) for each in self.recipe.ingredients]

    def fitted(self, name: str, default: float = np.nan) -> Floats:
        """Return (S,) numbers that were read off the child."""
        values = self.recipe.fitted.get(name, {})
        return np.array([values.get(each.name, default) for each in self.slices])
