"""A hub on this machine: repositories with revisions on one port, their large files on another.

It answers as the Hugging Face Hub does, as far as clients look: `huggingface_hub` itself is pointed
at it by HF_ENDPOINT. It counts what it is asked and what it sends, and fails as it is told.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import secrets
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf")
"""Endings of files that a hub keeps apart from the repository, by their SHA-256."""

GOOD_TOKEN = "hf_the-right-token"


@dataclass
class Repository:
    """A repository: folders by commit, and names of commits."""

    folders: dict[str, Path]
    revisions: dict[str, str]
    gated: bool = False
    private: bool = False

    @classmethod
    def of(cls, folder: Path, commit: str | None = None, **options: bool) -> Repository:
        """Return a repository of one revision, which is that of a folder."""
        commit = commit or hashlib.sha1(str(folder).encode()).hexdigest()
        return cls({commit: folder}, {"main": commit}, **options)


@dataclass
class Asked:
    """A request, as a fault sees it."""

    number: int
    kind: str
    """``api``, ``resolve`` or ``data``."""
    method: str
    path: str
    range: tuple[int, int] | None


Fault = Callable[[Asked], str | None]
"""Says what goes wrong with a request: see ``_Handler.fail``; ``None`` for nothing."""


@dataclass
class Counts:
    """What was asked for and sent, by kind."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


class HubDouble:
    """Serves repositories on 127.0.0.1, at :attr:`endpoint`."""

    def __init__(self, repositories: Mapping[str, Repository] | None = None) -> None:
        self.repositories = dict(repositories or {})
        self.latency = 0.0
        """Seconds before each answer."""
        self.rate = 0.0
        """Bytes a second of each connection that data is sent at; 0 for as fast as it goes."""
        self.fault: Fault = lambda _asked: None
        self.page = 1000
        """Files in a page of a listing."""
        self.counts = Counts()
        self.etags: dict[str, str] = {}
        """ETags of data that are others than those of the content, by path."""
        self.valid_since = 0.0
        """Signed addresses that are older than this are refused."""
        self.supports_ranges = True
        self.content: Callable[[Path, int, int], bytes] | None = None
        """What is served in place of a file's bytes, by the file and a range of it."""
        self.tokens: list[str | None] = []
        """Tokens that were shown, to the data server as well."""
        self.log: list[Asked] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._digests: dict[tuple[str, int, int], str] = {}
        self._servers = [self._serve("hub"), self._serve("data")]

    def _serve(self, role: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"double": self, "role": role})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def data(self) -> str:
        """Where large files are served."""
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def sha256(self, path: Path) -> str:
        """Return the digest of a file; of gigabytes, which tests leave empty, a made-up one."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._digests:
            if stat.st_size > 1 << 28:
                self._digests[key] = hashlib.sha256(repr(key).encode()).hexdigest()
            else:
                self._digests[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[key]

    def asked(self, kind: str, handler: _Handler) -> Asked:
        """Count a request."""
        with self._lock:
            self.counts.requests[kind] += 1
            asked = Asked(
                next(self._numbers), kind, handler.command, handler.path, handler.asked_range()
            )
            self.log.append(asked)
        return asked

    def sent(self, kind: str, count: int) -> None:
        """Count bytes of a body."""
        with self._lock:
            self.counts.bytes[kind] += count


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: HubDouble
    role: str
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/_counts":
            counts = self.double.counts
            self.reply_json({"requests": counts.requests, "bytes": counts.bytes})
            return
        of_hub = "api" if path.startswith("/api/") else "resolve"
        kind = "data" if self.role == "data" else of_hub
        asked = self.double.asked(kind, self)
        if self.double.latency:
            time.sleep(self.double.latency)
        token = self.headers.get("Authorization")
        self.double.tokens.append(token)
        fault = self.double.fault(asked)
        if fault is not None and self.fail(fault):
            return
        if kind == "data":
            self._data(path, asked, fault)
        elif kind == "api":
            self._api(path)
        else:
            self._resolve(path, asked, fault)

    # What can go wrong.

    def fail(self, fault: str) -> bool:
        """Fail in a way; ``False`` if that is how the body is sent."""
        what, _, how = fault.partition(":")
        if what == "status":
            status, _, extra = how.partition(" ")
            headers = dict([extra.split("=", 1)]) if extra else {}
            self.reply(int(status), b"no", headers)
        elif what == "reset":
            self._reset()
        elif what == "hang-up":
            self.close_connection = True
        elif what == "stall":
            time.sleep(float(how or 60))
            self.close_connection = True
        elif what == "html":
            self.reply(200, b"<html>please log in</html>", {"Content-Type": "text/html"})
        elif what == "redirect":
            self.reply(302, b"", {"Location": how})
        else:
            return False
        return True

    def _reset(self) -> None:
        # With nothing left to linger for, the system sends a reset instead of an end.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        with suppress(OSError):
            self.connection.close()

    # The interface of a hub.

    def _api(self, path: str) -> None:
        match = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)(?:/revision/(.+)|/(tree)/([^/]+)(?:/(.*))?)?", path
        )
        if match is None:
            self.reply_error(404, "RepoNotFound", "no such repository")
            return
        found = self._found(match[1], match[4] or match[2] or "main", is_api=True)
        if found is None:
            return
        repository, commit = found
        folder = repository.folders[commit]
        if match[3] is None:
            siblings = [{"rfilename": each} for each in _files(folder)]
            told = {
                "_id": "1", "id": match[1], "modelId": match[1], "sha": commit, "private": False,
                "gated": "manual" if repository.gated else False, "siblings": siblings, "tags": [],
                "downloads": 0, "likes": 0, "disabled": False,
            }  # fmt: skip
            self.reply_json(told)
            return
        below = folder / (match[5] or "")
        if not below.is_dir():
            self.reply_error(404, "EntryNotFound", "no such folder")
            return
        entries = [self._entry(folder, each) for each in sorted(below.iterdir())]
        query = parse_qs(urlsplit(self.path).query)
        first = int(query.get("cursor", ["0"])[0])
        page = entries[first : first + self.double.page]
        headers = {}
        if first + len(page) < len(entries):
            address = f"{self.double.endpoint}{urlsplit(self.path).path}?cursor={first + len(page)}"
            headers["Link"] = f'<{address}>; rel="next"'
        self.reply_json(page, headers)

    def _entry(self, folder: Path, path: Path) -> dict[str, object]:
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        size = path.stat().st_size
        told: dict[str, object] = {"type": "file", "size": size, "path": name}
        if not name.endswith(LARGE):
            content = path.read_bytes()
            told["oid"] = hashlib.sha1(b"blob %d\0%b" % (size, content)).hexdigest()
        if name.endswith(LARGE):
            digest = self.double.sha256(path)
            told["oid"] = digest[:40]
            told["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
            told["xetHash"] = hashlib.sha256(digest.encode()).hexdigest()
        return told

    def _resolve(self, path: str, asked: Asked, fault: str | None) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+|refs/pr/\d+)/(.+)", path)
        if match is None:
            self.reply_error(404, "RepoNotFound", "no such page")
            return
        found = self._found(match[1], match[2], is_api=False)
        if found is None:
            return
        repository, commit = found
        file = repository.folders[commit] / match[3]
        if not file.is_file():
            self.reply_error(404, "EntryNotFound", "no such file", {"X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "RateLimit": '"resolvers";r=2999;t=200'}
        if not match[3].endswith(LARGE):
            tag = hashlib.sha1(file.read_bytes()).hexdigest()
            self._send(file, asked, fault, {**headers, "ETag": f'"{tag}"'})
            return
        digest = self.double.sha256(file)
        signed = f"{time.time():.6f}-{secrets.token_hex(4)}"
        address = f"{self.double.data}/{digest}?path={quote(str(file))}&Signature=SECRET-{signed}"
        headers |= {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(file.stat().st_size),
            "X-Xet-Hash": hashlib.sha256(digest.encode()).hexdigest(),
            "ETag": f'"{digest[:32]}"',
            "Location": address,
        }
        self.reply(302, b"", headers)

    def _found(self, name: str, revision: str, *, is_api: bool) -> tuple[Repository, str] | None:
        repository = self.double.repositories.get(name)
        token = self.headers.get("Authorization")
        if token is not None and token != f"Bearer {GOOD_TOKEN}":
            message = "Invalid credentials in Authorization header: the token is invalid"
            self.reply_error(401, "", message)
            return None
        if repository is None or (repository.private and token is None):
            # A hub does not tell who is no member whether there is one.
            self.reply_error(401, "RepoNotFound", "Repository not found")
            return None
        if repository.gated and token is None and not is_api:
            self.reply_error(401, "GatedRepo", f"Access to model {name} is restricted")
            return None
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.folders:
            self.reply_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    # Bytes.

    def _data(self, path: str, asked: Asked, fault: str | None) -> None:
        query = parse_qs(urlsplit(self.path).query)
        signed = query.get("Signature", [""])[0].removeprefix("SECRET-").partition("-")[0]
        if not signed or float(signed) < self.double.valid_since:
            self.reply(403, b"<Error>expired</Error>", {"Content-Type": "application/xml"})
            return
        file = Path(query["path"][0])
        tag = self.double.etags.get(str(file), f'"{path[1:33]}"')
        self._send(file, asked, fault, {"ETag": tag})

    def _send(self, file: Path, asked: Asked, fault: str | None, headers: dict[str, str]) -> None:
        size = file.stat().st_size
        what, _, how = (fault or "").partition(":")
        if what == "changed":
            headers["ETag"] = '"another"'
        if what == "longer":
            size += 1
        start, end = asked.range or (0, size - 1)
        end = min(end, size - 1)
        headers["Last-Modified"] = formatdate(1e9, usegmt=True)
        headers["Accept-Ranges"] = "bytes"
        if asked.range is None or not self.double.supports_ranges or what == "whole":
            start, end = 0, size - 1
            self._head(200, {**headers, "Content-Length": str(size)})
        elif start >= size:
            self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        else:
            if what == "moved":
                start, end = start + 1, min(end + 1, size - 1)
            elif what == "part" and end > start:
                end = start + (end - start) // 2
            said = f"bytes {start}-{end}/{size}"
            said = {"no-range": "", "odd-range": "bytes all"}.get(what, said)
            self._head(
                206, {**headers, "Content-Length": str(end + 1 - start), "Content-Range": said}
            )
        if self.command == "HEAD":
            return
        stop = end + 1
        if what in ("short", "broken", "stop"):
            stop = start + (stop - start) * random.Random(asked.number).randrange(0, 90) // 100
        try:
            self._copy(file, start, stop, asked.kind)
        except OSError:
            self.close_connection = True
            return
        if what == "short":
            self.close_connection = True
        elif what == "broken":
            self._reset()
        elif what == "stop":
            time.sleep(float(how or 60))
            self.close_connection = True

    def _copy(self, file: Path, start: int, stop: int, kind: str) -> None:
        self.wfile.flush()
        if self.double.content is not None and kind == "data":
            body = self.double.content(file, start, stop)
            self.double.sent(kind, len(body))
            self.wfile.write(body)
            return
        handle = os.open(file, os.O_RDONLY)
        try:
            at = start
            while at < stop:
                step = min(stop - at, 1 << 20)
                if self.double.rate:
                    step = min(step, max(1, int(self.double.rate / 50)))
                    time.sleep(step / self.double.rate)
                # Counted before: who has received it may look at once.
                self.double.sent(kind, step)
                while step:
                    count = os.sendfile(self.connection.fileno(), handle, at, step)
                    if not count:  # beyond the end of the file
                        self.wfile.write(bytes(step))
                        count = step
                    at, step = at + count, step - count
        finally:
            os.close(handle)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a small body."""
        self._head(status, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)
            self.double.sent("other", len(body))

    def reply_json(self, told: object, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        body = json.dumps(told).encode()
        self.reply(200, body, {"Content-Type": "application/json", **(headers or {})})

    def reply_error(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with an error, as a hub words it in headers."""
        told = {**({"X-Error-Code": code} if code else {}), "X-Error-Message": message}
        body = json.dumps({"error": message}).encode()
        self.reply(status, body, {"Content-Type": "application/json", **told, **(headers or {})})

    def asked_range(self) -> tuple[int, int] | None:
        """Return the range that is asked for, both ends of it included."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return None if match is None else (int(match[1]), int(match[2] or 1 << 62))


def _files(folder: Path) -> list[str]:
    return sorted(
        each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()
    )


def at_random(seed: int, share: float, faults: tuple[str, ...], kinds: tuple[str, ...]) -> Fault:
    """Return what fails a share of requests, in any of the ways given."""
    source = random.Random(seed)
    lock = threading.Lock()

    def fault(asked: Asked) -> str | None:
        with lock:
            fails, which = source.random() < share, source.choice(faults)
        return which if fails and asked.kind in kinds else None

    return fault


@contextmanager
def serving(repositories: Mapping[str, Repository]) -> Iterator[HubDouble]:
    """Serve repositories for as long as a block takes."""
    double = HubDouble(repositories)
    try:
        yield double
    finally:
        double.close()
