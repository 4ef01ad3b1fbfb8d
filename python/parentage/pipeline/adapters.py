"""Adapters among the checkpoints of a trace: seen as what they make of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.align import applied, strength_of, with_strength
from parentage.checkpoint import adapter_of
from parentage.support import PlanError, printable
from parentage.verdict import Added

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.align import Applied
    from parentage.checkpoint import Checkpoint, Inputs
    from parentage.stream import Options


def with_adapters(inputs: Inputs) -> tuple[Inputs, dict[str, Applied]]:
    """Return inputs whose adapters are seen as what they make of the base, and those by name.

    Where the child and the base are adapters, factors are compared as the tensors that they are.

    Raises
    ------
    PlanError
        If the base is an adapter, and the child is none.
    CheckpointError
        If an adapter can not be added to the base.
    """
    base = adapter_of(inputs.base)
    if base is not None:
        if adapter_of(inputs.child) is None:
            raise PlanError(
                printable(
                    f"{inputs.base.name} is an adapter ({base}): a base has all weights of a "
                    "model; give that, and the adapter as a parent"
                )
            )
        return inputs, {}
    found: dict[str, Applied] = {}
    for each in (inputs.child, *inputs.parents, *inputs.controls):
        adapter = adapter_of(each)
        if adapter is not None:
            found[each.name] = applied(adapter, inputs.base)
    if not found:
        return inputs, found
    child, *others = (
        found[each.name].view if each.name in found else each
        for each in (inputs.child, *inputs.others)
    )
    return inputs.replaced(child, others), found


def with_strengths(
    inputs: Inputs, found: Mapping[str, Applied], options: Options
) -> tuple[Inputs, dict[str, Added]]:
    """Return inputs whose adapters are added as the child's values say, and how that is.

    ``inputs`` are under the child's names. Where the child does not tell, what is said of an
    adapter counts.
    """
    if not found:
        return inputs, {}
    added: dict[str, Added] = {}

    def settled(each: Checkpoint) -> Checkpoint:
        """Return a checkpoint, if it is a view of an adapter as it was added."""
        if each.name not in found:
            return each
        one = found[each.name]
        strength = strength_of(one, each, inputs.child, options)
        added[each.name] = Added(
            one.base, str(strength), strength.looked_at, strength.rounding
        )
        return with_strength(each, one, strength)

    others = [settled(each) for each in inputs.others]
    return inputs.replaced(settled(inputs.child), others), added
