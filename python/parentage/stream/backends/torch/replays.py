"""Programs of replays, carried out on chunks on a device and compared with the child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from parentage import _core
from parentage.stream.backends.torch.floats import FLOATS, decode, encode, order, rounded
from parentage.stream.backends.torch.sums import tally
from parentage.stream.cuts import ReplayContents

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.stream.backends.torch.sums import Columns
    from parentage.support import Counts


BLOCK = 256
"""Elements that a decoy reverses."""

FAR = 1 << 62


class Program(ReplayContents):
    """A replay taken apart, and what a device has to know of it."""

    __slots__ = ()

    @property
    def columns(self) -> int:
        """How many columns it reads, counted from the base on."""
        reads = [o[0] + 1 for name, o, _ in self.operations if name in ("column", "reversed")]
        return max(reads, default=0)

    def fits(self, elements: NDArray[np.int64], columns: int) -> bool:
        """Return whether it is of slices of so many elements of a plan of so many columns."""
        sizes = [len(self.scalars)]
        sizes += [len(each) for each in (self.matrices, self.applies) if each is not None]
        if self.columns >= columns or any(size != len(elements) for size in sizes):
            return False
        return all(
            left.shape[1] == right.shape[0] and offset + size <= left.shape[0] * right.shape[1]
            for size, of_slice in zip(elements.tolist(), self.matrices or (), strict=False)
            for left, right, offset in filter(None, of_slice)
        )

    def has_matrices_in_range(self) -> bool:
        """Return whether products of its matrices are far from the ends of float64."""
        for of_slice in self.matrices or ():
            for matrix in of_slice:
                for part in () if matrix is None else matrix[:2]:
                    size = np.abs(part[part != 0])
                    if size.size and not (size.min() >= 2.0**-200 and size.max() <= 2.0**200):
                        return False
        return True


@dataclass(frozen=True)
class ChunkCounts:
    """What a program reproduces of N chunks, on the host."""

    reproduced: Counts
    explained: Counts
    mismatched: Counts
    zero_signs: Counts
    """Each (N,)."""
    ulps: Counts
    """(N, ULPS)"""
    first: NDArray[np.int64]
    """(N,) the first mismatched element of the slice, -1 without one."""


def count(
    program: Program, columns: Columns, batch: Batch, how: Arithmetic, check: Callable[[], None]
) -> ChunkCounts:
    """Carry a program out on chunks that it applies to, and compare its results with the child."""
    values = _carried_out(program, columns, batch, how, check)
    kind, stored = columns.dtypes[-1], columns.raw[-1]
    child_is_nan = decode(stored, kind).isnan()
    every: Tensor | None = None
    some: Tensor | None = None
    for result in program.results:
        value = values[result]
        agrees = (encode(value, kind) == stored) | (value.isnan() & child_is_nan)
        every = agrees if every is None else every & agrees
        some = agrees if some is None else some | agrees
    assert every is not None
    assert some is not None
    check()
    wrong = ~some
    if columns.valid is not None:
        every, some, wrong = (each & columns.valid for each in (every, some, wrong))
    reproduced, mismatched = tally(every), tally(wrong)
    explained = tally(some) - reproduced
    sums = torch.stack([reproduced, explained, mismatched]).cpu().numpy().astype(np.uint64)
    rows = len(batch.chunks)
    ulps = np.zeros((rows, _core.ULPS), dtype=np.uint64)
    zeros, first = np.zeros(rows, dtype=np.uint64), np.full(rows, -1, dtype=np.int64)
    if sums[2].any():
        row, element = wrong.nonzero(as_tuple=True)
        value = values[program.results[0]][row, element]
        code = torch.where(value.isnan(), FLOATS[kind].nan, encode(value, kind).long())
        ours, theirs = order(code, kind), order(stored[row, element], kind)
        bins, is_zero = _distance(ours, theirs)
        found = torch.bincount(row * _core.ULPS + bins, minlength=rows * _core.ULPS)
        ulps = found.view(rows, _core.ULPS).cpu().numpy().astype(np.uint64)
        zeros = torch.bincount(row[is_zero], minlength=rows).cpu().numpy().astype(np.uint64)
        least = torch.full((rows,), FAR, device=row.device)
        least.scatter_reduce_(0, row, element + columns.starts[row], "amin")
        first = least.cpu().numpy()
        first[first == FAR] = -1
    return ChunkCounts(sums[0], sums[1], sums[2], zeros, ulps, first)


def _distance(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bins of distances of consecutive numbers, and where they are 0."""
    steps = ours - theirs
    overflows = ((ours ^ theirs) & (ours ^ steps)) < 0
    steps = torch.where(overflows, FAR, steps.abs())
    edges = torch.tensor([1, 2, 4, 8, 16, 32, 64], device=steps.device)
    return torch.bucketize(steps, edges), steps == 0


def _carried_out(
    program: Program, columns: Columns, batch: Batch, how: Arithmetic, check: Callable[[], None]
) -> dict[int, Tensor]:
    """Return the results of a program (N, K) float32 by number."""
    slices, device = batch.chunks.slices, columns.raw[0].device
    shape = columns.raw[0].shape
    last: dict[int, int] = {}
    for number, (name, operands, _) in enumerate(program.operations):
        if name not in ("column", "reversed", "scalar", "low_rank"):
            last |= dict.fromkeys(operands, number)
    done: dict[int, list[int]] = {}
    for each, number in last.items():
        if each not in program.results:
            done.setdefault(number, []).append(each)
    scalars = torch.from_numpy(program.scalars[slices]).to(device)
    values: dict[int, Tensor] = {}
    for number, (name, operands, dtype) in enumerate(program.operations):
        check()
        if name in ("column", "reversed"):
            raw, kind = columns.raw[operands[0]], columns.dtypes[operands[0]]
            value = decode(raw, kind).float()
            if name == "reversed":
                value = _reversed(value, columns.lengths)
        elif name == "scalar":
            value = scalars[:, operands[0], None].expand(shape)
        elif name == "low_rank":
            value = _low_rank(program, operands[0], columns, batch, how)
        else:
            value = _operation(name, [values[each] for each in operands], dtype, how)
        values[number] = value
        for each in done.get(number, ()):
            del values[each]
    return {number: values[number] for number in program.results}


def _operation(name: str, x: list[Tensor], dtype: str | None, how: Arithmetic) -> Tensor:
    """Carry out one operation on float32 tensors (N, K)."""
    if name == "fma":
        return how.fma32(*(each.contiguous() for each in x))
    if name == "max":
        return torch.where(x[0] > x[1], x[0], x[1])
    if name == "min":
        return torch.where(x[0] < x[1], x[0], x[1])
    if name == "select":
        return torch.where(x[0] != 0.0, x[1], x[2])
    if name == "round":
        assert dtype is not None
        return rounded(x[0], dtype)
    return _SIMPLE[name](*x)


_SIMPLE: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "abs": torch.abs,
    "greater": lambda a, b: (a > b).float(),
    "greater_equal": lambda a, b: (a >= b).float(),
}


def _reversed(values: Tensor, lengths: Tensor) -> Tensor:
    """Return values (N, K) in reverse order within blocks that end where their chunk does."""
    place = torch.arange(values.shape[1], device=values.device)
    first = place // BLOCK * BLOCK
    past = torch.minimum(first + BLOCK, lengths[:, None])
    return values.gather(1, (first + past - 1 - place).clamp_min(0))


def _low_rank(
    program: Program, number: int, columns: Columns, batch: Batch, how: Arithmetic
) -> Tensor:
    """Return elements (N, K) of matrices of low rank, summed in ascending order of rank."""
    device, width = columns.raw[0].device, batch.width
    out = torch.zeros(len(batch.chunks), width, device=device)
    place = torch.arange(width, device=device)
    matrices = program.matrices
    for row, slice_ in enumerate(batch.chunks.slices.tolist()):
        matrix = None if matrices is None else matrices[slice_][number]
        if matrix is None:
            continue
        left, right = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in matrix[:2])
        if right.shape[0] == 0:
            continue
        at = place + (int(batch.chunks.starts[row]) + matrix[2])
        line = torch.div(at, right.shape[1], rounding_mode="floor").clamp_max(len(left) - 1)
        column = at % right.shape[1]
        total = torch.zeros(width, dtype=torch.float64, device=device)
        for rank in range(right.shape[0]):
            how.into64(left[line, rank], right[rank, column], total)
        out[row] = total.float()
    return out
