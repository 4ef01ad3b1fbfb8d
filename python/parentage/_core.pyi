"""The core: every byte of every tensor is read here."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BINS",
    "BLOCKS",
    "CHUNK",
    "DEFINITION",
    "MAX_COLUMNS",
    "MAX_HEADER",
    "MAX_OPS",
    "MAX_RESULTS",
    "MAX_TILE_BYTES",
    "MIN_TILE_BYTES",
    "NARROW",
    "ULPS",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "Digests",
    "ParentageError",
    "Plan",
    "PlanError",
    "ReadError",
    "Replay",
    "Replayed",
    "Spectrum",
    "Statistics",
    "__version__",
    "build_profile",
    "can_map",
    "coding_elements",
    "elements",
    "gram",
    "index_files",
    "levels",
    "read",
    "replay_in_cells",
    "replay_slices",
    "same_bytes",
    "simd_level",
    "spectrum",
    "threads",
    "write_replay",
]

__version__: Final[str]
build_profile: Final[str]
DEFINITION: Final[int]
BLOCKS: Final[int]
BINS: Final[int]
CHUNK: Final[int]
WEIGHTS: Final[int]
MAX_COLUMNS: Final[int]
MAX_HEADER: Final[int]
MAX_OPS: Final[int]
MAX_RESULTS: Final[int]
ULPS: Final[int]
NARROW: Final[float]
MIN_TILE_BYTES: Final[int]
MAX_TILE_BYTES: Final[int]

_Coding: TypeAlias = tuple[
    str,
    str,
    Literal["value", "low", "high"],
    Sequence[tuple[int, int, int, str]],
    Sequence[int],
    Sequence[Sequence[int]],
]

@type_check_only
class _Place(Protocol):
    """What a fetcher reads."""

    @property
    def name(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def identity(self) -> str: ...

@type_check_only
class _Fetcher(Protocol):
    """What fetches bytes of a file that is on no disk; called from many threads at a time."""

    @property
    def place(self) -> _Place:
        """What it reads; the core does not ask for it."""
    def plan(self, ranges: list[tuple[int, int]]) -> None:
        """Be told which ranges will be asked for, ascending."""
    def expect(self, start: int, end: int) -> None:
        """Begin to fetch a range."""
    def read(self, start: int, end: int) -> NDArray[np.uint8] | None:
        """Return a range, or None if it has not come within a moment."""
    def bytes_of(self, start: int, end: int) -> bytes:
        """Return a range, however long it takes; the core does not ask for it."""

class ParentageError(Exception):
    """Anything that went wrong with checkpoints, plans or files. The base of the others."""

class CheckpointError(ParentageError):
    """A path that is no checkpoint, or a checkpoint that is not what its format demands."""

class ReadError(ParentageError):
    """Reading failed, or a file changed while it was read."""

class PlanError(ParentageError):
    """Checkpoints or slices that can not be compared."""

@final
class Checkpoint:
    """A checkpoint whose headers are read and checked."""

    def __new__(cls, path: str | PathLike[str]) -> Checkpoint: ...
    @property
    def path(self) -> Path:
        """The path it was opened by."""
    @property
    def index(self) -> Path | None:
        """The index file, if there is one."""
    def shards(self) -> list[tuple[Path, str, int, int, int | None, list[tuple[str, str]]]]:
        """Per shard, by name: path, name, bytes, offset of the data, mtime in ns, metadata."""
    def __len__(self) -> int:
        """How many tensors there are."""
    def names(self, *endings: str) -> list[str]:
        """The names of the tensors that end in one of `endings`, or of all; sorted."""
    def templates(
        self,
    ) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Templates of names, that of each name (T,), numbers (N,), the first of each name (T,)."""
    @property
    def elements(self) -> int:
        """Elements of all tensors."""
    def find(self, name: str) -> int | None:
        """The position of the tensor called `name`, if there is one."""
    def tensor(self, index: int) -> tuple[int, str, str, tuple[int, ...], int, int, int]:
        """One tensor: position, name, dtype, shape, shard, first byte, byte past the last."""
    def tensors(self) -> list[tuple[int, str, str, tuple[int, ...], int, int, int]]:
        """All tensors, by name, each as by `tensor`."""
    def mates(self, other: Checkpoint) -> NDArray[np.int64]:
        """Per tensor, the position in `other` of that of the same name, shape and class, or -1."""
    def verify_unchanged(self) -> None:
        """Raises ReadError if a file is not as it was when its header was read."""
    def __reduce__(self) -> tuple[Callable[..., Checkpoint], tuple[object, ...]]:
        """What its headers said: unpickling opens no file, and reading one verifies it."""
    @classmethod
    def restored(
        cls,
        path: str,
        index: str | None,
        shards: list[
            tuple[str, str, int, int, int | None, list[tuple[str, str]], _Fetcher | None, bool]
        ],
        tensors: list[tuple[int, str, str, tuple[int, ...], int, int, int]],
        codings: Sequence[_Coding],
    ) -> Checkpoint:
        """The checkpoint of a pickled state. No file is looked at."""
    def codings(self) -> list[_Coding]:
        """How tensors are computed: kind, dtype, part, windows, numbers, lists."""
    def computed(self) -> list[int]:
        """Bytes of what each coding gives."""
    @classmethod
    def over(
        cls,
        path: str | PathLike[str],
        index: str | PathLike[str] | None,
        files: Sequence[tuple[str | PathLike[str], str, list[tuple[str, str]]]],
        tensors: Sequence[tuple[int, str, str, tuple[int, ...], int, int, int]],
    ) -> Checkpoint:
        """Tensors, in any order, of files whose headers were read elsewhere; path, name, metadata.

        Raises CheckpointError for a tensor that leaves its file, has not the bytes of its shape or
        has the name of another.
        """
    @classmethod
    def remote(
        cls,
        path: str | PathLike[str],
        files: Sequence[tuple[str, str, int, _Fetcher]],
        index: tuple[str, bytes] | None = None,
    ) -> Checkpoint:
        """The checkpoint of safetensors files that are fetched: path, name, bytes and fetcher.

        `index` is the path and the text of the index that names them.
        """
    def fetchers(self) -> list[_Fetcher | None]:
        """Per shard, who fetches it; None for files on disk."""
    @classmethod
    def in_memory(
        cls,
        path: str | PathLike[str],
        name: str,
        tensors: Sequence[tuple[str, str, NDArray[np.unsignedinteger[Any]], object]],
    ) -> Checkpoint:
        """The checkpoint of tensors in memory, laid out as one file called `name`.

        `tensors` are name, dtype, an array of their bits, and what else keeps its memory where it
        is. Raises CheckpointError for two of one name, and for what no file could hold.
        """
    def lies_in_memory(self) -> list[bool]:
        """Per shard, whether it is in memory, or was when it was opened."""
    def released(self) -> Checkpoint:
        """Itself without its tensors, if they are in memory: that is not kept any longer."""
    def shares_memory(self, other: Checkpoint) -> bool:
        """Whether some file of both is the same tensors in memory."""
    def copied(self, shard: int, begin: int, end: int) -> bytes:
        """Bytes of a file that is in memory."""
    def seen_as(
        self,
        tensors: Sequence[tuple[int, str, str, tuple[int, ...], int, int, int]],
        codings: Sequence[_Coding] = ...,
        *,
        kept: int | None = None,
    ) -> Checkpoint:
        """Other tensors, by name, over the same files, as they were when they were opened.

        Those of shard ``number of files + k`` are what coding ``k`` gives. Codings are the first
        ``kept`` of this one's, or all, and then ``codings``.
        """
    def joined(
        self,
        other: Checkpoint,
        tensors: Sequence[tuple[int, str, str, tuple[int, ...], int, int, int]],
        codings: Sequence[_Coding],
    ) -> Checkpoint:
        """Tensors, by name, over the files of this one and of ``other``.

        Shards are this one's files, the other's, this one's codings, the other's, then ``codings``.
        """
    def __copy__(self) -> Checkpoint: ...
    def __deepcopy__(self, _memo: object) -> Checkpoint: ...

@final
class Plan:
    """Slices of one child and the same elements of the other checkpoints."""

    def __new__(
        cls,
        checkpoints: list[Checkpoint],
        elements: NDArray[np.uint64],
        tensors: NDArray[np.uint64],
        starts: NDArray[np.uint64],
    ) -> Plan: ...
    @property
    def slices(self) -> int:
        """How many slices there are."""
    @property
    def columns(self) -> int:
        """How many checkpoints there are."""
    def bytes(self, first: int, last: int) -> int:
        """Bytes that streaming slices `first` to `last` (exclusive) reads, over all checkpoints."""
    def ranges(self, chunks: int) -> list[tuple[int, int]]:
        """Ranges of slices, in order, of at most `chunks` chunks each, or of one slice."""
    def __reduce__(self) -> tuple[type[Plan], tuple[object, ...]]:
        """What it was made from; plans that are pickled together share their checkpoints."""
    def __copy__(self) -> Plan: ...
    def __deepcopy__(self, _memo: object) -> Plan: ...

@final
class Statistics:
    """Sufficient statistics of S slices over C columns, with P = C (C + 1) / 2."""

    def __new__(
        cls,
        gram: NDArray[np.float64],
        energy: NDArray[np.float64],
        bias: NDArray[np.float64],
        precision: NDArray[np.uint64],
        excluded: NDArray[np.uint64],
        moved: NDArray[np.uint64],
        stray: NDArray[np.uint64],
        equal: NDArray[np.uint64],
        nan: NDArray[np.uint64],
        inf: NDArray[np.uint64],
        histogram: NDArray[np.uint64],
        replayed: Replayed,
    ) -> Statistics: ...
    def __reduce__(self) -> tuple[type[Statistics], tuple[object, ...]]: ...
    @property
    def gram(self) -> NDArray[np.float64]:
        """(S, BLOCKS, P): upper triangles by rows of the Gram matrix of each block."""
    @property
    def energy(self) -> NDArray[np.float64]:
        """(S,): the sum of ulp(c)^2 / 12 of the child."""
    @property
    def bias(self) -> NDArray[np.float64]:
        """(S, C - 2, WEIGHTS + 1): what rounding does to simulated blends, and sums of d^2."""
    @property
    def precision(self) -> NDArray[np.uint64]:
        """(S,): most significand bits of a sampled value of the child, the first not counted."""
    @property
    def excluded(self) -> NDArray[np.uint64]:
        """(S,): elements not finite in some column, left out of `gram`."""
    @property
    def moved(self) -> NDArray[np.uint64]:
        """(S,): elements where a parent or control is not the base."""
    @property
    def stray(self) -> NDArray[np.uint64]:
        """(S,): elements where all of them are, and the child is not."""
    @property
    def equal(self) -> NDArray[np.uint64]:
        """(S, C - 1): elements whose value, cast to the child's dtype, has the child's bits."""
    @property
    def nan(self) -> NDArray[np.uint64]:
        """(S, C): NaN values."""
    @property
    def inf(self) -> NDArray[np.uint64]:
        """(S, C): infinite values."""
    @property
    def histogram(self) -> NDArray[np.uint64]:
        """(S, C - 2, BINS): sampled displacements in units of the child's last place."""
    @property
    def replayed(self) -> Replayed:
        """What the replays reproduce."""

def gram(
    plan: Plan,
    first: int,
    last: int,
    *,
    threads: int,
    tile_bytes: int | None = None,
    io: str = "mmap",
    level: str | None = None,
    replays: list[Replay] = ...,
    digests: Digests | None = None,
    progress: Callable[[int], object] | None = None,
) -> Statistics:
    """Streams slices `first` to `last` (exclusive) of `plan` once and returns their statistics."""

def same_bytes(
    first: Checkpoint,
    second: Checkpoint,
    pairs: list[tuple[int, int]],
    *,
    threads: int,
    most: int | None = None,
    io: str = "mmap",
) -> NDArray[np.bool_]:
    """Whether pairs of tensors, by position, have one dtype and the same (first) bytes."""

@final
class Digests:
    """SHA-256 of the shards of checkpoints, carried on by the passes that it is given to."""

    def __new__(cls, checkpoints: list[Checkpoint]) -> Digests: ...
    def finish(
        self, *, threads: int, io: str = "mmap", progress: Callable[[int], object] | None = None
    ) -> list[list[str]]:
        """Hashes what is left, and returns the digests by checkpoint and shard."""
    def complete(self) -> list[tuple[int, int, str]]:
        """The digests that are complete: checkpoint, shard and hexadecimal digits."""
    def restore(self, checkpoint: int, shard: int, digest: str) -> None:
        """Takes over a digest that was complete before."""
    def __reduce__(self) -> NoReturn:
        """Raises TypeError: hashes in the making stay in their process."""

@final
class Replay:
    """A recipe's arithmetic, with what it needs to know about every slice."""

    def __new__(
        cls,
        operations: list[tuple[str, list[int], str | None]],
        results: list[int],
        scalars: NDArray[np.float32],
        matrices: list[list[tuple[NDArray[np.float64], NDArray[np.float64], int] | None]]
        | None = None,
        applies: NDArray[np.bool_] | None = None,
    ) -> Replay: ...
    def __reduce__(self) -> tuple[type[Replay], tuple[object, ...]]: ...
    def __copy__(self) -> Replay: ...
    def __deepcopy__(self, _memo: object) -> Replay: ...

@final
class Replayed:
    """What R replays reproduce of S slices."""

    def __new__(
        cls,
        reproduced: NDArray[np.uint64],
        explained: NDArray[np.uint64],
        mismatched: NDArray[np.uint64],
        zero_signs: NDArray[np.uint64],
        ulps: NDArray[np.uint64],
        blocks: NDArray[np.uint64],
        first: NDArray[np.int64],
    ) -> Replayed: ...
    def __reduce__(self) -> tuple[type[Replayed], tuple[object, ...]]: ...
    @property
    def reproduced(self) -> NDArray[np.uint64]:
        """(S, R): elements of which every result has the child's bits."""
    @property
    def explained(self) -> NDArray[np.uint64]:
        """(S, R): elements of which some result has them, and some has not."""
    @property
    def mismatched(self) -> NDArray[np.uint64]:
        """(S, R): elements of which no result has them."""
    @property
    def zero_signs(self) -> NDArray[np.uint64]:
        """(S, R): the mismatched where both are zeros, of different sign."""
    @property
    def ulps(self) -> NDArray[np.uint64]:
        """(S, R, ULPS): the mismatched by distance in units of the child's last place."""
    @property
    def blocks(self) -> NDArray[np.uint64]:
        """(S, R, BLOCKS): the mismatched by block of the slice."""
    @property
    def first(self) -> NDArray[np.int64]:
        """(S, R): the first mismatched element of the slice, -1 if there is none."""

def replay_slices(
    plan: Plan,
    first: int,
    last: int,
    replays: list[Replay],
    *,
    threads: int,
    tile_bytes: int | None = None,
    io: str = "mmap",
    level: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Replayed:
    """Replays slices `first` to `last` (exclusive) of `plan` and compares them with the child."""

def replay_in_cells(
    plan: Plan,
    replays: list[Replay],
    dtypes: Sequence[str],
    room: Sequence[tuple[float, float]],
    *,
    threads: int,
    tile_bytes: int | None = None,
    io: str = "mmap",
    level: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> NDArray[np.uint64]:
    """Counts results in cells, codes that tell, and results in their middle: (S, R, 3)."""

def write_replay(
    plan: Plan,
    replay: Replay,
    files: list[str] | list[Path],
    targets: list[tuple[int, int, str]],
    *,
    threads: int,
    tile_bytes: int | None = None,
    io: str = "mmap",
    level: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes what a replay gives of every slice of `plan` into existing files."""

@final
class Spectrum:
    """Cell spectra of G groups; the second axis is (all intervals, narrow ones)."""

    def __new__(
        cls,
        coverage: NDArray[np.uint32],
        intervals: NDArray[np.uint64],
        fixed: NDArray[np.uint64],
        fixed_admitted: NDArray[np.uint64],
    ) -> Spectrum: ...
    def __reduce__(self) -> tuple[type[Spectrum], tuple[object, ...]]: ...
    @property
    def coverage(self) -> NDArray[np.uint32]:
        """(G, 2, bins): intervals over each bin."""
    @property
    def intervals(self) -> NDArray[np.uint64]:
        """(G, 2): intervals in all."""
    @property
    def fixed(self) -> NDArray[np.uint64]:
        """(G,): elements that the weight does not change."""
    @property
    def fixed_admitted(self) -> NDArray[np.uint64]:
        """(G,): of those, the ones that the other weights put into their cell."""

def spectrum(
    plan: Plan,
    first: int,
    last: int,
    *,
    weights: NDArray[np.float64],
    axis: int,
    groups: list[int],
    windows: NDArray[np.float64],
    bins: int,
    threads: int,
    widen: float = 0.0,
    dtype: str | None = None,
    io: str = "mmap",
) -> Spectrum:
    """Counts which weights of column `axis` the rounding cells of the slices admit."""

def coding_elements(coding: _Coding) -> int:
    """Elements of what a coding gives, or -1 if what it is computed from does not fit it."""

def elements(
    plan: Plan, first: int, last: int, *, threads: int, io: str = "mmap"
) -> NDArray[np.float64]:
    """Elements of slices `first` to `last` (exclusive) of `plan`: (elements, columns) float64."""

def index_files(path: str | PathLike[str], json: bytes) -> list[str]:
    """The names of the files that an index names, sorted; `path` is what messages call it."""

def read(
    plan: Plan,
    first: int,
    last: int,
    *,
    threads: int,
    tile_bytes: int | None = None,
    io: str = "mmap",
    progress: Callable[[int], object] | None = None,
) -> int:
    """Reads slices `first` to `last` (exclusive) of `plan` once and returns a checksum."""

def simd_level() -> str:
    """The instruction set in use: the one PARENTAGE_LEVEL names, or the fastest this CPU has."""

def levels() -> list[str]:
    """The instruction sets that this CPU has, slowest first."""

def can_map() -> bool:
    """Whether files can be mapped and faulted in on demand; else they are read with pread."""

def threads() -> int:
    """The number of CPUs that this process may use."""
