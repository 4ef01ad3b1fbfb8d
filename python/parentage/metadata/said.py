"""Gathers what one checkpoint's files say besides its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parentage.metadata.cards import Card, as_names, card_of
from parentage.metadata.chat_template import ChatTemplate, DefaultPrompt
from parentage.metadata.documents import leaves, plain, read_json, read_yaml
from parentage.metadata.files import Folder
from parentage.metadata.headers import Headers, headers_of
from parentage.metadata.licences import Licence, licence_of
from parentage.metadata.names import Name, names_in, says_who
from parentage.metadata.origins import BASE_OF_HEADERS, CARDS, RECIPES, models_of
from parentage.metadata.rendering import TemplateError
from parentage.metadata.tokenizers import Tokenizer, tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.checkpoint import Checkpoint

CONFIGS = {
    "config": "config.json",
    "generation config": "generation_config.json",
    "adapter config": "adapter_config.json",
    "tokenizer config": "tokenizer_config.json",
    "special tokens": "special_tokens_map.json",
    "preprocessor": "preprocessor_config.json",
}
"""Aspects that are JSON documents, compared key by key, and their files."""

DIGESTED = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json")
"""Files that are compared by their digests."""

MOST_LEAVES = 5000
"""Values of a document that are compared."""

MOST_VALUE = 2000
"""Characters of a value that are told."""

_MOST_GIVEN_UP = 2
"""Templates of a checkpoint that are given up before no more are tried: each takes seconds."""

_MOST_LITERALS = 100
"""Texts of a template that are looked through for who they say somebody is."""

_MOST_TEXT = 400_000
"""Characters, over all texts of a checkpoint, that are looked through for names."""

_LICENCES = ("licen", "notice", "copying", "use_policy", "usage_policy", "copyright")


@dataclass
class Prompted:
    """A chat template of a checkpoint, and what it says by itself."""

    template: ChatTemplate
    prompts: tuple[DefaultPrompt, ...] = ()
    hidden: tuple[dict[str, Any], ...] = ()
    """Texts of its source that say who somebody is, and stood in no conversation that was tried."""
    refused: dict[str, str] = field(default_factory=dict)
    """Conversations that it has nothing for, and why."""
    problem: str | None = None
    """Why it was not tried."""


@dataclass
class Said:
    """What a checkpoint's files say."""

    checkpoint: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By aspect, the values by the keys that lead to them."""
    tokenizer: Tokenizer | None = None
    templates: list[Prompted] = field(default_factory=list)
    card: Card | None = None
    card_file: str = ""
    licences: list[Licence] = field(default_factory=list)
    headers: Headers = field(default_factory=Headers)
    claimed: list[dict[str, Any]] = field(default_factory=list)
    """Models that a recipe in its files lists, with weights: ``source``, ``model``, ``weight``."""
    names: list[tuple[str, Name]] = field(default_factory=list)
    """Names in its texts, with where they stand."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """The files that were looked at: name, bytes, sha256."""
    problems: list[str] = field(default_factory=list)


def said_by(checkpoint: Checkpoint) -> Said:
    """Read what a checkpoint's files say; what can not be read is among the problems."""
    folder = Folder.of(checkpoint)
    said = Said(checkpoint.name)
    steps: dict[str, Callable[[Checkpoint, Folder, Said], None]] = {
        "its configurations": _documents,
        "its tokenizer": _tokenizer,
        "its chat templates": _templates,
        "its card": _card,
        "its licences": _licences,
        "its headers": _headers,
        "its recipes": _recipes,
        "the names in it": _names,
    }
    for what, step in steps.items():
        try:
            step(checkpoint, folder, said)
        except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError) as error:
            # Files of strangers: what is odd in one of them takes no evidence of weights away.
            said.problems.append(f"{what} can not be told: {type(error).__name__}: {error}"[:300])
    said.files = [
        {"name": each.name, "bytes": each.size, "sha256": each.sha256} for each in folder.opened
    ]
    said.problems = [*folder.problems, *said.problems]
    return said


def _documents(_: Checkpoint, folder: Folder, said: Said) -> None:
    for aspect, name in CONFIGS.items():
        file = folder.read(name)
        if file is None or file.raw is None:
            continue
        read = read_json(file.raw)
        said.problems += [f"{name}: {each}" for each in read.problems]
        if read.value is None:
            continue
        if not isinstance(read.value, dict):
            said.problems.append(f"{name}: it is no JSON object")
            continue
        value = read.value
        if aspect == "tokenizer config":
            # Templates are compared as templates, added tokens by the tokenizer.
            value = {key: x for key, x in value.items() if key != "chat_template"}
        said.documents[aspect] = _leaves(value, name, said)


def _leaves(value: Any, name: str, said: Said) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, each in leaves(plain(value)):
        if len(found) >= MOST_LEAVES:
            said.problems.append(f"{name}: only {MOST_LEAVES:,} of its values are told")
            break
        found[key[:400]] = each
    return found


def _tokenizer(_: Checkpoint, folder: Folder, said: Said) -> None:
    said.tokenizer = tokenizer_of(folder)
    if said.tokenizer is not None:
        said.problems += [f"{said.tokenizer.origin}: {x}" for x in said.tokenizer.problems]
    digests = {}
    for name in DIGESTED:
        file = folder.read(name, 0)
        if file is not None:
            digests[f"{name} sha256"] = file.sha256
    # Of these nothing but digests is asked.
    folder.problems[:] = [each for each in folder.problems if not each.startswith(DIGESTED)]
    if digests:
        said.documents["tokenizer files"] = digests


def _templates(checkpoint: Checkpoint, folder: Folder, said: Said) -> None:
    for template in ChatTemplate.all_of(checkpoint, folder):
        prompted = Prompted(template)
        said.templates.append(prompted)
        same = next((x for x in said.templates[:-1] if x.template.source == template.source), None)
        if same is not None:
            prompted.prompts, prompted.hidden = same.prompts, same.hidden
            prompted.refused, prompted.problem = same.refused, same.problem
            continue
        if sum(x.problem is not None for x in said.templates) >= _MOST_GIVEN_UP:
            prompted.problem = "not tried: others of this checkpoint were given up"
            continue
        try:
            prompted.prompts = template.default_prompts()
            prompted.refused = dict(template.study["refused_arms"])
            texts = [prompt.text for prompt in prompted.prompts]
            prompted.hidden = tuple(
                each
                for each in template.study["literals"][:_MOST_LITERALS]
                if says_who(each["text"]) and not any(x in each["text"] for x in texts)
            )
        except TemplateError as error:
            prompted.problem = str(error)


def _card(_: Checkpoint, folder: Folder, said: Said) -> None:
    for name in CARDS:
        file = folder.read(name)
        if file is not None and file.text is not None:
            said.card, said.card_file = card_of(file.text), name
            said.problems += [f"{name}: {each}" for each in said.card.problems]
            return


def _licences(_: Checkpoint, folder: Folder, said: Said) -> None:
    for name in folder.matching(lambda name: name.lower().startswith(_LICENCES))[:16]:
        file = folder.read(name)
        if file is not None and file.text is not None:
            said.licences.append(licence_of(name, file.text))


def _headers(checkpoint: Checkpoint, folder: Folder, said: Said) -> None:
    said.headers = headers_of(checkpoint, folder)
    said.problems += said.headers.problems


def _recipes(_: Checkpoint, folder: Folder, said: Said) -> None:
    for name in RECIPES:
        file = folder.read(name)
        if file is None or file.text is None:
            continue
        read = read_yaml(file.text)
        said.problems += [f"{name}: {each}" for each in read.problems]
        if read.value is None:
            continue
        said.documents[f"recipe in {name}"] = _leaves(read.value, name, said)
        said.claimed += _of_mergekit(plain(read.value), name)
    adapter = said.documents.get("adapter config", {}).get("base_model_name_or_path")
    if isinstance(adapter, str):
        said.claimed.append({"source": "adapter_config.json", "model": adapter, "weight": None})
    for key, value in said.headers.metadata.items():
        if isinstance(value, str) and BASE_OF_HEADERS.fullmatch(key):
            model = value.removeprefix("https://huggingface.co/")[:MOST_VALUE]
            said.claimed.append({"source": f"header, {key}", "model": model, "weight": None})
        if isinstance(value, dict) and key == "sd_merge_models":
            for digest, each in sorted(value.items())[:64]:
                called = each.get("name") if isinstance(each, dict) else None
                said.claimed.append(
                    {"source": f"header, {key}", "model": str(called or digest)[:MOST_VALUE],
                     "weight": None}
                )  # fmt: skip


_NAMING = re.compile(
    r"general\.(?:name|basename|organization|author|base_model\.\d+\.(?:name|organization|repo_url))"
    r"|modelspec\.(?:title|author|merged_from)"
)
"""Keys of headers that hold names: of GGUF (its ``docs/gguf.md``) and of the ModelSpec."""


def _of_mergekit(recipe: Any, source: str) -> list[dict[str, Any]]:
    """Return the models that a mergekit configuration lists, with the weights that it gives them.

    >>> [
    ...     (each["model"], each["weight"])
    ...     for each in _of_mergekit(
    ...         {"models": [{"model": "a", "parameters": {"weight": 0.6}}], "base_model": "b"}, "x"
    ...     )
    ... ]
    [('b', None), ('a', 0.6)]
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, model, weight in models_of(recipe):
        entry = {"source": source, "model": model, "weight": weight}
        found.setdefault((model, repr(weight)), entry)
    return [
        each
        for each in found.values()
        if each["weight"] is not None
        or not any(x["model"] == each["model"] and x["weight"] is not None for x in found.values())
    ]


def _names(checkpoint: Checkpoint, folder: Folder, said: Said) -> None:
    texts: list[tuple[str, str]] = []
    for each in said.templates:
        found = [prompt.text for prompt in each.prompts] + [x["text"] for x in each.hidden]
        texts.append((f"chat template in {each.template.origin}", "\n".join(found)))
    if said.card is not None:
        texts.append((said.card_file, said.card.text))
    for licence in said.licences:
        texts.append((licence.file, "\n".join(licence.copyright)))
    seen = set()
    left = _MOST_TEXT
    for where, text in dict.fromkeys(texts):
        text, left = text[:left], left - len(text[:left])
        for name in names_in(text):
            if (where, name.name, name.kind) not in seen:
                seen.add((where, name.name, name.kind))
                said.names.append((where, name))
    for aspect, key in (
        ("config", "_name_or_path"),
        ("adapter config", "base_model_name_or_path"),
        ("tokenizer config", "name_or_path"),
    ):
        value = said.documents.get(aspect, {}).get(key)
        if isinstance(value, str) and value:
            said.names.append((CONFIGS[aspect], Name(value[:200], "path", key)))
    for key, header in said.headers.metadata.items():
        if isinstance(header, str) and header and _NAMING.fullmatch(key):
            said.names.append(("header", Name(header[:200], "field", key)))
    if said.card is not None:
        for field_name in ("base_model", "model_name"):
            for each_name in as_names(said.card.fields.get(field_name)):
                where = f"{said.card_file}, front matter"
                said.names.append((where, Name(each_name[:200], "field", field_name)))
    del checkpoint, folder
