"""Who may be whose parent: checkpoints that can not play the part they were offered for, moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import pair
from parentage.checkpoint import Inputs
from parentage.descent import relations_of
from parentage.hypothesise import SampleEstimates
from parentage.support import listed
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from parentage.align import Grouped
    from parentage.descent import BothWays, Relations
    from parentage.stream import Options


@dataclass(frozen=True, slots=True)
class Settled:
    """Roles that do not contradict what is known of descent."""

    inputs: Inputs
    grouped: Grouped
    """How the child pairs with each of them."""
    view: SampleEstimates
    """What a sample of the main alignment shows."""
    relations: Relations
    """What that says of descent."""


def settle_roles(
    inputs: Inputs, grouped: Grouped, options: Options, seed: int | None = None
) -> Settled:
    """Return roles that do not contradict what is known of descent, with the pairing and that.

    A candidate that was made from the child is no parent of it, and a base that is no relative is
    no ancestor: displacements from it are no evidence of anything. Both take part as controls.
    """
    view = _view(inputs, grouped, options, seed)
    relations = _relations(view)
    made, base = relations.made_from_child, inputs.chosen(grouped.main.columns).base
    is_stranger = _is_stranger(base.name, relations)
    remarks = tuple(_made_remark(name, relations.both_ways) for name in made)
    kept = [each for each in (inputs.base, *inputs.parents) if each.name not in made]
    moved = [each for each in (inputs.base, *inputs.parents) if each.name in made]
    if is_stranger or base.name in made:
        heirs = [
            each
            for each in kept
            if each is not base and abs(relations.likeness.get(each.name, 0.0)) >= _RELATED
        ]
        if is_stranger and heirs:
            kept.remove(base)
            moved.append(base)
        if heirs:
            kept.remove(heirs[0])
            kept.insert(0, heirs[0])
            remarks += (_base_remark(base.name, heirs[0].name, relations),)
    if not moved or not kept:
        # As offered, if nobody would be left whom the child could be compared with.
        known = replace(relations, descendants=made, remarks=remarks)
        return Settled(inputs, grouped, view, known)
    changed = Inputs(inputs.child, kept[0], tuple(kept[1:]), (*inputs.controls, *moved))
    grouped = pair(changed, options)
    view = _view(changed, grouped, options, seed)
    known = replace(_relations(view), descendants=made, remarks=remarks)
    return Settled(changed, grouped, view, known)


_RELATED = Thresholds().related


def _view(inputs: Inputs, grouped: Grouped, options: Options, seed: int | None) -> SampleEstimates:
    """Return a view of a sample of the main alignment."""
    columns = inputs.chosen(grouped.main.columns).columns
    return SampleEstimates(grouped.main.alignment, columns, options, seed)


def _relations(view: SampleEstimates) -> Relations:
    """Return what a sample shows of descent."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return relations_of(view)


def _is_stranger(name: str, relations: Relations) -> bool:
    """Return whether a checkpoint's weights are no more like the child's than a stranger's."""
    return abs(relations.likeness.get(name, float("nan"))) < Thresholds().unrelated


def _made_remark(name: str, both: BothWays | None) -> str:
    """Return a sentence on a candidate that was made from the child."""
    assert both is not None, "only replays both ways say who was made from whom"
    others = [other for other in both.back if other != name]
    return (
        f"{name} was offered as one it may come from, and the arithmetic says the reverse: "
        f"{both.of_child[name]:.4g} times the child and the rest of {listed(others)}, rounded "
        f"once, give {both.back[name]:.2%} of {name} in {both.elements:,} elements looked at, "
        f"while {name} and {listed(others)} give {both.forward:.2%} of the child. {name} was made "
        "from the child, and is not taken for a parent."
    )


def _base_remark(base: str, heir: str, relations: Relations) -> str:
    """Return a sentence on a base that another checkpoint takes the place of."""
    why = (
        f"{base} is no relative of the child (cosine {relations.likeness[base]:.4f})"
        if _is_stranger(base, relations)
        else f"{base} is not taken for an ancestor"
    )
    return f"{why}, so displacements are measured from {heir}."
