"""Reads what lies beside a checkpoint: small files of its folder, whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.library import CUSTODY, KEPT
from parentage.support import ParentageError, is_folder, open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from parentage.checkpoint import Checkpoint

MOST_BYTES = 4 << 20
"""Bytes of a file from which on its digest is taken and nothing is read of it."""

MOST_DIGESTED = 1 << 30
"""Bytes of a file from which on not even its digest is taken."""

MOST_FILES = 10_000
"""Entries of a folder from which on the rest is not looked at."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file beside a checkpoint."""

    name: str
    size: int
    """In bytes."""
    sha256: str | None
    """``None`` if it was too large to take, or could not be read."""
    raw: bytes | None
    """What it holds; ``None`` if it is too large, or could not be read."""

    @property
    def text(self) -> str | None:
        """What it holds as text: bytes that are no UTF-8 are written as escapes."""
        return None if self.raw is None else self.raw.decode("utf-8-sig", "backslashreplace")


@dataclass
class Folder:
    """The folder that a checkpoint lies in: which files there are, and what is in some of them.

    A link is followed if it stays in the folder, or leads to the blobs of the Hugging Face cache
    that the folder is an entry of. Others are never opened: who makes a checkpoint would choose
    what of this computer is quoted in evidence.
    """

    path: Path | None
    """``None`` if the checkpoint lies in no folder of this computer, or is one file."""
    names: tuple[str, ...] = ()
    """Files in it, sorted; those in folders of it are not among them."""
    problems: list[str] = field(default_factory=list)
    """Sentences on what could not be read."""
    _read: dict[str, File | None] = field(default_factory=dict, repr=False)
    _fetch: Callable[[str, int], bytes | None] | None = field(default=None, repr=False)
    """Of a checkpoint that is on no disk, what returns a small file beside it."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, fetched: bool = False) -> Folder:
        """Look into the folder of a checkpoint; of a captured one, where such files are kept.

        What is given as one file has no folder: it may lie beside files of others. An index has.
        Of one that is on no disk, files are seen that were fetched already; with ``fetched``, those
        that are asked for are fetched.
        """
        if checkpoint.is_in_memory:
            return cls._of_texts(checkpoint.texts or {})
        origin = checkpoint.origin
        if fetched and checkpoint.is_remote and origin is not None:
            return cls(None, origin.names, _fetch=origin.text)
        path = Path(checkpoint.path)
        if path.name.endswith(".index.json"):
            path = path.parent
        if not is_folder(path):
            return cls(None)
        if (path / CUSTODY).is_file() and is_folder(path / KEPT):
            path = path / KEPT
        problems: list[str] = []
        try:
            names: list[str] = []
            for each in path.iterdir():
                if len(names) >= MOST_FILES:
                    problems.append(f"the folder has more than {MOST_FILES:,} entries")
                    break
                names.append(each.name)
        except OSError as error:
            return cls(None, problems=[f"the folder can not be listed: {error.strerror}"])
        return cls(path, tuple(sorted(names)), problems)

    @classmethod
    def _of_texts(cls, texts: Mapping[str, bytes]) -> Folder:
        """Return a folder of files that a program has said."""
        files: dict[str, File | None] = {
            name: File(name, len(raw), hashlib.sha256(raw).hexdigest(), raw)
            for name, raw in texts.items()
        }
        return cls(None, tuple(sorted(texts)), [], files)

    def read(self, name: str, most: int = MOST_BYTES) -> File | None:
        """Return a file by its name, which may begin with folders; ``None`` if there is none.

        What is there and can not be read, or is larger than ``most`` bytes, is in ``problems``.
        """
        if name not in self._read:
            self._read[name] = self._open(name, most)
        return self._read[name]

    def forget(self, name: str) -> None:
        """Let go of what a file holds; its size and digest stay."""
        file = self._read.get(name)
        if file is not None:
            self._read[name] = replace(file, raw=None)

    @property
    def opened(self) -> list[File]:
        """The files that were read or digested, by name."""
        return [each for _, each in sorted(self._read.items()) if each is not None]

    def matching(self, wanted: Callable[[str], bool]) -> list[str]:
        """Return the names that are asked for, sorted."""
        return [name for name in self.names if wanted(name)]

    def _open(self, name: str, most: int) -> File | None:
        if self._fetch is not None:
            return self._fetched(name, self._fetch, most)
        if self.path is None:
            return None
        if "/" not in name and name not in self.names:
            return None
        path = self.path / name
        try:
            if not self._is_of_it(path):
                self.problems.append(f"{name} is a link that leads out of the folder; not followed")
                return None
            with BufferedReader(open_file(path), _BLOCK) as file:
                size = file.seek(0, 2)
                file.seek(0)
                if size > MOST_DIGESTED:
                    self.problems.append(f"{name} has {size:,} bytes; it was not read")
                    return File(name, size, None, None)
                digest = hashlib.sha256()
                kept: list[bytes] | None = [] if size <= most else None
                while block := file.read(_BLOCK):
                    digest.update(block)
                    if kept is not None:
                        kept.append(block)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError) as error:  # a link to itself, by version of Python
            if not is_folder(path):
                self.problems.append(f"{name} can not be read: {_reason(error)}")
            return None
        if kept is None:
            self.problems.append(
                f"{name} has {size:,} bytes; more than {most:,} are not read, its digest is"
            )
        return File(name, size, digest.hexdigest(), None if kept is None else b"".join(kept))

    def _fetched(
        self, name: str, fetch: Callable[[str, int], bytes | None], most: int
    ) -> File | None:
        try:
            raw = fetch(name, most)
        except ParentageError as error:
            self.problems.append(f"{name} can not be fetched: {error}")
            return None
        if raw is None:
            return None
        return File(name, len(raw), hashlib.sha256(raw).hexdigest(), raw)

    def _is_of_it(self, path: Path) -> bool:
        assert self.path is not None
        target, folder = path.resolve(), self.path.resolve()
        if target.is_relative_to(folder):
            return True
        # models--org--name/snapshots/revision links to models--org--name/blobs.
        blobs = folder.parent.parent / "blobs"
        return folder.parent.name == "snapshots" and target.is_relative_to(blobs)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "a link to itself"
