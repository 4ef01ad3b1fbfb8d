"""Questions that a model is asked, from a file that users may edit."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
import yaml

from parentage.identity.errors import IdentityError
from parentage.support import open_file

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = "parentage.questions/1"

MOST_BYTES = 1 << 20
"""Bytes of a file of questions from which on it is none."""

MOST_QUESTIONS = 2000

MOST_TEXT = 4000
"""Characters of a question."""

ABOUT = ("name", "maker", "model", "origin", "introduction")
"""What a question may ask for."""

_ID = re.compile(r"[\w.-]{1,80}")


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question: what the user says, sent as it stands."""

    id: str
    language: str
    text: str
    about: str = "introduction"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    questions: list[Question]


def read_questions(path: str | os.PathLike[str] | None = None) -> tuple[Question, ...]:
    """Return the questions of a file; those of the package where none is given.

    Raises
    ------
    IdentityError
        If the file can not be read or is no file of questions: it says which entry is wrong.

    Examples
    --------
    >>> questions = read_questions()
    >>> len(questions) >= 40, {"en", "zh", "pt"} <= {each.language for each in questions}
    (True, True)
    """
    if path is None:
        name = "the questions of parentage"
        raw = files("parentage.identity").joinpath("questions.yaml").read_bytes()
    else:
        name, raw = os.fspath(path), _content(path)
    try:
        found = yaml.load(raw, _Plain)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise IdentityError(f"{name}: this is no YAML: {_in_a_line(error)}") from error
    try:
        file = msgspec.convert(found, _File)
    except msgspec.ValidationError as error:
        raise IdentityError(f"{name}: these are no questions: {error}") from error
    _check(name, file)
    return tuple(file.questions)


def digest_of(questions: Sequence[Question]) -> str:
    """Return the SHA-256 of questions, as they are sent, in their order."""
    return hashlib.sha256(msgspec.json.encode(list(questions))).hexdigest()


class _Plain(yaml.SafeLoader):
    """Reads YAML without aliases, which can stand for more than memory holds."""

    def fetch_alias(self) -> None:
        """Refuse an alias."""
        raise yaml.YAMLError("aliases are not read")


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or size > MOST_BYTES:
                raise IdentityError(
                    f"{os.fspath(path)}: {size:,} bytes are too many for a file of questions; "
                    f"{MOST_BYTES:,} is the most"
                )
            return file.read(MOST_BYTES) or b""
    except OSError as error:
        raise IdentityError(f"{os.fspath(path)}: {error.strerror or error}") from error


def _check(name: str, file: _File) -> None:
    if file.schema != SCHEMA:
        raise IdentityError(f"{name}: its schema is {file.schema!r}, and {SCHEMA!r} is read")
    if not 0 < len(file.questions) <= MOST_QUESTIONS:
        raise IdentityError(
            f"{name}: it has {len(file.questions):,} questions; 1 to {MOST_QUESTIONS:,} are asked"
        )
    seen: set[str] = set()
    for number, each in enumerate(file.questions, 1):
        where = f"{name}: question {number} ({each.id!r})"
        if not _ID.fullmatch(each.id):
            raise IdentityError(f"{where}: an id consists of letters, digits, '.', '_' and '-'")
        if each.id in seen:
            raise IdentityError(f"{where}: this id was there before")
        seen.add(each.id)
        if not each.text.strip() or len(each.text) > MOST_TEXT:
            raise IdentityError(f"{where}: its text has {len(each.text):,} characters")
        if each.about not in ABOUT:
            raise IdentityError(f"{where}: about is one of {', '.join(ABOUT)}")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
