"""What a sketch says of itself: versioned, checked as hostile input, and in plain JSON.

A sketch is a safetensors file. Its tensors have the names of the checkpoint's and hold the rows at
the places of :mod:`parentage.library.places`; all else is JSON in its metadata, under :data:`KEY`.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import dtype_class
from parentage.library.places import Outline, Place
from parentage.support import CheckpointError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from parentage.checkpoint import Checkpoint
    from parentage.support import Floats

KEY = "parentage.sketch"
"""Where in the metadata it says so."""

VERSION = 1
"""Of the format; it goes up when a key changes its meaning or place, or places are chosen anew."""

MOST_JSON = 1 << 26
"""Bytes of what is packed, once unpacked, from which on it is no sketch."""

MOST_ROWS = 1 << 22
"""Rows of a tensor that a sketch holds, at most."""

MOST_TENSORS = 1 << 20

MOST_ELEMENTS = 1 << 50


@dataclass(frozen=True)
class Sketch:
    """What a sketch holds, and of what."""

    name: str
    """What the checkpoint was called when it was made."""
    tensors: tuple[Outline, ...] = field(repr=False)
    """All tensors of the checkpoint, codes as the numbers that they stand for."""
    places: Mapping[str, Place] = field(repr=False)
    """What is held, by name."""
    read: str
    """``"all"`` if everything was read when it was made, ``"runs"`` if only what is held was."""
    tool: str
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What config.json says of the architecture and of origins."""
    files: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """Name, bytes and SHA-256 of files, where they were computed."""
    energies: Floats | None = field(default=None, repr=False, compare=False)
    """(T,) sum of squares of each tensor with a fraction, by name; by the core's arithmetic."""
    definition: int = 0
    """The version of that arithmetic."""
    invariants: Mapping[str, tuple[float, ...]] = field(default_factory=dict, repr=False)
    """What a change of basis or order leaves as it is: for proposals, and no decision."""
    keys: tuple[str, ...] = ()
    """What thumbnails are of."""
    thumbs: Floats = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    """(K, E) thumbnails."""
    encodings: Mapping[str, str] = field(default_factory=dict, repr=False)
    """How tensors were stored that are held as the numbers of their codes."""
    seed: str = ""
    """What it says that its places were drawn by, when it was made; empty for those that names and
    shapes alone decide."""

    @property
    def elements(self) -> int:
        """Elements of the whole checkpoint."""
        return sum(each.elements for each in self.tensors)

    @property
    def held(self) -> int:
        """Elements that the sketch holds."""
        return sum(each.elements for each in self.places.values())

    @property
    def measured(self) -> tuple[Outline, ...]:
        """The tensors that :attr:`energies` are of, in their order."""
        return measured_of(self.tensors)


def measured_of(tensors: tuple[Outline, ...]) -> tuple[Outline, ...]:
    """Return the tensors that have an energy, by name."""
    found = (each for each in tensors if is_held(each.dtype) and each.elements)
    return tuple(sorted(found, key=lambda each: each.name))


def is_held(dtype: str) -> bool:
    """Return whether a sketch holds elements of a dtype: numbers with a fraction."""
    return dtype_class(dtype) == "float" and dtype != "F8_E8M0"


def sketch_of(checkpoint: Checkpoint) -> Sketch | None:
    """Return what a checkpoint says of itself as a sketch; ``None`` if it is none.

    Raises
    ------
    CheckpointError
        If it says that it is one, and is malformed or of a newer version.
    """
    if len(checkpoint.shards) != 1 or KEY not in checkpoint.shards[0].metadata:
        return None
    shard = checkpoint.shards[0]
    found = _parsed(shard.metadata[KEY], printable(str(shard.path)))
    for name, place in found.places.items():
        tensor = checkpoint.tensors.get(name)
        if tensor is None or tensor.shape != place.seen_shape:
            raise CheckpointError(
                f"{printable(str(shard.path))}: {printable(name)}: the sketch says that it holds "
                f"{list(place.seen_shape)}, and the file does not"
            )
    return found


_MALFORMED = (
    ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, zlib.error,
)  # fmt: skip


@lru_cache(maxsize=64)
def _parsed(text: str, where: str) -> Sketch:
    try:
        return _read(json.loads(text), where)
    except CheckpointError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        said = printable(f"{where}: the sketch is malformed: {type(error).__name__} {error}")
        raise CheckpointError(said[:400]) from error


def _read(said: Any, where: str) -> Sketch:
    """Return a sketch of what JSON says; all that is wrong is an error."""
    version = said["version"]
    if version != VERSION or isinstance(version, bool):
        newer = " newer" if isinstance(version, int) and version > VERSION else ""
        raise CheckpointError(
            printable(
                f"{where}: a sketch of{newer} version {version!r}; this parentage reads version "
                f"{VERSION}"
            )
        )
    tensors = tuple(_outlines(_unpacked(said["tensors"])))
    by_name = {each.name: each for each in tensors}
    if len(by_name) != len(tensors):
        raise ValueError("two tensors have one name")
    places = {
        _text(name): _place(by_name[name], width, runs)
        for name, (width, runs) in said["places"].items()
    }
    energies = said.get("energies")
    values = None if energies is None else _floats(energies)
    if values is not None and len(values) != len(measured_of(tensors)):
        raise ValueError("energies are not one for each tensor")
    if said["read"] not in ("all", "runs"):
        raise ValueError("it does not say what was read")
    invariants = {
        _text(name): tuple(float(each) for each in numbers if math.isfinite(float(each)))
        for name, numbers in dict(said.get("invariants", {})).items()
    }
    keys = tuple(_text(each) for each in said.get("keys", []))
    thumbs = _floats(said.get("thumbs", ""), "<f4").reshape(len(keys), -1 if keys else 0)
    return Sketch(
        name=_text(said["name"]),
        tensors=tensors,
        places=places,
        read=said["read"],
        tool=_text(said["tool"]),
        config=dict(said.get("config", {})),
        files=tuple(dict(each) for each in said.get("files", [])),
        energies=values,
        definition=int(said.get("definition", 0)),
        invariants=invariants,
        keys=keys,
        thumbs=thumbs,
        seed=_text(said.get("seed", "")),
        encodings={_text(k): _text(v) for k, v in dict(said.get("encodings", {})).items()},
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any, most: int = MOST_ELEMENTS) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number of elements")
    return value


def _place(outline: Outline, width: Any, runs: Any) -> Place:
    """Return a place that lies in its tensor, of rows that ascend."""
    width = _count(width)
    if not is_held(outline.dtype) or not 0 < width <= outline.elements:
        raise ValueError(f"{outline.name}: rows of {width} elements")
    rows: list[int] = []
    last = outline.elements // width
    for begin, end in runs:
        if not (rows[-1] + 1 if rows else 0) <= _count(begin) < _count(end) <= last:
            raise ValueError(f"{outline.name}: rows {begin} to {end} of {last}")
        if len(rows) + end - begin > MOST_ROWS:
            raise ValueError(f"{outline.name}: more rows than {MOST_ROWS}")
        rows.extend(range(begin, end))
    if not rows:
        raise ValueError(f"{outline.name}: no rows")
    return Place(outline.shape, width, tuple(rows))


def _outlines(packed: Any) -> list[Outline]:
    """Return tensors that are told by template: its text with {} for numbers, and those."""
    out: list[Outline] = []
    for template, dtype, shape, numbers in packed:
        parts = _text(template).split("\x00")
        sizes = tuple(_count(size) for size in shape)
        if math.prod(sizes) > MOST_ELEMENTS or len(out) + len(numbers) > MOST_TENSORS:
            raise ValueError("it is of more than any checkpoint has")
        for each in numbers:
            if len(each) != len(parts) - 1:
                raise ValueError(f"{template!r} does not take {len(each)} numbers")
            digits = [_text(number) for number in each]
            name = "".join(x for pair in zip(parts, [*digits, ""], strict=True) for x in pair)
            out.append(Outline(name, _text(dtype), sizes))
    return out


def packed_outlines(tensors: tuple[Outline, ...]) -> str:
    """Return tensors by template, packed."""
    groups: dict[tuple[str, str, tuple[int, ...]], list[list[str]]] = {}
    for each in tensors:
        parts = re.split(r"(\d+)", each.name.replace("\x00", ""))
        key = ("\x00".join(parts[::2]), each.dtype, each.shape)
        groups.setdefault(key, []).append(parts[1::2])
    said = [[*key[:2], list(key[2]), numbers] for key, numbers in groups.items()]
    return base64.b64encode(zlib.compress(json.dumps(said).encode(), 9)).decode()


def _unpacked(text: Any) -> Any:
    inflate = zlib.decompressobj()
    raw = inflate.decompress(base64.b64decode(_text(text), validate=True), MOST_JSON)
    if inflate.unconsumed_tail or not inflate.eof:
        raise ValueError("what is packed is cut short or too large")
    return json.loads(raw)


def packed_floats(values: Floats, dtype: str = "<f8") -> str:
    """Return numbers as base64, little-endian, of eight bytes or as ``dtype`` says."""
    with np.errstate(over="ignore", under="ignore"):
        raw = np.asarray(values).astype(dtype).tobytes()
    return base64.b64encode(raw).decode()


def _floats(text: Any, dtype: str = "<f8") -> Floats:
    raw = base64.b64decode(_text(text), validate=True)
    values: Floats = np.frombuffer(raw, dtype).astype(np.float64)
    return values
