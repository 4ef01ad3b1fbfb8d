"""Adapters among the checkpoints of a trace: seen as what they make of the base."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.align import applied
from parentage.checkpoint import adapter_of
from parentage.support import PlanError, printable

if TYPE_CHECKING:
    from parentage.align import Applied
    from parentage.checkpoint import Inputs


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
