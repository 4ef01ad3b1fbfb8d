"""What recognising a method takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Recogniser:
    """How a sample betrays that a child was made by one method."""

    estimate: Callable[[SampleEstimates], Iterable[Recipe]]
    """Yields recipes worth replaying, judged by a sample."""
    refine: Callable[[SampleEstimates, Recipe], Recipe] | None = None
    """Improves what is fitted, once the recipe is known to be worth it."""
