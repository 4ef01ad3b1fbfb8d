"""The JavaScript that draws charts: Vega, Vega-Lite and Vega-Embed, as one text.

vl-convert carries it and takes a second or more to bundle it. The text is a function of its version
alone, so it is kept for the process, and in the user's cache for the next one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from parentage.support import ReportError

LEAST_BYTES = 100_000
"""Bytes of a bundle, at least: less is none."""


@cache
def bundle() -> str:
    """Return the script that defines ``vegaEmbed``.

    Raises
    ------
    ReportError
        If vl-convert can not be loaded, or makes none.
    """
    try:
        kept = _cache() / f"vega-{version('vl-convert-python')}.js"
        if (text := _kept(kept)) is not None:
            return text
        import vl_convert

        text = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    except (ImportError, ValueError) as error:
        raise ReportError(
            f"vl-convert-python, which draws charts, is not at hand: {error}"
        ) from error
    _keep(kept, text)
    return text


def _cache() -> Path:
    """Return the folder of the user's cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # Without a home, ~ stays as it is, and nothing is found or kept.
    return (Path(given) if given else Path(os.path.expanduser("~"), ".cache")) / "parentage"  # noqa: PTH111


def _kept(path: Path) -> str | None:
    """Return a text that was kept whole; ``None`` if it was not."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(text).hexdigest() or len(text) < LEAST_BYTES:
            return None
        return text.decode()
    except (OSError, UnicodeDecodeError):
        return None


def _keep(path: Path, text: str) -> None:
    """Keep a text with its digest; where nothing can be written, nothing is."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            new = Path(scratch) / "new"
            data = text.encode()
            new.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
            new.replace(path)
