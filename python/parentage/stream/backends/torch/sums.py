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
    from torch import Tensor

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.support import Counts, Floats

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
) -> ChunkSums:
    """Return sums of a batch; ``check`` raises if the work is to stop."""
    count, rows = len(columns.raw), len(batch.chunks)
    moved, stray, equal = _compare(columns)
    pairs = count * (count + 1) // 2
    gram, energy = np.zeros((rows, pairs)), np.zeros(rows)
    excluded = np.zeros(rows, dtype=np.uint64)
    nan, inf = (np.zeros((rows, count), dtype=np.uint64) for _ in range(2))
    narrow = np.zeros(rows, dtype=np.bool_)
    is_uniform = columns.dtypes[0] in ("BF16", "F16") and len(set(columns.dtypes)) == 1
    if is_uniform and int(batch.chunks.lengths[0]) >= LEAST_NARROW:
        # Where an element is not finite no sum of its column is, so that all is seen by that.
        gram, energy, narrow = _narrow(columns, how, check)
    if not narrow.all():
        rest = np.flatnonzero(~narrow)
        left = columns if len(rest) == rows else columns.part(rest)
        values = decoded(left)
        found = torch.stack([x.abs().amax(dim=1) for x in values])
        if not bool(found.isfinite().all()):
            out = not_finite(values)
            told = [torch.stack([tally(x.isnan()) for x in values]), tally(out)[None]]
            told.insert(1, torch.stack([tally(x.isinf()) for x in values]))
            counts = torch.cat(told).cpu().numpy().astype(np.uint64)
            nan[rest], inf[rest] = counts[:count].T, counts[count:-1].T
            excluded[rest] = counts[-1]
            values = [each.masked_fill(out, 0.0) for each in values]
        gram[rest], energy[rest] = wide(values, how, check)
    arrays = [each.cpu().numpy().astype(np.uint64) for each in (moved, stray, equal)]
    return ChunkSums(gram, energy, excluded, arrays[0], arrays[1], arrays[2].T, nan, inf)


def decoded(columns: Columns) -> list[Tensor]:
    """Return the values of columns (N, K), infinite where they are beyond the limit."""
    pairs = zip(columns.raw, columns.dtypes, strict=True)
    return [limited(decode(raw, name)) for raw, name in pairs]


def not_finite(values: list[Tensor]) -> Tensor:
    """Return (N, K) where some column is not finite."""
    out = ~values[0].isfinite()
    for each in values[1:]:
        out |= ~each.isfinite()
    return out


def tally(mask: Tensor) -> Tensor:
    """Return (N,) how many are true of each row of (N, K), K a multiple of eight.

    >>> import torch
    >>> tally(torch.ones(2, 1024, dtype=torch.bool)).tolist()
    [1024, 1024]
    """
    rows, width = mask.shape
    if width % 1024:
        return mask.sum(dim=1)
    # Eight at a time, each in a byte of its own, which holds sums of 128.
    words = mask.contiguous().view(torch.int64).view(rows, width // 1024, 128).sum(dim=2)
    return words.view(torch.uint8).sum(dim=1, dtype=torch.int64)


def _compare(columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """Return moved (N,), stray (N,) and equal (C - 1, N): how stored values differ.

    Zeros behind the ends of chunks differ nowhere, so that they are taken from what is equal.
    """
    child = len(columns.raw) - 1
    kind, stored = columns.dtypes[child], columns.raw[child]
    values: dict[int, Tensor] = {}
    if len(set(columns.dtypes)) > 1:
        values = dict(enumerate(decoded(columns)))
    moved: Tensor | None = None
    for column in range(1, child):
        differs = _differ(columns, values, 0, column)
        moved = differs if moved is None else moved.logical_or_(differs)
    child_differs = _differ(columns, values, 0, child)
    empty = stored.shape[1] - columns.lengths
    equal = []
    for column in range(child):
        if column == 0 and columns.dtypes[0] == kind:
            equal.append(stored.shape[1] - tally(child_differs))
        elif columns.dtypes[column] == kind:
            equal.append(tally(columns.raw[column] == stored))
        else:
            same = encode(values[column], kind) == stored
            are_nan = values[column].isnan(), values[child].isnan()
            both = are_nan[0] & are_nan[1]
            equal.append(tally(torch.where(are_nan[0] | are_nan[1], both, same)))
    stray = tally(child_differs if moved is None else child_differs & ~moved)
    count = torch.zeros_like(stray) if moved is None else tally(moved)
    return count, stray, torch.stack(equal) - empty


def _differ(columns: Columns, values: dict[int, Tensor], i: int, j: int) -> Tensor:
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
    columns: Columns, how: Arithmetic, check: Callable[[], None]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return matrices (N, P) and squared binades (N,) in float32, and where they hold (N,)."""
    count, (rows, width) = len(columns.raw), columns.raw[0].shape
    device = columns.raw[0].device
    is_paired = columns.dtypes[0] == "BF16"
    runs = width // RUN
    base = _in_steps(columns.raw[0], is_paired)
    steps = [base]
    for raw in columns.raw[1:]:
        check()
        steps.append(_in_steps(raw, is_paired))
    child = steps[-1] if count > 1 else base
    # A float32 has a subnormal number's binade only in float64.
    steps.append(binade(child.double()).float())
    for each in steps[1:-1]:
        each -= base
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
            for one, two in zip(steps[i].unbind(0), steps[j].unbind(0), strict=True):
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
    looked = [
        decode(raw.view(rows, runs, RUN)[at[:, None], probes].reshape(rows, -1), name)
        for raw, name in zip(columns.raw, columns.dtypes, strict=True)
    ]
    exact, _ = wide(looked, how, check)
    place = [entries.index(entry) for entry in upper] + [len(upper)]
    gram, energy = _split(_reduced(everything)[place], count)
    near, _ = _split(_reduced(probed)[place], count)
    with np.errstate(invalid="ignore", over="ignore"):
        norms = exact[:, [upper.index((i, i)) for i in range(count)]]
        one, two = ([entry[side] for entry in upper] for side in (0, 1))
        agrees = np.abs(near - exact) <= TOLERANCE * np.sqrt(norms[:, one] * norms[:, two])
    is_finite = np.isfinite(gram).all(axis=1) & np.isfinite(energy)
    return gram, energy, agrees.all(axis=1) & is_finite


def _in_steps(raw: Tensor, is_paired: bool) -> Tensor:
    """Return (16, N, R, lanes) float32, the elements of each lane in ascending order."""
    rows, width = raw.shape
    runs = width // RUN
    if not is_paired:
        return decode(raw.view(rows, runs, LANES, LANES).permute(2, 0, 1, 3).contiguous(), "F16")
    # Two bf16 are the halves of 32 bits, and as float32 have zeros behind theirs.
    both = raw.view(torch.int32).view(rows, runs, RUN // 32, LANES).permute(2, 0, 1, 3).contiguous()
    halves = torch.stack([both << 16, both & -65536], dim=1)
    return halves.view(torch.float32).view(LANES, rows, runs, LANES)


def _squares_of_pairs(steps: Tensor, total: Tensor, error: Tensor, how: Arithmetic) -> None:
    """Add squares of pairs of elements, of bf16, and what rounding took from their sums."""
    for one, two in zip(steps[::2].unbind(0), steps[1::2].unbind(0), strict=True):
        both = how.fma32(two, two, one * one)
        after = total + both
        error += both - (after - total)
        total.copy_(after)


def _squares(steps: Tensor, total: Tensor, error: Tensor, how: Arithmetic) -> None:
    """Add squares of elements, of f16, and what rounding took from their sums."""
    for each in steps.unbind(0):
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
