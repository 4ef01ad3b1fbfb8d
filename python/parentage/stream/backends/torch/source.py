"""Raw bytes of a plan's columns, from files into buffers that a device reads from."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parentage.stream.backends.torch.floats import FLOATS
from parentage.stream.cuts import contents_of
from parentage.support import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from parentage import _core
    from parentage.stream.backends.torch.layout import Batch, Ints

MOST_WINDOWS = 512
"""Windows that one call of the system fills."""


@dataclass(frozen=True)
class Extents:
    """Where the elements of S slices of C columns lie."""

    elements: Ints
    """(S,) elements of each slice."""
    tensors: Ints
    """(S, C) positions of tensors in their checkpoints."""
    dtypes: list[tuple[str, ...]]
    """By slice, how the columns are stored."""
    shards: Ints
    """(S, C) positions of files in their checkpoints."""
    begins: Ints
    """(S, C) the first byte in the file."""
    held: NDArray[np.bool_]
    """(S,) whether all columns are plain floats that lie in files of this machine."""


class Source:
    """What a plan reads, and from which files."""

    def __init__(self, plan: _core.Plan) -> None:
        self.plan = plan
        self.checkpoints, elements, tensors, starts = contents_of(plan)
        self.files: list[list[Path]] = []
        parts = []
        for column, checkpoint in enumerate(self.checkpoints):
            paths = [shard[0] for shard in checkpoint.shards()]
            # What is fetched, or lies in memory, the core reads.
            on_disk = [
                fetcher is None and not is_memory
                for fetcher, is_memory in zip(
                    checkpoint.fetchers(), checkpoint.lies_in_memory(), strict=True
                )
            ]
            self.files.append(paths)
            found: dict[int, tuple[str, int, int, bool]] = {}
            for index in np.unique(tensors[:, column]).tolist():
                _, _, dtype, _, shard, begin, _ = checkpoint.tensor(index)
                is_held = dtype in FLOATS and shard < len(paths) and on_disk[shard]
                found[index] = (dtype, shard, begin, is_held)
            parts.append([found[index] for index in tensors[:, column].tolist()])
        rows = list(zip(*parts, strict=True))
        shape = len(rows), len(parts)
        widths = [[FLOATS[e[0]].width if e[3] else 0 for e in row] for row in rows]
        first = np.array(starts, dtype=np.int64) * np.array(widths, dtype=np.int64).reshape(shape)
        self.extents = Extents(
            np.array(elements, dtype=np.int64),
            np.array(tensors, dtype=np.int64),
            [tuple(each[0] for each in row) for row in rows],
            np.array([[each[1] for each in row] for row in rows], np.int64).reshape(shape),
            np.array([[each[2] for each in row] for row in rows], np.int64).reshape(shape) + first,
            np.array([all(each[3] for each in row) for row in rows], dtype=np.bool_),
        )

    def verify(self) -> None:
        """Make sure that files are as they were when their headers were read.

        Raises
        ------
        ReadError
            If one is not.
        """
        for checkpoint in self.checkpoints:
            checkpoint.verify_unchanged()


class Reader:
    """The files of a source, open for one pass. No place in them is kept, so that threads share it.

    They are as they were when their headers were read, from when it is entered to when it is left.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Reader:
        self._source.verify()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])
        if kind is None:
            self._source.verify()

    def fill(self, batch: Batch, first: int, column: int, out: NDArray[np.uint8]) -> None:
        """Read a column of a batch into ``out`` (N, width x bytes); rows end with zeros.

        ``first`` is the slice that chunks are counted from.

        Raises
        ------
        ReadError
            If a file can not be read, or ends before the tensor does.
        """
        extents = self._source.extents
        chunks, wide = batch.chunks, FLOATS[batch.dtypes[column]].width
        slices = chunks.slices + first
        begins = extents.begins[slices, column] + chunks.starts * wide
        sizes = chunks.lengths * wide
        shards = extents.shards[slices, column]
        for row in np.flatnonzero(chunks.lengths < batch.width).tolist():
            out[row, sizes[row] :] = 0
        # Rows that follow each other in a file are read together.
        follows = (begins[1:] == begins[:-1] + sizes[:-1]) & (shards[1:] == shards[:-1])
        edges = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(chunks)]
        for start, end in pairwise(edges):
            for low in range(start, end, MOST_WINDOWS):
                rows = range(low, min(end, low + MOST_WINDOWS))
                views = [out[row, : sizes[row]] for row in rows]
                at = int(begins[low])
                try:
                    missing = _read(self._descriptor(column, int(shards[low])), views, at)
                except OSError as error:
                    raise self._failed(column, slices[low], error.strerror or str(error)) from error
                if missing:
                    raise self._failed(
                        column, slices[low], f"the file ends {missing} bytes before the tensor does"
                    )

    def _descriptor(self, column: int, shard: int) -> int:
        with self._lock:
            if (column, shard) not in self._open:
                path = self._source.files[column][shard]
                self._open[column, shard] = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            return self._open[column, shard]

    def _failed(self, column: int, slice_: int, what: str) -> ReadError:
        source = self._source
        shard = int(source.extents.shards[slice_, column])
        tensor = int(source.extents.tensors[slice_, column])
        name = source.checkpoints[column].tensor(tensor)[1]
        return ReadError(f"{source.files[column][shard]}: tensor {json.dumps(name)}: {what}")


def _read(descriptor: int, views: list[NDArray[np.uint8]], at: int) -> int:
    """Fill views with what begins at a byte, and return how many bytes there were too few."""
    left = [memoryview(view.data) for view in views if len(view)]
    while left:
        if hasattr(os, "preadv"):
            count = os.preadv(descriptor, left, at)
        else:  # systems without it read one view at a time
            count = _read_one(descriptor, left[0], at)
        if count == 0:
            return sum(len(view) for view in left)
        at += count
        while left and count >= len(left[0]):
            count -= len(left.pop(0))
        if left and count:
            left[0] = left[0][count:]
    return 0


_SEEK = threading.Lock()


def _read_one(descriptor: int, view: memoryview, at: int) -> int:
    if hasattr(os, "pread"):
        found = os.pread(descriptor, len(view), at)
    else:
        with _SEEK:
            os.lseek(descriptor, at, os.SEEK_SET)
            found = os.read(descriptor, len(view))
    view[: len(found)] = found
    return len(found)
