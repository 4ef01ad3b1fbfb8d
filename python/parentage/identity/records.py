"""Files of answers: one line of JSON for the work, and one for every answer."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from parentage.identity.errors import IdentityError
from parentage.identity.questions import Question
from parentage.support import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SCHEMA = "parentage.answers/1"

MOST_BYTES = 1 << 28
"""Bytes of a file of answers, unpacked, from which on it is none."""

MOST_LINE = 8 << 20
"""Bytes of a line of it."""

MOST_ARMS = 32
MOST_QUESTIONS = 5000


class Template(msgspec.Struct, frozen=True):
    """The chat template that an arm was rendered with."""

    origin: str
    sha256: str
    """Of its source, as the checkpoint has it."""
    removed: list[str]
    """Texts that it would have told the model by itself, and that were left out."""


class Arm(msgspec.Struct, frozen=True):
    """One way of asking."""

    name: str
    endpoint: str
    """``chat`` or ``completions``."""
    system: str | None = None
    """The system message that is sent; none at all if ``None``."""
    prompts: dict[str, str] | None = None
    """The raw prompt of each question, by its id, where they are sent."""
    stop: list[str] = []
    begins_with_bos: bool = False
    """Whether the raw prompts begin with the token that servers put in front of prompts."""
    template: Template | None = None


class Parameters(msgspec.Struct, frozen=True):
    """What else could change an answer."""

    samples: int
    seed: int
    temperature: float
    max_tokens: int
    top_p: float | None = None


class Head(msgspec.Struct, frozen=True, tag="head", tag_field="kind"):
    """The work: who is asked what, and how."""

    schema: str
    version: str
    base_url: str
    model: str
    parameters: Parameters
    arms: list[Arm]
    questions: list[Question]


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="kind"):
    """One answer, as it came."""

    arm: str
    question: str
    sample: int
    seed: int
    text: str
    reasoning: str = ""
    """Thoughts, where the server tells them apart."""
    finish: str | None = None
    """Why it ended, as the server says."""
    model: str | None = None
    """What the server calls the model."""

    @property
    def key(self) -> Key:
        """What was asked for."""
        return self.arm, self.question, self.sample


class Failure(msgspec.Struct, frozen=True, tag="failure", tag_field="kind"):
    """A question that no answer came to."""

    arm: str
    question: str
    sample: int
    error: str

    @property
    def key(self) -> Key:
        """What was asked for."""
        return self.arm, self.question, self.sample


class Skipped(msgspec.Struct, frozen=True, tag="skipped", tag_field="kind"):
    """An arm that was not asked, and why."""

    arm: str
    reason: str


class Given(msgspec.Struct, frozen=True):
    """An answer from elsewhere: a question and what was answered, and no more need be known."""

    question: str
    answer: str
    arm: str = "given"
    language: str = "und"


Key: TypeAlias = tuple[str, str, int]
"""Arm, question and number of the sample."""

Record: TypeAlias = Head | Answer | Failure | Skipped

_RECORDS: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_GIVEN = msgspec.json.Decoder(Given)


@dataclass
class Answers:
    """All answers of a model, and what they answer."""

    name: str
    """What reports call them."""
    head: Head
    answers: dict[Key, Answer] = field(default_factory=dict)
    failures: dict[Key, Failure] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take in a record; an answer stands for a failure before it, and a first one stays."""
        if isinstance(record, Answer):
            self.failures.pop(record.key, None)
            self.answers.setdefault(record.key, record)
        elif isinstance(record, Failure):
            if record.key not in self.answers:
                self.failures[record.key] = record
        elif isinstance(record, Skipped):
            self.skipped[record.arm] = record.reason

    def records(self) -> Iterator[Record]:
        """Go through all of it in an order of its own, whichever came first."""
        yield self.head
        yield from (Skipped(arm, reason) for arm, reason in sorted(self.skipped.items()))
        yield from self.in_order()
        yield from (self.failures[key] for key in sorted(self.failures, key=self._order))

    def in_order(self) -> list[Answer]:
        """Return the answers by arm, question and sample, in the order of the head."""
        return [self.answers[key] for key in sorted(self.answers, key=self._order)]

    @cached_property
    def _order(self) -> Callable[[Key], tuple[int, int, int]]:
        arms = {each.name: at for at, each in enumerate(self.head.arms)}
        questions = {each.id: at for at, each in enumerate(self.head.questions)}

        def order(key: Key) -> tuple[int, int, int]:
            arm, question, sample = key
            return arms[arm], questions[question], sample

        return order


def line_of(record: Record) -> bytes:
    """Return a record as a line."""
    return msgspec.json.encode(record) + b"\n"


def read_record(line: bytes) -> Record:
    """Return the record that a line holds.

    Raises
    ------
    msgspec.DecodeError
        If it holds none.
    """
    return _RECORDS.decode(line)


def checked(answers: Answers, where: str) -> Answers:
    """Return answers whose records speak of arms and questions that the head has.

    Raises
    ------
    IdentityError
        If one does not.
    """
    arms = {each.name for each in answers.head.arms}
    questions = {each.id for each in answers.head.questions}
    if len(answers.head.arms) > MOST_ARMS or len(answers.head.questions) > MOST_QUESTIONS:
        raise IdentityError(
            f"{where}: {len(answers.head.arms):,} arms and {len(answers.head.questions):,} "
            f"questions; {MOST_ARMS} and {MOST_QUESTIONS:,} are the most"
        )
    for arm, question, _ in (*answers.answers, *answers.failures):
        if arm not in arms or question not in questions:
            raise IdentityError(
                f"{where}: an answer is to {question!r} in {arm!r}, which the first line has not"
            )
    return answers


def read_answers(path: str | os.PathLike[str], name: str | None = None) -> Answers:
    """Return the answers of a file that this tool wrote, or of lines with question and answer.

    A last line that was cut off is left out. The file may be packed with gzip. Lines from
    elsewhere are objects with ``question``, ``answer`` and, if need be, ``arm`` and ``language``;
    answers to one question are its samples.

    Raises
    ------
    IdentityError
        If the file can not be read, or a line holds no answer: it says which.
    """
    where = os.fspath(path)
    lines = _lines(where)
    first = next(lines, None)
    if first is None or not first[1].strip():
        raise IdentityError(f"{where}: there is no answer in it")
    is_ours = b'"kind"' in first[1]
    answers = _own(where, first[1], lines) if is_ours else _given(where, first, lines)
    answers.name = name or answers.head.model or Path(where).name
    if not answers.answers:
        raise IdentityError(f"{where}: there is no answer in it")
    return checked(answers, where)


def _own(where: str, first: bytes, lines: Iterable[tuple[int, bytes]]) -> Answers:
    head = _decoded(where, 1, first)
    if not isinstance(head, Head) or head.schema != SCHEMA:
        said = head.schema if isinstance(head, Head) else "no head"
        raise IdentityError(f"{where}: its first line says {said!r}, and {SCHEMA!r} is read")
    answers = Answers("", head)
    for number, line in lines:
        if line.endswith(b"\n"):
            answers.add(_decoded(where, number, line))
    return answers


def _decoded(where: str, number: int, line: bytes) -> Record:
    try:
        return read_record(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IdentityError(f"{where}: line {number:,} is no record of answers: {error}") from error


def _given(where: str, first: tuple[int, bytes], lines: Iterable[tuple[int, bytes]]) -> Answers:
    questions: dict[str, Question] = {}
    arms: dict[str, Arm] = {}
    found: dict[Key, Answer] = {}
    samples: dict[tuple[str, str], int] = {}
    for number, line in (first, *lines):
        if not line.strip():
            continue
        try:
            each = _GIVEN.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise IdentityError(
                f"{where}: line {number:,} is no object with question and answer: {error}"
            ) from error
        question = questions.setdefault(
            each.question, Question(f"q{len(questions) + 1}", each.language, each.question)
        )
        arms.setdefault(each.arm, Arm(each.arm, "given"))
        at = samples.get((each.arm, question.id), 0)
        samples[each.arm, question.id] = at + 1
        answer = Answer(each.arm, question.id, at, 0, each.answer)
        found[answer.key] = answer
    most = max(samples.values(), default=0)
    head = Head(
        SCHEMA,
        "",
        "",
        "",
        Parameters(most, 0, 0.0, 0),
        list(arms.values()),
        list(questions.values()),
    )
    return Answers("", head, found)


def _lines(where: str) -> Iterator[tuple[int, bytes]]:
    """Go through the lines of a file, unpacked, with their numbers."""
    left = MOST_BYTES
    try:
        with open_file(where) as raw, io.BufferedReader(raw) as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=file) if packed else file
            number = 0
            while line := stream.readline(MOST_LINE + 1):
                number += 1
                left -= len(line)
                if len(line) > MOST_LINE or left < 0:
                    raise IdentityError(f"{where}: line {number:,} is longer than any answers are")
                yield number, line
    except (EOFError, zlib.error) as error:
        raise IdentityError(f"{where}: it is packed with gzip, and damaged") from error
    except OSError as error:
        raise IdentityError(f"{where}: {error.strerror or error}") from error
