"""Whether the checkpoints give what a bundle says: slices are read again, and files hashed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage import _core
from parentage.align import pair
from parentage.bundle import EVIDENCE, SLICES, SUMS, digest_folder
from parentage.checkpoint import Inputs, as_checkpoint
from parentage.methods import from_json
from parentage.pipeline import view_inputs
from parentage.replay import compile_recipe, sha256_of
from parentage.stream import SILENT, Gram, one_pass
from parentage.support import EvidenceError, PlanError
from parentage.verify.again import MOST_TOLD, check_again
from parentage.verify.comparing import short
from parentage.verify.derived import factors_of, parts_of
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding
from parentage.verify.folder import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Group
    from parentage.bundle import Document
    from parentage.bundle.document import Checkpoint as Described
    from parentage.checkpoint import Checkpoint, Given
    from parentage.stream import Options, Program, Progress, Value
    from parentage.verify.derived import Part
    from parentage.verify.finding import Reread
    from parentage.verify.folder import Folder

RANGE_CHUNKS = 1 << 12
"""Chunks whose partial results are held at once."""

LONGEST = 100
"""Characters of a value that are told, at most."""

_COUNTS = ("excluded", "moved", "stray", "precision")
_LISTS = ("equal", "nan", "inf")
_REPLAYED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be checked of the checkpoints."""

    places: Mapping[str, Given]
    """Where each checkpoint is, by the name that the evidence has for it."""
    seed: int
    """What draws the slices."""
    slices: int | None
    """How many are drawn; ``None`` for all."""
    digest: bool
    """Whether files are hashed."""


def open_inputs(document: Document, asked: Asked) -> Inputs:
    """Open the checkpoints of the evidence in their roles, under the names that it has for them.

    Raises
    ------
    EvidenceError
        If one is lacking, or one is given that the evidence does not know.
    ParentageError
        If one can not be opened.
    """
    described = {each.name: each for _, each in document.inputs.by_role}
    names = list(described)
    lacking = [name for name in names if name not in asked.places]
    unknown = [name for name in asked.places if name not in names]
    if unknown:
        raise EvidenceError(
            f"{unknown[0]!r} is no checkpoint of this evidence, which is of {', '.join(names)}"
        )
    if lacking and described[lacking[0]].was_in_memory:
        raise EvidenceError(
            f"{lacking[0]!r} was in memory, and can not be opened again: save its tensors with "
            f"safetensors' save_file, and say where, as in --files {lacking[0]}=PATH"
        )
    if lacking:
        raise EvidenceError(
            f"slices are read again of all checkpoints that they were read of: {lacking[0]!r} is "
            f"lacking; say where it is, as in --files {lacking[0]}=PATH"
        )

    def opened(one: Described) -> Checkpoint:
        return replace(as_checkpoint(asked.places[one.name], one.name), name=one.name)

    inputs = document.inputs
    return Inputs(
        opened(inputs.child),
        opened(inputs.base),
        tuple(opened(each) for each in inputs.parents),
        tuple(opened(each) for each in inputs.controls),
    )


def check_files_of(
    document: Document, inputs: Inputs, asked: Asked, progress: Progress = SILENT
) -> Iterator[Finding]:
    """Compare the files of checkpoints with what the evidence says of them.

    By size, and by SHA-256 if that is asked for; a download may have other names.
    """
    described = {each.name: each for _, each in document.inputs.by_role}
    checkpoints = (inputs.child, *inputs.others)
    known = [each for each in checkpoints if described[each.name].is_digested]
    if asked.digest:
        progress.stage("hashing files")
        progress.start(sum(shard.bytes for each in known for shard in each.own_shards))
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress.update(done)

    for each in checkpoints:
        there = described[each.name]
        theirs = sorted(file.bytes for file in there.files)
        ours = sorted(shard.bytes for shard in each.own_shards)
        if theirs != ours and there.was_in_memory:
            text = (
                f"{each.name} was in memory, of {sum(theirs):,} bytes as safetensors' save_file "
                f"writes it, and here has {len(ours)} files of {sum(ours):,}: only its slices are "
                "compared"
            )
            yield Finding("files", UNCHECKED, text, EVIDENCE)
            continue
        if theirs != ours:
            text = (
                f"{each.name} has {len(ours)} files of {sum(ours):,} bytes, and in the evidence "
                f"{len(theirs)} of {sum(theirs):,}"
            )
            yield Finding("files", FAILED, text, EVIDENCE)
        else:
            yield Finding("files", OK, f"{each.name} has files of the sizes in the evidence")
        if not asked.digest:
            continue
        if not there.is_digested:
            text = f"the evidence has no digests of {each.name}"
            yield Finding("files", UNCHECKED, text, EVIDENCE)
            continue
        yield from _check_digests(each, there, tell)


def _check_digests(each: Checkpoint, there: Described, tell: Any) -> Iterator[Finding]:
    """Hash the files of a checkpoint, and what lies beside them."""
    found = [sha256_of(each, number, tell) for number in range(len(each.own_shards))]
    by_name = {file.name: file.sha256 for file in there.files}
    expected = Counter(file.sha256 for file in there.files)
    wrong = 0
    for shard, digest in zip(each.own_shards, found, strict=True):
        # Under another name, it may be any of them.
        is_right = by_name[shard.name] == digest if shard.name in by_name else expected[digest] > 0
        expected[digest] -= 1
        if not is_right:
            wrong += 1
            said = by_name.get(shard.name) or "no file of it"
            text = f"{shard.name} of {each.name} has the SHA-256 {digest}, and the evidence {said}"
            yield Finding("files", FAILED, text, EVIDENCE)
    if not wrong:
        yield Finding("files", OK, f"{each.name} has files of the SHA-256 in the evidence")
    if there.root is None or wrong:
        return
    root = digest_folder(each, found).root
    if root == there.root:
        yield Finding("files", OK, f"{each.name} has the root digest {root}, as in the evidence")
    else:
        text = (
            f"{each.name} has the root digest {root}, and in the evidence {there.root}: a file "
            "beside the weights is another, was added, or is gone"
        )
        yield Finding("files", FAILED, text, EVIDENCE)


def check_slices(
    folder: Folder,
    document: Document,
    inputs: Inputs,
    asked: Asked,
    options: Options,
    told: Reread,
    progress: Progress = SILENT,
) -> Iterator[Finding]:
    """Read slices again, and compare their sums with those of the bundle, bit for bit."""
    lacking = next((name for name in (SUMS, SLICES) if name not in folder.files), None)
    if lacking is not None:
        yield Finding("slices", UNCHECKED, "is not at hand, or not what it was", lacking)
        return
    is_ours = document.tool.version == _core.__version__
    if document.parameters.sample is not None or (asked.slices is None and is_ours):
        yield from check_again(folder, document, inputs, options, told, progress)
        return
    sums = read_table(folder.files[SUMS], SUMS)
    parts = parts_of(sums, read_table(folder.files[SLICES], SLICES), document)
    recipe = json.loads(folder.files[EVIDENCE])["recipe"]
    progress.stage("pairing tensors")
    try:
        aligned = _alignments(inputs, parts, options)
    except PlanError as error:
        yield Finding("slices", FAILED, f"the checkpoints do not pair: {error}", SUMS)
        return
    told.of = sum(len(part.slices) for part in parts)
    told.drawn = told.of if asked.slices is None else min(asked.slices, told.of)
    chosen = _drawn(parts, aligned, asked)
    progress.stage("reading slices again")
    jobs = [
        (part, alignment, chosen[part.number])
        for part, alignment in zip(parts, aligned, strict=True)
    ]
    plans = [None if alignment is None else alignment.part(rows) for _, alignment, rows in jobs]
    progress.start(sum(0 if plan is None else plan.bytes(0, plan.slices) for plan in plans))
    done = 0
    for part, alignment, rows in jobs:
        if alignment is None:
            names = ", ".join(part.columns.names)
            text = f"the checkpoints give no slices over {names}, or others than the bundle has"
            yield Finding("slices", FAILED, text, SUMS)
            continue
        if not len(rows):
            continue
        yield from _kinds(part, alignment)
        replays = []
        if part.number == 0 and recipe is not None:
            made = from_json(json.dumps(recipe), f"{EVIDENCE}: recipe")
            replays = [compile_recipe(made, part.columns.indices, alignment.slices)]
        differing: list[str] = []
        plan, factors = alignment.part(rows), factors_of(part)
        for first, last in plan.ranges(RANGE_CHUNKS):
            owner = rows[first:last]
            differing += _differing(
                part, factors, alignment, plan, first, last, owner, replays, options, progress, done
            )
            done += plan.bytes(first, last)
        told.slices += len(rows)
        told.equal += len(rows) - len(differing)
        told.elements += int(alignment.elements[rows].sum())
        for text in differing[:MOST_TOLD]:
            yield Finding("slices", FAILED, text, SUMS)
        if len(differing) > MOST_TOLD:
            text = f"{len(differing) - MOST_TOLD:,} more slices differ"
            yield Finding("slices", FAILED, text, SUMS)
        if not differing:
            text = (
                f"{len(rows):,} of {len(part.slices):,} slices over "
                f"{', '.join(part.columns.names)}, read again, give the sums of the bundle bit for "
                "bit"
            )
            yield Finding("slices", OK, text, SUMS)


def _alignments(inputs: Inputs, parts: Sequence[Part], options: Options) -> list[Alignment | None]:
    """Return the alignment of each part, as pairing the checkpoints gives it; ``None`` without."""
    viewed = view_inputs(inputs, options)
    found: list[Alignment | None] = []
    # Where roles were changed, pairing did not know which layers had been moved.
    for layers in (viewed.seen.layers, None):
        grouped = pair(viewed.inputs, options, layers)
        groups = (grouped.main, *grouped.partial)
        found = [_alignment_of(part, groups, viewed.inputs) for part in parts]
        if all(each is not None for each in found):
            break
    return found


def _alignment_of(part: Part, groups: Sequence[Group], inputs: Inputs) -> Alignment | None:
    """Return the group's alignment that has the checkpoints and the slices of a part."""
    others = [each.name for each in inputs.others]
    for group in groups:
        names = tuple(others[column] for column in group.columns)
        if names == part.columns.names:
            mine = [(each.name, each.elements) for each in group.alignment.slices]
            sizes = part.array("n").tolist()
            if mine == [(each.name, n) for each, n in zip(part.slices, sizes, strict=True)]:
                return group.alignment
    return None


def _drawn(
    parts: Sequence[Part], alignments: Sequence[Alignment | None], asked: Asked
) -> dict[int, NDArray[np.intp]]:
    """Return the slices of each part that are read again, in their order.

    They are the first in the order of the SHA-256 of seed, part and name; and, of every file that
    none of these lies in, the first that does.
    """
    order = sorted(
        (
            hashlib.sha256(f"{asked.seed}|{part.number}|{each.name}".encode()).digest(),
            part.number,
            row,
        )
        for part in parts
        for row, each in enumerate(part.slices)
    )
    count = len(order) if asked.slices is None else min(asked.slices, len(order))
    drawn = [(number, row) for _, number, row in order[:count]]
    touched = {place for one in drawn for place in _shards(alignments, one)}
    for _, number, row in order[count:]:
        places = _shards(alignments, (number, row))
        if places - touched:
            drawn.append((number, row))
            touched |= places
    return {
        part.number: np.array(
            sorted(row for number, row in drawn if number == part.number), np.intp
        )
        for part in parts
    }


def _shards(alignments: Sequence[Alignment | None], one: tuple[int, int]) -> set[tuple[int, int]]:
    """Return the files that a slice lies in, each by its checkpoint's column and number."""
    alignment = alignments[one[0]]
    if alignment is None:
        return set()
    extents = alignment.slices[one[1]].extents
    return {
        (id(core), core.tensor(extent.tensor)[4])
        for core, extent in zip(alignment.checkpoints, extents, strict=True)
    }


def _kinds(part: Part, alignment: Alignment) -> Iterator[Finding]:
    """Compare what the table says of slices with what the headers say."""
    keys = ("component", "layer", "expert", "shape", "dtype")
    for mine, told in zip(alignment.slices, part.slices, strict=True):
        differs = next((key for key in keys if getattr(mine, key) != getattr(told, key)), None)
        if differs is not None:
            text = (
                f"{differs} of {told.name} is {getattr(told, differs)!r}, and in the checkpoints "
                f"{getattr(mine, differs)!r}"
            )
            yield Finding("slices", FAILED, text, SLICES)
            return


def _differing(
    part: Part,
    factors: NDArray[np.float64],
    alignment: Alignment,
    plan: Any,
    first: int,
    last: int,
    owner: NDArray[np.intp],
    replays: Sequence[tuple[Program, Sequence[Value]]],
    options: Options,
    progress: Progress,
    done: int,
) -> list[str]:
    """Read a range of slices, and say of each that gives other sums what differs first."""
    cores = [
        program.replay(results, owner, applies=alignment.applies) for program, results in replays
    ]
    found = one_pass(plan, first, last, options, progress, done, cores)
    gram = Gram.from_core(alignment.elements[owner], found)
    rows, columns = np.triu_indices(part.width)
    again: dict[str, NDArray[Any]] = {
        "n": gram.n,
        "used": gram.used,
        "gram": gram.total[:, rows, columns],
        "energy": gram.energy * factors[owner],
        **{name: getattr(gram, name) for name in (*_COUNTS, *_LISTS)},
    }
    if replays:
        counted = found.replayed
        again |= {name: getattr(counted, name)[:, 0] for name in _REPLAYED}
    out: dict[int, str] = {}
    for name, values in again.items():
        kept = part.array(name)[owner]
        differs = (_bits(kept) != _bits(values)).reshape(len(owner), -1).any(axis=1)
        if name in _REPLAYED:
            differs &= alignment.applies[owner]
        for at in np.flatnonzero(differs).tolist():
            slice_ = part.slices[owner[at]].name
            told, found_now = (short(each[at].tolist(), LONGEST) for each in (kept, values))
            out.setdefault(at, f"{name} of {slice_} is {told}, and read again {found_now}")
    return [out[at] for at in sorted(out)]


def _bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return numbers of eight bytes as their bits: what is no number is equal to itself."""
    return np.ascontiguousarray(values).view(np.uint64)
