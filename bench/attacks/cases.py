"""What a case is, and how what is said of it is judged.

A statement is *right* if it is one that the truth of the case allows, *undecided* if it says less,
and *false* if the weights do not license it. The rules stand with each case and were written from
what was done to the child, not from what is said of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .families import Family
from .tensors import Tensors

RIGHT, UNDECIDED, FALSE = "right", "undecided", "FALSE"
LESS = ("undetermined", "related", "error")
"""Kinds that claim nothing of how the child was made: at worst they say less than could be said."""
CLAIMS = (
    r"it is|(?:is|as|a) cop(?:y|ies) of|made (?:of|from)|displaced from|fine-tuned? (?:of|from)|"
    r"(?:comes|come|descends|descended|derived|trained) from|(?:child|descendant) of"
)
"""Words before a checkpoint's name that make it the child's origin."""
DENIALS = re.compile(
    r"\b(?:not|neither|nor|never|no|whether|either|cannot|if|could|may|might|would|both)\b[^.:;]*$"
)


@dataclass(frozen=True)
class Offered:
    """What a trace is given, as tensors in the dtypes they are stored in."""

    child: Tensors
    base: Tensors
    parents: Sequence[Tensors] = ()
    controls: Sequence[Tensors] = ()

    def named(self) -> dict[str, Tensors]:
        """Return all checkpoints by the names that the trace knows them by."""
        return {
            "child": self.child,
            "base": self.base,
            **{f"parent{i}": x for i, x in enumerate(self.parents)},
            **{f"control{i}": x for i, x in enumerate(self.controls)},
        }


@dataclass(frozen=True)
class Said:
    """What a trace said."""

    kind: str
    """A kind of verdict, ``error``, or ``no answer``."""
    level: str
    text: str
    seconds: float
    parent: str = ""
    """The one checkpoint that it is said to be of, by the numbers of the verdict, if any is."""

    @property
    def whole(self) -> str:
        """Return kind, level and text in one line: what rules are matched against."""
        return f"{self.kind}{'!' if self.level == 'exact' else ''}: {self.text}"


@dataclass(frozen=True)
class Truth:
    """What may be said of a case.

    ``accept`` holds (grade, kinds, pattern): the first whose kind is the verdict's and whose
    pattern occurs in the statement grades it. What none accepts is undecided if its kind is one of
    :data:`LESS`, and false otherwise. Before that, a statement is false that matches one of
    ``never``, or that names one of ``no_origin`` as what the child is of.
    """

    accept: tuple[tuple[str, tuple[str, ...], str], ...]
    never: tuple[str, ...] = ()
    no_origin: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """An attack, or an innocent."""

    table: str
    """``hide`` or ``frame``."""
    what: str
    """The kind of disguise or of fabrication."""
    strength: str
    of: str
    """``merge``, ``copy`` or ``innocent``."""
    build: Callable[[Family], Offered] = field(compare=False)
    truth: Truth
    later: bool = False
    """Whether it is a permutation or a rotation, which nothing here is expected to see through."""

    @property
    def name(self) -> str:
        """Return what ``--only`` is matched against."""
        return f"{self.table}: {self.what} {self.strength} ({self.of})".replace("  ", " ")


def right(kinds: str, says: str = "") -> tuple[str, tuple[str, ...], str]:
    """Accept kinds, if the statement matches a pattern, as right."""
    return RIGHT, tuple(kinds.split()), says


def partly(kinds: str, says: str = "") -> tuple[str, tuple[str, ...], str]:
    """Accept kinds, if the statement matches a pattern, as saying less than could be said."""
    return UNDECIDED, tuple(kinds.split()), says


def named_as_origin(text: str, name: str) -> bool:
    """Say whether a text makes a checkpoint the child's origin, with neither doubt nor denial."""
    for found in re.finditer(rf"\b(?:{CLAIMS}) {name}\b(?! or\b)", text, re.IGNORECASE):
        if not DENIALS.search(text[: found.start()].split(". ")[-1]):
            return True
    return False


def judge(truth: Truth, said: Said) -> str:
    """Grade a statement."""
    if said.kind in ("error", "no answer"):
        return UNDECIDED
    if any(re.search(pattern, said.whole, re.IGNORECASE) for pattern in truth.never):
        return FALSE
    if said.kind not in LESS and said.parent in truth.no_origin:
        return FALSE
    if any(named_as_origin(said.text, name) for name in truth.no_origin):
        return FALSE
    for grade, kinds, pattern in truth.accept:
        if said.kind in kinds and re.search(pattern, said.whole, re.IGNORECASE):
            return grade
    return UNDECIDED if said.kind in LESS else FALSE
