"""Recipes compiled to programs of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.methods import METHODS
from parentage.recipe import Replaying
from parentage.stream import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.align import Slice
    from parentage.recipe import Recipe
    from parentage.stream import Value


def compile_recipe(
    recipe: Recipe,
    columns: Mapping[str, int],
    slices: Sequence[Slice],
    decoys: frozenset[int] = frozenset(),
) -> tuple[Program, list[Value]]:
    """Return a recipe as a program and its results, rounded to the dtype that it writes.

    Columns among ``decoys`` are decoys of themselves, but in slices that the recipe copies.
    """
    program = Program(len(slices))
    program.decoys = decoys
    program.decoy_dtype = recipe.out_dtype
    replaying = Replaying(program, recipe, columns, slices)
    results = METHODS[recipe.method].replay(replaying)
    program.decoys = frozenset()
    for source in dict.fromkeys(recipe.copied.values()):
        is_copy = [float(recipe.copied.get(each.name) == source) for each in slices]
        copied = program.column(columns[source])
        results = [program.select(program.scalar(is_copy), copied, result) for result in results]
    return program, [replaying.written(result) for result in results]
