"""What is judged: everything about a trace but the statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from parentage.descent import Relations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.align import Alignment, Bytes, Coded, Group, Grouped, Order, Unaligned
    from parentage.checkpoint import Columns, Inputs
    from parentage.hypothesise import Hypothesis, SampleEstimates
    from parentage.recipe import Addition, Recipe
    from parentage.statistics import Statistics
    from parentage.stream import Options, Program, Value


@dataclass(frozen=True, slots=True)
class Part:
    """What one group of checkpoints holds of the child, beside the main alignment."""

    group: Group
    columns: Columns
    """The group's checkpoints; the first of them is the origin of displacements."""
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class QuantisedBlend:
    """What a recipe gives of tensors that the child stores as codes."""

    recipe: Recipe
    elements: int
    """Codes."""
    inside: int
    """Of them, those whose cell the recipe's result lies in: quantised with the child's scales, it
    is this code."""
    telling: int
    """Codes that are neither zero nor the last on their side."""
    centred: int
    """Of these, the ones whose result is within an eighth of a step of what the code stands for: a
    quarter where a blend was quantised; all where a parent was made from the codes."""
    nearest: str
    """The checkpoint that by itself gives most codes."""
    nearest_inside: int
    """How many."""
    numbers: int
    """Elements that are stored as numbers."""
    reproduced: int
    """Of them, those that the recipe gives, bit for bit."""


@dataclass(frozen=True, slots=True)
class Requantised:
    """What one checkpoint's numbers give of another's codes, quantised with stored scales."""

    elements: int
    """Codes compared."""
    equal: int
    """Of them, those that the numbers round to."""
    telling: int
    """Of the codes, those that are neither zero nor the last on their side: with scales out of all
    proportion, anything gives the others."""
    centred: int
    """Of the telling ones, those whose number is within an eighth of a step of what the code stands
    for."""

    @property
    def is_copy(self) -> bool:
        """Whether all codes are those stored, and most of them tell anything."""
        return self.equal == self.elements and self.is_mostly

    @property
    def is_mostly(self) -> bool:
        """Whether most codes are those stored, and most of them tell anything."""
        return 2 * self.equal > self.elements and 2 * self.telling >= self.elements


@dataclass(frozen=True, slots=True)
class Rest:
    """What was compared beside the main alignment."""

    parts: tuple[Part, ...] = ()
    bytes: tuple[tuple[Bytes, bool], ...] = ()
    """Tensors compared byte for byte, and whether they are the same."""
    tied: Mapping[int, bool] = field(default_factory=dict)
    """Per checkpoint, as position among all offered, that has a head where the child has none:
    whether that head is its own embedding."""
    codes: tuple[tuple[Coded, bool], ...] = ()
    """Quantised tensors, and whether another's numbers, quantised with their scales, are the same
    codes."""
    other_codes: tuple[tuple[Coded, int, int], ...] = ()
    """Of those that are not, most of whose codes are the same: how many were compared, and how many
    are not."""
    recoded: Mapping[int, Requantised] = field(default_factory=dict)
    """Per checkpoint, as position among all offered, that stores codes where the child has numbers:
    what quantising these gives."""
    blends: tuple[QuantisedBlend, ...] = ()
    """What recipes give of the child's codes, the best first."""


class Added(NamedTuple):
    """What an adapter is seen as: a base with its product added."""

    addition: Addition
    """The same as recipes have it."""
    strength: str
    """What the product is multiplied by, and in which arithmetic, in words."""
    tensors: frozenset[str] = frozenset()
    """The child's tensors that it is added to in the view, by name."""
    looked_at: int = 0
    """Elements that were looked at for that."""
    rounding: int = 0
    """Those of them that are no farther off than sums of products in float32, in any order."""

    @property
    def base(self) -> str:
        """The base's name."""
        return self.addition.base


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """The name."""


class Offered(Protocol):
    """Checkpoints, opened or described, in their roles."""

    @property
    def base(self) -> Named:
        """The base."""

    @property
    def parents(self) -> Sequence[Named]:
        """The parents."""

    @property
    def controls(self) -> Sequence[Named]:
        """The controls."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of checkpoints by what they were called."""

    base: str
    parents: tuple[str, ...]
    controls: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Offered) -> Roles:
        """Return the roles that checkpoints have."""
        parents, controls = (
            tuple(each.name for each in some) for some in (inputs.parents, inputs.controls)
        )
        return cls(inputs.base.name, parents, controls)


@dataclass(frozen=True, slots=True)
class TraceInputs:
    """The checkpoints of a trace, how they pair, and the recipes that are tried on everything."""

    inputs: Inputs
    """Those that the main alignment is over, the origin of displacements as their base."""
    alignment: Alignment
    options: Options
    estimates: SampleEstimates | None = None
    """What the search sample shows; ``None`` if no recipe was looked for."""
    hypotheses: Sequence[Hypothesis] = ()
    """Recipes that are carried out on everything, the best of the sample first."""
    replays: Sequence[tuple[Program, Sequence[Value]]] = ()
    """The same as programs with their results."""
    relations: Relations = field(default_factory=Relations)
    """What is known of descent: before recipes are looked for, and of the blends found then."""
    given: Inputs | None = None
    """All that were offered, where these are more, or other roles."""
    grouped: Grouped | None = None
    """How the child pairs with each of them."""
    rest: Rest = field(default_factory=Rest)
    """What was compared beside the main alignment."""
    orders: Sequence[Order] = ()
    """What of others is seen in another order than it is stored in."""
    unordered: Sequence[str] = ()
    """Names of others of which no order was looked for, though not all is alike in place."""
    stored: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By name, the tensors and elements that a checkpoint holds, where it is seen as others."""
    added: Mapping[str, Added] = field(default_factory=dict)
    """By name, the checkpoints that are adapters, and how they are added."""
    aside: Sequence[Unaligned] = ()
    """What is a function of another's tensor, so that bits are not compared."""
    view: SampleEstimates | None = None
    """What a sample showed of descent, before recipes are looked for."""

    opened: Inputs | None = None
    """All as they were opened, before they were seen as they are compared, and in the roles that
    they were offered in."""

    @property
    def offered(self) -> Inputs:
        """All checkpoints that were offered, in their roles."""
        return self.inputs if self.given is None else self.given

    @property
    def main(self) -> tuple[int, ...]:
        """The checkpoints of the main alignment, as positions among all offered."""
        if self.grouped is None:
            return tuple(range(len(self.inputs.others)))
        return self.grouped.main.columns
