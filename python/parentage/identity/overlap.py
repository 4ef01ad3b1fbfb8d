"""What answers share with a text word for word, beside what they share with control texts."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.identity.errors import IdentityError
from parentage.identity.exact import sign_flip
from parentage.identity.passages import LEAST_WORDS, Words, longest, shared
from parentage.identity.records import read_answers
from parentage.identity.thoughts import split_thoughts
from parentage.support import open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.identity.counts import Read
    from parentage.identity.records import Answers

MOST_BYTES = 16 << 20
"""Bytes of a text from which on it is not read."""

MOST_PASSAGES = 20
"""Passages that are told of each text and arm."""

_BREAK = "\x00"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that answers are compared with."""

    name: str
    words: Words

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Text:
        """Return the text of a file; of a file of answers (``.jsonl``, ``.jsonl.gz``), all answers.

        Raises
        ------
        IdentityError
            If it can not be read, is no UTF-8, or is too large.
        """
        where = os.fspath(path)
        if where.endswith((".jsonl", ".jsonl.gz")):
            return cls.of_answers(read_answers(where), Path(where).name)
        try:
            with open_file(where) as file:
                size = os.fstat(file.fileno()).st_size
                if size > MOST_BYTES or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise IdentityError(f"{where}: {size:,} bytes; {MOST_BYTES:,} is the most")
                raw = file.read(MOST_BYTES) or b""
            words = Words.of(raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise IdentityError(f"{where}: byte {error.start:,} is no UTF-8") from error
        except OSError as error:
            raise IdentityError(f"{where}: {error.strerror or error}") from error
        if not words.words:
            raise IdentityError(f"{where}: there is no word in it")
        return cls(Path(where).name, words)

    @classmethod
    def of_answers(cls, answers: Answers, name: str | None = None) -> Text:
        """Return all that a model has said; no passage goes on from one answer into another."""
        said = (split_thoughts(each.text)[0] for each in answers.in_order())
        return cls(name or answers.name, _joined(Words.of(each) for each in said))


@dataclass(frozen=True, slots=True)
class Told:
    """A passage that is told."""

    quote: str
    words: int
    answers: int
    questions: tuple[str, ...]
    at: int
    """The word of the text that it begins at."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the answers of an arm share with a text."""

    arm: str
    answers: int
    sharing: int
    """Answers with a passage that is in no control, question or prompt."""
    passages: tuple[Told, ...]
    longest: int
    """Words of the longest passage."""
    median: float
    """Median over answers of the longest run shared with the text, of whatever length."""
    median_control: float | None
    """The same for the controls together."""
    log10_p: float | None
    """Exact test over questions: runs shared with the text, and with the controls."""
    why_no_test: str | None


def overlap(
    text: Text,
    controls: Sequence[Text],
    reads: Mapping[str, Sequence[Read]],
    prompts: Mapping[str, Mapping[str, str]],
    least: int = LEAST_WORDS,
) -> list[Overlap]:
    """Return what the answers of each arm share with a text.

    Parameters
    ----------
    text, controls
        What is suspected, and texts of the same kind that have nothing to do with the model.
    reads
        Answers by arm.
    prompts
        For each arm, by question, all that the model was told: what it repeats of that is its
        prompt's, and not told.
    least
        Words of a passage, at least.
    """
    control = _joined(each.words for each in controls) if controls else None
    found = []
    for arm, all_of_it in reads.items():
        saying = [each for each in all_of_it if each.said]
        if not saying:
            continue
        answers = [Words.of(each.said) for each in saying]
        runs = longest(answers, text.words)
        runs_control = None if control is None else longest(answers, control)
        passages = _told(text, control, saying, answers, prompts[arm], least)
        why, log10_p = _test(saying, runs, runs_control, text, controls)
        found.append(
            Overlap(
                arm,
                len(saying),
                len({answer for _, answer in passages}),
                _ranked(text, saying, [each for each, _ in passages], [a for _, a in passages]),
                max((length for (_, length), _ in passages), default=0),
                _median(runs),
                None if runs_control is None else _median(runs_control),
                log10_p,
                why,
            )
        )
    return found


def _told(
    text: Text,
    control: Words | None,
    saying: Sequence[Read],
    answers: Sequence[Words],
    prompts: Mapping[str, str],
    least: int,
) -> list[tuple[tuple[int, int], int]]:
    """Return ((word of the text, length), answer) of passages that are in no control or prompt."""
    told_of: dict[str, str] = {}
    kept = []
    for each in shared(answers, text.words, least):
        run = answers[each.answer].words[each.begin : each.begin + each.length]
        needle = _row(run)
        prompt = prompts[saying[each.answer].answer.question]
        if prompt not in told_of:
            told_of[prompt] = _row(Words.of(prompt).words)
        if needle in told_of[prompt]:
            continue
        kept.append((each, needle))
    if control is not None:
        haystack = _row(control.words)
        kept = [(each, needle) for each, needle in kept if needle not in haystack]
    return [((each.at, each.length), each.answer) for each, _ in kept]


def _row(words: Iterable[str]) -> str:
    return _BREAK + _BREAK.join(words) + _BREAK


def _ranked(
    text: Text, saying: Sequence[Read], places: Sequence[tuple[int, int]], answers: Sequence[int]
) -> tuple[Told, ...]:
    by_words: dict[tuple[str, ...], tuple[int, set[int]]] = {}
    for (at, length), answer in zip(places, answers, strict=True):
        run = text.words.words[at : at + length]
        by_words.setdefault(run, (at, set()))[1].add(answer)
    ordered = sorted(
        by_words.items(), key=lambda item: (-len(item[0]), -len(item[1][1]), item[1][0])
    )
    return tuple(
        Told(
            text.words.quote(at, at + len(run)),
            len(run),
            len(whose),
            tuple(sorted({saying[answer].answer.question for answer in whose})),
            at,
        )
        for run, (at, whose) in ordered[:MOST_PASSAGES]
    )


def _test(
    saying: Sequence[Read],
    runs: Sequence[int],
    runs_control: Sequence[int] | None,
    text: Text,
    controls: Sequence[Text],
) -> tuple[str | None, float | None]:
    if runs_control is None:
        return "no control text is given", None
    lengths = len(text.words.words), sum(len(each.words.words) for each in controls)
    if lengths[1] < lengths[0]:
        return (
            f"the controls have {lengths[1]:,} words, fewer than the text's {lengths[0]:,}: they "
            "would share less by chance",
            None,
        )
    differences: dict[str, int] = defaultdict(int)
    for each, run, run_control in zip(saying, runs, runs_control, strict=True):
        differences[each.answer.question] += run - run_control
    return None, sign_flip(list(differences.values()))


def _median(values: Sequence[int]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2.0


def _joined(parts: Iterable[Words]) -> Words:
    """Return several texts as one, with a word of its own between each two."""
    texts: list[str] = []
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for number, part in enumerate(parts):
        words += [*part.words, f"{_BREAK}{number}"]
        spans += [(begin + at, end + at) for begin, end in part.spans]
        at += len(part.text) + 1
        spans.append((at, at))
        texts.append(part.text + "\n")
    return Words("".join(texts), tuple(words), tuple(spans))
