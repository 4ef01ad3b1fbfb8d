"""Carries a recipe out on checkpoints and compares what it gives with a child."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage import _core
from parentage.align import Unaligned, align, is_replayed, seen_by, unaligned_frame
from parentage.checkpoint import as_checkpoint
from parentage.replay.build import compile_recipe
from parentage.replay.coverage import Coverage, coverage, nan_of
from parentage.replay.layers import layer_maps, made_alignment
from parentage.replay.locate import open_parents
from parentage.stream import COUNTED, RANGE_CHUNKS, SILENT, Options, Progress, backend_of
from parentage.support import RecipeError, natural_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.checkpoint import Checkpoint
    from parentage.recipe import Recipe
    from parentage.replay.locate import Offered
    from parentage.stream import Program, ReplayCounts, Value

SCHEMA = "parentage.replay/1"
"""Version of the JSON document. Keys keep their meaning from version to version."""

NOT_FLOAT = "dtype {}: recipes say nothing about it"

SAYS_NOTHING = "the recipe gives no numbers for it"


@dataclass(frozen=True)
class Comparison:
    """What a recipe reproduces of a child."""

    recipe: Recipe
    child: Checkpoint
    slices: pl.DataFrame
    """One row per slice that was compared, with its counts and the first element that mismatches
    (null without one)."""
    uncompared: pl.DataFrame
    """One row per tensor or slice that was not: checkpoint, tensor, reason, elements."""
    ulps: tuple[int, ...]
    """Mismatched elements that are 1, 2, 3 to 4, 5 to 8, ... units in the last place off."""
    coverage: Coverage
    """What of the child was not compared, and what of the recipe's result it lacks."""

    @cached_property
    def elements(self) -> int:
        """Elements of the child that were compared."""
        return int(self.slices["elements"].sum())

    @cached_property
    def reproduced(self) -> int:
        """Elements whose bits the recipe gives."""
        return int(self.slices["reproduced"].sum())

    @cached_property
    def explained(self) -> int:
        """Elements that one of the choices that it leaves open gives."""
        return int(self.slices["explained"].sum())

    @cached_property
    def mismatched(self) -> int:
        """Elements that it does not give."""
        return int(self.slices["mismatched"].sum())

    @cached_property
    def zero_signs(self) -> int:
        """Of the mismatched, zeros of the other sign."""
        return int(self.slices["zero_signs"].sum())

    @cached_property
    def made(self) -> int:
        """Elements that the recipe makes: those compared, and those that the child lacks."""
        return self.elements + self.coverage.missing_elements

    @cached_property
    def nan(self) -> int:
        """The child's NaN in slices that mismatch."""
        return int(self.slices["nan"].sum())

    @property
    def agrees(self) -> bool:
        """Whether the child is what the recipe would write: all of it, in its dtype, and no more.

        Where the recipe leaves a choice, an element that one of the choices gives is taken for it.
        """
        return self.mismatched == 0 and self.coverage.is_whole

    @property
    def exact_share(self) -> float:
        """Share of the compared elements whose bits the recipe gives."""
        return self.reproduced / self.elements

    @property
    def share(self) -> float:
        """Share of the compared elements that it reproduces or explains."""
        return (self.reproduced + self.explained) / self.elements

    @property
    def worst(self) -> pl.DataFrame:
        """The slices that mismatch somewhere, those with most mismatches first."""
        wrong = self.slices.filter(pl.col("mismatched") > 0)
        return wrong.sort("mismatched", descending=True, maintain_order=True)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it; slices without a mismatch are left out."""
        return {
            "child": self.child.name,
            "elements": self.elements,
            "elements_total": self.child.elements,
            "elements_made": self.made,
            "elements_copied": self.coverage.copied_elements,
            "agrees": self.agrees,
            "reproduced": self.reproduced,
            "explained": self.explained,
            "mismatches": self.mismatched,
            "zero_signs": self.zero_signs,
            "mismatch_ulps": list(self.ulps),
            "nan": self.nan,
            "exact_share": self.exact_share,
            "explained_share": self.explained / self.elements,
            "slices": self.slices.height,
            "mismatched_slices": self.worst.to_dicts(),
            "uncompared": self.uncompared.to_dicts(),
            "missing": [
                {"tensor": each.tensor, "reason": each.reason, "elements": each.elements}
                for each in self.coverage.missing
            ],
            "left": [
                {"tensor": each.tensor, "reason": each.reason, "elements": each.elements}
                for each in self.coverage.left
            ],
            "copied": [each.name for each in self.coverage.copied],
            "other_dtypes": [
                {"slice": name, "dtype": dtype} for name, dtype in self.coverage.other_dtypes
            ],
        }

    def __repr__(self) -> str:
        return (
            f"<Comparison with {self.child.name}: {self.reproduced:,} reproduced, "
            f"{self.explained:,} explained, {self.mismatched:,} mismatched>"
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recipe that is ready to be carried out on slices."""

    program: Program
    results: tuple[Value, ...]
    """More than one where the recipe leaves a choice."""
    applies: NDArray[np.bool_]
    """(S,) whether the recipe says what the slice holds."""
    reasons: tuple[str | None, ...]
    """By slice, why it does not."""


class _Columns(dict[str, int]):
    """Columns by name; asking for another one is an error of the recipe."""

    def __missing__(self, name: str) -> int:
        raise RecipeError(
            f"it reads {name!r}, which it does not name" if name else "it names no base"
        )


def prepare(recipe: Recipe, names: Sequence[str], slices: Sequence[Slice]) -> Prepared:
    """Write a recipe down as operations on the columns ``names`` of ``slices``.

    Raises
    ------
    RecipeError
        If it does not fit itself, or the slices, or says nothing about any of them.
    """
    by_name = {each.name: each for each in slices}
    for name, (left, right) in recipe.matrices.items():
        found = by_name.get(name)
        if found is not None and left.shape[0] * right.shape[1] != found.elements:
            raise RecipeError(
                f"{name}: a matrix of {left.shape[0]} x {right.shape[1]}, and the tensor is of "
                f"shape {list(found.shape)}"
            )
    columns = _Columns({name: column for column, name in enumerate(names)})
    try:
        # Numbers that do not fit float32 become infinite, as in every tool.
        with np.errstate(all="ignore"):
            program, values = compile_recipe(recipe, columns, slices)
    except RecipeError as error:
        raise RecipeError(f"{recipe.method} can not be carried out: {error}") from error
    except KeyError as error:
        raise RecipeError(f"{recipe.method} can not be carried out without {error}") from error
    except (ValueError, TypeError, IndexError, ArithmeticError, AssertionError) as error:
        raise RecipeError(f"{recipe.method} can not be carried out: {error}") from error
    # No method computes with NaN of its own: it stands for a number that the recipe does not give.
    silent = np.zeros(len(slices), dtype=bool)
    for scalars in program.scalars:
        silent |= np.isnan(scalars)
    # What is a copy needs no numbers of the method.
    silent &= [each.name not in recipe.copied for each in slices]
    reasons = tuple(
        NOT_FLOAT.format(each.dtype)
        if not is_replayed(each)
        else SAYS_NOTHING
        if is_silent
        else None
        for each, is_silent in zip(slices, silent, strict=True)
    )
    applies = np.array([reason is None for reason in reasons], dtype=bool)
    if not applies.any():
        raise RecipeError("the recipe gives no numbers for any tensor")
    results = {value.number: value for value in values}
    return Prepared(program, tuple(results.values()), applies, reasons)


def compare(
    recipe: Recipe,
    parents: Mapping[str, Offered],
    child: Offered,
    *,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "mmap",
    device: str | None = None,
    device_memory: int | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Carry a recipe out on ``parents``, by name, and count what it reproduces of ``child``.

    Everything is read once. No option changes a number. ``device`` and ``device_memory`` are as in
    :func:`parentage.trace`.

    Raises
    ------
    DeviceError
        If the device, or torch, is not there or can not be used.
    RecipeError
        If the recipe does not fit the checkpoints.
    ParentageError
        If a checkpoint is damaged or unreadable, changes while it is read, or does not pair.
    """
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        io,
        backend=backend_of(device, device_memory)[0],
    )
    opened = open_parents(recipe, parents)
    seen = seen_by(as_checkpoint(child), list(opened.values()), options)
    child, opened = seen.child, dict(zip(opened, seen.others, strict=True))
    alignment = align(child, list(opened.values()), layers=layer_maps(recipe, list(opened), child))
    slices = alignment.slices
    prepared = prepare(recipe, list(opened), slices)
    counts = _count(alignment.plan, prepared, options, progress)
    applied = np.flatnonzero(prepared.applies).tolist()
    rows = sorted(applied, key=lambda row: natural_key(slices[row].name))
    silent = [
        Unaligned(child.name, each.name, reason, each.elements)
        for each, reason in zip(slices, prepared.reasons, strict=True)
        if reason is not None
    ]
    nan = nan_of(child, slices, rows, counts)
    reference = next(iter(opened.values()))
    covered = coverage(
        recipe,
        child,
        list(opened.values()),
        slices,
        prepared.reasons,
        alignment.unaligned,
        lambda: silent_tensors(recipe, reference, list(opened)),
    )
    for each in (child, *opened.values()):
        each.core.verify_unchanged()
    return Comparison(
        recipe=recipe,
        child=child.released(),
        slices=_table(
            [slices[row] for row in rows],
            {k: x[rows] for k, x in counts.items()},
            [nan.get(row, 0) for row in rows],
        ),
        uncompared=unaligned_frame([*alignment.unaligned, *silent]),
        ulps=tuple(int(x) for x in counts["ulps"][rows].sum(axis=0)),
        coverage=covered,
    )


def _count(
    plan: _core.Plan, prepared: Prepared, options: Options, progress: Progress
) -> dict[str, NDArray[Any]]:
    """Carry a recipe out on all slices of a plan, and return what it reproduces, (S, ...) each."""
    progress.start(plan.bytes(0, plan.slices))
    parts: list[ReplayCounts] = []
    done = 0
    for first, last in plan.ranges(RANGE_CHUNKS):
        owner = np.arange(first, last)
        core = prepared.program.replay(prepared.results, owner, applies=prepared.applies)
        parts.append(
            options.backend.replay_slices(
                plan,
                first,
                last,
                [core],
                threads=options.threads,
                tile_bytes=options.tile_bytes,
                io=options.io,
                progress=partial(_tell, progress, done),
            )
        )
        done += plan.bytes(first, last)
    return {name: np.concatenate([getattr(each, name)[:, 0] for each in parts]) for name in COUNTED}


def _tell(progress: Progress, before: int, done: int) -> None:
    """Tell of the bytes of this range and of those before it."""
    progress.update(before + done)


def silent_tensors(recipe: Recipe, reference: Checkpoint, names: Sequence[str]) -> set[str]:
    """Return tensors that the recipe gives no numbers for, be they in all parents or not.

    They have the names of the result.
    """
    alone = made_alignment(recipe, reference, [])
    speaks: dict[str, bool] = {}
    found = prepare(recipe, names, alone.alignment.slices)
    for name, answer in zip(alone.owners, found.applies, strict=True):
        speaks[name] = speaks.get(name, False) or bool(answer)
    return {name for name, answer in speaks.items() if not answer}


def _table(
    slices: Sequence[Slice], counts: Mapping[str, NDArray[Any]], nan: Sequence[int]
) -> pl.DataFrame:
    """Return one row per slice that was compared; ``first`` is null without a mismatch."""
    first = pl.Series("first", counts["first"].astype(np.int64))
    return pl.DataFrame(
        {
            "slice": [each.name for each in slices],
            "component": [each.component for each in slices],
            "layer": pl.Series([each.layer for each in slices], dtype=pl.Int64),
            "shape": pl.Series([list(each.shape) for each in slices], dtype=pl.List(pl.Int64)),
            "dtype": [each.dtype for each in slices],
            "elements": pl.Series([each.elements for each in slices], dtype=pl.Int64),
            **{
                name: counts[name].astype(np.int64)
                for name in ("reproduced", "explained", "mismatched", "zero_signs")
            },
            "nan": pl.Series(nan, dtype=pl.Int64),
            "first": first.set(first < 0, None),
        }
    )


def document(recipe: Recipe, opened: Mapping[str, Checkpoint], **found: Any) -> dict[str, Any]:
    """Return one JSON-ready document of a recipe, the checkpoints and what came of them."""
    told = recipe.as_dict()
    return {
        "schema": SCHEMA,
        "tool": {
            "name": "parentage",
            "version": _core.__version__,
            "arithmetic": _core.DEFINITION,
        },
        "recipe": {key: told[key] for key in told if key not in ("schema", "fitted", "matrices")},
        "parents": [
            {
                "name": name,
                "files": [{"name": shard.name, "bytes": shard.bytes} for shard in each.own_shards],
                "tensors": len(each.tensors),
                "elements": each.elements,
            }
            for name, each in opened.items()
        ],
        **found,
    }
