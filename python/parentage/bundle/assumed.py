"""What of a trace nobody gave and was assumed: as it stands in evidence, and in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from parentage.support import are, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Claim(msgspec.Struct, frozen=True):
    """What a file of the child says that it was made of."""

    source: str
    """The file, and the key in it."""
    claim: str


class AssumedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that nobody gave, and because of what it was assumed."""

    name: str
    role: str
    search: str | None
    """``"alike"`` if the search of a library proposes it by weights, ``"lengths"`` if by lengths of
    rows and columns; ``None`` if it does not."""
    claims: list[Claim]
    sketch: bool
    """Whether a sketch stands for it."""


class SearchedLibrary(msgspec.Struct, frozen=True):
    """The library that was searched."""

    sketches: int
    sha256: str
    """Of the names and the digests of all that is in it."""


class Assumed(msgspec.Struct, frozen=True):
    """What of a trace was assumed, as it stands in evidence."""

    library: SearchedLibrary | None
    """``None`` if none was searched."""
    parents_given: bool
    """Whether parents were given, so that a base alone was assumed."""
    checkpoints: list[AssumedCheckpoint]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was assumed and because of what, as the verdict's text has it."""
        said = [
            "No base was given." if self.parents_given else "Neither a base nor parents were given."
        ]
        groups: dict[str, list[AssumedCheckpoint]] = {}
        for each in self.checkpoints:
            groups.setdefault(repr((each.search, each.claims)), []).append(each)
        for group in groups.values():
            names = listed(
                f"{each.role} {each.name}{' (a sketch)' if each.sketch else ''}" for each in group
            )
            reasons = "; and ".join(self._reasons(group[0], "them" if len(group) > 1 else "it"))
            said.append(f"{names[:1].upper()}{names[1:]} {are(len(group))} assumed: {reasons}.")
        return tuple(printable(each) for each in said)

    def _reasons(self, one: AssumedCheckpoint, them: str) -> Iterator[str]:
        number = 0 if self.library is None else self.library.sketches
        sketches = "1 sketch" if number == 1 else f"{number:,} sketches"
        if one.search == "alike":
            yield f"the search of a library of {sketches} proposes {them}"
        elif one.search is not None:
            yield (
                f"the search of a library of {sketches} proposes {them} because rows and columns "
                "have the lengths of the child's"
            )
        if one.claims:
            named = listed(f"{each.source}: {each.claim}" for each in one.claims)
            yield f"the child's own files claim {them} ({named}), which is no evidence"
