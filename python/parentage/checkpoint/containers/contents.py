"""What a container says that it holds, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage import _core
from parentage.checkpoint.dtypes import DTYPES
from parentage.support import CheckpointError, ReadError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from parentage.checkpoint.encodings import Encoding

MOST_TENSORS = 1 << 19
"""Tensors of a file beyond which it is refused: the largest models have a fifth of it."""

MOST_DIMENSIONS = 64
"""Dimensions of a tensor, at most: NumPy and PyTorch hold no more."""

SIZES = {name: each.bytes for name, each in DTYPES.items()} | {
    "C64": 8,
    **dict.fromkeys(("BOOL", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
}
"""Bytes of an element of the dtypes that containers hold, by their safetensors names."""


class File(NamedTuple):
    """A file of a checkpoint, as it was when its header was read."""

    path: Path
    name: str
    """Relative to the checkpoint's folder, with ``/`` between its parts."""
    bytes: int
    modified_ns: int
    metadata: tuple[tuple[str, str], ...] = ()


class Stored(NamedTuple):
    """A tensor, and where its bytes lie."""

    name: str
    dtype: str
    """By its safetensors name."""
    shape: tuple[int, ...]
    begin: int
    """First byte in its file."""
    end: int
    """Byte past the last."""
    file: int = 0
    encoding: Encoding | None = None
    """What its bytes stand for, where dtype and shape are those of the bytes alone."""

    @classmethod
    def as_bytes(cls, name: str, begin: int, end: int, encoding: Encoding, file: int = 0) -> Stored:
        """Return a tensor that is not stored as numbers, or not in their order."""
        return cls(name, "U8", (end - begin,), begin, end, file, encoding)


@dataclass(frozen=True)
class Contents:
    """The files and tensors of one container, or of several."""

    files: tuple[File, ...]
    tensors: tuple[Stored, ...]
    choices: tuple[str, ...] = ()
    """What was chosen, and what was left: clauses of a sentence, each once."""
    index: Path | None = field(default=None)
    """The index that names the files, if there is one."""

    def named(self, prefix: str, folder: str = "") -> Contents:
        """Return the same, with ``prefix`` before names of tensors and ``folder`` before files."""
        return replace(
            self,
            files=tuple(each._replace(name=f"{folder}{each.name}") for each in self.files),
            tensors=tuple(each._replace(name=f"{prefix}{each.name}") for each in self.tensors),
        )

    def core(self, path: Path) -> _core.Checkpoint:
        """Return the core's checkpoint of it, opened by ``path``; files sorted by name.

        Raises
        ------
        CheckpointError
            If a tensor leaves its file, has not the bytes of its shape, or a name is there twice.
        ReadError
            If a file can not be looked up, or is not as it was when its header was read.
        """
        order = sorted(range(len(self.files)), key=lambda at: self.files[at].name)
        place = {at: position for position, at in enumerate(order)}
        place |= {each.file: each.file for each in self.tensors if each.file not in place}
        files = [self.files[at] for at in order]
        core = _core.Checkpoint.over(
            path,
            self.index,
            [(each.path, each.name, list(each.metadata)) for each in files],
            [
                (0, each.name, each.dtype, each.shape, place[each.file], each.begin, each.end)
                for each in self.tensors
            ],
        )
        for file, (_, _, size, _, modified_ns, _) in zip(files, core.shards(), strict=True):
            if (size, modified_ns) != (file.bytes, file.modified_ns):
                raise ReadError(
                    printable(f"{file.path}: the file was written to while its header was read")
                )
        return core

    def encodings(self) -> dict[str, Encoding]:
        """Return what the bytes of tensors stand for that are not stored as numbers, by name."""
        return {each.name: each.encoding for each in self.tensors if each.encoding is not None}


def together(parts: Sequence[Contents], index: Path | None = None) -> Contents:
    """Return the contents of several as those of one."""
    files: list[File] = []
    tensors: list[Stored] = []
    choices: list[str] = []
    for part in parts:
        first = len(files)
        files.extend(part.files)
        tensors.extend(each._replace(file=each.file + first) for each in part.tensors)
        choices.extend(part.choices)
    return Contents(tuple(files), tuple(tensors), tuple(dict.fromkeys(choices)), index)


def size_of(shape: Sequence[int], dtype: str) -> int:
    """Return the bytes of all elements of a shape, of a dtype of :data:`SIZES`."""
    return prod(shape) * SIZES[dtype]


def of_another_size(has: str, shape: Sequence[int], dtype: str) -> str:
    """Return the message on a tensor of which ``has`` says how many bytes it has: not its shape's.

    >>> of_another_size("it has 7 bytes", (2, 2), "F16")
    'it has 7 bytes, and its shape [2, 2] of F16 needs 8'
    """
    return f"{has}, and its shape {list(shape)} of {dtype} needs {size_of(shape, dtype):,}"


def quoted(name: str) -> str:
    r"""Return a name as messages have it: escaped, and of a few words at most.

    >>> quoted('a"b\x1b[2J')
    '"a\\"b\\x1b[2J"'
    """
    shown = name if len(name) <= 120 else f"{name[:120]}..."
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_as_printed(escaped)}"'


def _as_printed(text: str) -> str:
    """Return text with all escaped that is not printed, halves of surrogates included."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def wrong(
    path: Path | str, message: str, *, tensor: str | None = None, offset: int | None = None
) -> CheckpointError:
    """Return the error of a file that is not what its format demands, as the core's read."""
    of = "" if tensor is None else f"tensor {quoted(tensor)}: "
    at = "" if offset is None else f"at byte {offset}: "
    return CheckpointError(_as_printed(f"{path}: {of}{at}{message}"))


def require_apart(path: Path, tensors: Iterable[tuple[str, int, int]]) -> None:
    """Make sure that no two of (name, first byte, byte past the last) have a byte in common.

    Raises
    ------
    CheckpointError
        With the first that overlaps another.
    """
    last, before = 0, ""
    for name, begin, end in sorted(tensors, key=lambda each: (each[1], each[2])):
        if begin == end:
            continue
        if begin < last:
            message = f"its bytes overlap those of {quoted(before)}, which end at byte {last}"
            raise wrong(path, message, tensor=name, offset=begin)
        last, before = end, name
