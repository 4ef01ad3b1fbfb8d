"""Ways of asking: what a model is told before the question, and what it is not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from parentage.identity.records import Arm, Template
from parentage.support import ParentageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.identity.questions import Question

ARMS = {
    "as-served": "the question alone, as the server's own template has it",
    "empty-system": "with an empty system message",
    "removed": "a raw prompt, without the text that the checkpoint's template writes by itself",
    "neutral": "with a system message that names nobody",
}
"""The arms, in the order in which they are told, and what each is."""

NEUTRAL = "You are a helpful assistant."

_SENTINEL = "SENTINEL7f3a"


class Rendering(Protocol):
    """What is asked of a chat template."""

    @property
    def source(self) -> str:
        """Its text."""

    @property
    def origin(self) -> str:
        """The file it was read from."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Special tokens, by the names that templates have for them."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return a conversation as the template writes it."""

    def default_prompts(self) -> Sequence[Prompt]:
        """Return what it has the model told by itself."""

    def without_default(self) -> Rendering:
        """Return the template without it."""


class Prompt(Protocol):
    """A text that a template has the model told by itself."""

    @property
    def text(self) -> str:
        """The text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The arms that are asked, and those that can not be, with the reason."""

    arms: list[Arm]
    skipped: dict[str, str]


def plan(
    wanted: Sequence[str],
    questions: Sequence[Question],
    *,
    template: Rendering | None,
    why_none: str = "no checkpoint is given whose template could be rendered",
    neutral: str = NEUTRAL,
    is_chosen: bool = False,
) -> Plan:
    """Return the arms to ask.

    Parameters
    ----------
    wanted
        Names of :data:`ARMS`.
    template
        The chat template of the checkpoint that is served; ``None`` if there is none.
    why_none
        Why, in that case.
    is_chosen
        Whether the user named the arms: ``removed`` is then asked even where nothing is to be
        removed, as a second way to ask the same.
    """
    arms, skipped = [], {}
    for name in ARMS:
        if name not in wanted:
            continue
        if name == "removed":
            try:
                arms.append(_removed(template, why_none, questions, is_chosen=is_chosen))
            except _SkippedError as error:
                skipped[name] = str(error)
            except ParentageError as error:
                skipped[name] = f"the template could not be rendered without its prompt: {error}"
        else:
            system = {"empty-system": "", "neutral": neutral}.get(name)
            arms.append(Arm(name, "chat", system))
    return Plan(arms, skipped)


class _SkippedError(Exception):
    """Why an arm is not asked."""


def _removed(
    template: Rendering | None, why_none: str, questions: Sequence[Question], *, is_chosen: bool
) -> Arm:
    if template is None:
        raise _SkippedError(why_none)
    whole = _around(template)
    removed = [each.text for each in template.default_prompts()]
    if not removed and not is_chosen:
        raise _SkippedError("the template writes no prompt of its own: there is nothing to remove")
    bare = template.without_default()
    rest = _around(bare)
    if any(text in part for text in removed for part in rest):
        raise _SkippedError("what the template writes by itself could not be removed")
    if not all(map(_is_cut, rest, whole)):
        raise _SkippedError(
            "what the template writes by itself could not be removed without more of it"
        )
    digest = hashlib.sha256(template.source.encode("utf-8", "surrogatepass")).hexdigest()
    prompts = _prompts(bare, questions)
    bos = template.variables.get("bos_token", "")
    return Arm(
        "removed",
        "completions",
        prompts=prompts,
        stop=_stops(bare),
        begins_with_bos=bool(bos) and all(each.startswith(bos) for each in prompts.values()),
        template=Template(template.origin, digest, removed),
    )


def _around(template: Rendering) -> tuple[str, str]:
    """Return what a template writes before and after what the user says."""
    rendered = template.render([{"role": "user", "content": _SENTINEL}])
    before, middle, after = rendered.partition(_SENTINEL)
    if not middle:
        raise _SkippedError("the template does not write what the user says")
    return before, after


def _is_cut(rest: str, whole: str) -> bool:
    """Return whether a text is another one with one piece cut out, or all of it.

    >>> _is_cut("<s>[user]", "<s>[sys]You are Rio.[/sys][user]"), _is_cut("]user", "[sys]x[user]")
    (True, False)
    """
    begin = _shared(rest, whole)
    end = _shared(rest[::-1], whole[::-1])
    return begin + end >= len(rest) <= len(whole)


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts share from their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _prompts(template: Rendering, questions: Sequence[Question]) -> dict[str, str]:
    """Return the prompt of every question.

    A template is rendered once, and the question put in its place, if that gives what it renders
    for the shortest and the longest of them; otherwise once for each.
    """

    def rendered(text: str) -> str:
        return template.render([{"role": "user", "content": text}])

    before, middle, after = rendered(_SENTINEL).partition(_SENTINEL)
    by_length = sorted((each.text for each in questions), key=len)
    is_constant = middle and all(
        rendered(text) == before + text + after for text in {by_length[0], by_length[-1]}
    )
    if is_constant and _SENTINEL not in after:
        return {each.id: before + each.text + after for each in questions}
    return {each.id: rendered(each.text) for each in questions}


def _stops(template: Rendering) -> list[str]:
    """Return what ends a turn of the assistant, as the template writes it.

    Servers stop at the model's own end token; where that is not what the template ends turns
    with, a raw prompt would run on into turns that nobody took.
    """
    said = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": _SENTINEL},
        {"role": "user", "content": f"{_SENTINEL}2"},
    ]
    try:
        after = template.render(said).partition(_SENTINEL)[2]
    except ParentageError:
        return []
    between = after.partition(f"{_SENTINEL}2")[0].strip()
    # The first mark of markup, as <|im_end|>, </s> or <end_of_turn>.
    if between.startswith("<") and ">" in between:
        return [between[: between.index(">") + 1]]
    return []
