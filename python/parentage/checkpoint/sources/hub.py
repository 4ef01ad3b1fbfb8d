"""Checkpoints on a hub: ``hf://org/name``, and ``org/name`` where no such folder is here.

The library ``huggingface_hub`` resolves names, revisions and access, and knows its cache; what is
in that is used in place, without a request. Of what is not, ranges are read: each file's address is
asked for once, and again when it is refused.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parentage.checkpoint.network.http_place import HttpPlace
from parentage.checkpoint.network.network import Network, shared
from parentage.checkpoint.network.ranged import RangedFile
from parentage.checkpoint.sources import local
from parentage.checkpoint.sources.hub_files import HubFile, ask, library
from parentage.checkpoint.sources.names import HubName, may_be_repository, scheme_of
from parentage.checkpoint.sources.safetensors_files import (
    Chosen,
    choose,
    read_headers,
    require_text,
    small_files,
)
from parentage.checkpoint.sources.source import Opened, Origin
from parentage.support import CheckpointError, ReadError, is_folder, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from types import ModuleType

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALL = ("config.json", "adapter_config.json")


def serves(given: str | PathLike[str]) -> bool:
    """Return whether a checkpoint is named as on a hub, and is no path to anything here."""
    return scheme_of(given) == "hf" or may_be_repository(given)


def open(given: str | PathLike[str], network: Network | None = None) -> Opened:  # noqa: A001
    """Read the headers of a checkpoint on a hub, or in the cache of one."""
    network = shared() if network is None else network
    text = os.fspath(given)
    is_bare = scheme_of(text) != "hf"
    name = HubName.parse(f"hf://{text}" if is_bare else text)
    hub = library(text, is_bare=is_bare)
    kept = _in_cache(hub, name)
    if is_bare:
        network.note(f"{text}: there is no such file or folder here; read as {name}")
    if kept is not None:
        return _opened_in_cache(name, kept, network)
    if hub.constants.HF_HUB_OFFLINE:
        raise ReadError(f"{name}: it is not in the cache, and HF_HUB_OFFLINE forbids to ask for it")
    return _Repository(name, network, hub).open()


def cached(repository: str, revision: str | None = None) -> Path | None:
    """Return where a checkpoint of a hub lies in its cache, whole; ``None`` if it does not.

    Nothing is asked of anybody, and nothing is an error: without ``huggingface_hub`` there is none.
    """
    try:
        name = HubName.parse(f"hf://{repository}" + (f"@{revision}" if revision else ""))
        return _in_cache(library(str(name), is_bare=False), name)
    except CheckpointError:
        return None


def _in_cache(hub: ModuleType, name: HubName) -> Path | None:
    """Return the folder of a revision in the cache, if all files of the checkpoint are there."""
    folder = Path(hub.constants.HF_HUB_CACHE) / f"models--{name.repository.replace('/', '--')}"
    revision = name.revision or "main"
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = (folder / "refs" / revision).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
    if not _COMMIT.fullmatch(commit):
        return None
    snapshot = folder / "snapshots" / commit / name.folder
    if not is_folder(snapshot):
        return None
    path = snapshot if name.file is None else snapshot / name.file
    try:
        # An index whose files are not all there is of a download that is not complete.
        local.open(path)
    except (CheckpointError, ReadError):
        return None
    return path


def _opened_in_cache(name: HubName, path: Path, network: Network) -> Opened:
    opened = local.open(path)
    commit = (
        next(each.name for each in path.parents if each.parent.name == "snapshots")
        if (path.parent.name != "snapshots")
        else path.name
    )
    if not _COMMIT.fullmatch(name.revision or ""):
        network.note(
            f"{name}: read from the cache, as {name.revision or 'main'} was when it was downloaded "
            f"(commit {commit[:12]})"
        )
    published = {}
    for shard_path, file, *_ in opened.core.shards():
        # Files that are large are kept under their SHA-256.
        digest = Path(os.path.realpath(shard_path)).name
        if _SHA256.fullmatch(digest):
            published[file] = digest
    place = Origin(str(HubName(name.repository, None, name.folder, name.file)), commit, published)
    return Opened(opened.path, name.called, opened.core, opened.encodings, opened.choices, place)


@dataclass
class _Entry:
    """A file of a repository, as its listing has it."""

    path: str
    bytes: int
    sha256: str | None
    blob: str


class _Repository:
    """A revision of a repository."""

    def __init__(self, name: HubName, network: Network, hub: ModuleType) -> None:
        self._name, self._network, self._hub = name, network, hub
        self._commit = ""
        self._entries: dict[str, _Entry] = {}

    def open(self) -> Opened:
        name = self._name
        api = self._hub.HfApi()
        info = self._ask(partial(api.model_info, name.repository, revision=name.revision))
        self._commit = str(info.sha or "")
        if not _COMMIT.fullmatch(self._commit):
            raise ReadError(f"{name}: the hub does not say which commit it is")
        listing = partial(
            api.list_repo_tree,
            name.repository,
            name.folder or None,
            revision=self._commit,
        )
        self._entries = {
            entry.path[len(name.folder) + 1 if name.folder else 0 :]: entry
            for entry in self._ask(lambda: self._listed(listing))
        }
        where = HubName(name.repository, self._commit, name.folder)
        if name.file is None:
            chosen = choose(str(name), self._entries)
        elif name.file not in self._entries:
            raise CheckpointError(f"{name}: there is no such file at commit {self._commit[:12]}")
        elif name.file.endswith(".json"):
            chosen = Chosen(name.file, ())
        else:
            chosen = Chosen(None, (name.file,))
        core = read_headers(str(where), chosen, self._text, self._ranged)
        names = [each[1] for each in core.shards()]
        digests = {each: self._entries[each].sha256 for each in names}
        origin_ = Origin(
            str(HubName(name.repository, None, name.folder, name.file)),
            self._commit,
            {each: digest for each, digest in digests.items() if digest},
            names=tuple(sorted(self._entries)),
            texts={each: self._text(each) for each in _SMALL if each in self._entries},
            beside={
                each: self._ranged(each)
                for each in small_files({k: x.bytes for k, x in self._entries.items()}, names)
            },
        )
        return Opened(Path(str(name)), name.called, core, origin=origin_)

    def _listed(self, listing: Callable[[], Any]) -> list[_Entry]:
        return [
            _Entry(
                each.path,
                each.size,
                None if each.lfs is None else each.lfs.sha256,
                each.blob_id,
            )
            for each in listing()
            if hasattr(each, "size")
        ]

    def _text(self, file: str) -> bytes:
        ranged = self._ranged(file)
        require_text(ranged.place.name, ranged.place.bytes)
        return ranged.bytes_of(0, ranged.place.bytes)

    def _ranged(self, file: str) -> RangedFile:
        entry = self._entries.get(file)
        if entry is None:
            raise CheckpointError(
                f"{self._name}: {printable(file)} is not there at commit {self._commit[:12]}, "
                "though the index names it"
            )
        where = HubFile(self._name.repository, self._commit, entry.path)
        # Equal digests are equal bytes, wherever they lie.
        identity = f"sha256 {entry.sha256}" if entry.sha256 else f"git blob {entry.blob}"
        place = HttpPlace(str(where), where, self._network, entry.bytes, identity)
        return RangedFile(place, self._network)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return what the hub answers; Ctrl-C does not wait for it."""
        network = self._network
        return network.call(lambda: ask(str(self._name), network, question))
