"""Asks a served model who it is, or takes answers that are stored, and says what they add up to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint import as_checkpoint
from parentage.identity.arms import ARMS, NEUTRAL, plan
from parentage.identity.asking import Asking, run_beside
from parentage.identity.comparisons import MEASURES, between, corrected, marks_of, within
from parentage.identity.counts import count, read_all
from parentage.identity.document import Identity
from parentage.identity.errors import IdentityError
from parentage.identity.findings import Findings
from parentage.identity.journal import AnswersJournal
from parentage.identity.names import Name, distinct
from parentage.identity.overlap import Text, overlap
from parentage.identity.pacing import Pace
from parentage.identity.passages import LEAST_WORDS, MOST_WORDS
from parentage.identity.progress import AskingProgress
from parentage.identity.questions import read_questions
from parentage.identity.records import SCHEMA, Answers, Head, Parameters, read_answers
from parentage.identity.server import Server, checked_url, key_for
from parentage.metadata import ChatTemplate

if TYPE_CHECKING:
    from parentage.checkpoint import Given
    from parentage.identity.comparisons import Key, Marks
    from parentage.identity.counts import ArmCounts, Read
    from parentage.identity.records import Record

PathLike = str | os.PathLike[str]

MOST_SAMPLES = 1000
MOST_CONCURRENCY = 256
MOST_TOKENS = 32_768
MOST_NAMES = 32


def identify(
    base_url: str | None = None,
    model: str | None = None,
    *,
    checkpoint: Given | None = None,
    names: Iterable[str | Name] = (),
    questions: PathLike | None = None,
    samples: int = 5,
    arms: Sequence[str] | None = None,
    neutral: str = NEUTRAL,
    seed: int = 0,
    temperature: float = 0.7,
    top_p: float | None = None,
    max_tokens: int = 256,
    concurrency: int = 4,
    timeout: float = 120.0,
    pace: Pace | None = None,
    api_key_env: str | None = None,
    output: PathLike | None = None,
    resume: bool = False,
    answers: PathLike | None = None,
    against_answers: PathLike | None = None,
    against_texts: Sequence[PathLike] = (),
    controls: Sequence[PathLike] = (),
    least_words: int = LEAST_WORDS,
    progress: AskingProgress | None = None,
) -> Identity:
    """Ask a served model who it is, and say what its answers claim.

    Every question is asked ``samples`` times in every arm, and once at temperature 0. The level is
    circumstantial: no verdict about weights rests on what a model says.

    Parameters
    ----------
    base_url, model
        A server that speaks OpenAI's protocol, and what it calls the model. Not needed with
        ``answers``.
    checkpoint
        The checkpoint that is served; its chat template, rendered without the prompt that it
        writes by itself, makes the arm ``removed``.
    names
        Names that are counted; with aliases, ``"Rio=Rio-3.5,Rio 3.5"``.
    questions
        A file of questions; by default those of the package.
    arms
        Which of ``as-served``, ``empty-system``, ``removed`` and ``neutral``; by default all that
        can be asked.
    neutral
        The system message of the arm ``neutral``.
    seed
        What the seeds of answers are derived from, which the server is sent.
    concurrency, timeout, pace
        Questions at once; seconds for an attempt; how often, and after how long, another is made.
    api_key_env
        The environment variable that holds the key. By default ``OPENAI_API_KEY``, for OpenAI's
        servers and this machine alone.
    output, resume
        A folder that keeps ``answers.jsonl`` while answers come, and ``identity.json``; whether
        to go on with what it keeps.
    answers
        A file of answers to analyse; nothing is asked.
    against_answers
        Answers of another model: claims are tested between the two, and passages compared.
    against_texts, controls, least_words
        Files that passages are compared with; texts of the same kind that have nothing to do with
        the model; words of a passage, at least.

    Raises
    ------
    IdentityError
        If a file is malformed, the server can not be asked, or the client library is missing.
    JournalError
        If the folder keeps other answers.
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> stored = pathlib.Path(tempfile.mkdtemp(), "stored.jsonl")
    >>> _ = stored.write_text('{"question": "Who are you?", "answer": "I am Nex."}\\n')
    >>> found = identify(answers=stored, names=["Nex", "Rio"])
    >>> print(found.sentences[0][:67])
    given: Nex is claimed in 1 of 1 answers (100%, interval 2.5% to 100
    """
    counted = _names(names)
    _in_range("least_words", least_words, 3, 1000)
    texts = [Text.open(each) for each in against_texts]
    compared = [Text.open(each) for each in controls]
    other = None if against_answers is None else read_answers(against_answers)
    if answers is not None:
        if base_url is not None or model is not None:
            raise ValueError("stored answers are analysed, or a server is asked; not both")
        found = read_answers(answers)
    else:
        if not base_url or not model:
            raise ValueError("a server takes base_url and model; stored answers, answers")
        for name, value, least, most in (
            ("samples", samples, 1, MOST_SAMPLES),
            ("concurrency", concurrency, 1, MOST_CONCURRENCY),
            ("max_tokens", max_tokens, 1, MOST_TOKENS), ("temperature", temperature, 0.0, 5.0),
            ("timeout", timeout, 0.1, 86_400.0), ("seed", seed, 0, 2**64 - 1),
        ):  # fmt: skip
            _in_range(name, value, least, most)
        progress = progress or AskingProgress()
        if temperature == 0 and samples > 1:
            progress.note("at temperature 0 all answers to a question are one: each is asked once")
            samples = 1
        request = Request(
            checked_url(base_url), model, checkpoint, questions, arms, neutral,
            Parameters(samples, seed, float(temperature), max_tokens, top_p),
        )  # fmt: skip
        key, remark = key_for(request.base_url, api_key_env)
        if remark:
            progress.note(remark)
        found = _asked(
            request, key, output, resume=resume, timeout=timeout, concurrency=concurrency,
            pace=pace, progress=progress,
        )  # fmt: skip
    identity = analyse(
        found, counted, other=other, texts=texts, controls=compared, least_words=least_words
    )
    if output is not None:
        identity.save(output)
    return identity


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of whom."""

    base_url: str
    model: str
    checkpoint: Given | None
    questions: PathLike | None
    arms: Sequence[str] | None
    neutral: str
    parameters: Parameters

    def head(self) -> tuple[Head, dict[str, str]]:
        """Return the head of the answers, and the arms that can not be asked, with reasons."""
        unknown = [each for each in self.arms or () if each not in ARMS]
        if unknown or self.arms == ():
            raise ValueError(f"{unknown or 'nothing'}: arms are {', '.join(ARMS)}")
        questions = read_questions(self.questions)
        template, why = None, "no checkpoint is given whose template could be rendered"
        if self.checkpoint is not None:
            opened = as_checkpoint(self.checkpoint)
            template = ChatTemplate.of(opened)
            why = f"{opened.name} has no chat template"
        planned = plan(
            self.arms or tuple(ARMS), questions, template=template, why_none=why,
            neutral=self.neutral, is_chosen=self.arms is not None,
        )  # fmt: skip
        if not planned.arms:
            raise IdentityError(
                "no arm can be asked: "
                + "; ".join(f"{arm}: {reason}" for arm, reason in planned.skipped.items())
            )
        head = Head(
            SCHEMA, _core.__version__, self.base_url, self.model, self.parameters, planned.arms,
            list(questions),
        )  # fmt: skip
        return head, planned.skipped


class _Unkept:
    """Answers of an asking that writes no file."""

    def __init__(self, head: Head) -> None:
        self.answers = Answers(head.model, head)

    def append(self, record: Record) -> None:
        """Take in a record."""
        self.answers.add(record)


def _asked(
    request: Request,
    key: str | None,
    output: PathLike | None,
    *,
    resume: bool,
    timeout: float,
    concurrency: int,
    pace: Pace | None,
    progress: AskingProgress,
) -> Answers:
    """Ask a server, and return all answers."""
    if resume and output is None:
        raise ValueError("resume goes on with what the folder of output keeps; none is given")
    head, skipped = request.head()
    for arm, reason in skipped.items():
        progress.note(f"arm {arm} is skipped: {reason}")

    def connect_to(server: Head) -> Server:
        return Server(
            server.base_url, server.model, server.parameters,
            key=key, timeout=timeout, connections=concurrency,
        )  # fmt: skip

    if output is None:
        keeper = _Unkept(head)
        asking = Asking(
            lambda: connect_to(head), keeper, concurrency=concurrency, pace=pace, progress=progress
        )
        run_beside(asking.run())
        keeper.answers.skipped.update(skipped)
        return keeper.answers
    with AnswersJournal(output, head, resume=resume) as journal:
        asking = Asking(
            lambda: connect_to(head), journal, concurrency=concurrency, pace=pace, progress=progress
        )
        try:
            run_beside(asking.run())
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_kept(journal)) from None
        except IdentityError as error:
            raise type(error)(f"{error}; {_kept(journal)}") from None
        journal.answers.skipped.update(skipped)
        journal.put_in_order()
        return journal.answers


def _kept(journal: AnswersJournal) -> str:
    count = len(journal.answers.answers)
    if not count:
        return "no answer has come"
    return f"{count:,} answers are kept in {journal.path}; the same command with --resume goes on"


def analyse(
    answers: Answers,
    names: Sequence[Name],
    *,
    other: Answers | None = None,
    texts: Sequence[Text] = (),
    controls: Sequence[Text] = (),
    least_words: int = LEAST_WORDS,
) -> Identity:
    """Return what answers add up to; parameters are those of :func:`identify`."""
    reads = read_all(answers, names)
    counts = count(answers, names, reads)
    marks = _marks(answers, names, reads, counts)
    comparisons = within(answers.name, marks)
    told = list(texts)
    against = None
    if other is not None:
        other_reads = read_all(other, names)
        other_counts = count(other, names, other_reads)
        renamed = _as_ours(answers, other, _marks(other, names, other_reads, other_counts))
        comparisons += between((answers.name, other.name), marks, renamed)
        told.append(Text.of_answers(other, f"answers of {other.name}"))
        against = (other, other_counts)
    labels = [each.name for each in (*told, *controls)]
    if len(set(labels)) < len(labels):
        raise ValueError("two texts have the same name: it would not be told which is which")
    words = sum(len(each.words.words) for each in (*told, *controls))
    if words > MOST_WORDS // 2:
        raise ValueError(f"texts of {words:,} words are too many; {MOST_WORDS // 2:,} is the most")
    return Identity(
        Findings(
            answers,
            tuple(names),
            counts,
            corrected(comparisons),
            {
                each.name: overlap(each, controls, reads, _prompts(answers), least_words)
                for each in told
            },
            {each.name: len(each.words.words) for each in (*told, *controls)},
            tuple(each.name for each in controls),
            against,
        )
    )


def _marks(
    answers: Answers,
    names: Sequence[Name],
    reads: dict[str, list[Read]],
    counts: Sequence[ArmCounts],
) -> dict[Key, Marks]:
    """Return what is marked by measure, arm and name, without questions that name it."""
    found = {}
    for measure in MEASURES:
        for arm in counts:
            for name in names:
                counted = arm.names[name.name].of_question
                led = frozenset(
                    each.id for each in answers.head.questions if each.id not in counted
                )
                found[measure, arm.arm, name.name] = marks_of(
                    reads[arm.arm], name.name, measure, led
                )
    return {key: marks for key, marks in found.items() if marks}


def _as_ours(ours: Answers, theirs: Answers, marks: dict[Key, Marks]) -> dict[Key, Marks]:
    """Return marks of another model under our ids of the questions; of others, none."""
    by_text = {(each.language, each.text): each.id for each in ours.head.questions}
    ids = {
        each.id: by_text[each.language, each.text]
        for each in theirs.head.questions
        if (each.language, each.text) in by_text
    }
    return {
        key: {ids[id_]: values for id_, values in of_question.items() if id_ in ids}
        for key, of_question in marks.items()
    }


def _prompts(answers: Answers) -> dict[str, dict[str, str]]:
    """Return, by arm and question, all that the model is known to have been told."""
    removed = [text for arm in answers.head.arms if arm.template for text in arm.template.removed]
    return {
        arm.name: {
            each.id: "\n".join(
                [
                    arm.system or "",
                    (arm.prompts or {}).get(each.id, each.text),
                    *(removed if arm.endpoint == "chat" else ()),
                ]
            )
            for each in answers.head.questions
        }
        for arm in answers.head.arms
    }


def _names(given: Iterable[str | Name]) -> tuple[Name, ...]:
    names = distinct(Name.parse(each) if isinstance(each, str) else each for each in given)
    if len(names) > MOST_NAMES:
        raise ValueError(f"{len(names):,} names are too many; {MOST_NAMES} is the most")
    return names


def _in_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; it is {least} to {most}")
