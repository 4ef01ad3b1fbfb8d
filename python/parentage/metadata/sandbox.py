"""Chat templates are carried out here, in a process of its own: see ``rendering.py``.

A template is code of a stranger. This file is run by its path, imports jinja2 and nothing of
parentage, sets limits on its own memory and time, and answers one question that it reads from
stdin. What it is asked is what a loader would do (``chat_template_utils.py`` of the transformers
library says how templates are to be rendered): the same environment, filters and globals.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import jinja2
import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

MOST_TEXT = 1 << 20
"""Characters of a rendered conversation from which on it is given up."""

MOST_LITERALS = 200
"""Literals of a template that are told, and that are tried one by one."""

MOST_PROMPTS = 32
"""Texts that a template says by itself, of which more are not told."""

MOST_SHOWN = 4000
"""Characters of one text that are told."""

ARMS = ("none", "empty", "given")
"""Conversations that a template is tried on: without a system message, with an empty one, and
with one that says something."""

Messages = list[dict[str, Any]]


class TooLongError(Exception):
    """What was rendered is longer than :data:`MOST_TEXT`."""


class Generation(jinja2.ext.Extension):
    """The tags ``generation`` and ``endgeneration``, between which the assistant speaks.

    Trainers ask where that is; what is rendered is the same without them.
    """

    tags = {"generation"}  # noqa: RUF012  # jinja2's own name and type

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment(now: str | None = None) -> jinja2.Environment:
    """Return what templates are rendered by; ``now`` is the time, in ISO's form.

    Without a time, ``strftime_now`` gives the format that it is asked for: the same on every day.
    """
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, "jinja2.ext.loopcontrols"],
    )

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    def raise_exception(message: object) -> None:
        raise jinja2.TemplateError(str(message))

    def strftime_now(form: str) -> str:
        return form if now is None else datetime.fromisoformat(now).strftime(form)

    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


def rendered(
    source: str,
    messages: Messages,
    variables: Mapping[str, Any],
    now: str | None = None,
) -> str:
    """Return a conversation as the template writes it."""
    parts, length = [], 0
    given = {"add_generation_prompt": True, "tools": None, "documents": None, **variables}
    for part in environment(now).from_string(source).generate({**given, "messages": messages}):
        length += len(part)
        if length > MOST_TEXT:
            raise TooLongError(f"it writes more than {MOST_TEXT:,} characters")
        parts.append(part)
    return "".join(parts)


# What a template says by itself.


@dataclass(frozen=True)
class Literal:
    """A text that stands in a template's source."""

    begin: int
    end: int
    text: str
    quote: str
    """The quotation mark around it; empty for text outside of expressions."""

    def replaced(self, text: str) -> str:
        """Return what stands in the source when the text is another."""
        if not self.quote:
            return text
        escaped = text.replace("\\", "\\\\").replace(self.quote, "\\" + self.quote)
        return self.quote + escaped.replace("\n", "\\n").replace("\r", "\\r") + self.quote


def literals_of(source: str) -> list[Literal]:
    """Return the texts in a template's source, in their order; blank ones are none."""
    found, at = [], 0
    for _, kind, value in environment().lex(source):
        # Nothing but blanks is dropped between tokens.
        begin = source.index(value, at)
        at = begin + len(value)
        text, quote = value, ""
        if kind == "string":
            quote = value[0]
            text = value[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
        if kind in ("string", "data") and text.strip():
            found.append(Literal(begin, at, text, quote))
    return found


def edited(source: str, changes: Mapping[Literal, str]) -> str:
    """Return the source with other texts in the place of some."""
    parts, at = [], 0
    for literal in sorted(changes, key=lambda each: each.begin):
        parts += [source[at : literal.begin], literal.replaced(changes[literal])]
        at = literal.end
    return "".join([*parts, source[at:]])


_TURNS = (
    r"<\|[^<>|]{0,64}\|>|<\uff5c[^<>\uff5c]{0,64}\uff5c>|</?s>|<</?SYS>>|\[/?[A-Z_]{3,32}\]"
    r"|\[gMASK\]|</?(?:sop|bos|eos|pad|start_of_turn|end_of_turn|extra_id_\d{1,4}|think)>"
    r"|(?i:(?<!\[)\[/?(?:ROLES)\](?!\])|</?(?:ROLES)>)"
).replace(
    "ROLES", "sys|system|system_prompt|developer|user|assistant|human|model|bot|tool|inst|input"
)
"""Marks of turns as templates write them."""

_ROLE = re.compile(
    r"[\s#*]*(?:system|developer|user|assistant|human|model|bot|gpt|tool|ipython|instruction"
    r"|response|input)\b\s*(?:[:\uff1a]|\n|$)[\s#*]*",
    re.IGNORECASE,
)

_WORDS = re.compile(
    r"[^\W\d_]{2,}\W+(?:\w+\W+){0,3}?[^\W\d_]{2,}"
    r"|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{3,}"
)


def texts_in(written: str, markup: Sequence[str] = ()) -> list[str]:
    """Return what somebody is told in what a template writes: no marks of turns, no roles.

    ``markup`` are marks besides the usual ones.

    >>> texts_in("<|im_start|>system\\nYou are Rio.<|im_end|>\\n<|im_start|>user\\n")
    ['You are Rio.']
    """
    return [piece for piece in _pieces(written, markup) if _WORDS.search(_KEYS.sub(" ", piece))]


_KEYS = re.compile(
    r"\b(?:role|content|system|developer|user|assistant|type|text|messages?)\b", re.IGNORECASE
)
"""Words that stand in messages written as JSON, and tell nobody anything."""


def _marks(markup: Sequence[str]) -> str:
    """Return the pattern of marks of turns: the longest of a tokenizer's first."""
    known = sorted(filter(None, markup), key=len, reverse=True)
    return "|".join([*map(re.escape, known), _TURNS])


def _pieces(written: str, markup: Sequence[str]) -> list[str]:
    """Return what stands between marks of turns, without roles in front."""
    found = []
    for piece in re.split(_marks(markup), written):
        role = _ROLE.match(piece)
        while role is not None and role.end():
            piece = piece[role.end() :]
            role = _ROLE.match(piece)
        if piece.strip():
            found.append(piece.strip())
    return found


@dataclass(frozen=True)
class Tried:
    """What a template writes around a user's message, in each arm."""

    before: dict[str, str]
    after: dict[str, str]
    whole: dict[str, str]
    refused: dict[str, str]
    """Why an arm has nothing."""
    between: str
    """What stands between an answer and the next message; empty if that can not be had."""


class Study:
    """Tries one template on conversations, to find what it says by itself."""

    def __init__(self, source: str, variables: Mapping[str, Any], markup: Sequence[str]) -> None:
        self.source = re.sub(r"\r\n|\r", "\n", source)
        self.variables, self.markup = variables, markup
        self.user, self.system, self.answer = (
            self._unused(each) for each in ("userword", "systemword", "answerword")
        )
        self.in_parts = False
        self.tried = self._tried(self.source)
        if len(self.tried.refused) == len(ARMS):
            # Templates of models that see images take messages in parts.
            self.in_parts = True
            again = self._tried(self.source)
            if len(again.refused) < len(ARMS):
                self.tried = again
            else:
                self.in_parts = False

    def _unused(self, word: str) -> str:
        number = 7
        while f"{word}{number}" in self.source:
            number += 1
        return f"{word}{number}"

    def _message(self, role: str, text: str) -> dict[str, Any]:
        content = [{"type": "text", "text": text}] if self.in_parts else text
        return {"role": role, "content": content}

    def _render(self, source: str, arm: str) -> str:
        user = self._message("user", self.user)
        if arm == "turns":
            first = self._message("user", "first")
            messages = [first, self._message("assistant", self.answer), user]
        elif arm == "none":
            messages = [user]
        else:
            system = self.system if arm == "given" else ""
            messages = [self._message("system", system), user]
        return rendered(source, messages, self.variables)

    def _tried(self, source: str) -> Tried:
        found = Tried({}, {}, {}, {}, "")
        for arm in ARMS:
            try:
                out = self._render(source, arm)
            except Exception as error:  # a template may raise anything
                found.refused[arm] = told(error)
                continue
            before, user, after = out.partition(self.user)
            found.whole[arm], found.before[arm] = out, before
            found.after[arm] = after if user else ""
        between = ""
        with suppress(Exception):
            out = self._render(source, "turns")
            between = out.partition(self.answer)[2].partition(self.user)[0]
        return Tried(found.before, found.after, found.whole, found.refused, between)

    def texts(self, tried: Tried, arm: str) -> list[tuple[str, bool]]:
        """Return what is told in an arm, and whether that stands after the user's message."""
        after = tried.after.get(arm, "")
        return [
            *((text, False) for text in texts_in(self._before(tried, arm), self.markup)),
            *((text, True) for text in texts_in(after, self.markup)),
        ]

    def _before(self, tried: Tried, arm: str) -> str:
        """Return what is written before the user's turn, with a mark for what was given.

        The head of a user's turn is no prompt: it stands before every message of the user.
        """
        before = tried.before.get(arm, "")
        cut = len(before) - len(_common_end(before, tried.between))
        for mark in re.finditer(_marks(self.markup), before):
            # Marks of two turns may end alike.
            if mark.start() < cut < mark.end():
                cut = mark.end()
        return before[:cut].replace(self.system, "<|system|>")

    def prompts(self) -> list[dict[str, Any]]:
        """Return what the template says by itself, with the arms in which it does."""
        found: dict[tuple[str, bool], list[str]] = {}
        for arm in ARMS:
            for text in dict.fromkeys(self.texts(self.tried, arm)):
                found.setdefault(text, []).append(arm)
        return [
            {"text": text[:MOST_SHOWN], "arms": arms, "after": after}
            for (text, after), arms in list(found.items())[:MOST_PROMPTS]
        ]

    def standing(self, literals: Sequence[Literal]) -> dict[Literal, set[str]]:
        """Return the arms that each literal is written in before the user's message.

        A literal is written where what is rendered changes when it does.
        """
        found: dict[Literal, set[str]] = {}
        whole = "\0".join(self.tried.whole.values())
        for literal in literals:
            core = literal.text.strip()
            pieces = [core, *texts_in(core, self.markup)]
            if not any(piece in whole for piece in pieces) or len(found) >= MOST_LITERALS:
                continue
            marker = self._unused("literalword")
            changed = edited(self.source, {literal: literal.text.replace(core, marker)})
            for arm in self.tried.whole:
                with suppress(Exception):
                    if marker in self._render(changed, arm):
                        found.setdefault(literal, set()).add(arm)
        return found

    def without(
        self, prompts: Sequence[Mapping[str, Any]], standing: Mapping[Literal, set[str]]
    ) -> dict[str, Any]:
        """Return the source without what it says by itself, as far as that can be shown.

        What is tried first is to leave out all that is written only where there is no system
        message: the turn is gone as it is in a template that has no prompt. Then what writes the
        turn is made to write it only for a system message that is given, or is left out; then
        variables have no text. What leaves an empty turn is taken where nothing leaves none. What
        is tried last is to leave out the words wherever they stand. Each is rendered again.
        """
        texts = [str(each["text"]) for each in prompts]
        only = [each for each, arms in standing.items() if "none" in arms and "given" not in arms]
        tries = []
        for dropped in (only, [each for each in only if _holds_any(each.text, texts)]):
            changes = dict.fromkeys(dropped, "")
            for literal in standing:
                if literal not in changes:
                    cut = _cut(literal.text, texts)
                    if cut != literal.text:
                        changes[literal] = cut
            if changes:
                tries.append(edited(self.source, changes))
        whole = [each for each in standing if each.quote and not _cut(each.text, texts)]
        found = None
        for source in (*tries, *self._without_turn(), *(_unset(self.source, whole))):
            if self._is_bare(source, turns=True):
                if (turn := self._turn(source)) == "gone":
                    return {"source": source, "turn": turn}
                found = found or {"source": source, "turn": turn}
        if found is not None:
            return found
        changes = {each: _cut(each.text, texts) for each in standing}
        changes = {each: text for each, text in changes.items() if text != each.text}
        if changes and self._is_bare(source := edited(self.source, changes), turns=False):
            return {"source": source, "turn": self._turn(source)}
        return {"refused": "no literals of the template could be left out so that it says nothing"}

    def _without_turn(self) -> list[str]:
        """Return sources whose turn of the system stands under a condition, or is left out.

        The condition is that a system message is given. The turn is what is written before the head
        of the user's turn and after the token of the beginning, in whole pieces of the template.
        """
        tokens = [(kind, value) for _, kind, value in environment().lex(self.source)]
        pieces = _written_pieces(tokens)
        marked = {first: f"\ue000{number}\ue001" for number, (first, _) in enumerate(pieces)}
        source = _joined(tokens, before=marked)
        try:
            out, turns = self._render(source, "none"), self._render(source, "turns")
        except Exception:  # a template may raise anything
            return []
        before, _, after = out.partition(self.user)
        between = turns.partition(self.answer)[2].partition(self.user)[0]
        parts = re.findall("\ue000(\\d+)\ue001([^\ue000]*)", before)
        if re.sub("\ue000\\d+\ue001", "", before) != self.tried.before.get("none"):
            return []
        others = set(re.findall("\ue000(\\d+)\ue001", between + after))
        while parts and parts[-1][0] in others:
            parts.pop()
        bos = str(self.variables.get("bos_token") or "")
        chosen = {int(number) for number, text in parts if text and text != bos} - {
            int(number) for number in others
        }
        if not chosen:
            return []
        name = self._unused("isgiven")
        test = f"{{%+ set {name} = messages[0].role in ('system', 'developer') +%}}"
        ends = [pieces[number] for number in sorted(chosen)]
        begin = {first: f"{{%+ if {name} +%}}" for first, _ in ends}
        end = {last: "{%+ endif +%}" for _, last in ends}
        inside = {at for first, last in ends for at in range(first, last + 1)}
        left = [("", "") if at in inside else token for at, token in enumerate(tokens)]
        return [test + _joined(tokens, before=begin, after=end), _joined(left)]

    def _is_bare(self, source: str, *, turns: bool) -> bool:
        """Return whether a source says nothing by itself and treats what it is given as before."""
        tried = self._tried(source)
        if set(tried.refused) != set(self.tried.refused):
            return False
        for told, whole in ((tried.before, self.tried.before), (tried.after, self.tried.after)):
            if not _is_cut(told.get("none", ""), whole.get("none", "")):
                return False
        if any(self.texts(tried, arm) for arm in ARMS) or self._is_told_still(tried):
            return False
        for arm, out in tried.whole.items():
            if (self.user in self.tried.whole[arm]) != (self.user in out):
                return False
        given = tried.whole.get("given")
        if given is not None and (
            (self.system in self.tried.whole["given"]) != (self.system in given)
            or not _is_cut(given, self.tried.whole["given"])
        ):
            return False
        if not turns:
            return True
        if not any("given" in each["arms"] for each in self.prompts()) and (
            given != self.tried.whole.get("given")
        ):
            return False
        # The user's turn has its head still.
        return bool(_common_end(tried.before.get("none", ""), self.tried.between).strip())

    def _is_told_still(self, tried: Tried) -> bool:
        """Return whether a word of a prompt is left, which alone is no text of its own."""
        words = {word.lower() for each in self.prompts() for word in _WORD.findall(each["text"])}
        for arm in ARMS:
            for piece in _pieces(self._before(tried, arm), self.markup):
                if words & {word.lower() for word in _WORD.findall(piece)}:
                    return True
        return False

    def _turn(self, source: str) -> str:
        """Say whether a turn of the system is left that nobody asked for."""
        before = self._tried(source).before.get("none", "")
        return "empty" if re.search(r"system|SYS", before, re.IGNORECASE) else "gone"


def _unset(source: str, literals: Sequence[Literal]) -> list[str]:
    """Return sources that have nothing, and then what is false, in the place of texts."""
    out = []
    for value in ("none", "false"):
        parts, at = [], 0
        for each in sorted(literals, key=lambda each: each.begin):
            parts += [source[at : each.begin], value]
            at = each.end
        out.append("".join([*parts, source[at:]]))
    return out if literals else []


def _written_pieces(tokens: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Return the pieces of a template that write something: text, and expressions in braces.

    Each by its first and last token.
    """
    found, begin, is_raw = [], 0, False
    for at, (kind, value) in enumerate(tokens):
        if kind in ("raw_begin", "raw_end"):
            is_raw = kind == "raw_begin"
        elif kind == "variable_begin":
            begin = at
        elif kind == "variable_end":
            found.append((begin, at))
        elif kind == "data" and value and not is_raw:
            found.append((at, at))
    return found


def _joined(
    tokens: Sequence[tuple[str, str]],
    *,
    before: Mapping[int, str] = MappingProxyType({}),
    after: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """Return the source that tokens are of, with more before or after some of them.

    Blanks that the lexer drops write nothing, and are not in it.
    """
    return "".join(
        f"{before.get(at, '')}{value}{after.get(at, '')}" for at, (_, value) in enumerate(tokens)
    )


def _is_cut(rest: str, whole: str) -> bool:
    """Return whether a text is another one with one piece cut out, or all of it.

    >>> _is_cut("<s>[user]", "<s>[sys]You are Rio.[/sys][user]"), _is_cut("]user", "[sys]x[user]")
    (True, False)
    """
    begin = len(_common_end(rest[::-1], whole[::-1]))
    return begin + len(_common_end(rest, whole)) >= len(rest) <= len(whole)


def _common_end(one: str, other: str) -> str:
    """Return what two texts end with."""
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _holds_any(text: str, others: Sequence[str]) -> bool:
    return any(_cut(text, [each]) != text for each in others)


_WORD = re.compile(r"\w{2,}")

_LEAST_SHARED = 4
"""Characters that a literal and a prompt share before a part of the literal is a part of it."""


def _cut(text: str, prompts: Sequence[str]) -> str:
    """Return a text without what is of one of the prompts.

    >>> _cut("system\\nYou are Rio, made by ", ["You are Rio, made by IplanRIO."])
    'system\\n'
    """
    for prompt in prompts:
        if prompt in text:
            text = text.replace(prompt, "")
        elif text.strip() in prompt:
            return ""
        else:
            shared = difflib.SequenceMatcher(
                None, text, prompt, autojunk=False
            ).find_longest_match()
            if shared.size >= _LEAST_SHARED and _WORDS.search(
                text[shared.a : shared.a + shared.size]
            ):
                text = text[: shared.a] + text[shared.a + shared.size :]
    return text


def told(error: BaseException) -> str:
    """Return what a template's error says, in a sentence."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"its syntax is wrong at line {error.lineno}: {error.message}"
    if isinstance(error, jinja2.exceptions.SecurityError):
        return f"it reaches for what is not safe: {error}"
    if isinstance(error, TooLongError):
        return str(error)
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or calls itself without end"
    if isinstance(error, MemoryError):
        return "it takes more memory than it may"
    if isinstance(error, jinja2.TemplateError):
        return f"it refuses: {error}"
    return f"it fails: {type(error).__name__}: {error}"


# The process.


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked about a template; errors of the template are answers."""
    kinds: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
        "render": _rendered,
        "study": _studied,
    }
    try:
        return kinds[question["do"]](question)
    except Exception as error:  # a template may raise anything
        return {"refused": told(error)}


def _rendered(question: Mapping[str, Any]) -> dict[str, Any]:
    text = rendered(
        question["source"], question["messages"], question["variables"], question["now"]
    )
    return {"text": text}


def _studied(question: Mapping[str, Any]) -> dict[str, Any]:
    study = Study(question["source"], question["variables"], question["markup"])
    literals = literals_of(study.source)
    prompts = study.prompts()
    found: dict[str, Any] = {"refused_arms": study.tried.refused, "prompts": prompts}
    standing = study.standing(literals) if prompts else {}
    for prompt in prompts:
        prompt["lines"] = sorted(
            {
                _line_of(study.source, each, prompt["text"])
                for each in standing
                if _holds_any(each.text, [prompt["text"]])
            }
        )
    if prompts:
        found["without"] = study.without(prompts, standing)
    found["literals"] = [
        {
            "text": each.text.strip()[:MOST_SHOWN],
            "line": _line_of(study.source, each),
        }
        for each in literals
        if texts_in(each.text, question["markup"])
    ][:MOST_LITERALS]
    return found


def _line_of(source: str, literal: Literal, text: str = "") -> int:
    """Return the line that a text begins in within a literal, or its first word, from 1 on."""
    inside = source[literal.begin : literal.end]
    begin = inside.find(text.partition("\n")[0]) if text else -1
    if begin < 0:
        begin = len(inside) - len(inside.lstrip())
    return source.count("\n", 0, literal.begin + begin) + 1


def _limit(seconds: int, memory: int) -> None:
    """Take memory, time and files from this process, as far as the system can."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def main() -> None:
    """Answer the question on stdin."""
    question = json.load(sys.stdin)
    _limit(question["seconds"], question["memory"])
    found = answer(question)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
