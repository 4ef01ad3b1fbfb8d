"""How models say who they are, in the languages that are known here, compiled from a data file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import msgspec
import yaml

SCHEMA = "parentage.phrases/1"

MOST_WORDS = 10
"""Words between an opener and the name that it introduces, at most; in scripts without spaces,
twice as many characters."""


class _Opener(msgspec.Struct, forbid_unknown_fields=True):
    says: str
    text: str
    speaker: bool = False
    closed: bool = False
    words: int = MOST_WORDS


class _Closer(msgspec.Struct, forbid_unknown_fields=True):
    says: str | None
    text: str


class _Language(msgspec.Struct, forbid_unknown_fields=True):
    speaker: str
    openers: list[_Opener]
    breakers: str
    denials: str
    fillers: str
    closers: list[_Closer] = []
    denials_after: str | None = None
    contrasts: str | None = None
    follows_as_subject: str | None = None
    relatives: str | None = None
    spaced: bool = True


class _File(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    words: dict[str, str]
    languages: dict[str, _Language]


@dataclass(frozen=True, slots=True)
class Opener:
    """What stands before a name that is claimed."""

    language: Language
    says: str
    """``name``, ``self``, ``maker`` or ``origin``: what is claimed of the name."""
    pattern: re.Pattern[str]
    needs_speaker: bool
    needs_closer: bool
    most_words: int


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """The phrases of a language."""

    name: str
    is_spaced: bool
    speaker: re.Pattern[str]
    breakers: re.Pattern[str]
    denials: re.Pattern[str]
    denials_after: re.Pattern[str] | None
    contrasts: re.Pattern[str] | None
    subject: re.Pattern[str] | None
    """What follows a name that is the subject of a sentence of its own."""
    relatives: re.Pattern[str] | None
    """Words that begin a clause on what stands before: "a model that was made by"."""
    closers: tuple[tuple[str | None, re.Pattern[str]], ...]
    fillers: frozenset[str]


@lru_cache(maxsize=1)
def openers() -> tuple[Opener, ...]:
    """Return the openers of all languages.

    >>> sorted({each.language.name for each in openers()})
    ['ar', 'de', 'en', 'es', 'fr', 'hi', 'id', 'it', 'ja', 'ko', 'pt', 'ru', 'tr', 'vi', 'zh']
    """
    return tuple(each for name, said in _file().languages.items() for each in _openers(name, said))


@lru_cache(maxsize=1)
def fillers() -> frozenset[str]:
    """Return words of all languages that say nothing beside a name."""
    return frozenset().union(*(each.language.fillers for each in openers()))


@lru_cache
def words(kind: str) -> frozenset[str]:
    """Return words of all languages: ``common``, ``articles`` or ``suffixes``.

    >>> "assistant" in words("common"), "labs" in words("suffixes")
    (True, True)
    """
    return frozenset(_file().words[kind].split())


@lru_cache(maxsize=1)
def _file() -> _File:
    raw = files("parentage.identity").joinpath("phrases.yaml").read_bytes()
    file = msgspec.convert(yaml.safe_load(raw), _File)
    assert file.schema == SCHEMA
    return file


def _openers(name: str, said: _Language) -> list[Opener]:
    def as_words(text: str) -> re.Pattern[str]:
        return _compiled(text, is_spaced=said.spaced)

    language = Language(
        name,
        said.spaced,
        as_words(said.speaker),
        as_words(said.breakers),
        as_words(said.denials),
        None if said.denials_after is None else _plain(said.denials_after),
        None if said.contrasts is None else as_words(said.contrasts),
        None if said.follows_as_subject is None else _plain(
            rf"\s+(?:{said.follows_as_subject})(?!\w)"
        ),
        None if said.relatives is None else as_words(said.relatives),
        tuple((each.says, _plain(each.text)) for each in said.closers),
        frozenset(said.fillers.split("|")),
    )  # fmt: skip
    return [
        Opener(language, each.says, as_words(each.text), each.speaker, each.closed, each.words)
        for each in said.openers
    ]


def _compiled(text: str, *, is_spaced: bool) -> re.Pattern[str]:
    """Compile alternatives, which are whole words where words are parted by spaces."""
    if not is_spaced:
        return _plain(f"(?:{text})")
    # "n't" and "j'" hang on a word.
    return _plain(rf"(?:(?<!\w)|(?=n't))(?:{text})(?:(?!\w)|(?<=['：:=]))")


def _plain(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE)
