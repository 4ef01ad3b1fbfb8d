"""Files that are read by ranges of http and https."""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from parentage.checkpoint.network.addresses import origin, require_allowed, shown
from parentage.checkpoint.network.client import http_library
from parentage.checkpoint.network.network import shared
from parentage.checkpoint.network.waiting import exhausted, told
from parentage.support import ReadError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3 import BaseHTTPResponse

    from parentage.checkpoint.network.network import Network
    from parentage.checkpoint.network.traffic import Received

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
_STEP = 1 << 18
"""Bytes that are taken from a connection at a time."""


@dataclass(frozen=True)
class Address:
    """Where a file is at the moment, and what has to be shown there."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, url: str) -> Address:
        """Return an address whose user and password are no part of it."""
        parts = urlsplit(url)
        if parts.username is None:
            return cls(url)
        word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = base64.b64encode(word.encode()).decode()
        host = parts.netloc.rpartition("@")[2]
        clean = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        return cls(clean, {"Authorization": f"Basic {basic}"})


class Directory(Protocol):
    """Knows where a file is, and can find out again."""

    def address(self, network: Network, refused: Address | None = None) -> Address:
        """Return the address of the file; another one than that which was ``refused``."""


@dataclass(frozen=True)
class Fixed:
    """A file that is where it is."""

    where: Address

    def address(self, network: Network, refused: Address | None = None) -> Address:  # noqa: ARG002
        """Return it."""
        return self.where


class _AgainError(Exception):
    """A request that may be made again after a while."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds
        """What the server said, if it did."""


class _RefusedError(Exception):
    """A request that is not allowed: signed addresses expire."""


class HttpPlace:
    """A file that is read by ranges, each checked to be of the same file as the first.

    Parameters
    ----------
    name
        What messages call it.
    directory
        Where it is.
    network
        What is shared with others.
    size
        Its length; ``None`` if it is not known, and asked for.
    identity
        What no other content has, if that is known: by default, where it is and its ETag.

    Raises
    ------
    ReadError
        If there is no such file, or it can not be read by ranges.
    """

    def __init__(
        self,
        name: str,
        directory: Directory,
        network: Network,
        size: int | None = None,
        identity: str = "",
    ) -> None:
        http_library()
        self.name = name
        self._directory, self._network = directory, network
        self._identity = identity
        self._tag: tuple[str, str] | None = None
        self._lock = threading.Lock()
        self._bytes = size
        if size is None:
            try:
                self.fetch(0, 1, memoryview(bytearray(1)))
            except ReadError as error:
                raise ReadError(f"{name}: {error}") from error

    def __reduce__(self) -> tuple[Callable[..., HttpPlace], tuple[object, ...]]:
        """Pickle what it is: another process has a network, and maybe a token, of its own."""
        return _restored, (self.name, self._directory, self._bytes, self._identity)

    @property
    def bytes(self) -> int:
        """Its length."""
        return self._bytes or 0

    @property
    def identity(self) -> str:
        """What no other content has; empty if nothing says so."""
        if self._identity:
            return self._identity
        # A weak ETag, or a time, is shared by contents that are taken for one.
        if not self.etag or self.etag.startswith("W/"):
            return ""
        return f"{self.name} {self.etag} {self._bytes}"

    @property
    def etag(self) -> str:
        """What the server called this state of the file, if it did."""
        return "" if self._tag is None else self._tag[0]

    def fetch(self, start: int, end: int, into: memoryview) -> None:
        """Write the bytes from ``start`` to ``end`` (exclusive) into ``into``.

        What fails for a while is tried again from where it stopped.

        Raises
        ------
        ReadError
            If it fails for good, changes, or answers with something else.
        """
        transfer = _Transfer(start, end, into)
        failures, came = 0, 0
        refused: Address | None = None
        while transfer.at < end:
            self._network.check()
            address = self._directory.address(self._network, refused)
            try:
                self._request(address, transfer)
            except _RefusedError as error:
                if refused is not None:
                    raise ReadError(str(error)) from None
                refused = address
            except _AgainError as error:
                failures = 1 if transfer.at > came else failures + 1
                came = transfer.at
                patience = self._network.patience
                if failures >= patience.attempts or (error.seconds or 0.0) > patience.told:
                    raise ReadError(str(error)) from None
                if error.seconds is None:
                    self._network.wait(patience.pause(failures))

    def _request(self, address: Address, transfer: _Transfer) -> None:
        """Make a request for what is left, and follow where it leads."""
        from urllib3.exceptions import HTTPError

        url, headers = address.url, {**address.headers}
        for _ in range(_MOST_REDIRECTS):
            host = origin(url)[1]
            asked = {**headers, "Range": f"bytes={transfer.at}-{transfer.end - 1}"}
            with (
                self._network.hosts.request(host),
                self._network.traffic.answer(transfer.end - transfer.at) as received,
            ):
                try:
                    response = self._network.client.get(url, asked)
                except HTTPError as error:
                    raise _failed(error, url) from None
                try:
                    following = self._take(response, transfer, received, url)
                except HTTPError as error:
                    raise _failed(error, url) from None
                finally:
                    # Of what was not read to its end, nothing more is wanted.
                    response.close() if not transfer.is_clean else response.release_conn()
            if following is None:
                return
            require_allowed(url, following)
            if origin(url) != origin(following):
                headers = {}
            url = following
        raise ReadError(f"more than {_MOST_REDIRECTS} redirects")

    def _take(
        self, response: BaseHTTPResponse, transfer: _Transfer, received: Received, url: str
    ) -> str | None:
        """Take what an answer has; return where it leads, if it is elsewhere."""
        transfer.is_clean = False
        status, headers = response.status, response.headers
        host = origin(url)[1]
        if (seconds := exhausted(headers)) is not None:
            self._network.hosts.leave_alone(host, min(seconds, self._network.patience.told))
        if status in _REDIRECTS and headers.get("Location"):
            return urljoin(url, headers["Location"])
        if status in (401, 403):
            raise _RefusedError(f"the server refuses it ({_status(response)})")
        if status in AGAIN:
            seconds = told(headers)
            if seconds is not None:
                self._network.hosts.leave_alone(host, min(seconds, self._network.patience.told))
            raise _AgainError(f"the server can not serve it now ({_status(response)})", seconds)
        if status == 416:
            raise ReadError(
                f"the server has no byte {transfer.at:,}: the file is empty, or became "
                "shorter while it was read"
            )
        if status not in (200, 206):
            raise ReadError(f"the server answers {_status(response)}")
        self._require_bytes(response, transfer)
        self._require_same(response)
        while transfer.at < transfer.stop:
            self._network.check()
            want = min(_STEP, transfer.stop - transfer.at)
            count = response.readinto(transfer.window(want))
            if not count:
                raise _AgainError("the answer ended before it was whole")
            transfer.at += count
            received.add(count)
        transfer.is_clean = True
        return None

    def _require_bytes(self, response: BaseHTTPResponse, transfer: _Transfer) -> None:
        """Make sure that an answer has bytes from where they are wanted, before it is read."""
        headers = response.headers
        if headers.get("Content-Encoding", "identity") not in ("", "identity"):
            raise ReadError("the server encodes what was asked for as it is")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        length = headers.get("Content-Length", "")
        count = int(length) if length.isascii() and length.isdigit() else None
        if response.status == 200:
            # A small file may come whole; of any other, all of it would.
            if transfer.start == transfer.at == 0 and count == transfer.end == self._bytes:
                transfer.stop = transfer.end
                return
            if kind == "text/html":
                raise ReadError("the server answers with a web page, not with the file")
            raise ReadError(
                "the server ignores Range and would send the whole file: nothing of "
                "it was read; download it to trace it"
            )
        if kind.startswith("multipart/"):
            raise ReadError("the server answers with several parts to one range")
        said = headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(said.strip())
        if match is None:
            raise ReadError(f"the server does not say which bytes it sends: {_cut(said)}")
        first, last = int(match[1]), int(match[2])
        if first != transfer.at or not first <= last < transfer.end:
            raise ReadError(
                f"bytes {transfer.at}-{transfer.end - 1} were asked for, and the server "
                f"sends {first}-{last}"
            )
        if count is not None and count != last + 1 - first:
            raise ReadError(f"the server says {count:,} bytes, and sends {first}-{last}")
        if match[3] != "*":
            self._require_length(int(match[3]))
        elif self._bytes is None:
            raise ReadError("the server does not say how long the file is")
        transfer.stop = last + 1

    def _require_length(self, length: int) -> None:
        with self._lock:
            if self._bytes is None:
                self._bytes = length
        if self._bytes != length:
            raise ReadError(
                f"the file had {self._bytes:,} bytes when it was opened and now has {length:,}"
            )

    def _require_same(self, response: BaseHTTPResponse) -> None:
        """Make sure that an answer is of the file that the first one was of."""
        headers = response.headers
        tag = headers.get("ETag", ""), headers.get("Last-Modified", "")
        with self._lock:
            if self._tag is None:
                self._tag = tag
        one, other = self._tag, tag
        # Machines that serve one file may not agree on its time; on its tag they do.
        if one[0] != other[0] if one[0] and other[0] else not one[0] and one[1] != other[1]:
            raise ReadError("the file changed while it was read: its ETag is another")


def _restored(name: str, directory: Directory, size: int, identity: str) -> HttpPlace:
    return HttpPlace(name, directory, shared(), size, identity)


class _Transfer:
    """A range on its way: what has come, and where the answer that is read ends."""

    def __init__(self, start: int, end: int, into: memoryview) -> None:
        self.start, self.end, self._into = start, end, into
        self.at = start
        self.stop = start
        self.is_clean = False

    def window(self, count: int) -> memoryview:
        """Return where the next bytes go."""
        first = self.at - self.start
        return self._into[first : first + count]


def _status(response: BaseHTTPResponse) -> str:
    """Return the status of an answer, in words where it has some."""
    return f"{response.status} {_cut(response.reason or '')}".strip()


def _cut(text: str) -> str:
    return printable(text[:60])


def _failed(error: Exception, url: str) -> Exception:
    """Return what is raised for an error of the library, which may hold a signed address."""
    from urllib3 import exceptions

    host = origin(url)[1]
    if isinstance(error, exceptions.SSLError):
        return ReadError(
            f"{shown(url)}: the certificate of {host} is not accepted: {_cause(error)}"
        )
    if isinstance(error, exceptions.ProxyError):
        return _AgainError("the proxy that the environment names can not be reached")
    if isinstance(error, exceptions.NameResolutionError):
        return _AgainError(f"there is no address of {host}: is there a network?")
    # It is derived from a timeout, which it is not.
    if isinstance(error, exceptions.NewConnectionError):
        return _AgainError(f"{host} can not be reached: is there a network?")
    if isinstance(error, exceptions.TimeoutError):
        return _AgainError(f"{host} does not answer")
    return _AgainError(f"the connection to {host} broke")


def _cause(error: BaseException) -> str:
    """Return what a system or a certificate says, without any address."""
    found: BaseException | None = error
    while found is not None:
        if message := getattr(found, "verify_message", None):
            return _cut(str(message))
        found = (
            found.__cause__
            or found.__context__
            or (found.args[0] if found.args and isinstance(found.args[0], BaseException) else None)
        )
    return "no secure connection"
