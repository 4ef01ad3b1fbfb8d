"""When to ask again: back-off with jitter, and what a server says of its limits."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ASKED_FOR = 3600.0
"""Seconds that are waited for at a server's word, at most."""

_RESET = re.compile(r"(?:^|[;,\s])t=(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is asked again, and after how long."""

    retries: int = 8
    first: float = 0.5
    """Seconds, at most, before the first time; twice as many before each further one."""
    most: float = 20.0
    """Seconds before any, at most."""

    def wait(self, failures: int) -> float:
        """Return seconds to wait after so many failures, drawn evenly up to the limit.

        >>> 0.0 <= Pace().wait(3) <= 2.0
        True
        """
        return random.uniform(0.0, min(self.most, self.first * 2.0 ** min(failures - 1, 60)))


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, from its headers; ``None`` if it does not.

    Read are ``Retry-After`` (RFC 9110: seconds, or a date), ``retry-after-ms``, and the reset
    of ``RateLimit`` (``t=``).

    >>> asked_wait({"retry-after": "7"}), asked_wait({"ratelimit": '"default";r=0;t=42'})
    (7.0, 42.0)
    """
    low = {name.lower(): value.strip() for name, value in headers.items()}
    reset = _RESET.search(low.get("ratelimit", ""))
    candidates = (
        _number(low.get("retry-after-ms", ""), 1e-3),
        _number(low.get("retry-after", ""), 1.0),
        _until(low.get("retry-after", "")),
        float(reset[1]) if reset else None,
    )
    seconds = next((each for each in candidates if each is not None), None)
    return None if seconds is None else min(max(seconds, 0.0), MOST_ASKED_FOR)


def _number(text: str, unit: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number * unit


def _until(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None


class Gate:
    """Lets askers pass, except while a server has asked all of them to wait."""

    def __init__(self) -> None:
        self._until = 0.0

    def close_for(self, seconds: float) -> None:
        """Let nobody pass for so many seconds."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until the gate is open."""
        while (left := self._until - time.monotonic()) > 0.0:
            await asyncio.sleep(left)
