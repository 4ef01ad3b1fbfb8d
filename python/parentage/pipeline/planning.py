"""Sufficient statistics for fits of one's own: a plan that is made once and carried out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.pipeline.viewing import view_inputs
from parentage.stream import SILENT, Gram, Options, choose_io, read_ranges
from parentage.support import PlanError, joined, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from parentage.align import Alignment, Slice, Unaligned
    from parentage.checkpoint import Given, Inputs, Network
    from parentage.stream import Progress
    from parentage.support import Counts, Floats


@dataclass(frozen=True, slots=True)
class SufficientStatistics:
    """Gram matrices and counters of S slices over C columns, as arrays.

    Column 0 is the base b. The columns of parents and controls are displacements p - b, and the
    last one is the child's, c - b. So ``gram[s, i, j]`` is the inner product of columns i and j
    over slice s, in squared units of the weights. All but ``precision`` adds up over slices, and
    the same bytes give the same bits, whatever reads them.

    >>> import numpy as np, parentage
    >>> from parentage.demo import family
    >>> found = parentage.gram(family("child"), base=family("base"), parents=[family("parent")])
    >>> found.columns, found.gram.shape
    (('base', 'parent', 'child'), (23, 3, 3))
    >>> total = found.total
    >>> np.linalg.solve(total[1:-1, 1:-1], total[1:-1, -1]).round(3).tolist()
    [0.601]
    """

    columns: tuple[str, ...]
    """(C,) the base's name, those of parents and of controls, and the child's."""
    slices: tuple[str, ...]
    """(S,) names of slices: of tensors of the child, or of experts in one."""
    n: Counts
    """(S,) elements."""
    gram: Floats
    """(S, C, C) Gram matrices; only elements that are finite in every column take part."""
    blocks: Floats
    """(S, B, C, C) the same of B equal blocks of each slice, for a jackknife."""
    energy: Floats
    """(S,) rounding energy: the sum of ulp(c)^2 / 12 over the child as it is stored."""
    excluded: Counts
    """(S,) elements that are not finite in some column."""
    moved: Counts
    """(S,) elements where a parent or control differs from the base."""
    stray: Counts
    """(S,) elements where none does, and the child differs from the base."""
    equal: Counts
    """(S, C - 1) elements whose value, cast to the child's dtype, has the child's bits."""
    nan: Counts
    """(S, C) NaN values of each checkpoint."""
    inf: Counts
    """(S, C) infinite values of each checkpoint."""
    precision: Counts
    """(S,) most significand bits that a sampled value of the child has, the first not counted."""

    @property
    def total(self) -> Floats:
        """(C, C) the Gram matrix of everything: the slices', added in order."""
        total = np.zeros(self.gram.shape[1:])
        for each in self.gram:
            total += each
        return total


class Plan:
    """Which elements of a child and of other checkpoints belong together, to be read repeatedly.

    It is what :func:`parentage.plan` returns, and keeps the checkpoints, so that tensors in memory
    stay where they are as long as it lives. What it pairs is settled: of tensors that change, only
    the numbers may.
    """

    def __init__(self, inputs: Inputs, alignment: Alignment, options: Options) -> None:
        """Keep what was settled; :func:`parentage.plan` does so."""
        self._inputs = inputs
        self._alignment = alignment
        self._options = options
        self._names = tuple(each.name for each in alignment.slices)

    @property
    def columns(self) -> tuple[str, ...]:
        """(C,) the base's name, those of parents and of controls, and the child's."""
        return (*self._inputs.columns.names, self._inputs.child.name)

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices that all checkpoints have: name, component, layer, shape, dtype, elements."""
        return self._alignment.slices

    @property
    def unaligned(self) -> tuple[Unaligned, ...]:
        """The tensors that take no part, with the reason: of the child, and of the others."""
        return self._alignment.unaligned

    @property
    def bytes(self) -> int:
        """Bytes that are read each time, over all checkpoints."""
        return self._alignment.plan.bytes(0, self._alignment.plan.slices)

    def gram(self, *, progress: Progress = SILENT) -> SufficientStatistics:
        """Read everything once, as it is now, and return the sums.

        Parameters
        ----------
        progress
            Told of the bytes to read and of those read so far, and may raise to stop.

        Raises
        ------
        ReadError
            If a file can not be read, or is not as it was when the plan was made.
        """
        ranges = read_ranges(self._alignment, self._options, progress, (), None)
        found: Gram = joined([part for _, _, part, _ in ranges])
        return SufficientStatistics(
            columns=self.columns,
            slices=self._names,
            n=found.n,
            gram=found.total,
            blocks=found.blocks,
            energy=found.energy,
            excluded=found.excluded,
            moved=found.moved,
            stray=found.stray,
            equal=found.equal,
            nan=found.nan,
            inf=found.inf,
            precision=found.precision,
        )

    def __repr__(self) -> str:
        names = ", ".join(map(printable, self.columns))
        return f"<Plan of {len(self._names)} slices over {names}, {self.bytes:,} bytes>"


def plan(
    child: Given,
    *,
    base: Given,
    parents: Iterable[Given] | Given = (),
    controls: Iterable[Given] | Given = (),
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    level: str | None = None,
    network: Network | None = None,
) -> Plan:
    """Pair a child with other checkpoints, as :func:`parentage.trace` does, and read nothing yet.

    Some elements are looked at where names do not tell what belongs together. The slices are those
    that every checkpoint has, and the roles are as they are given: who came first is not tested.

    Parameters
    ----------
    child, base, parents, controls, threads, tile_bytes, io, level, network
        As of :func:`parentage.trace`.

    Returns
    -------
    Plan
        What :meth:`Plan.gram` carries out, as often as is asked for.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable, or does not pair with the child.
    ValueError
        If an option is out of its range.

    Examples
    --------
    >>> import numpy as np, parentage
    >>> base = {"a.weight": np.zeros((64, 64), np.float32)}
    >>> child = {"a.weight": np.ones((64, 64), np.float32)}
    >>> plan = parentage.plan(child, base=base)
    >>> float(plan.gram().total[-1, -1])
    4096.0
    >>> child["a.weight"] *= 2.0
    >>> float(plan.gram().total[-1, -1])
    16384.0
    """
    inputs = open_all(child, base, parents, controls, network)
    checkpoints = (*inputs.others, inputs.child)
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, sum(each.disk_bytes for each in checkpoints)),
        level,
    )
    viewed = view_inputs(inputs, options)
    grouped = pair(viewed.inputs, options, viewed.seen.layers)
    main, names = grouped.main, inputs.columns.names
    if main.columns != tuple(range(len(names))):
        lacking = [name for column, name in enumerate(names) if column not in main.columns]
        raise PlanError(
            printable(
                f"{listed(lacking)} {'has' if len(lacking) == 1 else 'have'} too little of "
                f"{inputs.child.name} to be a column: less than half of what another has"
            )
        )
    return Plan(viewed.inputs, main.alignment, options)


def gram(
    child: Given,
    *,
    base: Given,
    parents: Iterable[Given] | Given = (),
    controls: Iterable[Given] | Given = (),
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    level: str | None = None,
    network: Network | None = None,
    progress: Progress = SILENT,
) -> SufficientStatistics:
    """Return the sums that a fit of one's own needs, of everything that all checkpoints have.

    It makes a :func:`parentage.plan` and carries it out; in a loop, keep the plan.

    Parameters
    ----------
    child, base, parents, controls, threads, tile_bytes, io, level, network, progress
        As of :func:`parentage.trace`.

    Raises
    ------
    ParentageError
        As of :func:`parentage.plan`, and :class:`parentage.ReadError` from reading.

    Examples
    --------
    >>> import parentage
    >>> from parentage.demo import family
    >>> parentage.gram(family("child"), base=family("base")).total.shape
    (2, 2)
    """
    made = plan(
        child,
        base=base,
        parents=parents,
        controls=controls,
        threads=threads,
        tile_bytes=tile_bytes,
        io=io,
        level=level,
        network=network,
    )
    return made.gram(progress=progress)
