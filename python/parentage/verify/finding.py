"""What a check found, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.support import EvidenceError, ParentageError, RecipeError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from parentage.bundle import Document

OK = "ok"
"""What was checked holds."""

FAILED = "failed"
"""What was checked does not hold."""

UNCHECKED = "unchecked"
"""What could not be checked, and why is said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """Its name, the same from version to version."""
    status: str
    """``"ok"``, ``"failed"`` or ``"unchecked"``."""
    text: str
    """What was found, in a sentence without a full stop."""
    file: str | None = None
    """The file of the bundle that it is about."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        return {
            "check": self.check,
            "status": self.status,
            "file": self.file,
            "text": printable(self.text),
        }


def guarded(
    check: str, file: str, run: Callable[..., Iterable[Finding]], *given: Any
) -> list[Finding]:
    """Run a check of what may have been edited, and make findings of the errors that it ends in.

    What is written by nobody but a trace has none of them. Errors that checkpoints can not be read
    are no findings, and are passed on.
    """
    try:
        with np.errstate(all="ignore"):
            return list(run(*given))
    except (EvidenceError, RecipeError) as error:
        return [Finding(check, FAILED, str(error).removeprefix(f"{file}: "), file)]
    except ParentageError:
        raise
    except UNEXPECTED as error:
        return [Finding(check, FAILED, f"does not hold what it should: {error!r}", file)]


UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pl.exceptions.PolarsError,
)
"""What an edited file may end in, wherever it is used."""


@dataclass(slots=True)
class Reread:
    """What was read again, told as it is known."""

    slices: int = 0
    drawn: int = 0
    """Of these, those that the seed drew: the others were chosen to have some of every file."""
    of: int = 0
    elements: int = 0
    equal: int = 0


NEEDED = ("verdict", "sums", "page")
"""Checks without which it is not known whether evidence agrees with itself."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What all checks of a bundle found."""

    folder: str
    findings: tuple[Finding, ...]
    document: Document | None = None
    """The evidence, if it can be read."""
    manifest: str | None = None
    """The SHA-256 of the manifest: whoever has it from elsewhere knows all files of the bundle."""
    slices: Mapping[str, Any] | None = None
    """How many slices were read again of the checkpoints, of how many, and by which seed."""
    inputs: tuple[Mapping[str, Any], ...] = ()
    """The checkpoints that were at hand, as the custody log tells them."""

    @property
    def is_refuted(self) -> bool:
        """Whether some check failed."""
        return any(each.status == FAILED for each in self.findings)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(each for each in self.findings if each.status == FAILED)

    @property
    def standing(self) -> str:
        """``"refuted"``; ``"consistent"``; or, with the checkpoints at hand, ``"reproduced"``.

        ``"incomplete"`` if nothing is refuted, and verdict, sums or page could not be checked.
        """
        if self.is_refuted:
            return "refuted"
        if any(each.status == UNCHECKED and each.check in NEEDED for each in self.findings):
            return "incomplete"
        is_read = self.slices is not None and self.slices["read"] > 0
        return "reproduced" if is_read else "consistent"

    @property
    def outcome(self) -> dict[str, Any]:
        """What the custody log tells of it."""
        slices = None if self.slices is None else dict(self.slices)
        return {"standing": self.standing, "slices": slices}

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        document = self.document
        return {
            "schema": "parentage.verification/1",
            "standing": self.standing,
            "manifest": self.manifest,
            "tool": None
            if document is None
            else {"version": document.tool.version, "arithmetic": document.tool.arithmetic},
            "verdict": None
            if document is None
            else {"kind": document.verdict.kind, "level": document.verdict.level},
            "slices": None if self.slices is None else dict(self.slices),
            "findings": [each.as_dict() for each in self.findings],
        }
