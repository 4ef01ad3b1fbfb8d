"""Recipes with everything that can be done with them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods import from_json, to_mergekit
from parentage.recipe import Recipe as Data
from parentage.replay.comparison import compare
from parentage.replay.configuration import from_mergekit, is_configuration
from parentage.replay.recipe_files import recipe_text
from parentage.replay.write_plan import write

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any

    from parentage.replay.comparison import Comparison
    from parentage.replay.locate import Offered
    from parentage.replay.written import Written


class Recipe(Data):
    """Method, parents, weights, arithmetic and output dtype that turn parents into a child.

    The data are those of :class:`parentage.recipe.Recipe`; the verbs are functions of their own,
    gathered here for those who have a recipe in hand.
    """

    __slots__ = ()

    @classmethod
    def of(cls, recipe: Data) -> Recipe:
        """Return a recipe with these verbs, of one without."""
        return cls(**{field.name: getattr(recipe, field.name) for field in fields(recipe)})

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Recipe:
        """Read a recipe from its file, from evidence that holds one, or from a folder of evidence.

        Raises
        ------
        RecipeError
            If it can not be read, or is malformed.
        """
        return cls.from_json(recipe_text(path), str(path))

    @classmethod
    def from_json(cls, text: str, origin: str = "recipe") -> Recipe:
        """Read a recipe from JSON, or from a configuration of mergekit.

        ``origin`` is what messages say that it is from.

        Raises
        ------
        RecipeError
            If it is malformed; the message says where.
        """
        if is_configuration(text):
            text = from_mergekit(text, origin)
        # Numbers that do not fit float32 become infinite, as in every tool.
        with np.errstate(all="ignore"):
            return cls.of(from_json(text, origin))

    def to_mergekit(self, paths: Mapping[str, str] | None = None) -> str:
        """Return YAML that mergekit accepts and that means the same.

        ``paths`` says where checkpoints are, by name; a name stands for itself otherwise.

        Raises
        ------
        RecipeError
            If mergekit has no such method, or no way to say so.
        """
        return to_mergekit(self, paths)

    def replay(
        self, parents: Mapping[str, Offered], against: Offered, **options: Any
    ) -> Comparison:
        """Carry it out on ``parents``, by name, and count what it reproduces of ``against``.

        Options are those of :func:`parentage.replay.compare`.

        >>> from parentage.demo import family
        >>> from parentage.recipe import Ingredient
        >>> recipe = Recipe("linear", (Ingredient("parent", 0.6), Ingredient("base", 0.4)))
        >>> places = {name: family(name) for name in recipe.checkpoints}
        >>> recipe.replay(places, family("child")).elements
        294488
        """
        return compare(self, parents, against, **options)

    def write(
        self, parents: Mapping[str, Offered], folder: str | os.PathLike[str], **options: Any
    ) -> Written:
        """Write what it gives of ``parents``, by name, as a checkpoint in ``folder``.

        Options are those of :func:`parentage.replay.write`.
        """
        return write(self, parents, folder, **options)
