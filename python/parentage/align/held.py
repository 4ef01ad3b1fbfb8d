"""Which of a child's elements each of the other checkpoints holds, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.align.layouts.by_layer import pair_by_layer, source_layer
from parentage.align.layouts.by_name import pair_by_name, scale_of
from parentage.align.layouts.by_rows import common_rows
from parentage.align.slices import Extent, Slice
from parentage.checkpoint import COMPONENTS, dtype_class, places_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Place, Tensor

    Pairing = Callable[[Tensor, Checkpoint], Extent | str]

MOST_EXPERTS = 1 << 16
"""Most slices of one tensor. What has more along its first dimension is no stack of experts, and a
header of a few bytes asks for millions."""


@dataclass(frozen=True)
class Held:
    """Where T tensors of a child lie in C other checkpoints.

    What is held of a tensor are its first elements: all of them, or the common rows.
    """

    tensors: NDArray[np.int64]
    """(T, C) the tensor that holds it; -1 where there is none."""
    starts: NDArray[np.int64]
    """(T, C) its first element there."""
    counts: NDArray[np.int64]
    """(T, C) elements of the child's tensor that are there, from its first on; 0 for none."""
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    """Why there is none, by tensor and checkpoint."""
    barred: dict[int, str] = field(default_factory=dict)
    """Why a tensor of the child takes part in no arithmetic at all."""

    def reason(self, tensor: int, columns: Iterable[int]) -> str:
        """Return why a tensor takes no part, over some checkpoints, each reason once."""
        if tensor in self.barred:
            return self.barred[tensor]
        found = (self.reasons.get((tensor, column)) for column in columns)
        return "; ".join(dict.fromkeys(each for each in found if each is not None))


def held(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Pairing = pair_by_name,
    layers: Sequence[LayerMap] = (),
    *,
    rows: bool = False,
) -> Held:
    """Look for every tensor of ``child`` in each of ``others``, by itself.

    ``layers`` are as :func:`parentage.align.align` has them. With ``rows``, embeddings and heads
    that differ in their number of rows are held as far as both have rows.
    """
    shape = (len(child.tensors), len(others))
    found = Held(np.full(shape, -1), np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    tensors = list(child.tensors.values())
    for tensor in tensors:
        reason = _barred(tensor, child)
        if reason is not None:
            found.barred[tensor.index] = reason
    sizes = np.array([tensor.elements for tensor in tensors], dtype=np.int64)
    for column, other in enumerate(others):
        moved = layers[column] if layers else {}
        by_name = pairing is pair_by_name and not moved
        paired = pair_by_layer(moved, pairing) if moved else pairing
        mates = _mates(child, other) if by_name else np.full(shape[0], -1)
        found.tensors[:, column] = mates
        found.counts[:, column] = np.where(mates >= 0, sizes, 0)
        for index in np.flatnonzero(mates < 0).tolist():
            if index in found.barred:
                continue
            extent = paired(tensors[index], other)
            count = int(sizes[index])
            if isinstance(extent, str) and rows:
                partial = common_rows(tensors[index], other)
                if partial is not None:
                    extent, count = partial
            if isinstance(extent, str):
                found.reasons[index, column] = extent
                continue
            found.tensors[index, column], found.starts[index, column] = extent
            found.counts[index, column] = count
    return found


def slices_of(
    child: Checkpoint,
    found: Held,
    parts: Sequence[tuple[int, int, int]],
    columns: Sequence[int],
    layers: Sequence[LayerMap] = (),
) -> list[Slice]:
    """Return slices of parts of the child's tensors: tensor, first element, and past the last.

    Each of ``columns`` holds all of them. Stacked experts are a slice each, up to
    :data:`MOST_EXPERTS`.
    """
    places = places_of(child.core)
    # The positions of relatives are mostly the same, so that one object does for all of them.
    extents: dict[tuple[int, int], Extent] = {}
    moved = [layers[column] if layers else {} for column in columns]
    sources: dict[Place, tuple[int | None, ...]] = {}

    def extent(tensor: int, start: int) -> Extent:
        return extents.setdefault((tensor, start), Extent(tensor, start))

    out: list[Slice] = []
    for index, first, last in parts:
        tensor = child.tensors.at(index)
        lies = [
            extent(mate, start + first)
            for mate, start in zip(
                found.tensors[index, columns].tolist(),
                found.starts[index, columns].tolist(),
                strict=True,
            )
        ]
        lies.append(extent(index, first))
        place = places[index]._replace(expert=None)
        if place.layer is not None and place not in sources:
            sources[place] = tuple(source_layer(place, each) for each in moved)
        part = (first, last)
        _add_slices(out, tensor, places[index], tuple(lies), sources.get(place, ()), part)
    return out


def _barred(tensor: Tensor, child: Checkpoint) -> str | None:
    """Return why a tensor of the child takes part in no arithmetic, if so."""
    if tensor.name in child.encodings:
        return f"{child.encodings[tensor.name]}, and not decoded"
    if dtype_class(tensor.dtype) is None:
        return f"dtype {tensor.dtype} has no arithmetic"
    if tensor.elements == 0:
        return "no elements"
    encoding = child.encoding_of(tensor)
    if encoding is not None:
        return f"encoded as {encoding.scheme}"
    scale = scale_of(tensor, child)
    return None if scale is None else f"quantised with {scale}, and not decoded"


def _mates(child: Checkpoint, other: Checkpoint) -> NDArray[np.int64]:
    """Return the partner's index in ``other`` for every tensor of the child.

    It is -1 where names, shapes and dtypes alone do not decide.
    """
    found = child.core.mates(other.core)
    for checkpoint in (child, other):
        codes = (child.core.find(name) for name in (*checkpoint.scales, *checkpoint.encodings))
        found[[index for index in codes if index is not None]] = -1
    return found


def _add_slices(
    slices: list[Slice],
    tensor: Tensor,
    place: Place,
    extents: tuple[Extent, ...],
    source: tuple[int | None, ...],
    part: tuple[int, int],
) -> None:
    name, shape, dtype, elements = tensor.name, tensor.shape, tensor.dtype, tensor.elements
    component, layer, expert = place
    first, last = part
    if last - first < elements:
        row = elements // shape[0]
        rows = (first // row, last // row)
        # What begins with the first row keeps the tensor's name: it is all that relatives have.
        name = f"{name}[{rows[0]}:{rows[1]}]" if first else name
        shape, elements = (rows[1] - rows[0], *shape[1:]), last - first
    stacked = len(shape) == 3 and 1 < shape[0] <= MOST_EXPERTS and ".experts" in name
    if not stacked:
        whole = (component, layer, expert, shape, dtype, elements, extents, source)
        slices.append(Slice(name, *whole))
        return
    each = elements // shape[0]
    where = (component if component in COMPONENTS else "experts", layer)
    slices.extend(
        Slice(
            f"{name}[{expert}]",
            *where,
            expert,
            shape[1:],
            dtype,
            each,
            tuple(Extent(extent.tensor, extent.start + expert * each) for extent in extents),
            source,
        )
        for expert in range(shape[0])
    )
