"""Parts of a trace that machines read apart: what they have to agree on, and what they keep.

All parts are in one folder, or in several of the same form::

    parts.json          what is traced, into how many parts it is cut, and by which seed
    recipes.json        what the first part has found that is to be carried out
    part-3-of-64/       the journal of a part

Whoever comes first writes the first two; whoever comes later is held to them.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.checkpoint import Checkpoint, open_all
from parentage.evidence.journal import NAME, KeptRecords, Record, differs
from parentage.support import WRITING, JournalError, ReadError, WriteError, is_there, number_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.checkpoint import Inputs, Network

SHEET = "parts.json"
"""What all parts agree on."""

RECIPES = "recipes.json"
"""Which recipes all parts carry out."""

SCHEMA = "parentage.parts/1"
"""Version of both."""

MOST_PARTS = 100_000
"""Parts that a trace may be cut into."""

_FOLDER = re.compile(r"part-(\d{1,6})-of-(\d{1,6})")
_PART = re.compile(r"(\d{1,6})/(\d{1,6})")

_OPTIONS = {"count": "parts", "seed": "seed", "recipes": "recipes", "digest": "digest"}


@dataclass(frozen=True, slots=True)
class PartOf:
    """A part of so many.

    >>> PartOf.parse("3/64")
    PartOf(number=3, count=64)
    """

    number: int
    """From 1 on."""
    count: int

    @classmethod
    def parse(cls, given: str | tuple[int, int] | PartOf) -> PartOf:
        """Return what ``"3/64"`` says.

        Raises
        ------
        ValueError
            If it is no part of anything.
        """
        if isinstance(given, PartOf):
            return given
        text = given if isinstance(given, str) else "/".join(map(str, given))
        found = _PART.fullmatch(text)
        number, count = (0, 0) if found is None else map(int, found.groups())
        if not 1 <= number <= count <= MOST_PARTS:
            raise ValueError(
                f"{text!r} is no part; write 3/64 for the third of 64, of {MOST_PARTS:,} at most"
            )
        return cls(number, count)

    @property
    def folder(self) -> str:
        """The name of the folder of its journal."""
        return f"part-{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def sheet_of(
    inputs: Inputs, work: Mapping[str, Any], part: PartOf, seed: int, *, recipes: bool, digest: bool
) -> dict[str, Any]:
    """Return what all parts of a trace agree on.

    ``work`` is what identifies it, as :func:`parentage.evidence.identity` returns it.
    """

    def told(checkpoints: Sequence[Any]) -> list[dict[str, str]]:
        return [{"name": each.name, "place": each.reopened_by} for each in checkpoints]

    return {
        "schema": SCHEMA,
        "count": part.count,
        "seed": seed,
        "recipes": recipes,
        "digest": digest,
        "child": told([inputs.child])[0],
        "base": told([inputs.base])[0],
        "parents": told(inputs.parents),
        "controls": told(inputs.controls),
        "work": dict(work),
    }


def agreed(path: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Write a document, unless there is one, and return the one that there is.

    Raises
    ------
    WriteError
        If the system refuses to write.
    """
    if not is_there(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(document, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                # Of several that come first, one is: a link is there whole, and only once.
                with suppress(FileExistsError):
                    os.link(name, path)
            finally:
                os.unlink(name)  # noqa: PTH108
        except OSError as error:
            raise WriteError(f"{path}: write: {error.strerror or error}") from error
    return read_sheet(path)


def read_sheet(path: Path) -> dict[str, Any]:
    """Return a document that parts agree on.

    Raises
    ------
    ReadError
        If the system refuses to read it.
    JournalError
        If it is no such document.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise _no_sheet(path) from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise _no_sheet(path)
    return found


def read_parts(path: Path) -> dict[str, Any]:
    """Return what :data:`SHEET` says.

    Raises
    ------
    ReadError
        If the system refuses to read it.
    JournalError
        If it is no such document, or lacks something.
    """
    found = read_sheet(path)
    is_whole = (
        type(found.get("count")) is int
        and 1 <= found["count"] <= MOST_PARTS
        and type(found.get("seed")) is int
        and 0 <= found["seed"] < 1 << 64
        and all(isinstance(found.get(name), bool) for name in ("recipes", "digest"))
        and all(_is_checkpoint(found.get(name)) for name in ("child", "base"))
        and all(
            isinstance(found.get(name), list) and all(map(_is_checkpoint, found[name]))
            for name in ("parents", "controls")
        )
        and isinstance(found.get("work"), dict)
    )
    if not is_whole:
        raise _no_sheet(path)
    return found


def _is_checkpoint(said: object) -> bool:
    return isinstance(said, dict) and all(
        isinstance(said.get(name), str) for name in ("name", "place")
    )


def same_trace(path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse parts of another trace than the one that a sheet at ``path`` is of.

    Raises
    ------
    JournalError
        If they are; says in what.
    """
    try:
        for key, what in _OPTIONS.items():
            if was[key] != now[key]:
                raise JournalError(
                    f"{path}: these are parts of another trace: {what} {_shown(was[key])} there, "
                    f"and {_shown(now[key])} here"
                )
        difference = differs(was["work"], now["work"])
    except (KeyError, TypeError):
        raise _no_sheet(path) from None
    if difference is not None:
        raise JournalError(f"{path}: these are parts of another trace: {difference}")


def same_recipes(folder: Path, slices: str, programs: Sequence[str]) -> None:
    """Refuse to go on with recipes that are not those which the other parts carry out.

    Raises
    ------
    JournalError
        If they are not.
    """
    now = {"schema": SCHEMA, "slices": slices, "recipes": list(programs)}
    if agreed(folder / RECIPES, now) != now:
        raise JournalError(
            f"{folder / RECIPES}: the recipes that were found here are not those of the other "
            "parts; the same seed, the same files and processors of one kind give the same"
        )


class JoinedParts:
    """The journals of all parts, as the one of a trace that has read everything.

    Parameters
    ----------
    folders
        Of parts, or of folders of parts.

    Raises
    ------
    JournalError
        If parts do not fit together, are missing, twice there, or not done.
    ReadError
        If the system refuses to read them.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        sheets: list[tuple[Path, dict[str, Any]]] = []
        found: dict[PartOf, Path] = {}
        for folder in folders:
            top, inside = _parts_in(folder)
            sheets.append((top / SHEET, read_parts(top / SHEET)))
            for part, place in inside:
                if part in found and found[part].resolve() != place.resolve():
                    raise JournalError(f"part {part} is there twice: {found[part]} and {place}")
                found[part] = place
        path, self.sheet = sheets[0]
        for other, each in sheets[1:]:
            same_trace(other, each, self.sheet)
        count = self.sheet["count"]
        for part, place in found.items():
            if part.count != count:
                raise JournalError(f"{place}: is a part of {part.count}, and the others of {count}")
        numbers = {part.number for part in found}
        missing = [number for number in range(1, count + 1) if number not in numbers]
        if missing:
            raise JournalError(f"{path.parent}: of {count} parts, {_parts(missing)} missing")
        ordered = sorted(found.items(), key=lambda each: each[0].number)
        self._places = [place / NAME for _, place in ordered]
        self.path = path
        undone = [part.number for part, place in ordered if not _is_done(place / NAME)]
        if undone:
            raise JournalError(
                f"{path.parent}: of {count} parts, {_parts(undone, 'is not', 'are not')} done; the "
                "same command with --resume goes on with one"
            )

    def opened(self, network: Network | None = None) -> Inputs:
        """Open the checkpoints where the parts had them.

        Raises
        ------
        ParentageError
            If one can not be read.
        """

        def one(said: Mapping[str, str]) -> Checkpoint:
            return Checkpoint.open(said["place"], said["name"], network)

        child, base = one(self.sheet["child"]), one(self.sheet["base"])
        parents, controls = (
            [one(each) for each in self.sheet[role]] for role in ("parents", "controls")
        )
        return open_all(child, base, parents, controls, network)

    def verify(self, work: Mapping[str, Any]) -> None:
        """Refuse checkpoints that are not what the parts have read.

        Raises
        ------
        JournalError
            If they are not; says in what.
        """
        same_trace(self.path, self.sheet, {**self.sheet, "work": work})
        for place in self._places:
            with KeptRecords(place) as part:
                was = next(part.records("head")).values["work"]
            if (difference := differs(was, work)) is not None:
                raise JournalError(f"{place}: can not be joined: {difference}")

    def records(self, kind: str) -> Iterator[Record]:
        """Yield the records of a kind, of one part after the other; one is held at a time."""
        for place in self._places:
            with KeptRecords(place) as part:
                yield from part.records(kind)

    def expect(self, kind: str, values: Mapping[str, Any], what: str) -> None:
        """Refuse to go on if a part says something else."""
        for place in self._places:
            with KeptRecords(place) as part:
                for record in part.records(kind):
                    for name, value in values.items():
                        if record.values.get(name) != value:
                            raise JournalError(
                                f"{place}: can not be joined: {what} ({name}) is not what it is "
                                "here; the same files and processors of one kind give the same"
                            )

    def append(
        self,
        kind: str,
        values: Mapping[str, Any],  # noqa: ARG002
        arrays: Mapping[str, NDArray[Any]] | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse what would be read again: parts have everything.

        Raises
        ------
        JournalError
            Always.
        """
        raise JournalError(f"{self.path}: parts do not hold all slices, {kind} among them")

    def progress(self, done: int, total: int) -> None:
        """Take no note."""

    def resumed(self, done: int, total: int) -> None:
        """Take no note."""


def _parts_in(folder: Path) -> tuple[Path, list[tuple[PartOf, Path]]]:
    """Return the folder of the sheet, and the parts with their folders."""
    mine = _FOLDER.fullmatch(folder.resolve().name)
    if mine is not None and not is_there(folder / SHEET):
        return folder.resolve().parent, [(PartOf(*map(int, mine.groups())), folder)]
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise ReadError(f"{folder}: read: {error.strerror or error}") from error
    found = [
        (PartOf(*map(int, match.groups())), folder / name)
        for name in names
        if (match := _FOLDER.fullmatch(name)) is not None
    ]
    if not found and not is_there(folder / SHEET):
        raise JournalError(f"{folder}: no parts of a trace are here; trace --part writes them")
    return folder, found


def _no_sheet(path: Path) -> JournalError:
    return JournalError(f"{path}: this is not what parts of a trace agree on")


def _is_done(path: Path) -> bool:
    if not is_there(path):
        return False
    with KeptRecords(path) as part:
        return next(part.records("done"), None) is not None


def _parts(numbers: Sequence[int], one: str = "is", several: str = "are") -> str:
    return f"{number_ranges(numbers)} {one if len(numbers) == 1 else several}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "asked for" if value else "not asked for"
    return str(value)
