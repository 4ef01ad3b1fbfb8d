"""A server that speaks OpenAI's protocol, asked one question at a time and not trusted."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from parentage.identity.errors import IdentityError
from parentage.identity.pacing import asked_wait
from parentage.identity.records import Answer
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    import httpx2

    from parentage.identity.questions import Question
    from parentage.identity.records import Arm, Parameters

KEY_VARIABLE = "OPENAI_API_KEY"

LEAST_BYTES = 1 << 20
"""Bytes of an answer that are read in any case, and not many more."""

_BYTES_A_TOKEN = 64

_MOST_TOLD = 300
"""Characters of a server's own words in a message."""

_HIDDEN = "[key]"

_HEADERS = frozenset(
    {
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-stainless-raw-response",
    }
)
"""Headers that a request needs."""


class PassingError(Exception):
    """An attempt that failed, as another may not."""

    def __init__(
        self, why: str, *, after: float | None = None, is_unreachable: bool = False
    ) -> None:
        super().__init__(why)
        self.after = after
        """Seconds that the server asks all to wait."""
        self.is_unreachable = is_unreachable
        """Whether nobody is there, by whatever name or port."""


class RefusedError(Exception):
    """What the server will refuse again."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def checked_url(text: str) -> str:
    """Return the base URL of a server, with ``/v1`` where no path is given.

    >>> checked_url("http://127.0.0.1:8000"), checked_url("https://host/api/v1/")
    ('http://127.0.0.1:8000/v1', 'https://host/api/v1')

    Raises
    ------
    ValueError
        If it is no http(s) URL, or carries what may be a credential: it would be kept.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{printable(text)[:200]!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = printable(text.rpartition("@")[2])[:200]
        raise ValueError(f"{shown!r} is no URL of a server; write http://HOST:PORT or https://HOST")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            f"the URL of {parts.hostname} has a user, a query or a fragment; it is kept in the "
            "evidence, and keys are given by an environment variable"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, host + (f":{port}" if port else ""), path, "", ""))


def key_for(base_url: str, variable: str | None) -> tuple[str | None, str | None]:
    """Return the key that a server is sent, and a remark.

    ``OPENAI_API_KEY`` goes to OpenAI and to this machine alone, unless it is named: whoever asks
    a stranger's server has not asked to show him the key of another.

    Raises
    ------
    IdentityError
        If the variable that is named is not set.
    """
    host = urlsplit(base_url).hostname or ""
    if variable is not None:
        key = os.environ.get(variable, "").strip()
        if not key:
            raise IdentityError(f"{variable} is not set in the environment, or is empty")
        _check_key(variable, key)
        return key, None
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return None, None
    if not (_is_loopback(host) or host == "openai.com" or host.endswith(".openai.com")):
        return None, (
            f"{KEY_VARIABLE} is set, and not sent to {host}; --api-key-env {KEY_VARIABLE} sends it"
        )
    _check_key(KEY_VARIABLE, key)
    return key, None


def _check_key(variable: str, key: str) -> None:
    if not (key.isascii() and key.isprintable()):
        raise IdentityError(f"{variable} holds what is no key: it has characters no header takes")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Server:
    """Asks a server with OpenAI's client. To be used within one event loop.

    Redirects are not followed, answers are read up to a limit, and an attempt ends after
    ``timeout`` seconds however its bytes drip in. The key is in no message and no answer.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        parameters: Parameters,
        *,
        key: str | None = None,
        timeout: float = 120.0,
        connections: int = 4,
    ) -> None:
        self.base_url, self.model = base_url, model
        self._parameters, self._key, self._timeout = parameters, key, timeout
        self._most = max(LEAST_BYTES, _BYTES_A_TOKEN * parameters.max_tokens)
        self._library = _library()
        openai = self._openai = self._library.openai
        self._http = self._library.http
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                limits=self._http.Limits(
                    max_connections=connections, max_keepalive_connections=connections
                ),
                headers={"Accept-Encoding": "identity"},
                event_hooks={"request": [self._bare], "response": [self._bound]},
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def puts_template(self) -> bool:
        """Return whether raw prompts are put into a template after all, as Ollama does.

        It is told by ``/api/version``, which no other server answers.
        """
        parts = urlsplit(self.base_url)
        root = urlunsplit((parts.scheme, parts.netloc, "/api/version", "", ""))
        try:
            response = await asyncio.wait_for(
                self._client.get(root, cast_to=self._http.Response), min(10.0, self._timeout)
            )
            return "version" in msgspec.json.decode(response.content)
        except Exception:
            return False

    async def ask(self, arm: Arm, question: Question, sample: int, seed: int) -> Answer:
        """Return the answer to a question.

        Raises
        ------
        PassingError
            If another attempt may succeed.
        RefusedError
            If the server says what it would say again.
        """
        try:
            body = await asyncio.wait_for(self._body(arm, question, seed), self._timeout)
        except (TimeoutError, asyncio.TimeoutError):
            raise PassingError(f"no whole answer within {self._timeout:g} seconds") from None
        except (PassingError, RefusedError):
            raise
        except self._openai.APIStatusError as error:
            raise self._of_status(error.response) from None
        except self._openai.APITimeoutError:
            raise PassingError(f"no answer within {self._timeout:g} seconds") from None
        except (
            self._openai.OpenAIError,
            self._http.HTTPError,
            self._http.StreamError,
            OSError,
        ) as error:
            raise self._of_connection(error) from None
        return self._read(body, arm, question, sample, seed)

    async def _body(self, arm: Arm, question: Question, seed: int) -> bytes:
        said = self._parameters
        common: dict[str, Any] = {
            "model": self.model, "max_tokens": said.max_tokens, "temperature": said.temperature,
            "seed": seed, "n": 1,
        }  # fmt: skip
        if said.top_p is not None:
            common["top_p"] = said.top_p
        if arm.stop:
            common["stop"] = arm.stop[:4]
        if arm.endpoint == "completions":
            assert arm.prompts is not None
            extra = {"extra_body": {"add_special_tokens": False}} if arm.begins_with_bos else {}
            raw = await self._client.completions.with_raw_response.create(
                prompt=arm.prompts[question.id], **common, **extra
            )
        else:
            raw = await self._client.chat.completions.with_raw_response.create(
                messages=cast("Any", messages_of(arm, question)), **common
            )
        content: bytes = raw.http_response.content
        return content

    async def _bare(self, request: httpx2.Request) -> None:
        """Have a request carry no header but those that it needs.

        The library takes some from the environment, for whatever server: the user's organisation,
        a project, others of his own.
        """
        for name in list(request.headers):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers["Accept-Encoding"] = "identity"
        if self._key is None:
            request.headers.pop("Authorization", None)

    async def _bound(self, response: httpx2.Response) -> None:
        """Have a response end in an error where it is longer than any answer."""
        response.stream = self._library.bounded(response.stream, self._most)

    def _redirected(self, response: httpx2.Response) -> RefusedError:
        try:
            place = urlsplit(response.headers.get("location", ""))
            where = f"{place.scheme}://{place.hostname}" if place.hostname else "elsewhere"
        except ValueError:
            where = "elsewhere"
        status = response.status_code
        return RefusedError(
            status, f"HTTP {status}: it sends on to {self._told(where)}, and that is not followed"
        )

    def _of_status(self, response: httpx2.Response) -> PassingError | RefusedError:
        status = response.status_code
        if 300 <= status < 400:
            return self._redirected(response)
        why = f"HTTP {status}"
        said = self._told(_message_of(response.content))
        why += f": {said}" if said else ""
        if status in (408, 409, 425, 429) or status >= 500:
            after = asked_wait(response.headers) if status in (429, 503) else None
            return PassingError(why, after=after)
        return RefusedError(status, why)

    def _of_connection(self, error: Exception) -> PassingError:
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__cause__ or causes[-1].__context__) and len(causes) < 8:
            causes.append(cause)
        if any(isinstance(each, self._http.ConnectError) for each in causes):
            last = next((e for e in causes if isinstance(e, OSError) and e.strerror), causes[-1])
            text = self._told(getattr(last, "strerror", None) or str(last))
            return PassingError(f"no connection: {text}", is_unreachable=True)
        named = next((e for e in causes if isinstance(e, self._http.HTTPError)), error)
        text = self._told(str(named)) or type(named).__name__
        return PassingError(f"the connection broke: {text}")

    def _read(self, body: bytes, arm: Arm, question: Question, sample: int, seed: int) -> Answer:
        try:
            said = msgspec.json.decode(body)
            choice = said["choices"][0]
            if arm.endpoint == "completions":
                text, reasoning = choice["text"], ""
            else:
                message = choice["message"]
                text = _text_of(message.get("content"))
                reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
            finish, model = choice.get("finish_reason"), said.get("model")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            shown = self._told(body[:80].decode("utf-8", "replace"))
            raise PassingError(f"its answer is no JSON, but {shown!r}") from None
        except (KeyError, IndexError, TypeError, AttributeError):
            shown = self._told(_message_of(body))
            raise PassingError(f"its answer has no choice in it{shown and f': {shown}'}") from None
        if not isinstance(text, str) or not isinstance(reasoning, str):
            raise PassingError("its answer is no text")
        return Answer(
            arm.name,
            question.id,
            sample,
            seed,
            self._clean(text),
            self._clean(reasoning),
            self._told(finish) if isinstance(finish, str) else None,
            self._told(model) if isinstance(model, str) else None,
        )

    def _clean(self, text: str) -> str:
        """Return text of a server without the key, and without what no UTF-8 can hold."""
        if self._key:
            text = text.replace(self._key, _HIDDEN)
        return text.encode("utf-8", "replace").decode()

    def _told(self, text: str) -> str:
        """Return text of a server as it may stand in a message."""
        text = self._clean(" ".join(text.split()))
        if self._key and len(self._key) >= 12:
            # A key is echoed with its middle left out, or cut off by whoever tells of it.
            for part in (self._key[:8], self._key[-8:]):
                text = text.replace(part, _HIDDEN)
        return printable(text)[:_MOST_TOLD]


def messages_of(arm: Arm, question: Question) -> list[dict[str, str]]:
    """Return the messages of a conversation in which a question is asked."""
    system = [] if arm.system is None else [{"role": "system", "content": arm.system}]
    return [*system, {"role": "user", "content": question.text}]


@lru_cache(maxsize=1)
def _library() -> Any:
    """Return OpenAI's client, its HTTP library, and a stream that ends.

    Raises
    ------
    IdentityError
        If it is not installed.
    """
    try:
        import httpx2
        import openai
    except ImportError as error:
        raise IdentityError(
            "to ask a server takes OpenAI's client library: pip install 'parentage[identify]' "
            f"({error}); stored answers are analysed without it"
        ) from None

    class Bounded(httpx2.AsyncByteStream):
        """A stream that ends in an error after so many bytes."""

        def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
            self._stream, self._most = stream, most

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = self._most
            async for part in self._stream:
                left -= len(part)
                if left < 0:
                    raise httpx2.ReadError(f"its answer has more than {self._most:,} bytes")
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    return SimpleNamespace(openai=openai, http=httpx2, bounded=Bounded)


def _text_of(content: object) -> object:
    """Return what a message says, also where it says it in parts; an empty text for nothing."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [each.get("text") for each in content if isinstance(each, dict)]
        return "".join(each for each in parts if isinstance(each, str))
    return content


def _message_of(body: bytes) -> str:
    """Return what an error says of itself; its beginning, if it is no JSON."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:_MOST_TOLD].decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return said if isinstance(said, str) else str(said)[:_MOST_TOLD]
