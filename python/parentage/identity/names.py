"""Names that answers are searched for: whole words, whatever script stands around them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_ALIASES = 64

_UNSEEN = re.compile(r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe0e\ufe0f]")
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u2032\u00b4", "'''''")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2212\ufe63\uff0d", "-"))
_EMPHASIS = re.compile(r"[*`]+|(?<!\w)_+|_+(?!\w)")

_UNPARTED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "HANGUL")
"""Scripts that part no words, or hang endings on them."""


def plain(text: str) -> str:
    """Return text in one form: NFKC, plain apostrophes and hyphens, no emphasis, nothing unseen.

    >>> plain("I\u2019m **Ne\u200bx\u2011AGI**")
    "I'm Nex-AGI"
    """
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES).translate(_DASHES))
    return _EMPHASIS.sub("", _UNSEEN.sub("", text))


@dataclass(frozen=True)
class Name:
    """A name, and what else it is written as."""

    name: str
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in self.spellings:
            if not any(character.isalnum() for character in each):
                raise ValueError(f"{each!r} is no name: it has no letter")

    @classmethod
    def parse(cls, text: str) -> Name:
        """Return the name that ``NAME`` or ``NAME=ALIAS,ALIAS`` says.

        >>> Name.parse("Rio=Rio-3.5, Rio 3.5")
        Name(name='Rio', aliases=('Rio-3.5', 'Rio 3.5'))

        Raises
        ------
        ValueError
            If there is no name in it.
        """
        name, _, rest = text.partition("=")
        aliases = tuple(dict.fromkeys(part for each in rest.split(",") if (part := each.strip())))
        if not name.strip() or len(aliases) > MOST_ALIASES or len(text) > 4000:
            raise ValueError(f"{text[:80]!r} is no name; write NAME or NAME=ALIAS,ALIAS")
        return cls(name.strip(), aliases)

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that it is written as."""
        return (self.name, *self.aliases)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        ordered = sorted(
            {plain(each) for each in self.spellings}, key=lambda each: (-len(each), each)
        )
        return re.compile(
            "|".join(r"\s+".join(map(re.escape, each.split())) for each in ordered), re.IGNORECASE
        )

    def found_in(self, text: str) -> Iterator[tuple[int, int]]:
        """Go through places (begin, end) of the name in plain text, as a word of its own.

        A word ends where there is no letter, where the script changes, and at a digit: ``Qwen`` is
        found in ``Qwen2.5`` and in ``我是Qwen助手``, and not in ``Qwenty``. Endings that Korean and
        Japanese hang on a name, and what stands beside it in Chinese, are no part of it.

        >>> list(Name("Nex").found_in("Nexus is not Nex-AGI"))
        [(13, 16)]
        """
        for found in self._pattern.finditer(text):
            begin, end = found.span()
            if not _goes_on(text[begin - 1 : begin], text[begin], is_end=False) and not _goes_on(
                text[end : end + 1], text[end - 1], is_end=True
            ):
                yield begin, end


def distinct(names: Iterable[Name]) -> tuple[Name, ...]:
    """Return names, checked to be different ones.

    Raises
    ------
    ValueError
        If two are written alike: what is counted for one would be counted for both.
    """
    names = tuple(names)
    seen: dict[str, str] = {}
    for each in names:
        for spelling in {plain(text).casefold() for text in each.spellings}:
            if spelling in seen:
                raise ValueError(f"{each.name} and {seen[spelling]} are both written {spelling!r}")
        seen.update((plain(text).casefold(), each.name) for text in each.spellings)
    return names


def _goes_on(beside: str, edge: str, *, is_end: bool) -> bool:
    """Return whether the character beside a name makes it a part of a longer word."""
    if not beside or not edge.isalnum():
        return False
    if beside.isdigit():
        # Versions follow names; before a name, a digit is a part of it, as in 4chan.
        return edge.isdigit() or not is_end
    if not (beside.isalpha() or unicodedata.category(beside).startswith("M")):
        return False
    script = _script(edge)
    if script.startswith(_UNPARTED) and (is_end or script != "HANGUL"):
        return False
    if edge.isdigit():
        return True
    return _script(beside) == script or unicodedata.category(beside).startswith("M")


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """Return the first word of a character's name in Unicode, which is its script."""
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0]
