"""Sentences that several rules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.places import summarise
from parentage.support import are, listed, number_ranges
from parentage.verdict.changes import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.places import Change
    from parentage.verdict.facts import Facts, ReplayFacts


MADE_PARENT = " A parent that was made from the child, within its rounding, would look so."
"""What an exact merge can not be told from: of two numbers that round to one, either will do."""

NOISED_PARENT = (
    " A parent that was made from the child, with noise of a rounding's size on top, would look so."
)
"""What no blend that is not exact can be told from."""


UNLIKE = "in another shape or as other numbers"
"""What is said of tensors that two checkpoints have, and that can not be compared."""


def fit_numbers(facts: Facts) -> dict[str, float | int | str | None]:
    """Return the numbers of the fit that stand beside a verdict."""
    # Where a recipe was carried out its weights count, not those of least squares.
    known = facts.replay.weights if facts.replay is not None else {}
    weights = {name: known.get(name, 0.0) for name in facts.weights} if known else facts.weights
    return {
        **{f"weight_{name}": weight for name, weight in weights.items()},
        "r2": facts.r2,
        "r2_slices": facts.r2_slices,
        "residual_floors": facts.residual_floors,
        "residual_floors_slices": facts.residual_floors_slices,
        "coverage": facts.coverage,
    }


def replay_numbers(replay: ReplayFacts) -> dict[str, float | int | str | None]:
    """Return what the best recipe reproduces, as it stands beside a verdict."""
    return {
        "replayed": replay.elements,
        "mismatched": replay.mismatched,
        "explained": replay.explained,
        "decoy_share": replay.decoy_share,
    }


def rank_text(facts: Facts) -> str:
    """Return sentences on the layers of the remainder, beyond rounding, and its rank."""
    found = facts.remainder()
    return "" if found is None or not str(found) else f" Of what the recipe does not give: {found}"


def residual_numbers(facts: Facts) -> dict[str, float | int | str | None]:
    """Return how much a blend leaves over, where, and of what rank."""
    found = facts.remainder()
    more: dict[str, float | int | str | None] = {}
    if found is not None:
        more = {
            "changed_rank": found.rank,
            "changed_low_rank": found.low,
            "changed_matrices": found.matrices,
            **{f"left_over_layer_{layer}": share for layer, share in found.layers.items()},
        }
    return {
        "changed_energy": 1 - facts.r2_slices,
        **{f"left_over_{name}": share for name, share in facts.left_over.items()},
        **more,
    }


def moves_text(facts: Facts, without: frozenset[int] = frozenset()) -> str:
    """Return a sentence on the layers that are of other numbers in the candidates.

    Empty where all have the place that they have there. Those of the same number are not told: a
    layer that none is like is compared in its place. Nor are those ``without``.
    """
    alike: dict[tuple[tuple[tuple[int, int], ...], int], list[str]] = {}
    for name in facts.wholes.candidates:
        one = facts.wholes.by_name[name]
        moved = tuple(
            (layer, source)
            for layer, source in one.moves
            if layer != source and layer not in without
        )
        if moved:
            alike.setdefault((moved, one.layers), []).append(name)
    said = []
    for (moved, count), names in alike.items():
        mine = [layer for layer, _ in moved]
        word, verb = ("layers", "correspond") if len(mine) > 1 else ("layer", "corresponds")
        order = ", in this order," if len(mine) > 1 else ""
        sources = number_ranges([source for _, source in moved])
        said.append(
            f"{word} {number_ranges(mine)} of {facts.child} {verb}{order} to {sources} of the "
            f"{count:,} of {listed(names)}"
        )
    return f"By their content, {'; '.join(said)}." if said else ""


def map_text(facts: Facts, name: str, layers: Sequence[int] | None = None) -> str:
    """Return which layers of a checkpoint those of the child are: all that moved, or some.

    ``3, 4 are parent's 2, 3``.
    """
    moves = [
        pair for pair in facts.wholes.by_name[name].moves if layers is None or pair[0] in layers
    ]
    mine, sources = ([pair[side] for pair in moves] for side in (0, 1))
    return f"{number_ranges(mine)} {are(len(moves))} {name}'s {number_ranges(sources)}"


def blend_text(facts: Facts) -> str:
    """Return the blend as a sum: ``0.6000 parent + 0.4000 base``."""
    parts = [f"{weight:.4f} {name}" for name, weight in facts.blended.items()]
    rest = 1.0 - sum(facts.blended.values())
    if abs(rest) >= facts.thresholds.weight:
        parts.append(f"{rest:.4f} {facts.base}")
    return sum_text(parts)


def sum_text(parts: Iterable[str]) -> str:
    """Return terms, each with its weight, as a sum: ``0.6 parent - 0.4 base``."""
    return " + ".join(parts).replace("+ -", "- ")


def places_text(facts: Facts, name: str | None = None) -> str:
    """Return sentences on what was done where the child is not a checkpoint, or not a blend.

    ``None`` stands for what the recipe gives.
    """
    return looked_at_text(facts, [x for x in facts.changes(name, MOST) if x[2].kind != "none"])


def looked_at_text(facts: Facts, changes: Sequence[tuple[str, int, Change]]) -> str:
    """Return sentences on what was done to slices that were looked at; empty without any."""
    return f" Looked at: {summarise(changes, facts.extent, facts.names)}" if changes else ""


def bias_warning(facts: Facts) -> str:
    """Return a sentence that says how far rounding can move the weights, if it can."""
    worst = max((facts.bias[name] for name in facts.blended), default=0.0)
    if worst < facts.thresholds.bias:
        return ""
    return (
        f" The displacements are near one unit in the last place, so rounding can move these "
        f"weights by up to {worst:.2f}."
    )


def order_open(name: str) -> str:
    """Return a sentence that says that nothing decides who came first."""
    return (
        f" It is not decided by that whether the child was made from {name}, {name} from the "
        "child, or both from one that was not offered."
    )


def largest_cosine(cosines: Mapping[str, float]) -> tuple[str, str]:
    """Return the other one at the largest cosine in size, and how that is said.

    >>> largest_cosine({"a": 0.04, "b": -0.145})
    ('b', '-0.145, with b')
    """
    name = max(cosines, key=lambda other: abs(cosines[other]))
    return name, f"{cosines[name]:.3f}, with {name}"


def reading_verb(facts: Facts) -> str:
    """Return what was done with elements: all were compared, or some were read."""
    return "compared" if facts.sample is None else "read"


def reading_clause(facts: Facts) -> str:
    """Return the clause that limits a statement about slices to what was read of them."""
    return "" if facts.sample is None else " where they were read"


def coverage_clause(facts: Facts) -> str:
    """Return a sentence that says how much of the child was not compared, if any.

    Where wholes were gathered, every verdict says it, both ways.
    """
    if facts.coverage == 1.0 or facts.wholes.by_name:
        return ""
    return f" {1 - facts.coverage:.2%} of the child was not compared."
