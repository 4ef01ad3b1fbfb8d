"""The root digest of a model's files, as OpenSSF model signing has it, and files beside weights.

The root digest is the SHA-256 of the concatenated SHA-256 of all files, in the order of their names
(OpenSSF Model Signing specification 1.0, section 6.5.1). Names are ordered as the package
``model-signing`` 1.1.1 does it, folder by folder: ``a/b`` is before ``a.b``, which code points of
whole names would put first. A signature of the model is a statement on this digest, so what is said
of it here lies beside that.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.checkpoint import is_inside
from parentage.support import ReadError, is_file, is_folder, open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from parentage.checkpoint import Checkpoint

LEFT_OUT = (".git", ".gitattributes", ".github", ".gitignore")
"""What model signing leaves out by default, with all that is below."""

SIGNATURES = ("model.sig", "claims.jsonl")
"""What lies beside the model once it is signed, and can be no part of what is."""

MOST_FILES = 10_000
"""Files beside the weights, up to which a folder is that of a model."""

PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Beside:
    """A file in a checkpoint's folder that holds none of its weights."""

    name: str
    """Relative to the folder, with slashes."""
    path: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class FolderDigests:
    """The digests of a checkpoint's folder but for those of its weights."""

    files: tuple[tuple[str, int, str], ...]
    """Name, bytes and SHA-256 of the files beside the weights."""
    root: str | None
    """The root digest of weights and files."""


def root_digest(digests: Mapping[str, str]) -> str:
    """Return the root digest of files, by name their SHA-256 in hexadecimal digits.

    >>> root_digest({"b": "01" * 32, "a": "00" * 32})[:12]
    '5c85955f7092'
    """
    order = sorted(digests, key=lambda name: name.split("/"))
    raw = b"".join(bytes.fromhex(digests[name]) for name in order)
    return hashlib.sha256(raw).hexdigest()


def folder_of(checkpoint: Checkpoint) -> Path | None:
    """Return the folder that is the model; ``None`` if a single file is."""
    if is_folder(checkpoint.path):
        return checkpoint.path
    own = checkpoint.own_shards
    if len(own) == 1 and own[0].path == checkpoint.path:
        return None
    return checkpoint.path.parent


def files_beside(checkpoint: Checkpoint) -> tuple[list[Beside], bool]:
    """Return what else is in the folder of a checkpoint, by name, and whether that is all there is.

    Links to folders are not followed, and neither are links that lead out of the folder, but for
    those into the blobs of a hub's cache: what they lead to is nothing of the model's. Of what is
    on no disk nothing else is read.

    Raises
    ------
    ReadError
        If a folder can not be read, or there are more files than :data:`MOST_FILES`.
    """
    if checkpoint.is_remote or checkpoint.is_in_memory:
        return [], False
    folder = folder_of(checkpoint)
    if folder is None:
        return [], True
    weights = {str(each.path) for each in checkpoint.own_shards}
    found: list[Beside] = []
    is_whole = True

    def refuse(error: OSError) -> None:
        raise ReadError(f"{error.filename or folder}: {error.strerror or error}") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        is_top = Path(place) == folder
        folders[:] = sorted(each for each in folders if not (is_top and each in LEFT_OUT))
        is_whole = is_whole and not any(Path(place, each).is_symlink() for each in folders)
        for file in sorted(files):
            path = Path(place, file)
            if (is_top and file in (*LEFT_OUT, *SIGNATURES)) or str(path) in weights:
                continue
            if not is_inside(folder, path) or not is_file(path):
                is_whole = False
                continue
            name = path.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()
            found.append(Beside(name, path, path.stat().st_size))
            if len(found) > MOST_FILES:
                raise ReadError(
                    f"{folder}: has more than {MOST_FILES:,} files beside the weights; digests are "
                    "of the folder of a model"
                )
    return sorted(found, key=lambda each: each.name), is_whole


def file_digest(path: Path, tell: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file; ``tell`` is told of bytes as they are read, and may raise.

    Raises
    ------
    ReadError
        If the system refuses to read it.
    """
    found = hashlib.sha256()
    try:
        with open_file(path) as file:
            while piece := file.read(PIECE):
                found.update(piece)
                if tell is not None:
                    tell(len(piece))
    except OSError as error:
        raise ReadError(f"{path}: read: {error.strerror or error}") from error
    return found.hexdigest()


def digest_folder(
    checkpoint: Checkpoint,
    weights: Sequence[str],
    tell: Callable[[int], None] | None = None,
) -> FolderDigests:
    """Return the digests of the files beside a checkpoint's weights, and the root digest of all.

    ``weights`` are the SHA-256 of its own shards, in their order. The root digest is ``None`` where
    something in the folder is not to be read as a part of the model.

    Raises
    ------
    ReadError
        If a file can not be read.
    """
    if checkpoint.is_in_memory:
        # A root is of a folder, or of a file that is the model.
        return FolderDigests((), None)
    beside, is_whole = files_beside(checkpoint)
    files = tuple((each.name, each.bytes, file_digest(each.path, tell)) for each in beside)
    folder = folder_of(checkpoint)
    if folder is None:
        return FolderDigests(files, root_digest({"": weights[0]}))
    known = {name: digest for name, _, digest in files}
    for shard, digest in zip(checkpoint.own_shards, weights, strict=True):
        inside = os.path.relpath(os.path.abspath(shard.path), os.path.abspath(folder))  # noqa: PTH100
        is_whole = is_whole and not inside.startswith("..")
        known[Path(inside).as_posix()] = digest
    return FolderDigests(files, root_digest(known) if is_whole else None)
