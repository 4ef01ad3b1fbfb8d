"""The evidence of what a model says of itself: one document, the same for the same answers."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.identity.errors import IdentityError
from parentage.identity.journal import NAME
from parentage.identity.questions import digest_of
from parentage.identity.records import line_of, read_answers
from parentage.identity.wording import LEVEL, MEANS, sentences
from parentage.support import JournalError, WriteError, is_there, sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from parentage.identity.comparisons import Comparison
    from parentage.identity.counts import ArmCounts, Tally
    from parentage.identity.findings import Findings
    from parentage.identity.overlap import Overlap
    from parentage.identity.records import Answers, Arm

SCHEMA = "parentage.identity/1"

DOCUMENT = "identity.json"
"""Name of the file."""


class Identity:
    """What a model says of itself. Its level is circumstantial, whatever it says.

    Attributes
    ----------
    answers
        Every answer, and what was asked.
    findings
        What is counted and tested.
    """

    def __init__(self, findings: Findings) -> None:
        self.answers = findings.answers
        self.findings = findings

    @property
    def level(self) -> str:
        """``circumstantial``: no verdict on weights rests on it."""
        return LEVEL

    @property
    def sentences(self) -> list[str]:
        """What was found, in sentences."""
        return sentences(self.findings)

    @property
    def document(self) -> dict[str, Any]:
        """What ``identity.json`` holds."""
        return document(self.findings)

    def to_json(self) -> str:
        """Return the document as text: the same text for the same answers."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``identity.json``, and ``answers.jsonl`` beside it, into a folder, made if need be.

        Raises
        ------
        JournalError
            If other answers are kept there.
        WriteError
            If the system refuses to write.
        """
        folder = Path(folder)
        lines = b"".join(map(line_of, self.answers.records()))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not _has(folder / NAME, lines):
                self._check(folder / NAME)
                _put(folder / NAME, lines)
            _put(folder / DOCUMENT, self.to_json().encode("utf-8", "replace"))
        except OSError as error:
            raise WriteError(f"{folder}: write evidence: {error.strerror or error}") from error
        return folder

    def _check(self, path: Path) -> None:
        """Refuse to write over answers that are not these, in whatever order."""
        if not is_there(path):
            return
        try:
            kept = set(map(line_of, read_answers(path).records()))
        except IdentityError:
            kept = set()
        if kept != set(map(line_of, self.answers.records())):
            raise JournalError(f"{path}: other answers are kept here; give another folder")

    def __repr__(self) -> str:
        counts = ", ".join(f"{each.arm}: {each.answers:,}" for each in self.findings.arms)
        return f"<Identity of {self.answers.name}: answers {counts}; {LEVEL}>"


def document(findings: Findings) -> dict[str, Any]:
    """Return the document of findings, with no timings and nothing of this machine."""
    answers = findings.answers
    head = answers.head
    lines = b"".join(map(line_of, answers.records()))
    return {
        "schema": SCHEMA,
        "tool": {"name": "parentage", "version": _core.__version__},
        "level": LEVEL,
        "means": MEANS,
        "sentences": sentences(findings),
        "model": _model(answers),
        "parameters": {
            name: getattr(head.parameters, name) for name in type(head.parameters).__struct_fields__
        },
        "questions": _questions(answers),
        "names": [{"name": each.name, "aliases": list(each.aliases)} for each in findings.names],
        "arms": _arms(head.arms, findings.arms),
        "skipped": [{"arm": arm, "reason": why} for arm, why in sorted(answers.skipped.items())],
        "comparisons": [_comparison(each) for each in findings.comparisons],
        "overlap": [
            {
                "text": name,
                "words": findings.texts[name],
                "controls": [
                    {"text": each, "words": findings.texts[each]} for each in findings.controls
                ],
                "arms": [_overlap(each) for each in found],
            }
            for name, found in findings.overlaps.items()
        ],
        "against": None
        if findings.other is None
        else {
            "model": _model(findings.other[0]),
            "arms": _arms(findings.other[0].head.arms, findings.other[1]),
        },
        "answers": {"file": NAME, "sha256": hashlib.sha256(lines).hexdigest()},
    }


def _model(answers: Answers) -> dict[str, Any]:
    served = sorted({each.model for each in answers.answers.values() if each.model})
    return {"name": answers.name, "base_url": answers.head.base_url, "served_as": served[:20]}


def _questions(answers: Answers) -> dict[str, Any]:
    questions = answers.head.questions
    languages = sorted({each.language for each in questions})
    return {
        "count": len(questions),
        "languages": {
            each: sum(question.language == each for question in questions) for each in languages
        },
        "sha256": digest_of(questions),
    }


def _arms(arms: Sequence[Arm], counted: Sequence[ArmCounts]) -> list[dict[str, Any]]:
    return [
        {
            "name": arm.name,
            "endpoint": arm.endpoint,
            "system": arm.system,
            "template": None
            if arm.template is None
            else {
                "origin": arm.template.origin,
                "sha256": arm.template.sha256,
                "removed": arm.template.removed,
            },
            "answers": counts.answers,
            "empty": counts.empty,
            "thinking": counts.thinking,
            "repeated": counts.repeated,
            "cut": counts.cut,
            "failed": counts.failed,
            "names": [_tally(each) for each in counts.names.values()],
            "languages": {
                language: {name: {"claimed": k, "of": n} for name, (k, n) in names.items()}
                for language, names in counts.languages.items()
            },
            "others": [
                {"name": name, "answers": number, "questions": questions, "says": says}
                for name, number, questions, says in counts.others
            ],
        }
        for arm, counts in zip(arms, counted, strict=True)
        if counts.answers or counts.failed
    ]


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "name": tally.name,
        "answers": tally.answers,
        "claimed": tally.claimed,
        "denied": tally.denied,
        "mentioned": tally.mentioned,
        "share": None if not tally.answers else round(tally.claimed / tally.answers, 6),
        "interval": _rounded(tally.interval),
        "named": tally.named,
        "named_interval": _rounded(tally.named_interval),
        "questions": len(tally.of_question),
        "majorities": tally.majorities,
        "questions_interval": _rounded(tally.questions_interval),
        "says": dict(sorted(tally.says.items())),
        "led": tally.led,
        "in_thoughts": tally.in_thoughts,
        "of_question": {id_: list(counts) for id_, counts in tally.of_question.items()},
        "quotes": [
            {"question": question, "sample": sample, "sentence": sentence}
            for question, sample, sentence in tally.quotes
        ],
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "measure": each.measure,
        "one": asdict(each.one),
        "other": asdict(each.other),
        "counts": list(each.counts),
        "answers": each.answers,
        "questions": each.questions,
        "more": list(each.more),
        "log10_p": round(each.log10_p, 4),
        "log10_p_holm": round(each.log10_p_holm, 4),
        "log10_p_naive": round(each.log10_p_naive, 4),
    }


def _overlap(each: Overlap) -> dict[str, Any]:
    return {
        "arm": each.arm,
        "answers": each.answers,
        "sharing": each.sharing,
        "longest": each.longest,
        "median": each.median,
        "median_control": each.median_control,
        "log10_p": None if each.log10_p is None else round(each.log10_p, 4),
        "why_no_test": each.why_no_test,
        "passages": [
            {
                "quote": told.quote,
                "words": told.words,
                "answers": told.answers,
                "questions": list(told.questions),
                "at": told.at,
            }
            for told in each.passages
        ],
    }


def _rounded(pair: tuple[float, float]) -> list[float]:
    # Rounding away what other C libraries compute otherwise.
    return [round(each, 6) for each in pair]


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _put(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise
    sync_folder(path.parent)
