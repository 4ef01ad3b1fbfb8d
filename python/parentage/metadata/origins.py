"""What a checkpoint's files claim it was made of: names to look for, and no evidence of anything.

No more is read than what may say so: cards, configurations, recipes and headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parentage.library import sketch_of
from parentage.metadata.cards import as_names
from parentage.metadata.documents import front_matter, plain, read_json, read_yaml
from parentage.metadata.files import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from parentage.checkpoint import Checkpoint

CARDS = ("README.md", "MODEL_CARD.md")
"""Files that are model cards; the first that is there is read."""

RECIPES = ("mergekit_config.yml", "mergekit_config.yaml", "mergekit_moe_config.yml")
"""Files that a merge leaves as its recipe."""

ROLES = ("base", "parent")
"""What a model is claimed to be: what was trained or blended on, or one of several that went in."""

MOST = 32
"""Models that are claimed, at most: of more, the first are looked for."""

MOST_NAME = 400
"""Characters of a name: what is longer is none."""

BASE_OF_HEADERS = re.compile(r"general\.base_model\.\d+\.(?:repo_url|name)|modelspec\.merged_from")
"""Keys of headers that say what a model was made of."""

_TAG = re.compile(r"base_model:(?:(finetune|merge|quantized|adapter):)?([^:\s]+/[^:\s]+)")
"""Tags that the hub adds to cards."""

_LISTS = ("merged_from", "merged_models", "parents", "source_models")
"""Keys of cards and configurations that list what was blended."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A model that a checkpoint's files say it was made of."""

    model: str
    """As the file has it: a name, a path of another machine, an address."""
    role: str
    """One of :data:`ROLES`."""
    source: str
    """Where it stands: the file, and the key in it."""


def claimed_origins(checkpoint: Checkpoint) -> tuple[tuple[Origin, ...], tuple[str, ...]]:
    """Return what files say that a checkpoint was made of, and sentences on what can not be read.

    Cards come first, then recipes, headers and configurations, which tools write without asking. A
    model that is named twice is there once, in the first role.
    """
    folder = Folder.of(checkpoint, fetched=True)
    found: dict[str, Origin] = {}
    problems: list[str] = []
    for step in (_of_card, _of_recipes, _of_headers, _of_configs):
        try:
            for each in step(checkpoint, folder, problems):
                model = each.model.strip()
                if model and len(found) < MOST:
                    found.setdefault(model, Origin(model[:MOST_NAME], each.role, each.source))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # Files of strangers: what is odd in one of them takes nothing else away.
            problems.append(f"{type(error).__name__}: {error}"[:300])
    return tuple(found.values()), (*folder.problems, *problems)


def _of_card(_: Checkpoint, folder: Folder, problems: list[str]) -> Iterator[Origin]:
    name = next((each for each in CARDS if folder.read(each) is not None), None)
    file = None if name is None else folder.read(name)
    if name is None or file is None or file.text is None:
        return
    read, _body = front_matter(file.text)
    problems += [f"{name}: {each}" for each in read.problems]
    said = read.value if isinstance(read.value, dict) else {}
    relation = said.get("base_model_relation")
    models = as_names(said.get("base_model"))
    several = len(models) > 1 or relation == "merge"
    for each in models:
        yield Origin(each, "parent" if several else "base", f"{name}, base_model")
    yield from _of_lists(said, name)
    for tag in as_names(said.get("tags")):
        match = _TAG.fullmatch(tag)
        if match is not None:
            role = "parent" if match[1] == "merge" else "base"
            yield Origin(match[2], role, f"{name}, tags")


def _of_lists(said: Mapping[Any, Any], name: str) -> Iterator[Origin]:
    for key in _LISTS:
        for each in as_names(said.get(key)):
            yield Origin(each, "parent", f"{name}, {key}")


def _of_recipes(_: Checkpoint, folder: Folder, problems: list[str]) -> Iterator[Origin]:
    for name in RECIPES:
        file = folder.read(name)
        if file is None or file.text is None:
            continue
        read = read_yaml(file.text)
        problems += [f"{name}: {each}" for each in read.problems]
        listed = models_of(plain(read.value))
        bases = {model for key, model, _ in listed if key == "base_model"}
        for key, model, _ in listed:
            if key == "base_model":
                yield Origin(model, "base", f"{name}, base_model")
            elif model not in bases:
                yield Origin(model, "parent", f"{name}, {key}")


def models_of(recipe: Any, most: int = 256) -> list[tuple[str, str, Any]]:
    """Return the models that a mergekit configuration names: the key, the model and its weight.

    >>> models_of({"models": [{"model": "a", "parameters": {"weight": 0.6}}], "base_model": "b"})
    [('base_model', 'b', None), ('model', 'a', 0.6)]
    """
    found: dict[tuple[str, str, str], tuple[str, str, Any]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, dict):
            for key in ("model", "base_model", "source_model"):
                named = value.get(key)
                if isinstance(named, dict):  # mergekit: {model: {path: ...}}
                    named = named.get("path")
                if isinstance(named, str) and len(found) < most:
                    parameters = value.get("parameters")
                    weight = parameters.get("weight") if isinstance(parameters, dict) else None
                    weight = None if key == "base_model" else weight
                    found.setdefault((key, named, repr(weight)), (key, named, weight))
            for each in value.values():
                walk(each)

    walk(recipe)
    return list(found.values())


def _of_headers(checkpoint: Checkpoint, _: Folder, __: list[str]) -> Iterator[Origin]:
    for shard in checkpoint.own_shards:
        named = [
            (key, each.strip())
            for key, value in sorted(shard.metadata.items())
            if BASE_OF_HEADERS.fullmatch(key)
            for each in value.split(",")
        ]
        # Of one model, its address says more than its name.
        numbers = {key.split(".")[2] for key, _ in named if key.endswith(".repo_url")}
        named = [
            (key, each)
            for key, each in named
            if not (key.endswith(".name") and key.split(".")[2] in numbers)
        ]
        for key, each in named:
            yield Origin(each, "parent" if len(named) > 1 else "base", f"header, {key}")


def _of_configs(checkpoint: Checkpoint, folder: Folder, problems: list[str]) -> Iterator[Origin]:
    keys = {
        "adapter_config.json": ("base_model_name_or_path",),
        "config.json": ("base_model", "_name_or_path"),
        "tokenizer_config.json": ("name_or_path",),
    }
    sketch = sketch_of(checkpoint)
    for name, wanted in keys.items():
        said: Any = {}
        file = folder.read(name)
        if file is not None and file.raw is not None:
            read = read_json(file.raw)
            problems += [f"{name}: {each}" for each in read.problems]
            said = read.value
        elif name == "config.json" and sketch is not None:
            said = dict(sketch.config)
        if not isinstance(said, dict):
            continue
        for key in wanted:
            for each in as_names(said.get(key)):
                yield Origin(each, "base", f"{name}, {key}")
        yield from _of_lists(said, name)
