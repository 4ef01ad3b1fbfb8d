"""Compares what the main alignment does not have: partial groups, and bytes without arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import embeddings, heads, tables
from parentage.pipeline.codes import Requantised, requantised
from parentage.statistics import full_pass
from parentage.verdict import Part, Rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align import Alignment, Bytes, Coded, Grouped
    from parentage.checkpoint import Checkpoint, Inputs
    from parentage.stream import Options

MOST_OF_A_SAMPLE = 1 << 18
"""Elements, and bytes, of each slice and tensor that are compared where a sample was asked for."""


def compare_rest(
    inputs: Inputs, grouped: Grouped, options: Options, *, is_sample: bool = False
) -> Rest:
    """Compare what is in no main slice with whoever has it.

    All of it is read, but for a sample, of which the first elements of each slice are.
    """
    options = replace(options, digests=None)
    parts = []
    for each in grouped.partial:
        columns = inputs.chosen(each.columns).columns
        alignment = _first_elements(each.alignment) if is_sample else each.alignment
        parts.append(Part(each, columns, full_pass(alignment, columns, options)))
    most = MOST_OF_A_SAMPLE if is_sample else None
    codes = _requantised(inputs, grouped.coded, options, most)
    return Rest(
        tuple(parts),
        _same(inputs, grouped.bytes, options, most),
        _tied(inputs, options),
        tuple((each, found.is_copy) for each, found in codes),
        tuple(
            (each, found.elements, found.elements - found.equal)
            for each, found in codes
            if found.is_mostly and not found.is_copy
        ),
    )


def _requantised(
    inputs: Inputs, pairs: Sequence[Coded], options: Options, most: int | None
) -> list[tuple[Coded, Requantised]]:
    """Return quantised tensors with what another's numbers, quantised anew, give of their codes."""
    child, tensors = inputs.child, inputs.child.tensors
    out = []
    for each in pairs:
        other = inputs.others[each.column]
        found = requantised(
            child, tensors.at(each.tensor), tensors.at(each.scale),
            other, other.tensors.at(each.mate), options, most,
        )  # fmt: skip
        out.append((each, found))
    return out


def _first_elements(alignment: Alignment) -> Alignment:
    """Return the alignment of no more than the first elements of each slice."""
    slices = tuple(
        each._replace(elements=min(each.elements, MOST_OF_A_SAMPLE)) for each in alignment.slices
    )
    plan = _core.Plan(list(alignment.checkpoints), *tables(slices))
    return replace(alignment, slices=slices, plan=plan)


def _same(
    inputs: Inputs, pairs: Sequence[Bytes], options: Options, most: int | None
) -> tuple[tuple[Bytes, bool], ...]:
    """Return pairs of tensors with whether their bytes are the same."""
    out: list[tuple[Bytes, bool]] = []
    for column, other in enumerate(inputs.others):
        chosen = [each for each in pairs if each.column == column]
        found = same_bytes(
            inputs.child, other, [(each.tensor, each.mate) for each in chosen], options, most
        )
        out.extend(zip(chosen, found, strict=True))
    return tuple(out)


def same_bytes(
    first: Checkpoint,
    second: Checkpoint,
    pairs: list[tuple[int, int]],
    options: Options,
    most: int | None = None,
) -> list[bool]:
    """Return whether tensors of two checkpoints, by position, have one dtype and the same bytes."""
    if not pairs:
        return []
    io = "pread" if options.io == "direct" else options.io
    found: list[bool] = _core.same_bytes(
        first.core, second.core, pairs, threads=options.threads, most=most, io=io
    ).tolist()
    return found


def _tied(inputs: Inputs, options: Options) -> dict[int, bool]:
    """Return which checkpoints have a head that is their embedding, where the child has none."""
    if heads(inputs.child):
        return {}
    out: dict[int, bool] = {}
    for column, other in enumerate(inputs.others):
        for head in heads(other):
            same = [
                (each.index, head.index) for each in embeddings(other) if each.shape == head.shape
            ]
            if same:
                out[column] = bool(np.all(same_bytes(other, other, same[:1], options)))
    return out
