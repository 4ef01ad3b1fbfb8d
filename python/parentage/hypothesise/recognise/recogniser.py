"""The two functions that recognise a method."""

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
    """Yields recipes that may be worth replaying, judged by a sample."""
    refine: Callable[[SampleEstimates, Recipe], Recipe] | None = None
    """Returns a recipe with better fitted numbers, once it is known to be worth it."""
