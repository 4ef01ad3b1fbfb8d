"""Passages that answers share with a text, word for word.

Texts are sequences of words; characters of scripts that part no words count as words. For every
word of every answer, the longest run from there that stands in the text is found exactly, by a
suffix array over both: whatever they repeat, time grows with their length and its logarithm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.identity.names import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_WORDS = 4_000_000
"""Words of texts and answers together that are compared."""

LEAST_WORDS = 8
"""Words of a passage from which on it is told."""

_UNPARTED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f"
)
_WORD = re.compile(
    rf"[{_UNPARTED}]|(?:(?![{_UNPARTED}])[^\W_]|(?<=\w)'(?=\w)|[\u0300-\u036f\u0900-\u0963])+"
)
_CHARACTER = re.compile(rf"[{_UNPARTED}]")


@dataclass(frozen=True, slots=True)
class Words:
    """A text as words, and where they lie in it."""

    text: str
    words: tuple[str, ...]
    """In lower case."""
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """Return the words of a text.

        >>> Words.of("I'm Nex, 我是").words
        ("i'm", 'nex', '我', '是')
        """
        text = plain(text)
        found = list(_WORD.finditer(text))
        return cls(
            text,
            tuple(each[0].casefold() for each in found),
            tuple(each.span() for each in found),
        )

    def quote(self, begin: int, end: int) -> str:
        """Return words ``begin`` to ``end`` as the text writes them."""
        return " ".join(self.text[self.spans[begin][0] : self.spans[end - 1][1]].split())


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of words that an answer shares with a text, and that is longer at neither end."""

    answer: int
    """Which answer, by its place among them."""
    begin: int
    length: int
    at: int
    """The word of the text that it begins at."""


def shared(answers: Sequence[Words], text: Words, least: int = LEAST_WORDS) -> list[Passage]:
    """Return the passages of ``least`` words and more that answers share with a text.

    Of scripts without spaces, whose words are characters, twice as many are asked for. A passage
    within a longer one of the same answer is not told.

    >>> text = Words.of("born in the quiet labs of the north")
    >>> answer = Words.of("I was born in the quiet labs of a town")
    >>> [(each.begin, each.length, each.at) for each in shared([answer], text, 4)]
    [(2, 6, 0)]
    """
    found = []
    for number, (lengths, places) in enumerate(_longest(answers, text)):
        reached = 0
        for begin, length in enumerate(lengths.tolist()):
            if begin + length > reached and length >= least:
                run = answers[number].words[begin : begin + length]
                characters = sum(bool(_CHARACTER.match(word)) for word in run)
                if length - characters / 2 >= least:
                    found.append(Passage(number, begin, length, int(places[begin])))
            reached = max(reached, begin + length)
    return found


def longest(answers: Sequence[Words], text: Words) -> list[int]:
    """Return the words of the longest run that each answer shares with a text."""
    return [int(lengths.max(initial=0)) for lengths, _ in _longest(answers, text)]


def _longest(
    answers: Sequence[Words], text: Words
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, for every word of every answer, the longest run from it in the text, and where."""
    parts = [text.words, *(each.words for each in answers)]
    total = sum(map(len, parts)) + len(parts)
    if total > MOST_WORDS:
        raise ValueError(f"{total:,} words are too many to compare; {MOST_WORDS:,} is the most")
    # Every part ends in a number of its own, so that no run goes on into the next.
    numbers: dict[str, int] = {}
    codes = np.empty(total, np.int64)
    starts, at = [], 0
    for number, words in enumerate(parts):
        starts.append(at)
        codes[at : at + len(words)] = [
            len(parts) + numbers.setdefault(word, len(numbers)) for word in words
        ]
        at += len(words) + 1
        codes[at - 1] = number
    order = _suffixes(codes)
    common = _common(codes, order)
    is_text = order < len(text.words)
    lengths, places = np.zeros(total, np.int64), np.zeros(total, np.int64)
    for direction in (1, -1):
        _sweep(order, common, is_text, direction, lengths, places)
    return [
        (lengths[start : start + len(words)], places[start : start + len(words)])
        for start, words in zip(starts[1:], parts[1:], strict=True)
    ]


def _suffixes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the suffix array, by doubling (Manber and Myers 1993)."""
    size = len(codes)
    _, rank = np.unique(codes, return_inverse=True)
    rank = rank.astype(np.int64)
    step = 1
    while True:
        second = np.full(size, -1, np.int64)
        second[: size - step] = rank[step:] if step < size else []
        key = rank * (size + 1) + second + 1
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        fresh = np.empty(size, np.int64)
        fresh[order] = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
        rank = fresh
        if rank[order[-1]] == size - 1 or step >= size:
            return order
        step *= 2


def _common(codes: NDArray[np.int64], order: NDArray[np.int64]) -> list[int]:
    """Return how many words each suffix shares with the one before it (Kasai et al. 2001)."""
    size = len(codes)
    values, ordered = codes.tolist(), order.tolist()
    rank = np.empty(size, np.int64)
    rank[order] = np.arange(size)
    ranks = rank.tolist()
    common = [0] * size
    run = 0
    for start in range(size):
        at = ranks[start]
        if at == 0:
            run = 0
            continue
        before = ordered[at - 1]
        most = size - max(start, before)
        while run < most and values[start + run] == values[before + run]:
            run += 1
        common[at] = run
        run = max(0, run - 1)
    return common


def _sweep(
    order: NDArray[np.int64],
    common: list[int],
    is_text: NDArray[np.bool_],
    direction: int,
    lengths: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    """Carry the nearest suffix of the text along the order, with what is still shared with it."""
    size = len(order)
    ordered, of_text = order.tolist(), is_text.tolist()
    least, place = 0, -1
    for step in range(size):
        at = step if direction == 1 else size - 1 - step
        if step:
            least = min(least, common[at] if direction == 1 else common[at + 1])
        if of_text[at]:
            least, place = size, ordered[at]
        elif place >= 0 and least > lengths[ordered[at]]:
            lengths[ordered[at]], places[ordered[at]] = least, place
