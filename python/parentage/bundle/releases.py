"""What whoever exports says of a checkpoint's release: weights do not tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parentage.support import EvidenceError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.bundle.document import Document

OPTIONS = {
    "supplied_by": "--supplied-by",
    "released": "--released",
    "download_location": "--download-location",
    "version": "--package-version",
}
"""How each field of a release is given on a command line."""

MOST_TEXT = 1000
"""Characters of what is said, at most."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


@dataclass(frozen=True, slots=True)
class Release:
    """Who supplies a checkpoint, since when, from where, and as which version."""

    supplied_by: str | None = None
    """Whoever supplies it: an organisation or a person."""
    released: str | None = None
    """A day, as ``2026-01-31``, or a time with its zone, as RFC 3339 has it."""
    download_location: str | None = None
    """An address with its scheme."""
    version: str | None = None
    """Where the evidence has a revision, that is the version unless another is given."""

    def __post_init__(self) -> None:
        """Refuse what is none of what the fields are.

        Raises
        ------
        EvidenceError
            If a text is empty or too long, the time is none, or the address has no scheme, or names
            a user.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and (not value.strip() or len(value) > MOST_TEXT):
                raise EvidenceError(f"{OPTIONS[each.name]}: {printable(value)[:40]!r} is no text")
        if self.released is not None:
            _time(self.released)
        if self.download_location is not None:
            _address(self.download_location)

    @property
    def time(self) -> str | None:
        """When it was released, in UTC to the second; of a day, its first second.

        >>> Release(released="2026-01-31").time
        '2026-01-31T00:00:00Z'
        """
        return None if self.released is None else _time(self.released)


def _time(text: str) -> str:
    try:
        # Python 3.10 knows no Z.
        found = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
        if _DAY.fullmatch(text):
            found = found.replace(tzinfo=timezone.utc)
        elif found.tzinfo is None:
            raise ValueError("no zone")
        return found.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise EvidenceError(
            f"--released: {printable(text)[:40]!r} is no day, as 2026-01-31, and no time with its "
            "zone, as 2026-01-31T12:00:00Z"
        ) from None


def _address(text: str) -> None:
    try:
        parts = urlsplit(text)
        is_whole = _SCHEME.fullmatch(parts.scheme) is not None and bool(parts.netloc or parts.path)
        has_user = "@" in parts.netloc
    except ValueError:
        is_whole = has_user = False
    if has_user:
        raise EvidenceError("--download-location: an address with a user in it is for that user")
    if not is_whole or not text.isprintable() or " " in text:
        raise EvidenceError(
            f"--download-location: {printable(text)[:80]!r} is no address with its scheme, as "
            "https://example.org/model"
        )


def releases_of(document: Document, said: Mapping[str, Sequence[str]]) -> dict[str, Release]:
    """Return what is said of checkpoints, by their names in the evidence.

    ``said`` has texts by field. ``NAME=`` in front says of which checkpoint of the evidence; a text
    without it is of the child.

    Raises
    ------
    EvidenceError
        If a text is none of what its field is, or something is said twice.
    """
    names = [each.name for _, each in document.inputs.by_role]
    found: dict[str, dict[str, str]] = {}
    for field, texts in said.items():
        for text in texts:
            name, value = _split(text, names) or (document.inputs.child.name, text)
            if field in found.setdefault(name, {}):
                raise EvidenceError(f"{OPTIONS[field]}: is said twice of {printable(name)}")
            found[name][field] = value
    return {name: Release(**each) for name, each in found.items()}


def _split(text: str, names: Iterable[str]) -> tuple[str, str] | None:
    """Return the checkpoint that a text begins with, the longest such name, and what it says."""
    known = [name for name in names if text.startswith(f"{name}=")]
    name = max(known, key=len, default=None)
    return None if name is None else (name, text[len(name) + 1 :])
