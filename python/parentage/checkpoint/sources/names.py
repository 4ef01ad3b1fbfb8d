"""Names of checkpoints that are on no disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.support import CheckpointError, is_there, printable

if TYPE_CHECKING:
    from os import PathLike

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"refs/(?:convert/[\w.-]+|pr/\d+)|[^/]+")
_ENDINGS = (".safetensors", ".json")


@dataclass(frozen=True, slots=True)
class HubName:
    """A checkpoint on a hub: ``hf://org/name@revision/folder``, or a file of it.

    >>> HubName.parse("hf://org/name@v1.0/part").as_dict()
    {'repository': 'org/name', 'revision': 'v1.0', 'folder': 'part', 'file': None}
    >>> str(HubName.parse("hf://org/name/model.safetensors"))
    'hf://org/name/model.safetensors'
    """

    repository: str
    revision: str | None = None
    folder: str = ""
    """The folder in the repository, if it is not the repository itself."""
    file: str | None = None
    """A file in it that is the checkpoint, or its index."""

    @classmethod
    def parse(cls, given: str) -> HubName:
        """Return what a name with ``hf://`` says.

        Raises
        ------
        CheckpointError
            If it is none.
        """
        text = given.removeprefix("hf://").removesuffix("/")
        organisation, _, rest = text.partition("/")
        name, slash, below = rest.partition("/")
        revision = None
        if "@" in name or (slash and "@" in rest.split("/")[0]):
            name, _, after = rest.partition("@")
            match = _REVISION.match(after)
            revision = match[0].replace("%2F", "/") if match else ""
            below = after[len(match[0]) if match else 0 :].removeprefix("/")
        repository = f"{organisation}/{name}"
        parts = below.split("/") if below else []
        is_plain = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
        if not _REPOSITORY.fullmatch(repository) or revision == "" or not is_plain:
            raise CheckpointError(
                f"{printable(given)}: no name of a checkpoint on a hub; write hf://org/name, "
                "hf://org/name@revision or hf://org/name/folder"
            )
        file = parts.pop() if parts and parts[-1].endswith(_ENDINGS) else None
        return cls(repository, revision, "/".join(parts), file)

    def as_dict(self) -> dict[str, str | None]:
        """Return its parts by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def called(self) -> str:
        """What reports call the checkpoint."""
        return f"{self.repository}/{self.folder}" if self.folder else self.repository

    @property
    def below(self) -> str:
        """Folder and file, as they follow the repository."""
        return "".join(f"/{each}" for each in (self.folder, self.file) if each)

    def at(self, commit: str) -> str:
        """Return the name with a commit."""
        return f"hf://{self.repository}@{commit}{self.below}"

    def __str__(self) -> str:
        """Return the name as it would be given."""
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{self.repository}{revision}{self.below}"


def scheme_of(given: str | PathLike[str]) -> str:
    """Return what stands before ``://`` in lower case; nothing if it is a path.

    >>> scheme_of("HF://org/name"), scheme_of("./hf://x"), scheme_of("a/b")
    ('hf', '', '')
    """
    if not isinstance(given, str):
        return ""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", given)
    return match[1].lower() if match else ""


def shown_path(path: PathLike[str]) -> str:
    """Return a path, or the address that was made one, as messages have it.

    >>> from pathlib import PurePosixPath
    >>> shown_path(PurePosixPath("hf://org/name")), shown_path(PurePosixPath("a/b"))
    ('hf://org/name', 'a/b')
    """
    return re.sub(r"^(hf|https?|s3|gs|az):/(?!/)", r"\1://", os.fspath(path))


def may_be_repository(given: str | PathLike[str]) -> bool:
    """Return whether text is ``org/name``, and no path to anything here.

    >>> may_be_repository("org/name"), may_be_repository("./org/name"), may_be_repository("name")
    (True, False, False)
    """
    return isinstance(given, str) and bool(_REPOSITORY.fullmatch(given)) and not is_there(given)
