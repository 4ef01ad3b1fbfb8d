"""Checkpoints as they are compared: adapters added to their base, all under the child's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.align import seen_by
from parentage.library import seen_alike
from parentage.pipeline.adapters import with_adapters, with_strengths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.align import Views
    from parentage.checkpoint import Inputs
    from parentage.sample import Sampled
    from parentage.stream import Options
    from parentage.verdict import Added


@dataclass(frozen=True, slots=True)
class Viewed:
    """The checkpoints of a trace, as they are compared."""

    inputs: Inputs
    seen: Views
    """What was read under other names, taken apart, or in another order."""
    stored: Mapping[str, tuple[int, int]]
    """By name, the tensors and elements that each of the others holds."""
    added: Mapping[str, Added]
    """By name, the checkpoints that are adapters, and how they are added."""
    sketched: Sampled | None
    """What the sketches among them hold; ``None`` without any."""


def view_inputs(inputs: Inputs, options: Options) -> Viewed:
    """Return checkpoints as they are compared with the child.

    Raises
    ------
    ParentageError
        If an adapter has no base that it fits, or a checkpoint is damaged or unreadable.
    """
    inputs, sketched = seen_alike(inputs, options)
    inputs, adapters = with_adapters(inputs, options)
    seen = seen_by(inputs.child, inputs.others, options)
    stored = {each.name: (len(each.tensors), each.elements) for each in inputs.others}
    inputs, added = with_strengths(inputs.replaced(seen.child, seen.others), adapters, options)
    return Viewed(inputs, seen, stored, added, sketched)
