"""Who may be whose parent: checkpoints that can not play the part they were offered for, moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.align import pair
from parentage.checkpoint import Inputs
from parentage.descent import relations_of
from parentage.hypothesise import SampleEstimates
from parentage.support import listed
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint
    from parentage.descent import BothWays, Relations
    from parentage.verdict import TraceInputs


def settle_roles(case: TraceInputs) -> TraceInputs:
    """Return the case with what is known of descent, and roles that do not contradict it.

    A candidate that was made from the child is no parent of it, and a base that is no relative is
    no ancestor: displacements from it are no evidence of anything. Both take part as controls.
    """
    relations = _relations(case)
    made = relations.made_from_child
    inputs = case.inputs
    is_stranger = _is_stranger(inputs.base.name, relations)
    if not made and not is_stranger:
        return replace(case, relations=relations)
    remarks = tuple(_made_remark(name, relations.both_ways) for name in made)
    kept = [each for each in inputs.parents if each.name not in made]
    moved = [each for each in inputs.parents if each.name in made]
    base = inputs.base
    if is_stranger or base.name in made:
        heirs = [each for each in kept if not _is_stranger(each.name, relations)]
        if heirs:
            heir = heirs[0]
            remarks += (_base_remark(base, heir, relations, is_stranger=is_stranger),)
            moved.append(base)
            kept.remove(heir)
            base = heir
        elif base.name in made and not moved:
            # Nobody is left whom the child could be compared with.
            return replace(case, relations=replace(relations, descendants=made, remarks=remarks))
    changed = Inputs(inputs.child, base, tuple(kept), (*inputs.controls, *moved))
    case = replace(case, inputs=changed, alignment=pair(changed, case.options))
    known = replace(_relations(case), descendants=made, remarks=remarks)
    return replace(case, relations=known)


def _relations(case: TraceInputs) -> Relations:
    """Return what a sample of the case shows of descent."""
    return relations_of(SampleEstimates(case.alignment, case.inputs.columns, case.options))


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


def _base_remark(
    base: Checkpoint, heir: Checkpoint, relations: Relations, *, is_stranger: bool
) -> str:
    """Return a sentence on a base that another checkpoint takes the place of."""
    why = (
        f"{base.name} is no relative of the child (cosine {relations.likeness[base.name]:.4f})"
        if is_stranger
        else f"{base.name} is not taken for an ancestor"
    )
    return f"{why}, so displacements are measured from {heir.name}."
