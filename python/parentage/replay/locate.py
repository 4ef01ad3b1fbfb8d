"""Where the checkpoints of a recipe are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.align import Strength, applied, with_strength
from parentage.checkpoint import (
    ROUNDED,
    Checkpoint,
    Given,
    adapter_of,
    may_be_repository,
    scheme_of,
)
from parentage.support import RecipeError, is_there

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.checkpoint import Network
    from parentage.recipe import Recipe


Offered = Given
"""A checkpoint, where it is, or its tensors in memory."""


def checkpoint_order(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the checkpoints that a recipe needs, the base or first parent first."""
    first = () if recipe.base is None else (recipe.base,)
    return tuple(dict.fromkeys([*first, *recipe.checkpoints]))


def locate_checkpoints(
    recipe: Recipe, offered: Sequence[str], near: Path, network: Network | None = None
) -> dict[str, str | Path]:
    """Return where the checkpoints of a recipe are, by name.

    ``offered`` are paths, each of a checkpoint that the recipe knows by the name of its folder, and
    ``NAME=PATH``; they are handed on as they are, since a source may know what is no path. What is
    not offered is looked for by its name, below the current folder and below that of the recipe
    (``near``); a name like ``org/name`` that is in neither is one on a hub. What is on no disk is
    read over ``network``.

    Raises
    ------
    RecipeError
        If one is not found, or offered twice, or not needed.
    """
    names = checkpoint_order(recipe)
    found: dict[str, str | Path] = {}
    for text in offered:
        said = max((name for name in names if text.startswith(f"{name}=")), key=len, default=None)
        place = text if said is None else text[len(said) + 1 :]
        if not place:
            raise RecipeError(f"{text!r}: no path is offered")
        name = Checkpoint.open(place, None, network).name if said is None else said
        if name not in names:
            raise RecipeError(
                f"{place}: is called {name!r}, and the recipe needs {_listed(names)}; "
                f"say which of them it is, as in {names[0]}={place}"
            )
        if name in found:
            free = next((other for other in names if other not in found), names[0])
            raise RecipeError(
                f"{place}: {name!r} is already offered as {found[name]}; if it is another, say "
                f"which, as in {free}={place}"
            )
        found[name] = place
    for name in names:
        if name not in found:
            below = name if scheme_of(name) == "hf" else _by_name_near(name, near)
            if below is None and may_be_repository(name):
                below = name
            if below is None:
                raise RecipeError(
                    f"the recipe needs {name!r}, which is not offered and not found here; "
                    f"offer it with --from PATH, or with --from {name}=PATH if its folder has "
                    "another name"
                )
            found[name] = below
    return found


def _by_name_near(name: str, near: Path) -> Path | None:
    """Return the path that a recipe's name stands for; never one outside both folders."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    places = (Path(), near)
    return next((place / path for place in places if is_there(place / path)), None)


def open_parents(
    recipe: Recipe, parents: Mapping[str, Offered], network: Network | None = None
) -> dict[str, Checkpoint]:
    """Open the checkpoints that a recipe needs, under its names, in :func:`checkpoint_order`.

    What is on no disk is read over ``network``.

    Raises
    ------
    RecipeError
        If one that it needs is not among ``parents``, or one that is there is not needed.
    """
    names = checkpoint_order(recipe)
    missing = [name for name in names if name not in parents]
    if missing:
        raise RecipeError(f"the recipe needs {_listed(missing)}, which is not among the parents")
    unknown = [name for name in parents if name not in names]
    if unknown:
        raise RecipeError(f"the recipe needs {_listed(names)}, and not {_listed(unknown)}")
    out: dict[str, Checkpoint] = {}
    for name in names:
        given = parents[name]
        if isinstance(given, Checkpoint):
            out[name] = replace(given, name=name)
        else:
            out[name] = Checkpoint.open(given, name, network)
    return {name: _with_adapter(recipe, name, out) for name in names}


def _with_adapter(recipe: Recipe, name: str, opened: Mapping[str, Checkpoint]) -> Checkpoint:
    """Return a checkpoint of a recipe, added to its base if it is an adapter there."""
    checkpoint, added = opened[name], recipe.adapters.get(name)
    # What has files of another is added already.
    if added is None or checkpoint.borrowed:
        return checkpoint
    adapter = adapter_of(checkpoint)
    if adapter is None:
        raise RecipeError(
            f"{checkpoint.where}: the recipe has {name!r} for an adapter, and it is none"
        )
    found = applied(adapter, opened[added.base])
    scale = added.scale
    scales = (
        dict.fromkeys(found.modules, float(scale))
        if isinstance(scale, int | float)
        else dict(scale)
    )
    lacking = next((each for each in found.modules if each not in scales), None)
    if lacking is not None:
        raise RecipeError(f"the recipe has no scale of {name!r} for {lacking}")
    rounded = next(each for each in ROUNDED if each == added.rounded)
    return with_strength(found.view, found, Strength(scales, rounded))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
