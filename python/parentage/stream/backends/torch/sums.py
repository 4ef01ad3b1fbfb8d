"""Gram matrices, energies and counters of batches of chunks, with the bits that the core defines.

The definition is on the first page of the core's ``gram``. What is sequential there is sequential
here: lanes are elements of a tensor, and the steps of a lane are operations, one after the other.
Chunks stand beside each other, filled up with zeros. Those change no bit of a sum: it starts
from +0, so that it is never -0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from parentage.stream.backends.torch.floats import (
    FLOATS,
    binade,
    decode,
    encode,
    limited,
)
from parentage.stream.backends.torch.layout import LEAST_NARROW, PROBED, RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.support import Counts, Floats

    Tensor = torch.Tensor

WIDE_LANES = 8
LANES = 16
TOLERANCE = 2.0**-27
"""Most that probes may differ from wide arithmetic, in units of the norms."""

STEPS = 64
"""Steps of wide arithmetic whose factors are made at a time."""


@dataclass(frozen=True)
class Columns:
    """N chunks of C columns on a device, K elements each, zeros behind their ends."""

    raw: list[Tensor]
    """(N, K) the stored bits of each column, as integers."""
    dtypes: tuple[str, ...]
    """(C,) how they are stored."""
    valid: Tensor | None
    """(N, K) which elements there are, if not all."""
    starts: Tensor
    """(N,) int64 the first element of each chunk in its slice."""
    lengths: Tensor
    """(N,) int64 elements of each chunk."""

    def part(self, rows: NDArray[np.intp]) -> Columns:
        """Return some chunks."""
        index = torch.from_numpy(rows).to(self.starts.device)
        valid = None if self.valid is None else self.valid[index]
        raw = [each[index] for each in self.raw]
        return Columns(raw, self.dtypes, valid, self.starts[index], self.lengths[index])


@dataclass(frozen=True)
class ChunkSums:
    """What N chunks contribute, on the host."""

    gram: Floats
    """(N, P) upper triangles by rows."""
    energy: Floats
    """(N,) sums of squared binades of the child."""
    excluded: Counts
    """(N,) elements that are not finite in some column."""
    moved: Counts
    """(N,) elements where a parent or control is not the base."""
    stray: Counts
    """(N,) elements where none is, and the child is not the base."""
    equal: Counts
    """(N, C - 1) elements whose value, cast to the child's dtype, has the child's bits."""
    nan: Counts
    """(N, C) NaN."""
    inf: Counts
    """(N, C) infinities, and what is beyond the limit of magnitudes."""


def sum_chunks(
    columns: Columns, batch: Batch, how: Arithmetic, check: Callable[[], None]
) -> tuple[ChunkSums, list[Tensor]]:
    """Return sums of a batch, and its values (C of (N, K)) with excluded elements set to zero.

    ``check`` raises if the work is to stop.
    """
    values = [
        limited(decode(raw, name)) for raw, name in zip(columns.raw, columns.dtypes, strict=True)
    ]
    moved, stray, equal = _compare(columns, values)
    nan = torch.stack([each.isnan().sum(dim=1) for each in values])
    inf = torch.stack([each.isinf().sum(dim=1) for each in values])
    found = torch.cat([nan, inf]).cpu()
    excluded = torch.zeros_like(moved)
    if bool(found.any()):
        out = ~values[0].isfinite()
        for each in values[1:]:
            out |= ~each.isfinite()
        excluded = out.sum(dim=1)
        values = [each.masked_fill(out, 0.0) for each in values]
    check()
    count, rows = len(values), len(batch.chunks)
    pairs = count * (count + 1) // 2
    gram, energy = np.zeros((rows, pairs)), np.zeros(rows)
    narrow = np.zeros(rows, dtype=np.bool_)
    is_uniform = columns.dtypes[0] in ("BF16", "F16") and len(set(columns.dtypes)) == 1
    if is_uniform and int(batch.chunks.lengths[0]) >= LEAST_NARROW:
        gram, energy, narrow = _narrow(columns, values, how, check)
        # What is left out of narrow arithmetic is not finite there.
        narrow &= excluded.cpu().numpy() == 0
    if not narrow.all():
        rest = np.flatnonzero(~narrow)
        left = values
        if len(rest) < rows:
            index = torch.from_numpy(rest).to(values[0].device)
            left = [each.index_select(0, index) for each in values]
        sums = wide(left, how, check)
        gram[rest], energy[rest] = sums[0], sums[1]
    arrays = [each.cpu().numpy().astype(np.uint64) for each in (excluded, moved, stray, equal)]
    counts = found.numpy().astype(np.uint64)
    summed = ChunkSums(gram, energy, *arrays[:3], arrays[3].T, counts[:count].T, counts[count:].T)
    return summed, values


def _compare(columns: Columns, values: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return moved (N,), stray (N,) and equal (C - 1, N): how stored values differ.

    Zeros behind the ends of chunks differ nowhere, so that they are taken from what is equal.
    """
    child = len(values) - 1
    moved: Tensor | None = None
    for column in range(1, child):
        differs = _differ(columns, values, 0, column)
        moved = differs if moved is None else moved | differs
    child_differs = _differ(columns, values, 0, child)
    stray = child_differs if moved is None else child_differs & ~moved
    kind = columns.dtypes[child]
    stored = columns.raw[child]
    equal = []
    for column in range(child):
        if columns.dtypes[column] == kind:
            same = columns.raw[column] == stored
        else:
            same = encode(values[column], kind) == stored
            are_nan = values[column].isnan(), values[child].isnan()
            same = torch.where(are_nan[0] | are_nan[1], are_nan[0] & are_nan[1], same)
        equal.append(same.sum(dim=1))
    empty = stored.shape[1] - columns.lengths
    count = stray.sum(dim=1)
    return (
        torch.zeros_like(count) if moved is None else moved.sum(dim=1),
        count,
        torch.stack(equal) - empty,
    )


def _differ(columns: Columns, values: list[Tensor], i: int, j: int) -> Tensor:
    """Return where two columns store different values: other bits, or numbers across dtypes."""
    if columns.dtypes[i] == columns.dtypes[j]:
        return columns.raw[i] != columns.raw[j]
    one, two = values[i].double(), values[j].double()
    return (one.view(torch.int64) != two.view(torch.int64)) & ~(one.isnan() & two.isnan())


def wide(values: list[Tensor], how: Arithmetic, check: Callable[[], None]) -> tuple[Floats, Floats]:
    """Return Gram matrices (N, P) and squared binades (N,) in float64.

    ``values`` are C tensors (N, K) of finite numbers, K a multiple of eight.
    """
    count, (rows, width) = len(values), values[0].shape
    device = values[0].device
    first, second = (torch.tensor(each, device=device) for each in pair_index(count))
    sums = torch.zeros(len(first), rows, WIDE_LANES, dtype=torch.float64, device=device)
    lanes = [each.view(rows, width // WIDE_LANES, WIDE_LANES) for each in values]
    for begin in range(0, width // WIDE_LANES, STEPS):
        check()
        parts = [each[:, begin : begin + STEPS].double() for each in lanes]
        displaced = [parts[0], *(each - parts[0] for each in parts[1:]), binade(parts[-1])]
        # (steps, C + 1, N, lanes): every step is one contiguous operand.
        table = torch.stack([each.transpose(0, 1) for each in displaced], dim=1)
        left, right = table.index_select(1, first), table.index_select(1, second)
        for one, two in zip(left.unbind(0), right.unbind(0), strict=True):
            how.into64(one, two, sums)
    return _split(_reduced(sums), count)


def pair_index(count: int) -> tuple[list[int], list[int]]:
    """Return factors of all sums: the upper triangle by rows, then the binade with itself.

    >>> pair_index(2)
    ([0, 0, 1, 2], [0, 1, 1, 2])
    """
    rows = [(i, j) for i in range(count) for j in range(i, count)]
    return [i for i, _ in rows] + [count], [j for _, j in rows] + [count]


def _reduced(sums: Tensor) -> Floats:
    """Return the sums of lanes (P, N, 8 or 16) in the order of the definition: (P, N)."""
    a = sums.unbind(-1)
    if len(a) == LANES:
        a = tuple(one + two for one, two in zip(a[:8], a[8:], strict=True))
    total = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    out: Floats = total.cpu().numpy()
    return out


def _split(found: Floats, count: int) -> tuple[Floats, Floats]:
    """Return matrices by chunk (N, P), and the last sums, which are of binades (N,)."""
    pairs = count * (count + 1) // 2
    return np.ascontiguousarray(found[:pairs].T), found[pairs].copy()


def _narrow(
    columns: Columns, values: list[Tensor], how: Arithmetic, check: Callable[[], None]
) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return matrices (N, P) and squared binades (N,) in float32, and where probes agree (N,)."""
    count, (rows, width) = len(values), values[0].shape
    device = values[0].device
    is_paired = columns.dtypes[0] == "BF16"
    runs = width // RUN
    displaced = [values[0], *(each - values[0] for each in values[1:])]
    binades = binade(values[-1].double()).float()
    steps = [_in_steps(each, is_paired) for each in (*displaced, binades)]
    # Squares first: they are summed with what rounding took from them, and the rest is not.
    upper = [(i, j) for i in range(count) for j in range(i, count)]
    entries = [*sorted(upper, key=lambda entry: entry[0] != entry[1]), (count, count)]
    sums = torch.zeros(len(entries), rows, runs, LANES, device=device)
    errors = torch.zeros(count, rows, runs, LANES, device=device)
    square = _squares_of_pairs if is_paired else _squares
    for number, (i, j) in enumerate(entries):
        check()
        if number < count:
            square(steps[i], sums[number], errors[number], how)
        else:
            for one, two in zip(steps[i], steps[j], strict=True):
                how.into32(one, two, sums[number])
    del steps
    # (R, P + 1, N, lanes) float64: runs one after the other.
    by_run = sums.double().permute(2, 0, 1, 3).contiguous()
    errors_by_run = errors.double().permute(2, 0, 1, 3).contiguous()
    everything = _over_runs(by_run.unbind(0), errors_by_run.unbind(0))
    check()
    # (N, M) the run that each of the chunk's probes is.
    group = torch.arange(runs // PROBED, device=device)
    number_of = torch.div(columns.starts[:, None], PROBED * RUN, rounding_mode="floor") + group
    probes = PROBED * group + (13 * (number_of % PROBED)) % PROBED
    at = torch.arange(rows, device=device)
    probed = _over_runs(
        *([each[p, :, at].transpose(0, 1) for p in probes.unbind(1)]
          for each in (by_run, errors_by_run))
    )  # fmt: skip
    looked = [each.view(rows, runs, RUN)[at[:, None], probes].reshape(rows, -1) for each in values]
    exact, _ = wide(looked, how, check)
    place = [entries.index(entry) for entry in upper] + [len(upper)]
    gram, energy = _split(_reduced(everything)[place], count)
    near, _ = _split(_reduced(probed)[place], count)
    with np.errstate(invalid="ignore", over="ignore"):
        norms = exact[:, [upper.index((i, i)) for i in range(count)]]
        i, j = ([entry[side] for entry in upper] for side in (0, 1))
        agrees = np.abs(near - exact) <= TOLERANCE * np.sqrt(norms[:, i] * norms[:, j])
    is_finite = np.isfinite(gram).all(axis=1) & np.isfinite(energy)
    return gram, energy, agrees.all(axis=1) & is_finite


def _in_steps(values: Tensor, is_paired: bool) -> list[Tensor]:
    """Return 16 tensors (N, R, lanes), the elements of each lane in ascending order."""
    rows, width = values.shape
    if is_paired:
        found = values.view(rows, width // RUN, RUN // 32, LANES, 2).permute(2, 4, 0, 1, 3)
    else:
        found = values.view(rows, width // RUN, RUN // LANES, LANES).permute(2, 0, 1, 3)
    return list(found.reshape(LANES, rows, width // RUN, LANES).unbind(0))


def _squares_of_pairs(steps: list[Tensor], total: Tensor, error: Tensor, how: Arithmetic) -> None:
    """Add squares of pairs of elements, of bf16, and what rounding took from their sums."""
    for one, two in zip(steps[::2], steps[1::2], strict=True):
        both = how.fma32(two, two, one * one)
        after = total + both
        error += both - (after - total)
        total.copy_(after)


def _squares(steps: list[Tensor], total: Tensor, error: Tensor, how: Arithmetic) -> None:
    """Add squares of elements, of f16, and what rounding took from their sums."""
    for each in steps:
        after = how.fma32(each, each, total)
        error += how.fma32(each, each, -(after - total))
        total.copy_(after)


def _over_runs(sums: Sequence[Tensor], errors: Sequence[Tensor]) -> Tensor:
    """Return float64 sums over runs (P + 1, N, lanes), the first of which have errors."""
    out = torch.zeros_like(sums[0])
    squares = out[: len(errors[0])]
    for total, error in zip(sums, errors, strict=True):
        out += total
        squares += error
    return out


def energy_of(squares: Floats, name: str) -> Floats:
    """Return the rounding energy that sums of squared binades stand for, of a dtype."""
    energy: Floats = squares * 2.0 ** (-2 * FLOATS[name].mantissa) / 12.0
    return energy
