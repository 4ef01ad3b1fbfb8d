"""All methods that a recipe may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.methods import (
    arcee_fusion,
    karcher,
    linear,
    lora,
    model_stock,
    multislerp,
    nearswap,
    nested,
    nuslerp,
    passthrough,
    ram,
    ramplus_tl,
    sce,
    slerp,
    task_arithmetic,
)
from parentage.methods.masked import MASKED
from parentage.methods.mergekit import to_yaml, with_layers
from parentage.support import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.recipe import Method, Recipe

_METHODS: tuple[Method, ...] = (
    passthrough.METHOD,
    linear.METHOD,
    task_arithmetic.METHOD,
    nested.METHOD,
    slerp.METHOD,
    nuslerp.METHOD,
    multislerp.METHOD,
    karcher.METHOD,
    model_stock.METHOD,
    lora.METHOD,
    *MASKED,
    sce.METHOD,
    ram.METHOD,
    ramplus_tl.METHOD,
    arcee_fusion.METHOD,
    nearswap.METHOD,
)

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}
"""By name; of methods that reproduce the same bytes, the first is the one that is reported."""


def to_mergekit(recipe: Recipe, paths: Mapping[str, str] | None = None) -> str:
    """Return YAML that mergekit accepts and that means the same.

    ``paths`` says where checkpoints are, by name; a name stands for itself otherwise.

    Raises
    ------
    RecipeError
        If mergekit has no such method, or no way to say so.
    """
    method = METHODS[recipe.method]
    if method.mergekit is None:
        raise RecipeError(f"mergekit has nothing that does what {recipe.method} does")
    if recipe.copied:
        raise RecipeError(
            f"mergekit's {recipe.method} copies no tensors as they are, and this recipe does: "
            f"{next(iter(recipe.copied))}"
        )
    if recipe.adapters:
        raise RecipeError(
            "mergekit adds adapters as their configurations say, and this recipe says how: "
            f"{next(iter(recipe.adapters))}"
        )
    if recipe.out_dtypes:
        raise RecipeError("mergekit writes one dtype, and this recipe rounds to several")
    known = {**{name: name for name in recipe.checkpoints}, **(paths or {})}
    return to_yaml(with_layers(method.mergekit(recipe, known), recipe, known))
