"""Checkpoints: what is in the files, from their headers alone."""

from __future__ import annotations

from collections.abc import Mapping, ValuesView
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from parentage import _core
from parentage.checkpoint.codings import Coding, Window
from parentage.checkpoint.folder import Unread, beside, layers_in_config
from parentage.checkpoint.sources.chosen import open_source
from parentage.checkpoint.sources.memory import open_named
from parentage.checkpoint.sources.names import HubName, shown_path
from parentage.checkpoint.structure import component_of, layer_of
from parentage.support import collection_paused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from parentage.checkpoint.encodings import Encoding
    from parentage.checkpoint.network.network import Network
    from parentage.checkpoint.sources.source import Opened, Origin

    Texts = Mapping[str, bytes]

_SCALES = ("_scale_inv", "_scale", "_scales")


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
    """Its file; from the number of files on, the coding that it is computed by."""
    begin: int
    """First byte in the shard's file, or of what the coding gives."""
    end: int
    """Byte past the last."""

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def has_whole_bytes(self) -> bool:
        """Whether it has elements, and none of them begins within a byte."""
        return self.elements > 0 and (self.end - self.begin) % self.elements == 0

    @property
    def window(self) -> Window:
        """All of it, as what a coding is computed from."""
        return Window(self.shard, self.begin, self.end, self.dtype)

    @property
    def component(self) -> str:
        """What the name stands for, one of :data:`parentage.checkpoint.COMPONENTS`."""
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
        A folder of files that hold tensors, with or without an index, one such file, or an index:
        safetensors, PyTorch's zip archives, GGUF, ONNX, NumPy's ``.npz`` and ``.npy``, whatever
        they are called; or a diffusers pipeline, whose tensors begin with the name of their
        folder. A part of a GGUF model stands for all of them. Nothing is executed. Or a mapping of
        names to NumPy arrays or PyTorch's tensors, as :meth:`in_memory` takes it.
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
    encodings: dict[str, Encoding] = field(default_factory=dict, repr=False, compare=False)
    """What the bytes of tensors stand for that are not stored as numbers, by name."""
    choices: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """What was chosen among what is in its files, and what was left: clauses of a sentence."""
    noted: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Sentences on how it is seen."""
    origin: Origin | None = field(default=None, repr=False, compare=False)
    """Where it was published, if that is known."""
    borrowed: int = field(default=0, repr=False, compare=False)
    """How many of its files, the last ones, are another checkpoint's."""
    is_part: bool = field(default=False, repr=False, compare=False)
    """Whether it is seen through what a sketch holds: what lacks is no lack of the checkpoint."""

    is_outline: bool = field(default=False, repr=False, compare=False)
    """Whether it is names and shapes alone: nothing of it can be read."""

    @classmethod
    def open(
        cls,
        path: str | PathLike[str] | Mapping[str, Any],
        name: str | None = None,
        network: Network | None = None,
    ) -> Checkpoint:
        """Read the headers of the checkpoint at ``path``; over ``network``, if it is on no disk."""
        if isinstance(path, Mapping):
            return cls.in_memory(path, name)
        return cls._of(open_source(path, network), name)

    @classmethod
    def in_memory(
        cls,
        tensors: Mapping[str, Any],
        name: str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """Look at tensors that a program holds in memory, as a ``state_dict()``; none is copied.

        Parameters
        ----------
        tensors
            NumPy arrays and PyTorch's tensors of the CPU, by name, of any strides. They are read
            where they are, as often as is asked for: what is written to them between two calls
            shows in the second. They are kept as long as the checkpoint is.
        name
            What reports call it; by default ``"in memory"``.
        config
            What config.json says beside files, as ``model.config.to_dict()``; of an adapter, what
            adapter_config.json says.

        Raises
        ------
        CheckpointError
            If a name is no text, or a tensor can not be read where it is: it is on a device,
            sparse, quantised, sharded, big-endian, or of a dtype that no checkpoint has. The
            message says what to give in its place.

        Examples
        --------
        >>> import numpy as np
        >>> weights = {"a.weight": np.zeros((2, 3), np.float32)}
        >>> opened = Checkpoint.in_memory(weights, "step 100")
        >>> opened.tensors["a.weight"].shape, opened.elements, opened.where
        ((2, 3), 6, 'step 100 (in memory)')
        """
        return cls._of(open_named(tensors, name, config), name)

    @classmethod
    def _of(cls, opened: Opened, name: str | None) -> Checkpoint:
        # A folder's name may be no text at all; tables and JSON hold nothing else.
        text = (name or opened.name).encode("utf-8", "backslashreplace").decode("utf-8")
        return cls(
            opened.path,
            text,
            opened.core,
            opened.encodings,
            opened.choices,
            origin=opened.origin,
        )

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
    def codings(self) -> tuple[Coding, ...]:
        """How tensors are computed that no file holds as they are read."""
        return tuple(map(Coding.of, self.core.codings()))

    @cached_property
    def computed(self) -> tuple[int, ...]:
        """Bytes of what each coding gives."""
        return tuple(self.core.computed())

    def pile_of(self, tensor: Tensor) -> list[Coding]:
        """Return the codings that a tensor is seen through, the outermost first.

        All but the last are of numbers that are moved; none if it lies in a file as it is.
        """
        pile: list[Coding] = []
        place = tensor.shard - len(self.shards)
        while place >= 0:
            pile.append(self.codings[place])
            if not pile[-1].is_moved:
                break
            place = pile[-1].windows[0].shard - len(self.shards)
        return pile

    def encoding_of(self, tensor: Tensor) -> Coding | None:
        """Return the coding of a tensor that is stored as codes; ``None`` if it is not.

        What is stored as numbers and seen in another order, or computed of numbers, is not.
        """
        pile = self.pile_of(tensor)
        return pile[-1] if pile and pile[-1].is_of_codes else None

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
    def own_shards(self) -> tuple[Shard, ...]:
        """The files that no other checkpoint lends."""
        return self.shards[: len(self.shards) - self.borrowed]

    @property
    def elements(self) -> int:
        """Number of elements of all tensors."""
        return self.core.elements

    @property
    def bytes(self) -> int:
        """Size of all files, headers included."""
        return sum(shard.bytes for shard in self.shards)

    @cached_property
    def is_remote(self) -> bool:
        """Whether some of its files are on no disk of this machine, and are fetched."""
        return any(each is not None for each in self.core.fetchers())

    @cached_property
    def is_in_memory(self) -> bool:
        """Whether some of its tensors are a program's, in memory, or were when it was opened."""
        return any(self.core.lies_in_memory())

    @property
    def disk_bytes(self) -> int:
        """Size of the files that are not in memory."""
        pairs = zip(self.shards, self.core.lies_in_memory(), strict=True)
        return sum(shard.bytes for shard, in_memory in pairs if not in_memory)

    def released(self) -> Checkpoint:
        """Return the same without tensors that are in memory: they can not be read any more."""
        core = self.core.released()
        return self if core is self.core else replace(self, core=core)

    @cached_property
    def unread(self) -> Unread:
        """What else lies in the folder that it was opened by, and is no part of it."""
        if self.is_part or self.is_in_memory:
            return Unread()
        listing = () if self.origin is None else self.origin.names
        names = [shard.name for shard in self.shards]
        return beside(self.path, self.core.index, names, listing)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on what was chosen among what is in its files, and what was left."""
        return (*(f"Of {self.name}, {each}." for each in self.choices), *self.noted)

    @cached_property
    def promised_layers(self) -> int | None:
        """How many layers its config.json promises; ``None`` if there is none, or it does not."""
        return None if self.is_part else layers_in_config(self.path, self.texts)

    @property
    def texts(self) -> Texts | None:
        """Small files beside it, by name, if it is on no disk; ``None`` if it is on one."""
        is_elsewhere = self.is_remote or self.is_in_memory
        return self.origin.texts if self.origin is not None and is_elsewhere else None

    @property
    def where(self) -> str:
        """Its path, or its address, as messages have it."""
        return shown_path(self.path)

    @property
    def reopened_by(self) -> str:
        """What opens it again, from any folder: its path, or its address with its revision."""
        origin = self.origin
        if origin is None:
            return self.where if self.is_remote else str(self.path.absolute())
        if origin.revision is None:
            return origin.where
        return str(replace(HubName.parse(origin.where), revision=origin.revision))

    @cached_property
    def places(self) -> int:
        """What the next coding is called where tensors say their shard: files, then codings."""
        return len(self.shards) + len(self.computed)

    def seen_as(self, tensors: Iterable[Tensor], codings: Sequence[Coding] = ()) -> Checkpoint:
        """Return a view: other tensors over the same files, under names of their own.

        Those whose ``shard`` is ``places + k`` are what ``codings[k]`` gives, from byte 0 on.
        Those that lie in a file have the index of the one that they are, or are a part of, here.

        Raises
        ------
        CheckpointError
            If one of them leaves its file's data or its coding, two have one name, or what a coding
            is computed from does not fit.
        """
        listed = sorted(tensors, key=lambda each: each.name)
        encodings = {}
        if self.encodings:
            names = self.core.names()
            encodings = {
                each.name: self.encodings[names[each.index]]
                for each in listed
                if each.shard < len(self.shards) and names[each.index] in self.encodings
            }
        core = self.core.seen_as(listed, codings)
        return replace(self, core=core, encodings=encodings)

    def same_files(self, other: Checkpoint) -> bool:
        """Whether both are the same files on disk, or the same tensors in memory."""
        if self.is_in_memory or other.is_in_memory:
            return self.core.shares_memory(other.core)
        paths = [{shard.path.resolve() for shard in each.shards} for each in (self, other)]
        return paths[0] == paths[1]


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


Given: TypeAlias = str | PathLike[str] | Mapping[str, Any] | Checkpoint
"""A checkpoint, where it is, or what its tensors are in memory."""


def as_checkpoint(
    given: Given, name: str | None = None, network: Network | None = None
) -> Checkpoint:
    """Return a checkpoint that is given in any way; one that is open stays what it is."""
    return given if isinstance(given, Checkpoint) else Checkpoint.open(given, name, network)
