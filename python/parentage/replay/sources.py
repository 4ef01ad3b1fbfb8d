"""Whether checkpoints are those that evidence is of: by the sizes and digests of their files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parentage.replay.raw import sha256_of
from parentage.stream import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from parentage.checkpoint import Checkpoint

EVIDENCE = "parentage.evidence/"


@dataclass(frozen=True, slots=True)
class Sources:
    """What evidence says of its checkpoints, and whether those at hand are they."""

    differences: tuple[str, ...]
    """In what the checkpoints at hand are not those of the evidence."""
    checked: str
    """``"sha256"`` if every file's was compared, ``"bytes"`` if sizes alone."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {"differences": list(self.differences), "checked": self.checked}


def check_sources(
    text: str, opened: Mapping[str, Checkpoint], progress: Progress = SILENT
) -> Sources | None:
    """Compare checkpoints, by the names that evidence has for them, with what it says of them.

    ``text`` is evidence or a recipe; the latter says nothing of files, and gives ``None``. Files
    are compared by their sizes, and by SHA-256 where the evidence has it, in any order and under
    any name: a download may be called otherwise.

    Raises
    ------
    ReadError
        If a file can not be read.
    """
    recorded = _recorded(text)
    if not recorded:
        return None
    differences: list[str] = []
    known = {name: recorded[name] for name in opened if name in recorded}
    hashed = [
        name
        for name, files in known.items()
        if all(sha256 for _, sha256 in files) and _sizes(files) == _sizes_here(opened[name])
    ]
    progress.start(sum(shard.bytes for name in hashed for shard in opened[name].own_shards))
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done)

    for name, files in known.items():
        theirs, ours = _sizes(files), _sizes_here(opened[name])
        if theirs != ours:
            differences.append(
                f"{name} is not that of the evidence: there it is {_told(theirs)}, and here "
                f"{_told(ours)}"
            )
        elif name in hashed:
            expected = Counter(sha256 for _, sha256 in files)
            for number, shard in enumerate(opened[name].own_shards):
                sha256 = sha256_of(opened[name], number, tell)
                if not expected[sha256]:
                    differences.append(
                        f"{name} is not that of the evidence: {shard.name} has the sha256 "
                        f"{sha256}, which no file of it has there"
                    )
                    break
                expected[sha256] -= 1
    is_hashed = len(hashed) == len(opened)
    return Sources(tuple(differences), "sha256" if is_hashed else "bytes")


def _recorded(text: str) -> dict[str, list[tuple[int, str | None]]]:
    """Return size and SHA-256 of the files of every checkpoint of evidence, by name."""
    if not text.lstrip().startswith("{"):
        return {}  # a configuration of mergekit
    found = json.loads(text)
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith(EVIDENCE):
        return {}
    return {
        each["name"]: [
            (file["bytes"], sha256 if isinstance(sha256 := file.get("sha256"), str) else None)
            for file in each["files"]
            if isinstance(file, dict) and isinstance(file.get("bytes"), int)
        ]
        for each in _inputs(found.get("inputs"))
        if isinstance(each.get("name"), str) and isinstance(each.get("files"), list)
    }


def _inputs(inputs: object) -> Iterator[dict[str, Any]]:
    """Yield what evidence says of each checkpoint that a recipe may need."""
    if not isinstance(inputs, dict):
        return
    for role in ("base", "parents", "controls"):
        given = inputs.get(role)
        yield from (each for each in _as_list(given) if isinstance(each, dict))


def _as_list(given: object) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _sizes(files: list[tuple[int, str | None]]) -> list[int]:
    return sorted(size for size, _ in files)


def _sizes_here(checkpoint: Checkpoint) -> list[int]:
    return sorted(shard.bytes for shard in checkpoint.own_shards)


def _told(sizes: list[int]) -> str:
    """Return how many files there are, and how large they are."""
    count = "1 file" if len(sizes) == 1 else f"{len(sizes):,} files"
    return f"{count} of {sum(sizes):,} bytes"
