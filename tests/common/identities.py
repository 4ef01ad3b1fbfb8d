"""Questions and answers that are made up, and a checkpoint that tells its model who it is."""

from typing import NamedTuple

import numpy as np
from conftest import BF16, write_checkpoint
from parentage.identity.pacing import Pace
from parentage.identity.questions import Question
from parentage.identity.records import SCHEMA, Answer, Answers, Arm, Head, Parameters

from common.servers import TEMPLATE

QUICK = Pace(retries=12, first=0.001, most=0.01)
"""Attempts in quick succession."""


class Asked(NamedTuple):
    """What an answer is to."""

    arm: str
    at: int
    """Number of the question."""
    sample: int


def questions_of(count, language="en"):
    return [Question(f"q{at}", language, f"Who are you, in {at} words?") for at in range(count)]


def head_of(*, questions=3, samples=2, arms=("as-served", "empty-system"), model="double"):
    systems = {"empty-system": "", "neutral": "You are a helpful assistant."}
    asked = questions if isinstance(questions, list) else questions_of(questions)
    return Head(
        SCHEMA, "0", "http://127.0.0.1:1/v1", model, Parameters(samples, 0, 0.7, 64),
        [Arm(each, "chat", systems.get(each)) for each in arms], asked,
    )  # fmt: skip


def answers_of(says, **settings):
    """Return answers whose text ``says`` gives for what is asked."""
    head = head_of(**settings)
    answers = Answers(head.model, head)
    for arm in head.arms:
        for at, question in enumerate(head.questions):
            for sample in range(head.parameters.samples):
                text = says(Asked(arm.name, at, sample))
                if text is not None:
                    answers.add(Answer(arm.name, question.id, sample, 0, text))
    return answers


def told_to_be_rio(folder):
    """Write a checkpoint whose template tells the model who it is."""
    write_checkpoint(folder, {"a.weight": np.ones((2, 2), BF16)})
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
