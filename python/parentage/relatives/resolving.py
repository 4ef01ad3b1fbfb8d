"""Opens what a checkpoint's files claim it was made of, where it may be opened on a mere claim.

A claim is what a stranger wrote. It is taken as a name, and never as a path or an address: nothing
is opened but what is called so beside the child, in the library or in the Hugging Face cache; and
on a hub, where the child itself was named on one, or whoever asks says so.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parentage.checkpoint import Checkpoint, HubName, cached, scheme_of
from parentage.library import ENDING, sketch_of
from parentage.metadata import is_called
from parentage.support import ParentageError, is_folder, is_there, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.checkpoint import Network
    from parentage.library import Library

HUBS = ("huggingface.co", "www.huggingface.co", "hf.co")
"""Hosts whose addresses of pages are names of repositories."""

MOST_SHOWN = 120
"""Characters of a claim that are told."""

_PLAIN = re.compile(r"[^\W_][\w.+ -]{0,199}")
"""The last part of a name, as folders may be called."""


class NotFollowedError(Exception):
    """A claim that nothing is opened by, and why: a clause."""


@dataclass(frozen=True)
class Resolved:
    """A checkpoint that a name was resolved to."""

    checkpoint: Checkpoint
    where: str
    """Where it was found, in words."""

    @property
    def is_sketch(self) -> bool:
        """Whether it is a sketch, of which no more is known than it holds."""
        return sketch_of(self.checkpoint) is not None


@dataclass(frozen=True)
class Resolver:
    """Looks for what claims name."""

    child: Checkpoint
    shelf: Library
    follow: bool = False
    """Whether a hub is asked, whatever the child is."""
    network: Network | None = None
    without: frozenset[str] = frozenset()
    """Sketches of the library that are passed over: those of the child itself."""

    @property
    def may_ask(self) -> bool:
        """Whether a hub may be asked: it is, for a child that was named on one."""
        origin = self.child.origin
        return self.follow or (origin is not None and scheme_of(origin.where) == "hf")

    def resolve(self, claim: str) -> Resolved:
        """Open what a claim names.

        Raises
        ------
        NotFollowedError
            If nothing may be opened by it, or nothing of that name is at hand.
        """
        name = called(claim)
        is_itself = False
        for found in self._found(name):
            if not found.checkpoint.same_files(self.child):
                return found
            is_itself = True
        if is_itself:
            raise NotFollowedError("it is the child itself")
        raise NotFollowedError(
            "nothing is called so beside the child, in the library or in the Hugging Face cache"
            + ("" if self.may_ask or "/" not in name else ", and no hub is asked on a mere claim")
        )

    def _found(self, name: str) -> Iterator[Resolved]:
        """Go through what is called so, the nearest first."""
        yield from self._near(name)
        yield from self._in_library(name)
        yield from self._of_hub(name)

    def whole(self, sketch: Checkpoint) -> Resolved | None:
        """Open the checkpoint that a sketch of the library was made of, under the sketch's name.

        ``None`` if the library does not know where it is, or if it is another one there now.
        """
        index = self.shelf.index(["name", "source"])
        sources = [source for name, source in index.iter_rows() if name == sketch.name and source]
        for source in sources:
            # Who keeps the library wrote it; of one that was handed on, that may be a stranger.
            may = self.follow or (self.may_ask and scheme_of(source) == "hf")
            is_path = not scheme_of(source) and Path(source).is_absolute()
            if not is_path and not may and not _is_cached(source):
                continue
            try:
                opened = Checkpoint.open(source, sketch.name, self.network)
            except ParentageError:
                continue
            if fits(sketch, opened):
                return Resolved(opened, "where the library says it is")
        return None

    def _near(self, name: str) -> Iterator[Resolved]:
        """Go through what is called so beside the child, if that is on a disk."""
        for path in self._beside(name):
            try:
                yield Resolved(Checkpoint.open(path), "beside the child")
            except ParentageError:
                continue

    def _beside(self, name: str) -> Iterator[Path]:
        if self.child.is_remote or self.child.is_in_memory:
            return
        try:
            path = self.child.path.resolve()
        except (OSError, RuntimeError):
            return
        organisation, _, last = name.rpartition("/")
        roots = list(path.parents[:2])
        folders = [root / organisation / last for root in roots] if organisation else []
        folders += [root / last for root in (roots if path.is_file() else roots[:1])]
        for each in folders:
            if is_folder(each):
                yield each
        for root in roots[:1]:
            if is_there(root / f"{last}{ENDING}"):
                yield root / f"{last}{ENDING}"

    def _in_library(self, name: str) -> Iterator[Resolved]:
        """Go through what sketches of that name were made of, or else the sketches."""
        for known in self.shelf.names:
            if known in self.without or not is_called(name, known):
                continue
            try:
                sketch = self.shelf.open(known)
                is_one = sketch_of(sketch) is not None
            except ParentageError:
                continue
            if is_one:
                yield self.whole(sketch) or Resolved(sketch, "as a sketch in the library")

    def _of_hub(self, name: str) -> Iterator[Resolved]:
        """Go through what a hub has of that name, or its cache."""
        if "/" not in name:
            return
        is_kept = cached(name) is not None
        if not is_kept and not self.may_ask:
            return
        try:
            opened = Checkpoint.open(f"hf://{name}", None, self.network)
        except ParentageError as error:
            raise NotFollowedError(printable(str(error))[:300]) from error
        yield Resolved(opened, "in the Hugging Face cache" if is_kept else "on the hub")


def called(claim: str) -> str:
    """Return what a claim names: ``org/name`` or ``name``.

    Of a path, which is one of another machine, that is its last part; of an address of a hub's
    page, its repository.

    >>> called("org/name"), called("/data/models/Base/"), called("https://huggingface.co/a/b/tree/x")
    ('org/name', 'Base', 'a/b')

    Raises
    ------
    NotFollowedError
        If that is no name of a checkpoint.
    """
    text = claim.strip()
    if scheme_of(text) in ("http", "https"):
        return _of_page(text)
    if scheme_of(text) == "hf":
        try:
            return HubName.parse(text).repository
        except ParentageError as error:
            raise NotFollowedError("it is no name of a checkpoint on a hub") from error
    if scheme_of(text):
        raise NotFollowedError("it is an address, which is not followed because of a claim")
    parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".")]
    last = parts[-1] if parts else ""
    if not _PLAIN.fullmatch(last) or not text.isprintable():
        raise NotFollowedError("it is no name of a checkpoint")
    is_path = text.startswith(("/", "\\", "~", ".")) or "\\" in text or ".." in parts
    is_path |= len(parts) != 2 or ":" in text
    if is_path or not _PLAIN.fullmatch(parts[0]):
        return last
    return "/".join(parts)


def _of_page(address: str) -> str:
    """Return the repository that a page of a hub is of."""
    try:
        split = urlsplit(address)
        host = (split.hostname or "").lower()
        own = (urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname or "").lower()
    except ValueError as error:
        raise NotFollowedError("it is no address") from error
    parts = [part for part in split.path.split("/") if part]
    if host not in (*HUBS, *([own] if own else [])) or len(parts) < 2:
        raise NotFollowedError("it is an address, which is not followed because of a claim")
    if not all(_PLAIN.fullmatch(part) for part in parts[:2]):
        raise NotFollowedError("it is no name of a checkpoint on a hub")
    return "/".join(parts[:2])


def _is_cached(source: str) -> bool:
    """Return whether a checkpoint of a hub lies in the cache, at the commit that it names."""
    if scheme_of(source) != "hf":
        return False
    try:
        name = HubName.parse(source)
    except ParentageError:
        return False
    return cached(name.repository, name.revision) is not None


def fits(sketch: Checkpoint, whole: Checkpoint) -> bool:
    """Return whether a sketch may be of a checkpoint: by sizes of files, where they are known.

    By names and numbers of tensors, where they are not. It is a look before anything is read.
    """
    said = sketch_of(sketch)
    if said is None:
        return False
    sizes = {str(each.get("name")): each.get("bytes") for each in said.files}
    known = [(each, sizes[each.name]) for each in whole.own_shards if each.name in sizes]
    if known:
        return all(each.bytes == size for each, size in known)
    return {each.name for each in said.tensors} >= set(whole.core.names())


def shown(claim: str) -> str:
    """Return a claim as it is told: what could act on a terminal is escaped, and it is cut."""
    text = printable(claim)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
