"""Asks a hub, through ``huggingface_hub``: for what is there, and for the addresses of files."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from parentage.checkpoint.network.addresses import origin, require_allowed
from parentage.checkpoint.network.http_place import AGAIN, Address
from parentage.checkpoint.network.waiting import told
from parentage.support import CheckpointError, ReadError, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from parentage.checkpoint.network.network import Network


def library(given: str, *, is_bare: bool) -> ModuleType:
    """Return the module ``huggingface_hub``; ``is_bare``, if ``given`` may have meant a path.

    Raises
    ------
    CheckpointError
        If it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.utils  # names of a lazy package are there once imported
    except ImportError as error:
        lead = "there is no such file or folder, and " if is_bare else ""
        raise CheckpointError(
            f"{printable(given)}: {lead}what is on a hub needs huggingface_hub: "
            "pip install 'parentage[hub]'"
        ) from error
    return huggingface_hub


def ask(name: str, network: Network, question: Callable[[], Any]) -> Any:
    """Return what a hub answers; what fails for a while is asked again.

    Raises
    ------
    CheckpointError
        If it says that there is no such thing.
    ReadError
        If it refuses, or does not answer.
    """
    hub = library(name, is_bare=False)
    host = origin(hub.constants.ENDPOINT)[1]
    failures = 0
    while True:
        network.check()
        with ExitStack() as stack:
            stack.enter_context(network.hosts.request(host))
            network.traffic.request()
            try:
                return question()
            except (CheckpointError, ReadError):
                raise
            except Exception as error:
                failures += 1
                response = getattr(error, "response", None)
                status = getattr(response, "status_code", None)
                is_of_the_way = _is_of_the_way(error) and status is None
                if not (is_of_the_way or status in AGAIN) or failures >= network.patience.attempts:
                    raise refused(name, error) from None
                seconds = told(getattr(response, "headers", None) or {})
        if seconds is not None and seconds > network.patience.told:
            raise ReadError(f"{name}: the hub wants to be left alone for {seconds:.0f} seconds")
        if seconds is not None:
            network.hosts.leave_alone(host, seconds)
        else:
            network.wait(network.patience.pause(failures))


def _is_of_the_way(error: Exception) -> bool:
    """Return whether there was no answer: of httpx, by whatever name the library is installed."""
    names = {each.__name__ for each in type(error).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "TimeoutError"})


def refused(name: str, error: Exception) -> Exception:
    """Return the error of a hub that does not give what was asked for, without any address."""
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return ReadError(
            f"{name}: access is granted on the repository's page alone; once it is, HF_TOKEN, or "
            "`hf auth login`, says who you are"
        )
    if status == 401 and "token" in str(error).lower() and "invalid" in str(error).lower():
        return ReadError(
            f"{name}: the hub does not accept the token (HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(f"{name}: the repository has no such revision")
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f"{name}: the hub has no such repository, or shows it to others alone: HF_TOKEN, or "
            "`hf auth login`, says who you are"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return CheckpointError(f"{name}: there is no such folder or file")
    if status in (401, 403):
        return ReadError(f"{name}: the hub refuses it ({status}): is the token the right one?")
    if status is not None and status >= 400:
        return ReadError(f"{name}: the hub answers with status {status}")
    if _is_of_the_way(error):
        return ReadError(f"{name}: the hub can not be reached: is there a network?")
    return ReadError(
        f"{name}: what answers is no hub, or answers with something else ({type(error).__name__})"
    )


class HubFile:
    """A file at a commit, whose address is asked for once, and again when it is refused."""

    def __init__(self, repository: str, commit: str, path: str) -> None:
        self.repository, self.commit, self.path = repository, commit, path
        self._address: Address | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[HubFile], tuple[str, str, str]]:
        """Pickle what it is, and no address: who reads it has a token of his own."""
        return HubFile, (self.repository, self.commit, self.path)

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.commit}/{self.path}"

    def address(self, network: Network, refused: Address | None = None) -> Address:
        """Return the address of the file; another one than that which was refused."""
        with self._lock:
            if self._address is None or self._address is refused:
                self._address = ask(str(self), network, self._resolved)
            return self._address

    def _resolved(self) -> Address:
        hub = library(str(self), is_bare=False)
        url = hub.hf_hub_url(self.repository, self.path, revision=self.commit)
        found = hub.get_hf_file_metadata(url)
        if found.commit_hash not in (None, self.commit):
            raise ReadError(f"{self}: the hub answers with commit {printable(found.commit_hash)}")
        location = urljoin(url, found.location)
        require_allowed(url, location)
        if origin(location) != origin(url):
            return Address(location)
        headers = hub.utils.build_hf_headers()
        return Address(location, {k: v for k, v in headers.items() if k.lower() == "authorization"})
