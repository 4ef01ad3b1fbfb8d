"""Checkpoints in object stores: ``s3://bucket/folder``, ``gs://``, ``az://``.

The library ``obstore`` signs and makes the requests, and tries again what fails for a while; what
it has to know (keys, region, endpoint) it takes from the environment, as other clients do.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from parentage.checkpoint.network.addresses import shown
from parentage.checkpoint.network.network import Network, shared
from parentage.checkpoint.network.ranged import RangedFile
from parentage.checkpoint.sources.names import scheme_of
from parentage.checkpoint.sources.safetensors_files import (
    Chosen,
    choose,
    read_headers,
    require_text,
    small_files,
)
from parentage.checkpoint.sources.source import Opened, Origin
from parentage.support import CheckpointError, ReadError, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

_SCHEMES = ("s3", "gs", "az")
_PLAIN = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")
"""Where the environment allows stores that do not encrypt."""

_SMALL = ("config.json", "adapter_config.json")
_ENDINGS = (".safetensors", ".json")


def serves(given: str | PathLike[str]) -> bool:
    """Return whether it is an address in an object store."""
    return scheme_of(given) in _SCHEMES


def open(given: str | PathLike[str], network: Network | None = None) -> Opened:  # noqa: A001
    """Read the headers of a folder in a bucket, of a file or of an index in it."""
    return _Bucket(os.fspath(given), shared() if network is None else network).open()


class BucketPlace:
    """An object, each answer of which is checked to be of the same state of it."""

    def __init__(
        self, bucket: str, key: str, meta: dict[str, Any], network: Network, store: Any = None
    ) -> None:
        self.name = f"{bucket}/{key}"
        self._bucket, self._key, self._meta, self._network = bucket, key, meta, network
        self._store = _store(bucket, network) if store is None else store

    def __reduce__(self) -> tuple[Callable[..., BucketPlace], tuple[object, ...]]:
        """Pickle what it is: another process has a network, and keys, of its own."""
        return _restored, (self._bucket, self._key, self._meta)

    @property
    def bytes(self) -> int:
        """Its length."""
        return int(self._meta["size"])

    @property
    def identity(self) -> str:
        """Where it is, with its ETag; empty if it has none."""
        tag = self._meta.get("e_tag")
        return f"{self.name} {tag} {self.bytes}" if tag else ""

    def fetch(self, start: int, end: int, into: memoryview) -> None:
        """Write the bytes from ``start`` to ``end`` (exclusive) into ``into``.

        Raises
        ------
        ReadError
            If that fails for good, or the object is another one by now.
        """
        import obstore

        options: dict[str, Any] = {"range": (start, end)}
        if self._meta.get("e_tag"):
            options["if_match"] = self._meta["e_tag"]
        network = self._network
        with (
            network.hosts.request(self._bucket),
            network.traffic.answer(end - start) as received,
        ):
            try:
                result = obstore.get(self._store, self._key, options=cast("Any", options))
                found = memoryview(result.bytes())
            except Exception as error:
                raise ReadError(why(error)) from None
            if result.meta["size"] != self.bytes or len(found) != end - start:
                raise ReadError(
                    f"the object had {self.bytes:,} bytes when it was opened and now has "
                    f"{result.meta['size']:,}"
                )
            received.add(len(found))
            into[:] = found


def why(error: Exception) -> str:
    """Return what an error of the library means; its text may hold signed addresses."""
    kind = type(error).__name__
    return {
        "NotFoundError": "there is no such object",
        "FileNotFoundError": "there is no such object",
        "PermissionDeniedError": "the store refuses it: are the keys the right ones?",
        "UnauthenticatedError": "the store does not accept the keys",
        "PreconditionError": "the object changed while it was read: its ETag is another",
    }.get(kind, f"the store can not be read ({printable(kind)}): network, region and keys?")


def _store(bucket: str, network: Network) -> Any:
    try:
        from obstore.store import from_url
    except ImportError as error:
        said = f"{bucket}: needs obstore, and Python 3.11: pip install 'parentage[cloud]'"
        raise ReadError(said) from error
    patience = network.patience
    retries = {
        "max_retries": patience.attempts - 1,
        "retry_timeout": timedelta(seconds=patience.told),
        "backoff": {
            "init_backoff": timedelta(seconds=patience.base),
            "max_backoff": timedelta(seconds=patience.most),
            "base": 2,
        },
    }
    times: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=patience.connect),
        "timeout": timedelta(seconds=max(patience.stall, 1.0) * 3),
    }
    # With options of ours, the library does not look for this one itself.
    if any(os.environ.get(name, "").lower() in ("1", "true") for name in _PLAIN):
        times["allow_http"] = True
    try:
        return from_url(bucket, retry_config=retries, client_options=times)  # type: ignore[call-overload]
    except Exception as error:
        raise ReadError(f"{bucket}: {why(error)}") from None


def _restored(bucket: str, key: str, meta: dict[str, Any]) -> BucketPlace:
    return BucketPlace(bucket, key, meta, shared())


class _Bucket:
    """A folder in a bucket."""

    def __init__(self, url: str, network: Network) -> None:
        parts = urlsplit(url)
        self._network = network
        self._bucket = f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}"
        key = unquote(parts.path).strip("/")
        if not parts.netloc or any(each in ("", ".", "..") for each in key.split("/") if key):
            said = f"no name of a folder in a store; write {parts.scheme}://bucket/folder"
            raise CheckpointError(f"{shown(url)}: {said}")
        self._file = key.rpartition("/")[2] if key.endswith(_ENDINGS) else None
        self._folder = key.rpartition("/")[0] if self._file else key
        self._where = "/".join(each for each in (self._bucket, self._folder) if each)
        self._store = _store(self._bucket, network)
        self._metas: dict[str, dict[str, Any]] = {}

    def open(self) -> Opened:
        """List the folder, and read the headers."""
        self._metas = self._network.call(self._listed)
        named = self._where if self._file is None else f"{self._where}/{self._file}"
        if self._file is None:
            chosen = choose(self._where, self._metas)
        elif self._file not in self._metas:
            raise CheckpointError(f"{named}: there is no such object")
        else:
            is_index = self._file.endswith(".json")
            chosen = Chosen(self._file, ()) if is_index else Chosen(None, (self._file,))
        core = read_headers(self._where, chosen, self._text, self._ranged)
        texts = {each: self._text(each) for each in _SMALL if each in self._metas}
        names = tuple(sorted(self._metas)) if self._file is None else ()
        name = self._folder.rpartition("/")[2] or self._bucket.partition("://")[2]
        if self._file is not None and self._file not in ("model.safetensors", chosen.index):
            name = self._file.removesuffix(".safetensors")
        sizes = {each: int(self._metas[each]["size"] or 0) for each in names}
        small = small_files(sizes, [each[1] for each in core.shards()])
        beside = {each: self._ranged(each) for each in small}
        origin = Origin(named, names=names, texts=texts, beside=beside)
        return Opened(Path(named), name, core, origin=origin)

    def _listed(self) -> dict[str, dict[str, Any]]:
        """Return what is known of the objects of the folder, by name."""
        import obstore

        self._network.traffic.request()
        prefix = f"{self._folder}/" if self._folder else None
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["objects"]
        except Exception as error:
            raise ReadError(f"{self._where}: {why(error)}") from None
        start = len(prefix or "")
        known = ("size", "e_tag")
        return {each["path"][start:]: {name: each.get(name) for name in known} for each in found}

    def _ranged(self, file: str) -> RangedFile:
        meta = self._metas.get(file)
        if meta is None:
            raise CheckpointError(
                f"{self._where}: {printable(file)} is not there, though the index names it"
            )
        key = f"{self._folder}/{file}" if self._folder else file
        place = partial(BucketPlace, self._bucket, key, meta, self._network)
        return RangedFile(place(self._store), self._network)

    def _text(self, file: str) -> bytes:
        ranged = self._ranged(file)
        require_text(ranged.place.name, ranged.place.bytes)
        return ranged.bytes_of(0, ranged.place.bytes)
