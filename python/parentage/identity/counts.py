"""What the answers of each arm claim, counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage.identity.claims import read
from parentage.identity.exact import interval
from parentage.identity.names import plain
from parentage.identity.thoughts import split_thoughts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.identity.claims import Reading
    from parentage.identity.names import Name
    from parentage.identity.records import Answer, Answers

MOST_QUOTES = 3
"""Sentences that are quoted of each arm and name."""

MOST_OTHERS = 20
"""Names that were not asked for, of each arm."""

STATUSES = ("claimed", "denied", "mentioned")


@dataclass(frozen=True, slots=True)
class Read:
    """An answer, with its thoughts told apart, and what it claims."""

    answer: Answer
    said: str
    thought: str
    reading: Reading
    in_thoughts: Reading


@dataclass
class Tally:
    """What is counted of a name in an arm."""

    name: str
    answers: int = 0
    """Answers that say anything, to questions that do not name it."""
    claimed: int = 0
    denied: int = 0
    mentioned: int = 0
    """Answers that have the name, and neither claim nor deny it."""
    led: int = 0
    """Answers to questions, or after system messages, that name it: they are not counted."""
    says: Counter[str] = field(default_factory=Counter)
    in_thoughts: int = 0
    """Answers whose thoughts have the name in any way."""
    of_question: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Claims, and answers, of each question."""
    quotes: list[tuple[str, int, str]] = field(default_factory=list)
    """Question, number of the sample, and sentence, of the first claims and denials."""

    @property
    def named(self) -> int:
        """Answers that have the name in any way."""
        return self.claimed + self.denied + self.mentioned

    @property
    def named_interval(self) -> tuple[float, float]:
        """Exact interval of the share of answers that have the name, to these questions."""
        return interval(self.named, self.answers)

    @property
    def interval(self) -> tuple[float, float]:
        """Exact interval of the share of answers that claim the name, to these questions."""
        return interval(self.claimed, self.answers)

    @property
    def majorities(self) -> int:
        """Questions more than half of whose answers claim it."""
        return sum(2 * claims > answers for claims, answers in self.of_question.values())

    @property
    def questions_interval(self) -> tuple[float, float]:
        """Exact interval of the share of questions, as a draw of all such questions."""
        return interval(self.majorities, len(self.of_question))


@dataclass
class ArmCounts:
    """What is counted in an arm."""

    arm: str
    answers: int
    """Answers that came, empty ones as well."""
    empty: int
    """Answers that say nothing, or were cut off while the model was thinking."""
    thinking: int
    """Answers with thoughts."""
    repeated: int
    """Answers that are, word for word, another one to the same question: no draws of their own."""
    cut: int
    """Answers that ended at the most tokens that were asked for."""
    failed: int
    names: dict[str, Tally]
    others: list[tuple[str, int, int, dict[str, int]]]
    """Other names that are claimed: name, answers, questions, and what is said how often."""
    languages: dict[str, dict[str, tuple[int, int]]]
    """Claims, and answers, by language and name."""


def read_all(answers: Answers, names: Sequence[Name]) -> dict[str, list[Read]]:
    """Return the answers of each arm, read, in the order of questions and samples."""
    questions = {each.id: each for each in answers.head.questions}
    found: dict[str, list[Read]] = {each.name: [] for each in answers.head.arms}
    for answer in answers.in_order():
        said, thought = split_thoughts(answer.text)
        thought = "\n".join(part for part in (answer.reasoning.strip(), thought) if part)
        found[answer.arm].append(
            Read(
                answer,
                said,
                thought,
                read(said, names, asked=questions[answer.question].text),
                read(thought, names),
            )
        )
    return found


def count(
    answers: Answers, names: Sequence[Name], found: Mapping[str, list[Read]]
) -> list[ArmCounts]:
    """Return what is counted in every arm, in the order of the arms."""
    questions = {each.id: each for each in answers.head.questions}
    counted = []
    for arm in answers.head.arms:
        reads = found[arm.name]
        texts = {each.id: plain(each.text) for each in answers.head.questions}
        system = plain(arm.system or "")
        saying = [each for each in reads if each.said]
        languages: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        tallies = {}
        for name in names:
            led = {id_ for id_, text in texts.items() if any(name.found_in(f"{system}\n{text}"))}
            tallies[name.name] = _tally(name.name, saying, led)
            by_language: dict[str, list[int]] = defaultdict(lambda: [0, 0])
            for id_, (claims, of) in tallies[name.name].of_question.items():
                by_language[questions[id_].language][0] += claims
                by_language[questions[id_].language][1] += of
            for language, (claims, of) in sorted(by_language.items()):
                languages[language][name.name] = (claims, of)
        counted.append(
            ArmCounts(
                arm.name,
                len(reads),
                len(reads) - len(saying),
                sum(bool(each.thought) for each in reads),
                len(saying) - len({(each.answer.question, each.said) for each in saying}),
                sum(each.answer.finish == "length" for each in reads),
                sum(each.arm == arm.name for each in answers.failures.values()),
                tallies,
                _others(saying),
                dict(languages),
            )
        )
    return counted


def _tally(name: str, reads: Sequence[Read], led: set[str]) -> Tally:
    tally = Tally(name)
    of_question: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each in reads:
        answer = each.answer
        if answer.question in led:
            tally.led += 1
            continue
        tally.answers += 1
        tally.in_thoughts += each.in_thoughts.status(name) is not None
        of_question[answer.question][1] += 1
        status = each.reading.status(name)
        if status is None:
            continue
        setattr(tally, status, getattr(tally, status) + 1)
        told = [
            claim for claim in each.reading.claims if claim.name == name and claim.status == status
        ]
        if status == "claimed":
            of_question[answer.question][0] += 1
            tally.says.update({claim.says for claim in told})
        if status != "mentioned" and len(tally.quotes) < MOST_QUOTES:
            tally.quotes.append((answer.question, answer.sample, told[0].quote))
    tally.of_question = {id_: (claims, of) for id_, (claims, of) in of_question.items()}
    return tally


def _others(reads: Sequence[Read]) -> list[tuple[str, int, int, dict[str, int]]]:
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    questions: dict[str, set[str]] = defaultdict(set)
    says: dict[str, Counter[str]] = defaultdict(Counter)
    counts: Counter[str] = Counter()
    for each in reads:
        told: dict[str, set[str]] = defaultdict(set)
        for other, said in each.reading.others:
            told[other.casefold()].add(said)
            spellings[other.casefold()][other] += 1
        counts.update(told.keys())
        for key, said_of in told.items():
            questions[key].add(each.answer.question)
            says[key].update(said_of)
    ordered = sorted(counts, key=lambda key: (-counts[key], -len(questions[key]), key))
    return [
        (
            min(spellings[key], key=lambda text: (-spellings[key][text], text)),
            counts[key],
            len(questions[key]),
            dict(sorted(says[key].items())),
        )
        for key in ordered[:MOST_OTHERS]
    ]
