"""Reads what headers and indexes say besides tensors, and how they were written."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from io import BufferedReader
from typing import TYPE_CHECKING, Any

import msgspec

from parentage.checkpoint import DTYPES
from parentage.metadata.documents import plain, read_json
from parentage.support import natural_key, open_file

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint
    from parentage.metadata.files import Folder

MOST_HEADER = 16 << 20
"""Bytes of a header from which on it is not looked at for how it was written."""

MOST_INDEX = 64 << 20
"""Bytes of an index that is read."""

MOST_KEYS = 5000
"""Keys of headers that are told."""

MOST_VALUE = 4000
"""Characters of a value that are told."""

TOOL_KEYS = {
    "mergekit_version": "mergekit",
    "sd_merge_recipe": "a tool that writes sd_merge_recipe, as stable-diffusion-webui does",
    "sd_merge_models": "a tool that writes sd_merge_models, as stable-diffusion-webui does",
    "mecha_recipe": "sd-mecha",
    "ss_sd_scripts_commit_hash": "kohya's sd-scripts",
    "ss_network_module": "kohya's sd-scripts",
}
"""Keys of headers that tools write, and the tools: what a header says of itself."""

_NUMBERED = re.compile(r"^(.*?)(\d+)(-of-)(\d+)(\.\w+)$")


@dataclass
class Headers:
    """What headers and the index say."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """Of all files: a value, or how many files have which where they differ."""
    index: dict[str, Any] = field(default_factory=dict)
    """The metadata of the index."""
    writing: dict[str, Any] = field(default_factory=dict)
    """How files are named and headers written."""
    tools: list[str] = field(default_factory=list)
    """What wrote it, where the facts show it, in a sentence each."""
    problems: list[str] = field(default_factory=list)


def headers_of(checkpoint: Checkpoint, folder: Folder) -> Headers:
    """Return what a checkpoint's headers and index say."""
    found = Headers()
    shards = checkpoint.own_shards
    values: dict[str, Counter[str]] = {}
    for shard in shards:
        for key, value in shard.metadata.items():
            values.setdefault(key[:200], Counter())[value] += 1
    if len(values) > MOST_KEYS:
        found.problems.append(f"of {len(values):,} keys of headers {MOST_KEYS:,} are told")
    for key in sorted(values)[:MOST_KEYS]:
        counts = values[key]
        if len(counts) == 1 and counts.total() == len(shards):
            found.metadata[key] = _value(next(iter(counts)))
        else:
            found.metadata[key] = {
                value[:200]: f"{count} of {len(shards)} files"
                for value, count in sorted(counts.items())[:8]
            }
    for name in folder.matching(lambda name: name.endswith(".index.json"))[:4]:
        file = folder.read(name, MOST_INDEX)
        if file is not None and file.raw is not None:
            said = _index(file.raw, name, found)
            found.index.update({f"{name}: {key}": value for key, value in said.items()})
            folder.forget(name)
    _writing(checkpoint, found)
    for key, tool in TOOL_KEYS.items():
        if key in found.metadata:
            found.tools.append(f"{tool}: the header has {key}")
    return found


def _value(text: str) -> Any:
    """Return a value of a header; JSON in it is told as what it holds."""
    if text[:1] in "{[" and len(text) <= MOST_HEADER:
        read = read_json(text.encode("utf-8", "backslashreplace"))
        if read.value is not None:
            return plain(read.value)
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}..."


def _index(raw: bytes, name: str, found: Headers) -> dict[str, Any]:
    try:
        whole = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        found.problems.append(f"{name} can not be read: {error}")
        return {}
    read = read_json(bytes(whole.get("metadata", b"{}"))[:MOST_VALUE])
    return plain(read.value) if isinstance(read.value, dict) else {}


def _writing(checkpoint: Checkpoint, found: Headers) -> None:
    shards = checkpoint.own_shards
    if not shards:
        return
    said = found.writing
    said["files"] = len(shards)
    said["names"] = naming([shard.name for shard in shards])
    dtypes = Counter(tensor.dtype for tensor in checkpoint.tensors.values())
    said["dtypes"] = dict(sorted(dtypes.items()))
    first = shards[0]
    if checkpoint.is_in_memory:
        said["format"] = "in memory"
        return
    if not first.name.endswith(".safetensors"):
        said["format"] = first.name.rpartition(".")[2]
        return
    try:
        with BufferedReader(open_file(first.path)) as file:
            length = int.from_bytes(file.read(8), "little")
            raw = file.read(length) if length <= MOST_HEADER else b""
    except OSError as error:
        found.problems.append(
            f"the header of {first.name} is not there to look at: {error.strerror}"
        )
        return
    if len(raw) != length or not raw:
        return
    said["format"] = "safetensors"
    said |= written(raw)
    if said.get("header looks like") == "the safetensors library":
        found.tools.append(
            "the safetensors library, or what writes as it does: compact JSON, padded with blanks "
            "to eight bytes, tensors by width of dtype, then by name"
        )
    elif said.get("header JSON") == "with a blank after , and :":
        found.tools.append(
            "not the safetensors library: the header's JSON has blanks, as that of Python's json "
            "has, which the library does not write"
        )


def naming(names: list[str]) -> str:
    """Return how files are named, numbers as letters.

    >>> naming(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
    'model-NNNNN-of-NNNNN.safetensors'
    >>> naming(["model.safetensors"])
    'model.safetensors'
    """
    shapes = []
    for name in names:
        match = _NUMBERED.match(name)
        if match is None:
            shapes.append(name)
            continue
        begin, number, of, total, end = match.groups()
        shapes.append(f"{begin}{'N' * len(number)}{of}{'N' * len(total)}{end}")
    kinds = sorted(set(shapes))
    return ", ".join(kinds[:3]) + (f" and {len(kinds) - 3} more" if len(kinds) > 3 else "")


def written(raw: bytes) -> dict[str, Any]:
    """Return how the header of a safetensors file was written.

    The library sorts tensors by the width of their dtype, widest first, then by name, writes JSON
    without blanks, and pads with blanks to a multiple of eight bytes (``tensor.rs`` of
    safetensors).

    >>> said = written(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ')
    >>> said["padding"], said["header looks like"]
    ('to eight bytes', 'the safetensors library')
    """
    body = raw.rstrip(b" ")
    blanks = len(raw) - len(body)
    said: dict[str, Any] = {
        "padding": "to eight bytes" if len(raw) % 8 == 0 and blanks < 8 else f"{blanks} bytes",
    }
    try:
        header = json.loads(body)
    except (ValueError, RecursionError):
        return said
    if not isinstance(header, dict):
        return said
    has_metadata = "__metadata__" in header
    if has_metadata:
        said["__metadata__ stands"] = "first" if next(iter(header)) == "__metadata__" else "later"
    tensors = [(name, x) for name, x in header.items() if name != "__metadata__"]
    if not tensors or not all(isinstance(x, dict) for _, x in tensors):
        return said
    said["keys of a tensor"] = ", ".join(map(str, tensors[0][1]))
    compact = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    blank = json.dumps(header, ensure_ascii=False).encode()
    ascii_blank = json.dumps(header).encode()
    said["header JSON"] = (
        "without blanks" if body == compact
        else "with a blank after , and :" if body in (blank, ascii_blank)
        else "otherwise"
    )  # fmt: skip
    names = [name for name, _ in tensors]
    begins = [x.get("data_offsets", [0])[0] for _, x in tensors]
    said["tensors listed"] = _order(tensors)
    said["bytes in the order of the list"] = begins == sorted(begins)
    is_library = (
        body == compact
        and len(raw) % 8 == 0
        and blanks < 8
        and said["keys of a tensor"] == "dtype, shape, data_offsets"
        and said["bytes in the order of the list"]
        and names == [name for name, _ in sorted(tensors, key=_as_library)]
    )
    if is_library:
        said["header looks like"] = "the safetensors library"
    return said


def _as_library(tensor: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    return -_width(tensor[1]), tensor[0]


def _width(tensor: dict[str, Any]) -> int:
    dtype = DTYPES.get(str(tensor.get("dtype")))
    return 0 if dtype is None else dtype.bytes


def _order(tensors: list[tuple[str, dict[str, Any]]]) -> str:
    names = [name for name, _ in tensors]
    if names == sorted(names):
        return "by name"
    if names == sorted(names, key=natural_key):
        return "by name, numbers by size"
    if tensors == sorted(tensors, key=_as_library):
        return "by width of dtype, then by name"
    return "in an order of their own"
