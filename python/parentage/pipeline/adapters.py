"""Adapters among the checkpoints of a trace: seen as what they make of the base."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import applied, module_names, products, reached, strength_of, with_strength
from parentage.checkpoint import adapter_of
from parentage.recipe import Addition
from parentage.stream import read_elements
from parentage.support import PlanError, printable
from parentage.verdict import Added

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.align import Applied
    from parentage.checkpoint import Adapter, Checkpoint, Inputs
    from parentage.stream import Options


def with_adapters(inputs: Inputs, options: Options) -> tuple[Inputs, dict[str, Applied]]:
    """Return inputs whose adapters are seen as what they make of the base, and those by name.

    Where all are adapters, their factors are compared as the tensors that they are, or their
    products, if these are more alike.

    Raises
    ------
    PlanError
        If the base is an adapter, and the child is none.
    CheckpointError
        If an adapter can not be added to the base.
    """
    base = adapter_of(inputs.base)
    if base is not None:
        adapters = [adapter_of(each) for each in (inputs.child, *inputs.others)]
        if adapters[0] is None:
            raise PlanError(
                printable(
                    f"{inputs.base.name} is an adapter ({base}): a base has all weights of a "
                    "model; give that, and the adapter as a parent"
                )
            )
        known = [each for each in adapters if each is not None]
        if len(known) < len(adapters):
            return inputs, {}
        return _as_products(inputs, known, options), {}
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
            Addition(one.base, strength.scale, strength.rounded),
            str(strength),
            reached(each),
            strength.looked_at,
            strength.rounding,
        )
        return with_strength(each, one, strength)

    others = [settled(each) for each in inputs.others]
    return inputs.replaced(settled(inputs.child), others), added


def _as_products(inputs: Inputs, adapters: Sequence[Adapter], options: Options) -> Inputs:
    """Return adapters as their products, if these are more alike than their factors.

    Of one product there are many pairs of factors: B R and R^-1 A.
    """
    mine = [each.name for each in adapters[0].modules]
    own = {name: f"{name}.weight" for name in mine}
    views = [products(adapters[0], own)]
    views += [
        products(each, module_names([x.name for x in each.modules], own.values()))
        for each in adapters[1:]
    ]
    checkpoints = (inputs.child, *inputs.others)
    of_factors = _most_alike(checkpoints, options)
    of_products = _most_alike(views, options)
    if not of_products > of_factors:
        return inputs
    remark = (
        "All are adapters: the products of their factors are compared, which are more alike "
        f"(cosine {of_products:.4f} with the nearest) than the factors ({of_factors:.4f})."
    )
    child, *others = views
    return inputs.replaced(replace(child, noted=(*child.noted, remark)), others)


def _most_alike(checkpoints: Sequence[Checkpoint], options: Options) -> float:
    """Return the largest cosine of a child with any other, over what has one name and shape.

    The first is the child. Some elements of each tensor are read; what another lacks is zero there.
    """
    child, *others = checkpoints
    most = 0.0
    for other in others:
        pairs = [
            (each.index, mate.index)
            for each in child.tensors.values()
            for mate in [other.tensors.get(each.name)]
            if mate is not None and mate.shape == each.shape and each.elements
        ]
        both = mine = 0.0
        theirs = 0.0
        for pair in pairs:
            count = min(OF_EACH, child.tensors.at(pair[0]).elements)
            a, b = np.nan_to_num(
                read_elements([child.core, other.core], [pair], 0, count, options)
            ).T
            both, mine, theirs = both + float(a @ b), mine + float(a @ a), theirs + float(b @ b)
        if mine > 0.0 and theirs > 0.0 and len(pairs) == len(child.tensors):
            most = max(most, abs(both) / math.sqrt(mine * theirs))
    return most


OF_EACH = 1 << 13
"""Elements of each tensor that are read to see how alike adapters are."""
