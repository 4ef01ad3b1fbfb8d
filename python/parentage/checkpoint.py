"""Checkpoints: what their headers say, and what the names of their tensors mean."""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping, ValuesView
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike

COMPONENTS = (
    "embed",
    "attention",
    "linear_attention",
    "mlp",
    "experts",
    "shared_expert",
    "router",
    "norm",
    "head",
    "vision",
    "mtp",
    "other",
)
"""Every component, in the order of reports."""

# The first pattern that matches decides, so the special ones stand before the general ones.
_COMPONENT_PATTERNS = tuple(
    (component, re.compile(pattern))
    for component, pattern in (
        ("vision", r"(^|\.)(visual|vision\w*|image_encoder)\."),
        ("mtp", r"(^|\.)mtp\w*\."),
        ("norm", r"(?i:norm)|(^|\.)ln_\w+\."),
        ("shared_expert", r"\.shared_experts?(_gate)?\."),
        ("experts", r"\.experts\.|\.switch_mlp\."),
        ("router", r"\.router\.|\.(mlp|ffn|block_sparse_moe|moe)\.gate\."),
        ("linear_attention", r"\.(linear_attn|mamba\w*|ssm|mixer)\."),
        ("attention", r"attn|(?i:attention)"),
        ("head", r"(^|\.)(lm_head|head|embed_out|output|score|classifier)\.(weight|bias)$"),
        ("embed", r"embed|(^|\.)wte\.|(^|\.)wpe\."),
        ("mlp", r"\.(mlp|ffn|feed_forward|intermediate|output|dense\w*)\.|\.w[123]\.|\.fc\d?\."),
    )
)
_LAYER_PATTERN = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.([0-9]{1,9})\.")
_NUMBER_PATTERN = re.compile(r"(?<=\.)([0-9]{1,9})(?=\.)")
_EXPERT_PATTERN = re.compile(r"\.experts\.([0-9]{1,9})\.")
_SCALES = ("_scale_inv", "_scale", "_scales")
_CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


class Place(NamedTuple):
    """Where in a model a tensor's name stands."""

    component: str
    """One of :data:`COMPONENTS`."""
    layer: int | None
    expert: int | None


def place_of(name: str) -> Place:
    """Return where in a model a tensor's name stands.

    >>> place_of("model.layers.3.mlp.experts.17.gate_proj.weight")
    Place(component='experts', layer=3, expert=17)
    """
    parts = _NUMBER_PATTERN.split(name)
    component, layer, expert = _places_of("0".join(parts[::2]))
    numbers = parts[1::2]
    return Place(
        component,
        None if layer is None else int(numbers[layer]),
        None if expert is None else int(numbers[expert]),
    )


def places_of(checkpoint: Checkpoint) -> list[Place]:
    """Return where the names of a checkpoint's tensors stand, in the order of the tensors."""
    templates, which, numbers, starts = checkpoint.core.templates()
    places = [_places_of(template) for template in templates]
    components = [component for component, _, _ in places]
    # What a name has no number for is read past the last.
    padded = np.append(numbers, -1)

    def read(places: Sequence[int | None]) -> list[int | None]:
        column = np.array([-1 if place is None else place for place in places], dtype=np.intp)
        column = column[which]
        found = padded[np.where(column < 0, len(numbers), starts + column)].tolist()
        return [None if number < 0 else number for number in found]

    with collection_paused():
        rows = zip(
            [components[template] for template in which.tolist()],
            read([layer for _, layer, _ in places]),
            read([expert for _, _, expert in places]),
            strict=True,
        )
        return list(map(Place._make, rows))


def body_layers(checkpoint: Checkpoint) -> frozenset[int]:
    """Return the numbers of the layers of the body of the model."""
    templates, which, numbers, starts = checkpoint.core.templates()
    found: set[int] = set()
    for index, template in enumerate(templates):
        component, layer, _ = _places_of(template)
        if layer is not None and is_of_the_body(component):
            found.update(np.unique(numbers[starts[which == index] + layer]).tolist())
    return frozenset(found)


@lru_cache(maxsize=4096)
def _places_of(template: str) -> tuple[str, int | None, int | None]:
    """Return the component, and which numbers of a name are those of its layer and its expert.

    Names that differ in numbers alone have one template, with ``0`` for each.
    """
    matching = (name for name, pattern in _COMPONENT_PATTERNS if pattern.search(template))
    starts = [found.start() for found in _NUMBER_PATTERN.finditer(template)]
    layer, expert = _LAYER_PATTERN.search(template), _EXPERT_PATTERN.search(template)
    return (
        next(matching, "other"),
        starts.index(layer.start(1)) if layer else None,
        starts.index(expert.start(1)) if expert else None,
    )


def component_of(name: str) -> str:
    """Return the component, one of :data:`COMPONENTS`, that a tensor's name stands for.

    >>> component_of("model.layers.3.mlp.experts.17.gate_proj.weight")
    'experts'
    >>> component_of("model.layers.3.self_attn.q_norm.weight")
    'norm'
    """
    return place_of(name).component


def layer_of(name: str) -> int | None:
    """Return the layer that a tensor's name stands in, if any.

    >>> layer_of("model.layers.12.mlp.down_proj.weight"), layer_of("lm_head.weight")
    (12, None)
    """
    return place_of(name).layer


def is_of_the_body(component: str) -> bool:
    """Whether layers of a component are those of the language model, not of another tower."""
    return component not in ("vision", "mtp")


@contextmanager
def collection_paused() -> Iterator[None]:
    """Hold off the collector of cycles while many objects are made that stay.

    It would go through all there are again and again, which takes as long as making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key that puts ``layers.2`` before ``layers.10``.

    >>> sorted(["layers.10", "layers.2"], key=natural_key)
    ['layers.2', 'layers.10']
    """
    # Numbers compare by length, then as text: a name may hold more digits than int() takes.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0"))
        if part.isascii() and part.isdecimal()
        else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
    )


def printable(text: str) -> str:
    r"""Return ``text`` with everything that could act on a terminal escaped.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROL_CHARACTERS.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), text
    )


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a checkpoint, as it was when its header was read."""

    path: Path
    name: str
    bytes: int
    data_start: int
    """Byte offset of the tensor data."""
    modified_ns: int | None
    metadata: dict[str, str]


class Tensor(NamedTuple):
    """One tensor, as the header of its shard describes it."""

    index: int  # type: ignore[assignment]  # no tensor is asked for tuple.index
    """Position among the checkpoint's tensors, sorted by name."""
    name: str
    dtype: str
    """By its safetensors name, as in ``"BF16"``."""
    shape: tuple[int, ...]
    shard: int
    begin: int
    """First byte in the shard's file."""
    end: int
    """Byte past the last."""

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def component(self) -> str:
        """What the name stands for, one of :data:`COMPONENTS`."""
        return component_of(self.name)

    @property
    def layer(self) -> int | None:
        """The layer the name stands in, if any."""
        return layer_of(self.name)


class Tensors(Mapping[str, Tensor]):
    """The tensors of a checkpoint by name, sorted by name.

    They are made when they are asked for: there may be a hundred thousand.
    """

    def __init__(self, core: _core.Checkpoint) -> None:
        """Look at the tensors of ``core``."""
        self._core = core

    def __getitem__(self, name: str) -> Tensor:
        """Return the tensor called ``name``."""
        index = self._core.find(name)
        if index is None:
            raise KeyError(name)
        return self.at(index)

    def __contains__(self, name: object) -> bool:
        """Whether a tensor is called ``name``."""
        return isinstance(name, str) and self._core.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._core.names())

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._core)

    def at(self, index: int) -> Tensor:
        """Return a tensor by its position."""
        return Tensor._make(self._core.tensor(index))

    def values(self) -> ValuesView[Tensor]:
        """Return all tensors; going through them is quicker than looking up each."""
        return _Values(self)


class _Values(ValuesView[Tensor]):
    _mapping: Tensors

    def __iter__(self) -> Iterator[Tensor]:
        with collection_paused():
            return iter(list(map(Tensor._make, self._mapping._core.tensors())))


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its headers are read and checked, its tensors are not.

    Parameters
    ----------
    path
        A folder of safetensors files with or without an index, one such file, or an index.
    name
        What reports call it; by default the name of the folder or file.

    Raises
    ------
    CheckpointError
        If ``path`` is no checkpoint or breaks the format; names file, tensor and byte offset.
    ReadError
        If the system refuses to read it.
    """

    path: Path
    name: str
    core: _core.Checkpoint = field(repr=False)

    @classmethod
    def open(cls, path: str | PathLike[str], name: str | None = None) -> Checkpoint:
        """Read the headers of the checkpoint at ``path``."""
        path = Path(path)
        name = name or _default_name(path)
        # A folder's name may be no text at all; tables and JSON hold nothing else.
        text = name.encode("utf-8", "backslashreplace").decode("utf-8")
        return cls(path, text, _core.Checkpoint(path))

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The files, sorted by name."""
        return tuple(
            Shard(Path(path), name, size, start, modified, dict(metadata))
            for path, name, size, start, modified, metadata in self.core.shards()
        )

    @cached_property
    def tensors(self) -> Tensors:
        """The tensors by name, sorted by name."""
        return Tensors(self.core)

    @cached_property
    def scales(self) -> dict[str, str]:
        """The names of tensors that are scaled by another, with that one's name."""
        found: dict[str, str] = {}
        names = self.core.names(*_SCALES)
        for suffix in _SCALES:
            for name in names:
                scaled = name.removesuffix(suffix)
                if name.endswith(suffix) and scaled in self.tensors:
                    found.setdefault(scaled, name)
        return found

    @property
    def elements(self) -> int:
        """Number of elements of all tensors."""
        return self.core.elements

    @property
    def bytes(self) -> int:
        """Size of all files, headers included."""
        return sum(shard.bytes for shard in self.shards)

    def same_files(self, other: Checkpoint) -> bool:
        """Whether both are the same files on disk."""
        paths = [{shard.path.resolve() for shard in each.shards} for each in (self, other)]
        return paths[0] == paths[1]


def _default_name(path: Path) -> str:
    # A file's own link is not followed: in a Hugging Face cache it leads to a hash.
    if not path.is_dir():
        if path.name not in {"model.safetensors", "model.safetensors.index.json"}:
            return path.stem
        path = path.parent
    folder = path.resolve()
    # A Hugging Face cache entry: models--org--name/snapshots/revision.
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def distinct_names(checkpoints: Iterable[Checkpoint]) -> list[str]:
    """Return the checkpoints' names, made distinct by ``#2``, ``#3`` where they are not.

    >>> from types import SimpleNamespace as Named
    >>> distinct_names([Named(name="a"), Named(name="b"), Named(name="a")])
    ['a', 'b', 'a#2']
    """
    names: list[str] = []
    for checkpoint in checkpoints:
        name, number = checkpoint.name, 2
        while name in names:
            name, number = f"{checkpoint.name}#{number}", number + 1
        names.append(name)
    return names
