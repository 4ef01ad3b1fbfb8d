"""What the best recipe reproduces of everything that was compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.hypothesise import Hypothesis
    from parentage.recipe import Recipe
    from parentage.statistics import Replayed


@dataclass(frozen=True)
class Outcome:
    """What a recipe reproduces of everything that was compared."""

    recipe: Recipe
    elements: int
    """Elements that were replayed."""
    reproduced: int
    explained: int
    mismatched: int
    zero_signs: int
    ulps: tuple[int, ...]
    """Mismatched elements that are 1, 2, 3 to 4, 5 to 8, ... units in the last place off."""
    decoy_share: float
    """What the recipe reaches on the sample with a decoy for a parent."""
    position: int = 0
    """The column of its counts in :class:`parentage.statistics.Replayed`."""

    @property
    def exact_share(self) -> float:
        """Share of elements whose bytes the recipe reproduces."""
        return self.reproduced / self.elements if self.elements else 0.0

    @property
    def share(self) -> float:
        """Share of elements that it reproduces or explains."""
        return (self.reproduced + self.explained) / self.elements if self.elements else 0.0


def best_outcome(replayed: Replayed, hypotheses: Sequence[Hypothesis]) -> Outcome | None:
    """Return what the best hypothesis reproduces: that with the fewest mismatches."""
    if not hypotheses:
        return None
    mismatched = replayed.mismatched.sum(axis=0)
    explained = replayed.explained.sum(axis=0)
    best = min(range(len(hypotheses)), key=lambda i: (int(mismatched[i]), int(explained[i])))
    reproduced = int(replayed.reproduced[:, best].sum())
    return Outcome(
        recipe=hypotheses[best].recipe,
        elements=reproduced + int(explained[best]) + int(mismatched[best]),
        reproduced=reproduced,
        explained=int(explained[best]),
        mismatched=int(mismatched[best]),
        zero_signs=int(replayed.zero_signs[:, best].sum()),
        ulps=tuple(int(x) for x in replayed.ulps[:, best].sum(axis=0)),
        decoy_share=hypotheses[best].decoy_share,
        position=best,
    )
