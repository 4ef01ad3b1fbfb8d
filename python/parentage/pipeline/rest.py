"""Compares what the main alignment does not have: partial groups, and bytes without arithmetic."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import Unaligned, embeddings, heads, tables
from parentage.checkpoint import as_stored
from parentage.pipeline.codes import requantised
from parentage.statistics import full_pass
from parentage.verdict import Part, Requantised, Rest

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
    codes = _requantised(inputs, grouped.coded, options, most, turned=False)
    recoded = _requantised(inputs, grouped.recoded, options, most, turned=True)
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
        recoded=_summed(recoded),
    )


def _requantised(
    inputs: Inputs, pairs: Sequence[Coded], options: Options, most: int | None, *, turned: bool
) -> list[tuple[Coded, Requantised]]:
    """Return encoded tensors with what numbers in their place give of their codes.

    Codes are the child's, and numbers others'; ``turned`` is the other way round.
    """
    out: list[tuple[Coded, Requantised]] = []
    for column, other in enumerate(inputs.others):
        chosen = [each for each in pairs if each.column == column]
        sides = [
            (inputs.child, [inputs.child.tensors.at(each.tensor) for each in chosen]),
            (other, [other.tensors.at(each.mate) for each in chosen]),
        ]
        (coded, codes), (plain, numbers) = sides[::-1] if turned else sides
        found = requantised(coded, codes, plain, numbers, options, most)
        out.extend(zip(chosen, found, strict=True))
    return out


def _summed(found: Sequence[tuple[Coded, Requantised]]) -> dict[int, Requantised]:
    """Return, per checkpoint, the sums over its tensors."""
    sums: dict[int, list[int]] = {}
    for pair, each in found:
        known = sums.setdefault(pair.column, [0] * len(fields(each)))
        sums[pair.column] = [a + b for a, b in zip(known, astuple(each), strict=True)]
    return {column: Requantised(*counts) for column, counts in sums.items()}


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
        coded = [each for each in chosen if _encoded(inputs.child, each.tensor)]
        plain = [each for each in chosen if not _encoded(inputs.child, each.tensor)]
        found = same_bytes(
            inputs.child, other, [(each.tensor, each.mate) for each in plain], options, most
        )
        names = (inputs.child.tensors.at(each.tensor).name for each in plain)
        out.extend(
            (each, is_same)
            for each, is_same, name in zip(plain, found, names, strict=True)
            # Codes that differ say nothing of numbers: they are not compared.
            if is_same or name not in inputs.child.encodings
        )
        out.extend(zip(coded, _same_codes(inputs.child, other, coded, options, most), strict=True))
    return tuple(out)


def _encoded(checkpoint: Checkpoint, index: int) -> bool:
    """Return whether a tensor is stored as codes."""
    return checkpoint.encoding_of(checkpoint.tensors.at(index)) is not None


def _same_codes(
    child: Checkpoint,
    other: Checkpoint,
    pairs: Sequence[Bytes],
    options: Options,
    most: int | None,
) -> list[bool]:
    """Return whether all that encoded tensors are stored in has the same bytes."""
    if not pairs:
        return []
    mine, my_places = as_stored(child, [child.tensors.at(each.tensor) for each in pairs])
    theirs, their_places = as_stored(other, [other.tensors.at(each.mate) for each in pairs])
    spans = [
        list(zip(my_places[each.tensor], their_places[each.mate], strict=True)) for each in pairs
    ]
    flat = [pair for span in spans for pair in span]
    same = iter(same_bytes(mine, theirs, flat, options, most))
    return [np.all([next(same) for _ in span]).item() for span in spans]


def undecoded(inputs: Inputs, grouped: Grouped, rest: Rest) -> tuple[Unaligned, ...]:
    """Return the tensors whose codes differ, of the child and of the others, as not compared."""
    same = {(each.tensor, each.column) for each, _ in rest.bytes}
    found: dict[tuple[int, int], Unaligned] = {}
    compared = {tensor for tensor, _ in same}
    for each in grouped.bytes:
        if (each.tensor, each.column) in same:
            continue
        of = [(inputs.others[each.column], each.mate, each.column)]
        if each.tensor not in compared:
            of.insert(0, (inputs.child, each.tensor, -1))
        for checkpoint, index, column in of:
            tensor = checkpoint.tensors.at(index)
            reason = f"{checkpoint.encodings[tensor.name]}, and not decoded: the codes differ"
            found.setdefault(
                (column, index), Unaligned(checkpoint.name, tensor.name, reason, tensor.elements)
            )
    return tuple(found.values())


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
