"""Checkpoints at addresses of http and https: a file, or an index that names files beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from parentage.checkpoint.network.addresses import shown
from parentage.checkpoint.network.http_place import Address, Fixed, HttpPlace
from parentage.checkpoint.network.network import Network, shared
from parentage.checkpoint.network.ranged import RangedFile
from parentage.checkpoint.sources.local import name_of
from parentage.checkpoint.sources.names import scheme_of
from parentage.checkpoint.sources.safetensors_files import Chosen, read_headers, require_text
from parentage.checkpoint.sources.source import Opened, Origin
from parentage.support import CheckpointError, ReadError

if TYPE_CHECKING:
    from os import PathLike

_SMALL = ("config.json", "adapter_config.json")


def serves(given: str | PathLike[str]) -> bool:
    """Return whether it is an address of http or https."""
    return scheme_of(given) in ("http", "https")


def open(given: str | PathLike[str], network: Network | None = None) -> Opened:  # noqa: A001
    """Read the headers of a file, or of those that an index names."""
    return _Folder(os.fspath(given), shared() if network is None else network).open()


class _Folder:
    """The folder of an address. What stands behind its ``?`` is shown for all its files."""

    def __init__(self, url: str, network: Network) -> None:
        self._network = network
        self._url = url
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        self._folder, _, self._file = parts.path.rpartition("/") if host else ("", "", "")
        if not host or not self._file.endswith((".safetensors", ".safetensors.index.json")):
            raise CheckpointError(
                f"{shown(url)}: name a .safetensors file or a .safetensors.index.json; a web "
                "server does not list what is in a folder"
            )
        self._parts = parts
        self._where = shown(urlunsplit(parts._replace(path=self._folder)))

    def open(self) -> Opened:
        """Read the headers."""
        file = unquote(self._file)
        is_index = file.endswith(".json")
        chosen = Chosen(file, ()) if is_index else Chosen(None, (file,))
        core = read_headers(self._where, chosen, self._text, self._ranged)
        texts = {name: text for name in _SMALL if (text := self._text_if_there(name)) is not None}
        where = shown(self._url)
        folder = unquote(self._folder).rpartition("/")[2]
        name = name_of(Path(folder or "model") / file)
        return Opened(Path(where), name, core, origin=Origin(where, texts=texts))

    def _ranged(self, file: str) -> RangedFile:
        address = Address.of(urlunsplit(self._parts._replace(path=f"{self._folder}/{quote(file)}")))
        place = HttpPlace(f"{self._where}/{file}", Fixed(address), self._network)
        return RangedFile(place, self._network)

    def _text(self, file: str) -> bytes:
        ranged = self._ranged(file)
        require_text(ranged.place.name, ranged.place.bytes)
        return ranged.bytes_of(0, ranged.place.bytes)

    def _text_if_there(self, file: str) -> bytes | None:
        try:
            return self._text(file)
        except ReadError:
            # What is not there is said by servers in many ways.
            return None
