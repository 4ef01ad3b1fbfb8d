"""Chat templates: what a model is told before a user says a word, and who says so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from parentage.metadata.documents import read_json
from parentage.metadata.files import Folder
from parentage.metadata.rendering import TemplateError, ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from parentage.checkpoint import Checkpoint

ARMS = {
    "none": "without a system message",
    "empty": "with an empty system message",
    "given": "with a system message",
}
"""Conversations that a template is tried on, and what is said of them."""

_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
"""Names by which templates ask for special tokens."""

_MOST_TEMPLATES = 32


@dataclass(frozen=True, slots=True)
class DefaultPrompt:
    """A text that a template has the model told by itself."""

    text: str
    arms: tuple[str, ...]
    """The conversations that it stands in, of ``"none"``, ``"empty"`` and ``"given"``: without a
    system message, with an empty one, with one that says something."""
    lines: tuple[int, ...]
    """Lines of the template's source that hold it; empty if it is put together from pieces."""
    after: bool = False
    """Whether it stands after the user's message."""

    @property
    def when(self) -> str:
        """When the model is told so.

        >>> DefaultPrompt("You are Rio.", ("none", "given"), (1,)).when
        'without a system message and with a system message'
        """
        if set(self.arms) == set(ARMS):
            return "always, whatever the system message"
        return " and ".join(ARMS[arm] for arm in self.arms)


@dataclass(frozen=True, eq=True)
class ChatTemplate:
    """A chat template of a checkpoint.

    Nothing of it is carried out in this process: rendering takes place in one of its own, in
    jinja2's sandbox, with limits of memory, time and output. A template that loops or reaches for
    what it should not ends in a :class:`TemplateError`.
    """

    source: str
    origin: str
    """The file it was read from, as ``"chat_template.jinja"``."""
    name: str = "default"
    """Its name, where a checkpoint has several."""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Special tokens by the names that templates have for them."""
    markup: tuple[str, ...] = ()
    """Special tokens that may stand between turns."""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ChatTemplate | None:
        """Return the template that loaders take; ``None`` if the checkpoint has none.

        >>> from parentage import Checkpoint
        >>> from parentage.demo import family
        >>> ChatTemplate.of(Checkpoint.open(family("child"))) is None
        True
        """
        found = cls.all_of(checkpoint)
        return next((each for each in found if each.name == "default"), found[0] if found else None)

    @classmethod
    def all_of(cls, checkpoint: Checkpoint, folder: Folder | None = None) -> list[ChatTemplate]:
        """Return all templates of a checkpoint, those that loaders take first in front.

        The transformers library takes chat_template.jinja before what tokenizer_config.json holds,
        and processors chat_template.json.
        """
        folder = Folder.of(checkpoint) if folder is None else folder
        found = list(_templates(folder)) + list(_of_headers(checkpoint))
        variables, markup = _tokens(folder)
        return [
            cls(source, origin, name, variables, markup)
            for source, origin, name in found[:_MOST_TEMPLATES]
        ]

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        now: datetime | None = None,
        **variables: Any,
    ) -> str:
        """Return a conversation as the template writes it, up to where the assistant answers.

        Parameters
        ----------
        messages
            Mappings with ``role`` and ``content``.
        now
            The time that the template is told, if it asks; by default that of the clock.
        variables
            What else the template is given, as ``add_generation_prompt=False`` or ``tools=[...]``.

        Raises
        ------
        TemplateError
            If the template fails, refuses the messages, or takes more than it may.

        Examples
        --------
        >>> source = "{% for m in messages %}{{ m.content }}!{% endfor %}"
        >>> template = ChatTemplate(source, "example")
        >>> template.render([{"role": "user", "content": "Hello"}])
        'Hello!'
        """
        return str(
            ask(
                {
                    "do": "render",
                    "source": self.source,
                    "messages": [dict(each) for each in messages],
                    "variables": {**self.variables, **variables},
                    "now": (now or datetime.now()).isoformat(),
                }
            )["text"]
        )

    @cached_property
    def study(self) -> dict[str, Any]:
        """What was found by trying it, as ``sandbox.py`` says it.

        Raises
        ------
        TemplateError
            If the template can not be read, or takes more than it may.
        """
        return ask(
            {
                "do": "study",
                "source": self.source,
                "variables": dict(self.variables),
                "markup": list(self.markup),
            }
        )

    def default_prompts(self) -> tuple[DefaultPrompt, ...]:
        """Return what the template has the model told by itself.

        A user's message is rendered without a system message, with an empty one and with one that
        says something; what is told besides those messages is the template's own.

        Raises
        ------
        TemplateError
            If the template can not be read, or takes more than it may.

        Examples
        --------
        >>> ChatTemplate(
        ...     "{% if messages[0].role != 'system' %}<|system|>You are Rio.<|end|>{% endif %}"
        ...     "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}",
        ...     "example",
        ... ).default_prompts()
        (DefaultPrompt(text='You are Rio.', arms=('none',), lines=(1,), after=False),)
        """
        return tuple(
            DefaultPrompt(
                each["text"], tuple(each["arms"]), tuple(each["lines"]), bool(each["after"])
            )
            for each in self.study["prompts"]
        )

    def without_default(self) -> ChatTemplate:
        """Return the template with what it says by itself left out of its source.

        What is left out is told by trying: the result is rendered again, and says nothing of its
        own in any conversation; a system message that is given is written as before. A turn of the
        system that is there for the prompt alone is left out with it where that can be done.

        Raises
        ------
        TemplateError
            If the template can not be read, takes more than it may, or says what stands in no
            text of its source.

        Examples
        --------
        >>> bare = ChatTemplate(
        ...     "{% if messages[0].role != 'system' %}<|system|>You are Rio.<|end|>{% endif %}"
        ...     "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}",
        ...     "example",
        ... ).without_default()
        >>> bare.render([{"role": "user", "content": "Hello"}])
        '<|user|>Hello<|end|>'
        """
        if not self.study["prompts"]:
            return self
        without = self.study["without"]
        if "refused" in without:
            raise TemplateError(f"the default prompt was not left out: {without['refused']}")
        return replace(self, source=str(without["source"]))


def _templates(folder: Folder) -> Iterable[tuple[str, str, str]]:
    """Go through (source, file, name) of templates in files."""
    jinja = folder.read("chat_template.jinja")
    if jinja is not None and jinja.text is not None:
        yield jinja.text, jinja.name, "default"
    for name in ("tokenizer_config.json", "chat_template.json"):
        said = _object(folder, name).get("chat_template")
        if isinstance(said, str):
            yield said, name, "default"
        elif isinstance(said, list):
            for each in said:
                if isinstance(each, dict) and isinstance(each.get("template"), str):
                    yield each["template"], name, str(each.get("name", "default"))


def _of_headers(checkpoint: Checkpoint) -> Iterable[tuple[str, str, str]]:
    """Go through templates in headers of GGUF files."""
    key = "tokenizer.chat_template"
    for shard in checkpoint.own_shards:
        for name, text in shard.metadata.items():
            if name == key:
                yield text, f"{shard.name}, {key}", "default"
            elif name.startswith(f"{key}."):
                yield text, f"{shard.name}, {name}", name.removeprefix(f"{key}.")


def _tokens(folder: Folder) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return special tokens by name, and all that are known."""
    variables: dict[str, str] = {}
    markup: set[str] = set()
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        said = _object(folder, file)
        for name in _TOKENS:
            token = said.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                variables[name] = token
        added = said.get("added_tokens_decoder")
        for each in added.values() if isinstance(added, dict) else ():
            if isinstance(each, dict) and each.get("special") is True:
                markup.add(str(each.get("content", "")))
    markup.update(variables.values())
    return variables, tuple(sorted(each for each in markup if each.strip()))[:2000]


def _object(folder: Folder, name: str) -> dict[str, Any]:
    file = folder.read(name)
    value = None if file is None or file.raw is None else read_json(file.raw).value
    return value if isinstance(value, dict) else {}
