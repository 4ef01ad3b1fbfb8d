"""What is judged: everything about a trace but the statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage.descent import Relations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align import Alignment
    from parentage.checkpoint import Inputs
    from parentage.hypothesise import Hypothesis, SampleEstimates
    from parentage.stream import Options, Program, Value


@dataclass(frozen=True, slots=True)
class TraceInputs:
    """The checkpoints of a trace, how they pair, and the recipes that are tried on everything."""

    inputs: Inputs
    alignment: Alignment
    options: Options
    relations: Relations = field(default_factory=Relations)
    """What is known of descent before recipes are looked for."""
    estimates: SampleEstimates | None = None
    """What the search sample shows; ``None`` if no recipe was looked for."""
    hypotheses: Sequence[Hypothesis] = ()
    """Recipes that are carried out on everything, the best of the sample first."""
    replays: Sequence[tuple[Program, Sequence[Value]]] = ()
    """The same as programs with their results."""
