"""What chunks contribute, added up by slice in the order of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parentage import _core
from parentage.stream.backends.torch.replays import ChunkCounts, count
from parentage.stream.backends.torch.sampled import Seen, look
from parentage.stream.backends.torch.sums import ChunkSums, Columns, energy_of, sum_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.stream.backends.torch.replays import Program

    Check = Callable[[], None]

COUNTED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "blocks", "first")
SUMMED = (
    "gram", "energy", "bias", "precision", "excluded", "moved", "stray", "equal", "nan", "inf",
    "histogram",
)  # fmt: skip


class Matches:
    """What programs reproduce of S slices."""

    def __init__(self, slices: int, programs: Sequence[Program]) -> None:
        shape = slices, len(programs)
        self._programs = programs
        self.found: dict[str, NDArray[Any]] = {
            "reproduced": np.zeros(shape, dtype=np.uint64),
            "explained": np.zeros(shape, dtype=np.uint64),
            "mismatched": np.zeros(shape, dtype=np.uint64),
            "zero_signs": np.zeros(shape, dtype=np.uint64),
            "ulps": np.zeros((*shape, _core.ULPS), dtype=np.uint64),
            "blocks": np.zeros((*shape, _core.BLOCKS), dtype=np.uint64),
            "first": np.full(shape, -1, dtype=np.int64),
        }

    def compute(
        self, columns: Columns, batch: Batch, how: Arithmetic, check: Check
    ) -> list[tuple[Batch, ChunkCounts] | None]:
        """Return what each program reproduces of the chunks that it says something about."""
        found: list[tuple[Batch, ChunkCounts] | None] = []
        for program in self._programs:
            rows = np.arange(len(batch.chunks))
            if program.applies is not None:
                rows = rows[program.applies[batch.chunks.slices]]
            if len(rows) == 0:
                found.append(None)
                continue
            some, part = columns, batch
            if len(rows) < len(batch.chunks):
                some, part = columns.part(rows), batch.rows(rows)
            found.append((part, count(program, some, part, how, check)))
        return found

    def take(self, _: Batch, found: list[tuple[Batch, ChunkCounts] | None]) -> None:
        """Add what was found of a batch."""
        for number, each in enumerate(found):
            if each is None:
                continue
            chunks, counts = each[0].chunks, each[1]
            for name in ("reproduced", "explained", "mismatched", "zero_signs", "ulps"):
                np.add.at(self.found[name][:, number], chunks.slices, getattr(counts, name))
            at = chunks.slices, np.full(len(chunks), number), chunks.blocks
            np.add.at(self.found["blocks"], at, counts.mismatched)
            is_wrong = counts.first >= 0
            first = self.found["first"][:, number].view(np.uint64)
            # As uint64, -1 is beyond any element.
            np.minimum.at(first, chunks.slices[is_wrong], counts.first[is_wrong].view(np.uint64))

    def put(self, begin: int, end: int, found: _core.Replayed) -> None:
        """Take over what the core found of some slices."""
        for name in COUNTED:
            self.found[name][begin:end] = getattr(found, name)

    def replayed(self) -> _core.Replayed:
        """Return all of it."""
        return _core.Replayed(**self.found)


class Totals:
    """Sums, counters and replays of S slices of C columns."""

    def __init__(self, slices: int, columns: int, programs: Sequence[Program]) -> None:
        parents = columns - 2
        pairs = columns * (columns + 1) // 2
        self._matches = Matches(slices, programs)
        shapes: dict[str, tuple[int, ...]] = {
            "gram": (slices, _core.BLOCKS, pairs),
            "energy": (slices,),
            "bias": (slices, parents, _core.WEIGHTS + 1),
            "precision": (slices,),
            "excluded": (slices,),
            "moved": (slices,),
            "stray": (slices,),
            "equal": (slices, columns - 1),
            "nan": (slices, columns),
            "inf": (slices, columns),
            "histogram": (slices, parents, _core.BINS),
        }
        self._found: dict[str, NDArray[Any]] = {
            name: np.zeros(shape, np.float64 if name in ("gram", "energy", "bias") else np.uint64)
            for name, shape in shapes.items()
        }
        self._parts: list[tuple[Batch, ChunkSums, Batch | None, Seen | None]] = []

    def compute(
        self, columns: Columns, batch: Batch, how: Arithmetic, check: Check
    ) -> tuple[ChunkSums, Batch | None, Seen | None, Any]:
        """Return sums of chunks, what their first elements show, and what programs reproduce."""
        summed = sum_chunks(columns, batch, how, check)
        sampled = np.flatnonzero(batch.chunks.sampled)
        part = seen = None
        if len(sampled):
            part = batch.rows(sampled)
            seen = look(columns, sampled, how)
        return summed, part, seen, self._matches.compute(columns, batch, how, check)

    def take(self, batch: Batch, found: tuple[ChunkSums, Batch | None, Seen | None, Any]) -> None:
        """Keep what was found of a batch until the chunks of all are there."""
        summed, part, seen, counted = found
        self._parts.append((batch, summed, part, seen))
        self._matches.take(batch, counted)

    def put(self, begin: int, end: int, found: _core.Statistics) -> None:
        """Take over what the core found of some slices."""
        for name in SUMMED:
            self._found[name][begin:end] = getattr(found, name)
        self._matches.put(begin, end, found.replayed)

    def statistics(self) -> _core.Statistics:
        """Return all of it. Sums run over chunks in the order of the plan."""
        found = self._found
        for batch, summed, part, seen in self._parts:
            slices = batch.chunks.slices
            for name in ("excluded", "moved", "stray", "equal", "nan", "inf"):
                np.add.at(found[name], slices, getattr(summed, name))
            if part is not None and seen is not None:
                np.add.at(found["histogram"], part.chunks.slices, seen.histogram)
                np.maximum.at(found["precision"], part.chunks.slices, seen.precision)
        self._add_floats()
        return _core.Statistics(**found, replayed=self._matches.replayed())

    def _add_floats(self) -> None:
        """Add matrices, energies and biases, of which the order of addition counts."""
        order = np.concatenate([batch.index for batch, *_ in self._parts])
        if len(order) == 0:
            return
        by_plan = np.argsort(order, kind="stable")
        slices = np.concatenate([b.chunks.slices for b, *_ in self._parts])[by_plan]
        blocks = np.concatenate([b.chunks.blocks for b, *_ in self._parts])[by_plan]
        gram = np.concatenate([summed.gram for _, summed, *_ in self._parts])[by_plan]
        np.add.at(self._found["gram"], (slices, blocks), gram)
        energy = np.concatenate(
            [energy_of(summed.energy, batch.dtypes[-1]) for batch, summed, *_ in self._parts]
        )[by_plan]
        np.add.at(self._found["energy"], slices, energy)
        seen = [(part, each) for *_, part, each in self._parts if part is not None and each]
        if seen:
            order = np.concatenate([part.index for part, _ in seen])
            by_plan = np.argsort(order, kind="stable")
            slices = np.concatenate([part.chunks.slices for part, _ in seen])[by_plan]
            bias = np.concatenate([each.bias for _, each in seen])[by_plan]
            np.add.at(self._found["bias"], slices, bias)
