"""How long to wait before a request is made again."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = re.compile(r"(?:^|[;,\s])t=(\d+)")
_LEFT = re.compile(r"(?:^|[;,\s])r=(\d+)")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is made again, and how long it is waited for."""

    attempts: int = 8
    """Requests in a row that may fail without a byte having come."""
    base: float = 0.25
    """Seconds that are waited at most after the first failure; twice as many after each other."""
    most: float = 15.0
    """Seconds that are waited at most between two."""
    told: float = 330.0
    """Seconds that are waited at most where the server says how long: a hub's window is 300."""
    connect: float = 10.0
    """Seconds until a connection that is not made has failed."""
    stall: float = 20.0
    """Seconds until an answer of which nothing comes has failed."""

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures: any up to a bound that doubles.

        Many that fail together do not come back together.

        >>> 0 <= Patience().pause(1) <= 0.25 and Patience().pause(100) <= 15
        True
        """
        return random.uniform(0.0, min(self.most, self.base * 2.0 ** min(failures - 1, 30)))


def told(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that a server says to wait; ``None`` if it does not.

    ``Retry-After`` is seconds or a date (RFC 9110, 10.2.3); ``RateLimit`` has the seconds until
    the window of the limit ends (draft-ietf-httpapi-ratelimit-headers), which a hub sends with 429.

    >>> told({"Retry-After": "7"}), told({"RateLimit": '"api";r=0;t=42'}), told({})
    (7.0, 42.0, None)
    """
    after = headers.get("Retry-After")
    if after is not None:
        try:
            return max(0.0, float(after))
        except ValueError:
            try:
                date = parsedate_to_datetime(after)
            except (TypeError, ValueError):
                date = None
            if date is not None:
                return max(0.0, date.timestamp() - (time.time() if now is None else now))
    seconds = _SECONDS.search(headers.get("RateLimit") or "")
    return None if seconds is None else float(seconds[1])


def exhausted(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a limit ends of which an answer says that nothing is left.

    >>> exhausted({"RateLimit": '"resolvers";r=0;t=9'}), exhausted({"RateLimit": '"api";r=5;t=9'})
    (9.0, None)
    """
    said = headers.get("RateLimit") or ""
    left, seconds = _LEFT.search(said), _SECONDS.search(said)
    if left is None or seconds is None or int(left[1]) > 0:
        return None
    return float(seconds[1])
