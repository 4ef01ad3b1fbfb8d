"""Requests of http and https: proxies and certificates are those of the environment."""

from __future__ import annotations

import os
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from parentage import _core
from parentage.support import ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse, PoolManager

    from parentage.checkpoint.network.waiting import Patience

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Where the environment names certificates, as other clients look for them."""


def http_library() -> object:
    """Return the module ``urllib3``.

    Raises
    ------
    ReadError
        If it is not installed.
    """
    try:
        import urllib3
    except ImportError as error:
        said = "files of http and https need urllib3: pip install 'parentage[hub]'"
        raise ReadError(said) from error
    return urllib3


_HOSTS = 64
"""Hosts that connections are held open to."""


class Client:
    """Makes requests, as many at a time as there are connections; follows no redirect by itself."""

    def __init__(self, connections: int, patience: Patience) -> None:
        """Hold ``connections`` open to each host."""
        self._connections, self._patience = connections, patience
        self._pools: dict[str | None, PoolManager] = {}
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        """Return an answer of which no more than the headers was read.

        Raises
        ------
        urllib3.exceptions.HTTPError
            If there is none.
        """
        return self._pool(url).request(
            "GET",
            url,
            headers={
                "Accept-Encoding": "identity",
                "User-Agent": f"parentage/{_core.__version__}",
                **headers,
            },
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
        )

    def _pool(self, url: str) -> PoolManager:
        proxy = proxy_for(url)
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._made(proxy)
            return self._pools[proxy]

    def _made(self, proxy: str | None) -> PoolManager:
        import urllib3

        bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)
        timeout = urllib3.Timeout(connect=self._patience.connect, read=self._patience.stall)
        made: PoolManager
        if proxy is None:
            made = urllib3.PoolManager(_HOSTS, ssl_context=context(bundle))
        else:
            parts = urlsplit(proxy)
            headers = None
            if parts.username:
                word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                headers = urllib3.make_headers(proxy_basic_auth=word)
            made = urllib3.ProxyManager(
                proxy, _HOSTS, proxy_headers=headers, ssl_context=context(bundle)
            )
        made.connection_pool_kw |= {"maxsize": self._connections, "timeout": timeout}
        return made


def context(bundle: str | None) -> ssl.SSLContext:
    """Return what certificates are checked by: those of a file or folder, or the system's.

    Raises
    ------
    ReadError
        If there is no such file, or nothing that it holds is a certificate.
    """
    try:
        if bundle is None:
            return ssl.create_default_context()
        if os.path.isdir(bundle):  # noqa: PTH112
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise ReadError(
            f"{bundle}: read the certificates that the environment names: {error}"
        ) from error


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment has for an address; ``None`` if there is none."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
