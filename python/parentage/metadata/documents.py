"""Reads JSON and YAML that anybody may have written: bounded, and never more than data."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_YAML = 1 << 20
"""Characters of a YAML document that is read."""

MOST_ALIASES = 64
"""Aliases of a YAML document that is read: each may stand for all that is above it."""

MOST_VALUES = 100_000
"""Values of a YAML document, each alias counted as what it stands for."""

_NUMBER = re.compile(r"[-+0-9:_.]{1000,}")
"""What YAML may take for a number, which takes the square of its length to read."""

MOST_DEPTH = 64
"""Levels of a document below which nothing is told."""

MOST_LEAVES = 20_000
"""Values of a document that are told."""


@dataclass(frozen=True, slots=True)
class Read:
    """A document, as far as it is one."""

    value: Any
    """``None`` if it is none."""
    problems: tuple[str, ...] = ()
    """Clauses on what is wrong with it."""


def read_json(raw: bytes) -> Read:
    """Return what JSON says; of a key that is there twice the last value, as loaders have it.

    >>> read_json(b'{"a": 1, "a": 2}')
    Read(value={'a': 2}, problems=('the key "a" is there twice',))
    >>> read_json(b"[1").problems[0]
    "it is no JSON: Expecting ',' delimiter at line 1, column 3"
    """
    twice: dict[str, None] = {}

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and len(twice) < 8:
                    twice.setdefault(key)
                seen.add(key)
        return found

    try:
        value = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=once)
    except UnicodeDecodeError as error:
        return Read(None, (f"it is no UTF-8 from byte {error.start:,} on",))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno:,}, column {error.colno:,}"
        return Read(None, (f"it is no JSON: {error.msg} at {where}",))
    except RecursionError:
        return Read(None, ("it is nested too deeply",))
    except ValueError as error:  # a number of more digits than int() takes
        return Read(None, (f"it can not be read: {str(error).partition(';')[0]}",))
    return Read(value, tuple(f"the key {json.dumps(key)} is there twice" for key in twice))


_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Read:
    """Return what YAML says, as data alone: tags of other types are an error.

    >>> read_yaml("a: [1, 2]").value
    {'a': [1, 2]}
    >>> read_yaml("a: !!python/object/apply:os.system [ls]").value is None
    True
    """
    if len(text) > MOST_YAML:
        return Read(None, (f"it has {len(text):,} characters; {MOST_YAML:,} is the most",))
    try:
        _require_simple(text)
        value = yaml.load(text, _SAFE)  # the safe loader: data, and no objects
        if _expanded(value, {}) > MOST_VALUES:
            return Read(None, (f"its aliases make it stand for more than {MOST_VALUES:,} values",))
        return Read(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1:,}"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        return Read(None, (f"it is no YAML that is read: {said}{where}",))
    except RecursionError:
        return Read(None, ("it is nested too deeply",))
    except (ValueError, TypeError, OverflowError) as error:  # dates, numbers and keys that are none
        return Read(None, (f"it is no YAML that is read: {error}",))


def _require_simple(text: str) -> None:
    """Raise if a document is nested deeply, or has many aliases, before any of it is made."""
    depth = aliases = 0
    for event in yaml.parse(text, _SAFE):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1
        aliases += isinstance(event, yaml.AliasEvent)
        if isinstance(event, yaml.ScalarEvent) and _NUMBER.fullmatch(event.value):
            raise yaml.YAMLError("a number has more than a thousand digits")
        if depth > MOST_DEPTH:
            raise yaml.YAMLError("it is nested too deeply")
        if aliases > MOST_ALIASES:
            raise yaml.YAMLError(f"it has more than {MOST_ALIASES} aliases")


def _expanded(value: Any, known: dict[int, int]) -> int:
    """Return how many values a document has where each alias is what it stands for."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        # An alias that stands for itself has no end.
        known[id(value)] = MOST_VALUES + 1
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(each, known) for each in inner)
    return known[id(value)]


def front_matter(text: str) -> tuple[Read, str]:
    r"""Return the YAML at the top of a card, and the text below it.

    >>> front_matter("---\nlicense: mit\n---\nHello")
    (Read(value={'license': 'mit'}, problems=()), 'Hello')
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return Read(None), text
    for at, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return read_yaml("\n".join(lines[1:at])), "\n".join(lines[at + 1 :])
    return Read(None, ("its front matter has no end",)), text


def leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Go through the values of a document with the keys that lead to each, in order of keys.

    Lists are values, unless they hold objects.

    >>> list(leaves({"b": {"c": 1}, "a": [1, 2], "d": [{"e": 3}]}))
    [('a', [1, 2]), ('b.c', 1), ('d[0].e', 3)]
    """
    if depth >= MOST_DEPTH:
        yield path, "..."
    elif isinstance(value, dict) and value:
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for at, each in enumerate(value):
            yield from leaves(each, f"{path}[{at}]", depth + 1)
    else:
        yield path, value


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it: dates and sets as text, no infinities, no depth.

    >>> plain({1: float("inf")})
    {'1': 'inf'}
    """
    if depth >= MOST_DEPTH:
        return "..."
    if isinstance(value, dict):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
