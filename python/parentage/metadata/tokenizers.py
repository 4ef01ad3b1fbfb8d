"""Reads tokenizers, and says what two of them share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from parentage.metadata.documents import Read, read_json

if TYPE_CHECKING:
    from parentage.metadata.files import Folder

MOST_BYTES = 64 << 20
"""Bytes of a tokenizer.json from which on its digest alone is taken."""

MOST_TOKENS = 2_000_000
"""Tokens, and merges, from which on a vocabulary is not compared by token."""

MOST_PART = 1 << 20
"""Bytes of a part, as the normalizer, from which on it is compared by its digest alone."""

PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")
"""Parts of a tokenizer.json that are compared as a whole."""

EXAMPLES = 8
"""Tokens that are named, of those that differ."""


@dataclass
class Tokenizer:
    """A vocabulary, and how text is cut into it."""

    origin: str
    kind: str | None = None
    """As ``"BPE"``."""
    tokens: bytes = b""
    """The tokens in the order of their ids, each ended by a zero."""
    ids: list[int] = field(default_factory=list, repr=False)
    merges: bytes = b""
    """The merges in their order, each ended by a zero."""
    added: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Added tokens: their ids, and whether they are special."""
    parts: dict[str, str] = field(default_factory=dict)
    """Parts as JSON of sorted keys; long ones by their digest."""
    problems: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Tokens of the vocabulary, added ones apart."""
        return len(self.ids)

    @property
    def vocabulary(self) -> dict[bytes, int]:
        """The ids of tokens."""
        return dict(zip(self.tokens.split(b"\0"), self.ids, strict=False))

    @property
    def number_of_merges(self) -> int:
        """How many merges it has."""
        return self.merges.count(b"\0")

    def facts(self) -> dict[str, Any]:
        """Return what is told of it."""
        return {
            "kind": self.kind,
            "tokens": self.size,
            "vocabulary sha256": _digest(self.tokens + repr(self.ids).encode()),
            "merges": self.number_of_merges,
            "merges sha256": _digest(self.merges),
            "added tokens": {name: {"id": at, "special": special}
                             for name, (at, special) in sorted(self.added.items())},
            **self.parts,
        }  # fmt: skip


def tokenizer_of(folder: Folder) -> Tokenizer | None:
    """Return the tokenizer in a folder: of tokenizer.json, or of vocab.json and merges.txt."""
    file = folder.read("tokenizer.json", MOST_BYTES)
    if file is not None and file.raw is not None:
        found = _of_json(file.raw)
        folder.forget(file.name)
        return found
    file = folder.read("vocab.json", MOST_BYTES)
    if file is None or file.raw is None:
        return None
    found = Tokenizer("vocab.json")
    _set_vocabulary(found, file.raw)
    folder.forget(file.name)
    merges = folder.read("merges.txt", MOST_BYTES)
    if merges is not None and merges.raw is not None:
        lines = [line for line in merges.raw.splitlines() if line and not line.startswith(b"#v")]
        found.merges = b"".join(line + b"\0" for line in lines)
        folder.forget(merges.name)
    return found


def _of_json(raw: bytes) -> Tokenizer:
    found = Tokenizer("tokenizer.json")
    whole = _decoded(raw, dict[str, msgspec.Raw], found, "it")
    if whole is None:
        return found
    model = _decoded(bytes(whole.get("model", b"{}")), dict[str, msgspec.Raw], found, "its model")
    for name in PARTS:
        if name in whole:
            found.parts[name] = _canonical(bytes(whole[name]))
    added = _small(whole.get("added_tokens"), found, "its added tokens")
    for each in added if isinstance(added, list) else ():
        if isinstance(each, dict) and isinstance(each.get("id"), int):
            found.added[str(each.get("content"))] = each["id"], each.get("special") is True
    if model is None:
        return found
    kind = _small(model.get("type"), found, "the type of its model")
    found.kind = kind if isinstance(kind, str) else None
    for name, value in sorted(model.items()):
        if name not in ("type", "vocab", "merges"):
            found.parts[f"model.{name}"] = _canonical(bytes(value))
    if "vocab" in model:
        _set_vocabulary(found, bytes(model["vocab"]))
    if "merges" in model:
        _set_merges(found, bytes(model["merges"]))
    return found


def _set_vocabulary(found: Tokenizer, raw: bytes) -> None:
    if raw.count(b",") > 3 * MOST_TOKENS:
        found.problems.append("its vocabulary is too long to be compared by token")
        found.tokens = hashlib.sha256(raw).digest()
        return
    if raw.lstrip()[:1] == b"[":
        # Unigram: tokens with scores, ids by position; the scores are a part of their own.
        rows = _decoded(raw, list[tuple[str, float]], found, "its vocabulary")
        if rows is not None:
            found.tokens = b"".join(_bytes(token) for token, _ in rows)
            found.ids = list(range(len(rows)))
            scores = hashlib.sha256(repr([score for _, score in rows]).encode())
            found.parts["scores sha256"] = scores.hexdigest()
        return
    pairs = _decoded(raw, dict[str, int], found, "its vocabulary")
    if pairs is not None:
        ordered = sorted(pairs.items(), key=lambda each: (each[1], each[0]))
        found.tokens = b"".join(_bytes(token) for token, _ in ordered)
        found.ids = [number for _, number in ordered]


def _set_merges(found: Tokenizer, raw: bytes) -> None:
    if raw.count(b",") > 2 * MOST_TOKENS:
        found.problems.append("its merges are too many to be compared one by one")
        found.merges = hashlib.sha256(raw).digest()
        return
    rows = _decoded(raw, list[str | tuple[str, str]], found, "its merges")
    if rows is not None:
        found.merges = b"".join(
            _bytes(each if isinstance(each, str) else " ".join(each)) for each in rows
        )


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "backslashreplace").replace(b"\0", b"\\0") + b"\0"


def _decoded(raw: bytes, kind: Any, found: Tokenizer, what: str) -> Any:
    """Return JSON of a type; ``None``, and a problem, if it is none."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        said = str(error) if isinstance(error, msgspec.MsgspecError) else "nested too deeply"
        found.problems.append(f"{what} can not be read: {said}")
        return None


def _small(raw: Any, found: Tokenizer, what: str) -> Any:
    """Return a value that is short; ``None``, and a problem, if it is not."""
    if raw is None:
        return None
    if len(bytes(raw)) > 4 * MOST_PART:
        found.problems.append(f"{what} are {len(bytes(raw)):,} bytes, and not read")
        return None
    read: Read = read_json(bytes(raw))
    found.problems.extend(f"{what}: {each}" for each in read.problems)
    return read.value


def _canonical(raw: bytes) -> str:
    if len(raw) <= MOST_PART:
        read = read_json(raw)
        if not read.problems:
            said = json.dumps(read.value, sort_keys=True, ensure_ascii=False)
            if len(said) <= 400:
                return said
            raw = said.encode("utf-8", "backslashreplace")
    return f"{len(raw):,} bytes, sha256 {_digest(raw)}"


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def shared(child: Tokenizer, other: Tokenizer) -> dict[str, Any]:
    """Return what two tokenizers share: tokens, ids, merges and added tokens.

    Returns
    -------
    dict
        ``tokens_shared`` of which ``same_id``; ``only_child`` and ``only_other`` with examples;
        ``merges_shared_from_the_first`` in their order; ``added`` and ``missing`` added tokens.
    """
    ours, theirs = child.vocabulary, other.vocabulary
    both = ours.keys() & theirs.keys()
    only_child = [each for each in ours if each not in theirs]
    only_other = [each for each in theirs if each not in ours]
    first = child.merges.split(b"\0")[:-1]
    second = other.merges.split(b"\0")[:-1]
    same = 0
    for one, two in zip(first, second, strict=False):
        if one != two:
            break
        same += 1
    return {
        "tokens_shared": len(both),
        "same_id": sum(ours[each] == theirs[each] for each in both),
        "only_child": len(only_child),
        "only_child_examples": [_shown(each) for each in only_child[:EXAMPLES]],
        "only_other": len(only_other),
        "only_other_examples": [_shown(each) for each in only_other[:EXAMPLES]],
        "merges_child": len(first),
        "merges_other": len(second),
        "merges_shared_from_the_first": same,
        "added_only_child": sorted(child.added.keys() - other.added.keys())[:EXAMPLES],
        "added_only_other": sorted(other.added.keys() - child.added.keys())[:EXAMPLES],
        "parts_that_differ": sorted(
            name
            for name in child.parts.keys() | other.parts.keys()
            if child.parts.get(name) != other.parts.get(name)
        ),
    }


def _shown(token: bytes) -> str:
    return token.decode("utf-8", "backslashreplace")[:80]
