"""Where requests may go: an answer from a public name leads to no machine that is not public."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from parentage.support import ReadError, printable

_LOCAL = re.compile(r"(.*\.)?(localhost|localdomain|local|internal)\.?", re.IGNORECASE)


def shown(url: str) -> str:
    """Return an address as messages have it: without user, query and fragment, which hold secrets.

    >>> shown("https://me:word@host.org:8443/a/b?X-Amz-Signature=123#part")
    'https://host.org:8443/a/b'
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "an address that is none"
    host = f"[{host}]" if ":" in host else host
    return printable(urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", "")))


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: credentials for one are for no other.

    >>> origin("https://Host.org/a") == origin("https://host.org:443/b")
    True
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return (
        scheme,
        (parts.hostname or "").lower(),
        parts.port or {"http": 80, "https": 443}.get(scheme, 0),
    )


def require_allowed(before: str, after: str) -> None:
    """Make sure that an answer from ``before`` may lead to ``after``.

    Raises
    ------
    ReadError
        If that is no http(s) address, gives up encryption, or is of a machine that is not public
        where ``before`` is.

    Examples
    --------
    >>> require_allowed("http://127.0.0.1:1/a", "http://127.0.0.1:2/b")
    """
    try:
        one, other = urlsplit(before), urlsplit(after)
        host = other.hostname
    except ValueError:
        host, other = None, urlsplit("")
    said = f"{shown(before)}: answers with a redirect to"
    if other.scheme not in ("http", "https") or not host:
        raise ReadError(f"{said} {printable(other.scheme)[:20] or 'nowhere'}:, which is refused")
    if one.scheme == "https" and other.scheme == "http" and is_public(one.hostname or ""):
        raise ReadError(f"{said} {shown(after)}, which is not encrypted: refused")
    if is_public(one.hostname or "") and not is_public(host):
        raise ReadError(
            f"{said} {shown(after)}, which is not a public address though the first is: refused"
        )


@lru_cache(maxsize=1024)
def is_public(host: str) -> bool:
    """Return whether all addresses that a name stands for are public ones.

    A name that this machine can not look up, as behind a proxy, is told by its looks.

    >>> is_public("127.0.0.1"), is_public("localhost"), is_public("::1"), is_public("10.1.2.3")
    (False, False, False, False)
    >>> is_public("8.8.8.8")
    True
    """
    if _LOCAL.fullmatch(host):
        return False
    addresses = {host.strip("[]")}
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        try:
            addresses = {str(each[4][0]) for each in socket.getaddrinfo(host, None)}
        except (OSError, UnicodeError):
            return True
    return all(_is_global(each) for each in addresses)


def _is_global(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return (inner or found).is_global and not found.is_multicast
