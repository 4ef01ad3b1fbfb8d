"""Blends that were quantised: whether a recipe's results lie in the cells of the child's codes.

What is stored as numbers beside the codes, norms mostly, shows a recipe; where it does not, least
squares of what the codes stand for do. Either is carried out for every code, and proved or not:
nothing is concluded from a fit alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import aligned, tables
from parentage.checkpoint import WRITABLE, cells_of
from parentage.hypothesise import written_forms
from parentage.methods import METHODS
from parentage.pipeline.codes import CELLS, in_cells, room_of
from parentage.recipe import Ingredient, Recipe
from parentage.replay import compile_recipe
from parentage.stream import read_elements
from parentage.support import RecipeError
from parentage.verdict import QuantisedBlend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.align import Alignment
    from parentage.verdict import TraceInputs

    Room = list[tuple[float, float]]

MOST_COLUMNS = _core.MAX_COLUMNS - CELLS
"""Checkpoints that fit beside cells."""

SAMPLED = 1 << 14
"""Elements of each tensor that weights are fitted to, the first."""

MOST_FITTED = 1 << 21
"""Elements that weights are fitted to, at most."""

STORED = ("BF16", "F16", "F32")
"""Dtypes that a merge may have been stored in before it was quantised."""

FORMS = 3
"""Ways to write fitted weights that are tried."""


def quantised_blends(case: TraceInputs) -> tuple[QuantisedBlend, ...]:
    """Return what recipes give of the child's codes, the best first; nothing if it has none.

    A checkpoint by itself is the first recipe: what lies in the cells of a blend's codes by chance.
    """
    alignment = _coded(case)
    if alignment is None or alignment.plan.columns - 1 > MOST_COLUMNS:
        return ()
    plan, room = _with_cells(case, alignment)
    columns = case.inputs.columns
    singles = [
        Recipe("linear", (Ingredient(name, 1.0),), out_dtype="F32") for name in columns.names
    ]
    alone = _tried(case, alignment, plan, room, [(each, "F32") for each in singles])
    nearest, best = max(zip(columns.names, alone, strict=True), key=lambda item: item[1][0])
    found: list[QuantisedBlend] = []
    for recipe in _recipes(case, alignment):
        if METHODS[recipe.method].verdict(recipe) != "merge":
            continue
        try:
            tried = _tried(case, alignment, plan, room, [(recipe, dtype) for dtype in STORED])
        except RecipeError:
            continue
        counts = max(tried)
        # Codes are coarse: that several dtypes give the same ones is no surprise, and numbers tell.
        numbers = max(
            _of_numbers(case, recipe, dtype)
            for dtype, each in zip(STORED, tried, strict=True)
            if each == counts
        )
        blend = QuantisedBlend(
            recipe, int(alignment.elements.sum()), *counts, nearest, best[0], *numbers
        )
        found.append(blend)
        if blend.inside == blend.elements:
            break
    return tuple(sorted(found, key=lambda each: -each.inside))


def _coded(case: TraceInputs) -> Alignment | None:
    """Return the alignment of what the child stores as codes and all of the main ones have."""
    grouped, offered = case.grouped, case.offered
    if grouped is None or not offered.child.codings:
        return None
    main = list(grouped.main.columns)
    child, held = offered.child, grouped.held
    parts = [
        (each.index, 0, each.elements)
        for each in child.tensors.values()
        if child.encoding_of(each) is not None
        and (held.counts[each.index, main] == each.elements).all()
        and each.elements
    ]
    if not parts:
        return None
    return aligned(child, offered.others, held, parts, tuple(main), grouped.layers)


def _with_cells(case: TraceInputs, alignment: Alignment) -> tuple[_core.Plan, Room]:
    """Return the plan of an alignment of codes with their cells, and room for each slice."""
    child = case.offered.child
    codes = [child.tensors.at(each.extents[-1].tensor) for each in alignment.slices]
    cells, places = cells_of(child, codes)
    elements, tensors, starts = tables(alignment.slices)
    ends = np.array([places[each.index] for each in codes], dtype=np.uint64)
    plan = _core.Plan(
        [*alignment.checkpoints[:-1], *[cells.core] * CELLS],
        elements,
        np.hstack([tensors[:, :-1], ends]),
        np.hstack([starts[:, :-1], np.repeat(starts[:, -1:], CELLS, axis=1)]),
    )
    room = [room_of(child, each) for each in codes]
    return plan, room


def _tried(
    case: TraceInputs,
    alignment: Alignment,
    plan: _core.Plan,
    room: Room,
    recipes: Sequence[tuple[Recipe, str]],
) -> list[tuple[int, int, int]]:
    """Return, for recipes with the dtype that they are rounded to, what one pass shows of each.

    Results in cells, codes that tell anything, and results in the middle of these.
    """
    indices = case.inputs.columns.indices
    tries = [
        (*compile_recipe(recipe, indices, alignment.slices), dtype) for recipe, dtype in recipes
    ]
    found = in_cells(plan, room, tries, case.options).sum(axis=0)
    return [(inside, telling, centred) for inside, telling, centred in found.tolist()]


def _recipes(case: TraceInputs, alignment: Alignment) -> Iterator[Recipe]:
    """Yield recipes that may be the child's: of what is stored as numbers, then of a fit."""
    yield from (each.recipe for each in case.hypotheses)
    names = case.inputs.columns.candidates
    fit = _fitted(case, alignment)
    if fit is None:
        return
    weights, errors = fit
    base, parents = names[0], names[1:]
    tolerance = [max(4.0 * error, 1e-3) for error in errors]
    forms = written_forms(weights, tolerance, 0.0, own=False)
    for chosen, rest in islice(forms, FORMS):
        used = zip((*parents, base), (*chosen, rest), strict=True)
        ingredients = tuple(Ingredient(name, each) for name, each in used if each)
        if ingredients:
            yield Recipe("linear", ingredients, out_dtype="F32")


def _fitted(case: TraceInputs, alignment: Alignment) -> tuple[list[float], list[float]] | None:
    """Return the parents' weights by least squares of what codes stand for, and their errors."""
    rows, used = [], 0
    for each in alignment.slices:
        if used >= MOST_FITTED:
            break
        count = min(each.elements, SAMPLED)
        used += count
        starts = {extent.start for extent in each.extents}
        if len(starts) > 1:
            continue
        index = [[extent.tensor for extent in each.extents]]
        found = read_elements(alignment.checkpoints, index, starts.pop(), count, case.options)
        rows.append(found[np.isfinite(found).all(axis=1)])
    if not rows:
        return None
    values = np.concatenate(rows)
    moved = values[:, 1:] - values[:, :1]
    # Controls are no parents.
    parents, child = moved[:, : len(case.inputs.columns.parents)], moved[:, -1]
    gram = np.einsum("ni,nj->ij", parents, parents)
    if not gram.size or np.linalg.matrix_rank(gram) < len(gram):
        return None
    weights = np.linalg.solve(gram, np.einsum("ni,n->i", parents, child))
    left = child - np.einsum("ni,i->n", parents, weights)
    errors = np.sqrt(np.diag(np.linalg.inv(gram)) * float((left**2).mean()))
    return weights.tolist(), errors.tolist()


def _of_numbers(case: TraceInputs, recipe: Recipe, dtype: str) -> tuple[int, int]:
    """Return how many elements are stored as numbers, and how many of them the recipe gives.

    What is stored wider than ``dtype`` was rounded to it before, as the codes' numbers were.
    """
    alignment = case.alignment
    dtypes = {
        each.name: dtype if each.dtype == "F32" else each.dtype
        for each in alignment.slices
        if each.dtype in WRITABLE
    }
    written = replace(recipe, out_dtypes=dtypes)
    program, results = compile_recipe(written, case.inputs.columns.indices, alignment.slices)
    owner = np.flatnonzero(alignment.applies)
    replay = program.replay(results, np.arange(len(alignment.slices)), applies=alignment.applies)
    options = case.options
    found = options.backend.replay_slices(
        alignment.plan, 0, alignment.plan.slices, [replay],
        threads=options.threads, tile_bytes=options.tile_bytes, io=options.io, level=options.level,
    )  # fmt: skip
    return int(alignment.elements[owner].sum()), int(found.reproduced[owner].sum())
