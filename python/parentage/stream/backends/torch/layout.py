"""Chunks of slices as tables, and batches of chunks of about one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

RUN = 256
"""Elements that narrow arithmetic sums in float32."""

PROBED = 32
"""One of so many runs is a probe."""

LEAST_NARROW = 1 << 15
"""Elements of a chunk for narrow arithmetic, at least."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """N chunks, in the order of the plan; all are (N,)."""

    slices: Ints
    """The slice of each, counted from the first that was asked for."""
    blocks: Ints
    """The block of its slice."""
    starts: Ints
    """Its first element in the slice."""
    lengths: Ints
    """Its elements."""
    sampled: NDArray[np.bool_]
    """Whether its first elements are looked at more closely."""

    def part(self, index: NDArray[np.intp]) -> Chunks:
        """Return some of them."""
        return Chunks(
            self.slices[index],
            self.blocks[index],
            self.starts[index],
            self.lengths[index],
            self.sampled[index],
        )

    def __len__(self) -> int:
        return len(self.slices)


def chunks_of(elements: Ints) -> Chunks:
    """Return the chunks of slices of so many elements: blocks cut into pieces and a rest.

    >>> import numpy as np
    >>> found = chunks_of(np.array([3, 0, 2_000_000]))
    >>> len(found), found.lengths[:5].tolist()
    (35, [1, 1, 1, 65536, 59464])
    """
    whole, rest = elements // _core.BLOCKS, elements % _core.BLOCKS
    edge = np.arange(_core.BLOCKS + 1)
    # What block_start() of the core gives, without numbers beyond 64 bits.
    bounds = whole[:, None] * edge + rest[:, None] * edge // _core.BLOCKS
    first, size = bounds[:, :-1].ravel(), np.diff(bounds).ravel()
    counts = -(-size // _core.CHUNK)
    block = np.repeat(np.arange(len(size)), counts)
    number = np.arange(len(block)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = first[block] + number * _core.CHUNK
    lengths = np.minimum(size[block] - number * _core.CHUNK, _core.CHUNK)
    most = np.clip(elements // 4096, 1, _core.BLOCKS)
    step = _core.BLOCKS >> np.floor(np.log2(most)).astype(np.int64)
    owner, inside = block // _core.BLOCKS, block % _core.BLOCKS
    return Chunks(owner, inside, starts, lengths, (number == 0) & (inside % step[owner] == 0))


def padded(lengths: Ints) -> Ints:
    """Return the lengths that chunks are filled up to, so that few lengths are left.

    >>> import numpy as np
    >>> padded(np.array([1, 100, 5000, 32768, 33000, 65536])).tolist()
    [8, 104, 5120, 32768, 40960, 65536]
    """
    bits = np.frexp(lengths.astype(np.float64))[1].astype(np.int64)
    step = np.left_shift(1, np.maximum(bits - 4, 3))
    step = np.where(lengths >= LEAST_NARROW, PROBED * RUN, step)
    return -(-lengths // step) * step


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks that are computed together."""

    index: NDArray[np.intp]
    """(N,) which of all chunks they are."""
    chunks: Chunks
    """They themselves."""
    dtypes: tuple[str, ...]
    """(C,) how their columns are stored."""
    width: int
    """Elements that each is filled up to."""

    def rows(self, rows: NDArray[np.intp]) -> Batch:
        """Return some of its chunks."""
        return Batch(self.index[rows], self.chunks.part(rows), self.dtypes, self.width)


def batches(
    chunks: Chunks, dtypes: list[tuple[str, ...]], elements: int, rows: int = 1 << 10
) -> Iterator[Batch]:
    """Yield batches of at most ``elements`` elements of a column, or of one chunk.

    ``dtypes`` are those of the columns, by slice. Chunks of a batch are in the order of the plan.
    """
    kinds = {each: number for number, each in enumerate(dict.fromkeys(dtypes))}
    kind = np.array([kinds[each] for each in dtypes], dtype=np.int64)[chunks.slices]
    width = padded(chunks.lengths)
    # Chunks of 32,768 elements are for another arithmetic than shorter ones of that width.
    is_long = chunks.lengths >= LEAST_NARROW
    order = np.lexsort((np.arange(len(chunks)), is_long, width, kind))
    keys = np.stack([kind[order], width[order], is_long[order]], axis=1)
    edges = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    for group in np.split(order, edges):
        if len(group) == 0:
            continue
        columns = dtypes[chunks.slices[group[0]]]
        wide = int(width[group[0]])
        most = min(max(1, elements // wide), rows)
        for begin in range(0, len(group), most):
            index = group[begin : begin + most]
            yield Batch(index, chunks.part(index), columns, wide)
