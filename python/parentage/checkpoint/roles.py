"""The checkpoints of a trace, by role."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint.checkpoint import Checkpoint, Given, as_checkpoint, distinct_names
from parentage.checkpoint.network.network import Network
from parentage.checkpoint.sources.memory import not_a_checkpoint
from parentage.support import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Columns:
    """The checkpoints that a child is compared with, by role, name and column.

    Column 0 is the base; parents follow, then controls. The child is the last column of every
    matrix and has no name here.

    >>> columns = Columns("base", ("a", "b"), ("sibling",))
    >>> columns.names, columns["b"], list(columns.parent_indices), len(columns)
    (('base', 'a', 'b', 'sibling'), 2, [1, 2], 4)
    """

    base: str
    parents: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Base, parents and controls, in column order."""
        return (self.base, *self.parents, *self.controls)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Base and parents: what a child may be made of."""
        return (self.base, *self.parents)

    @property
    def parent_indices(self) -> range:
        """The columns of the parents."""
        return range(1, 1 + len(self.parents))

    @property
    def control_indices(self) -> range:
        """The columns of the controls."""
        return range(1 + len(self.parents), len(self))

    @property
    def indices(self) -> dict[str, int]:
        """Column by name."""
        return {name: column for column, name in enumerate(self.names)}

    def role(self, name: str) -> str:
        """Return ``"base"``, ``"parent"`` or ``"control"``."""
        if name == self.base:
            return "base"
        return "parent" if name in self.parents else "control"

    def __getitem__(self, name: str) -> int:
        return self.names.index(name)

    def __len__(self) -> int:
        return 1 + len(self.parents) + len(self.controls)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The checkpoints of a trace, by role, under distinct names."""

    child: Checkpoint
    base: Checkpoint
    parents: tuple[Checkpoint, ...]
    controls: tuple[Checkpoint, ...]

    @property
    def columns(self) -> Columns:
        """The names of all but the child, by role."""
        return Columns(
            self.base.name,
            tuple(each.name for each in self.parents),
            tuple(each.name for each in self.controls),
        )

    @property
    def others(self) -> tuple[Checkpoint, ...]:
        """Base, parents and controls, in column order."""
        return (self.base, *self.parents, *self.controls)

    @property
    def candidates(self) -> int:
        """How many of the others are the base or parents."""
        return 1 + len(self.parents)

    def replaced(self, child: Checkpoint, others: Sequence[Checkpoint]) -> Inputs:
        """Return inputs of the same roles with other checkpoints, in column order."""
        count = len(self.parents)
        return Inputs(child, others[0], tuple(others[1 : 1 + count]), tuple(others[1 + count :]))

    def released(self) -> Inputs:
        """Return the same without tensors that are in memory: they can not be read any more."""
        return self.replaced(self.child.released(), [each.released() for each in self.others])

    def chosen(self, columns: Sequence[int]) -> Inputs:
        """Return the inputs with some of the others only, by column.

        The first of them takes the place of the base.
        """
        first, *rest = columns
        return Inputs(
            self.child,
            self.others[first],
            tuple(self.others[column] for column in rest if column < self.candidates),
            tuple(self.others[column] for column in rest if column >= self.candidates),
        )


def open_all(
    child: Given,
    base: Given,
    parents: Iterable[Given] | Given,
    controls: Iterable[Given] | Given,
    network: Network | None = None,
) -> Inputs:
    """Open every checkpoint, and make sure that none is offered twice.

    A path, mapping or checkpoint in place of several is one. What is on no disk is read over
    ``network``.
    """
    parents, controls = several(parents), several(controls)
    given = (child, base, *parents, *controls)
    network = Network() if network is None else network
    # Libraries that catch Ctrl-C as well have waits go on after it; Python's own end with it.
    if sys.platform != "win32":
        signal.siginterrupt(signal.SIGINT, True)
    with ThreadPoolExecutor() as pool:
        try:
            found = list(pool.map(lambda each: as_checkpoint(each, None, network), given))
        except BaseException:
            # The others may wait for answers that take long, or never come.
            network.interrupt()
            raise
    count = len(parents) + len(controls)
    if count > _core.MAX_COLUMNS - 2:
        raise PlanError(
            f"{count} parents and controls were given; {_core.MAX_COLUMNS - 2} is the most"
        )
    roles = ["the child", "the base", *["a parent"] * len(parents), *["a control"] * len(controls)]
    for second in range(len(found)):
        for first in range(second):
            if found[first].same_files(found[second]):
                one, other = roles[first], roles[second]
                raise PlanError(
                    f"{found[second].where}: given as {one} and as {other}"
                    if one != other
                    else f"{found[second].where}: given twice as {one}"
                )
    names = distinct_names(found)
    found = [replace(each, name=name) for each, name in zip(found, names, strict=True)]
    middle = 2 + len(parents)
    return Inputs(found[0], found[1], tuple(found[2:middle]), tuple(found[middle:]))


def several(given: Iterable[Given] | Given) -> tuple[Given, ...]:
    """Return checkpoints that are offered as a tuple; text is no sequence of letters.

    Nor is a mapping of tensors one of names.
    """
    if isinstance(given, (str, PathLike, Checkpoint, Mapping)):
        return (given,)
    if not isinstance(given, Iterable):
        raise not_a_checkpoint(given)
    return tuple(given)
