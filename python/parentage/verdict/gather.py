"""Gathers the facts that rules look at, from statistics and estimates."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import crossed_likeness, is_matrix, layer_blends
from parentage.checkpoint import DTYPES
from parentage.descent import Angles, weighted_median
from parentage.hypothesise import SampleEstimates
from parentage.methods import METHODS
from parentage.statistics import fit, holm
from parentage.stream import likeness
from parentage.verdict.changes import changes_from, changes_of_blend, likely_blends
from parentage.verdict.constants import is_computed
from parentage.verdict.deciding import decide
from parentage.verdict.facts import Facts, ReplayFacts, SharedSlices, origin
from parentage.verdict.invariants import invariants_of
from parentage.verdict.outcome import best_outcome
from parentage.verdict.residual import describe_residual
from parentage.verdict.structure import structure_of
from parentage.verdict.thresholds import Thresholds
from parentage.verdict.wholes import gather_wholes

FEW_ALONE = 16
"""Matrices that one checkpoint alone has, up to which they are asked whether they are computed."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.checkpoint import Columns
    from parentage.recipe import Recipe
    from parentage.sample import Sampled
    from parentage.statistics import Statistics
    from parentage.stream import Options
    from parentage.support import Floats
    from parentage.verdict.case import TraceInputs
    from parentage.verdict.outcome import Outcome
    from parentage.verdict.residual import Residual
    from parentage.verdict.verdict import Verdict


def gather_facts(
    case: TraceInputs,
    statistics: Statistics,
    outcome: Outcome | None,
    sample: Sampled | None = None,
) -> Facts:
    """Gather what the rules look at."""
    inputs, alignment, estimates = case.inputs, case.alignment, case.estimates
    # What reads elements for a sentence needs no more than a view of them.
    view = estimates or case.view or SampleEstimates(alignment, inputs.columns, case.options)
    columns, total = inputs.columns, int(alignment.elements.sum())
    wholes = gather_wholes(case, statistics)
    parents, others = columns.parents, columns.names
    fitted = statistics.model.estimates
    adjusted = holm(fitted.log10_p[:, : len(parents)])
    angles = _angles(statistics, alignment, columns, inputs.child.name)
    measured = measured_facts(statistics, alignment.slices, columns)
    start = columns[measured["origin"]]

    return Facts(
        child=inputs.child.name,
        coverage=wholes.coverage,
        log10_p=_of_parents(adjusted, columns),
        likeness=_likeness(statistics, alignment, columns, case.relations.likeness),
        extent=total,
        crossed=lambda: {
            each.name: found
            for each in inputs.others
            if (found := crossed_likeness(inputs.child, each, case.options)) is not None
        },
        bias=_of_parents(fitted.bias, columns),
        replay=None if outcome is None else _replay(outcome, alignment, total, statistics),
        cells_share=None if estimates is None or not parents else estimates.blends[-1].share,
        remainder=cache(lambda: _remainder(statistics, estimates, outcome)),
        displacement=cache(lambda: _displacement(statistics, estimates, start)),
        own=case.relations.own,
        of_somebody=case.relations.of_somebody,
        finer=_finer(alignment, columns),
        both_ways=case.relations.both_ways,
        angle=cache(angles.cosine),
        excess=cache(angles.excess),
        changes=changes_from(view, statistics, outcome),
        changes_of_blend=changes_of_blend(view),
        structure=structure_of(view, statistics.slices.estimates.parents.weights),
        invariants=invariants_of(view),
        blends_of_layers=cache(
            lambda name, layers: layer_blends(
                inputs.child, inputs.others[others.index(name)], layers, case.options
            )
        ),
        shared=shared_slices(statistics, alignment, columns, case.options),
        descendants=case.relations.descendants,
        remarks=case.relations.remarks,
        unordered=tuple(case.unordered),
        added=case.added,
        beyond=_beyond(case, statistics),
        wholes=wholes,
        quantised=case.rest.blends,
        recoded={case.offered.others[at].name: found for at, found in case.rest.recoded.items()},
        sample=sample,
        **measured,
    )


def measured_facts(
    statistics: Statistics, slices: Sequence[Slice], columns: Columns
) -> dict[str, Any]:
    """Return the facts that follow from sums over slices alone, by name.

    Whoever has the sums makes them again, and needs no checkpoint for it.
    """
    parents, others = columns.parents, columns.names
    table, fitted = statistics.model, statistics.model.estimates
    elements, floor = int(table.n[0]), float(table.energy[0])
    gram, energy = fitted.gram[0], float(fitted.gram[0, -1, -1])
    distances = _distances(gram)
    start = columns[origin(columns.base, parents, dict(zip(others, distances, strict=True)))]

    def floors(energy: float) -> float:
        return math.sqrt(max(energy, 0.0) / floor) if floor > 0 else 0.0

    return {
        "base": columns.base,
        "elements": elements,
        "finite": 1.0 - int(table.excluded[0]) / max(elements, 1),
        "equal": {name: int(table.equal[0, i]) for i, name in enumerate(others)},
        "weights": _of_parents(fitted.parents.weights, columns),
        "condition": float(fitted.condition[0]),
        "r2": float(fitted.parents.r2[0]) if parents else math.nan,
        "r2_slices": 1.0 - float(table.residual[0]) / energy if energy > 0 else math.nan,
        "residual_floors": floors(float(fitted.parents.residual[0])),
        "residual_floors_slices": floors(float(table.residual[0])),
        "distance_floors": {name: floors(distances[i]) for i, name in enumerate(others)},
        "origin": others[start],
        "origin_r2": _origin_r2(gram, start, len(parents)),
        "strange_share": _strange_elements(statistics, slices, start) / elements,
        "slices": len(slices),
        "unmoved": elements - int(table.moved[0]),
        "stray": int(table.stray[0]),
        "left_over": _left_over(statistics),
        "blends": likely_blends(statistics, len(parents), len(others)),
        "names": tuple(each.name for each in slices),
    }


def _of_parents(values: Floats, columns: Columns) -> dict[str, float]:
    return {name: float(values[0, i]) for i, name in enumerate(columns.parents)}


def _finer(alignment: Alignment, columns: Columns) -> tuple[str, ...]:
    """Return the checkpoints that store some slice in finer numbers than the child does."""
    *others, mine = alignment.dtypes
    digits = {name: each.digits or 0 for name, each in DTYPES.items()}
    replayed = alignment.applies.tolist()
    return tuple(
        name
        for name, theirs in zip(columns.names, others, strict=True)
        if any(
            is_replayed and digits.get(a, 0) > digits.get(b, 0)
            for a, b, is_replayed in zip(theirs, mine, replayed, strict=True)
        )
    )


def _beyond(case: TraceInputs, statistics: Statistics) -> dict[str, int]:
    """Return, for every adapter, the elements that differ in slices that it does not reach."""
    out = {}
    for column, name in enumerate(case.inputs.columns.names):
        if name in case.added:
            names = [each.name for each in case.inputs.child.tensors.values()]
            reached = case.added[name].tensors
            beyond = [
                names[each.extents[-1].tensor] not in reached for each in case.alignment.slices
            ]
            differ = statistics.slices.n - statistics.slices.equal[:, column]
            out[name] = int(differ[np.array(beyond, bool)].sum())
    return out


def _same_dtype(alignment: Alignment) -> NDArray[np.bool_]:
    """Return (S, checkpoints) whether a slice is stored in the child's dtype by each checkpoint."""
    *others, child = (np.array(dtypes) for dtypes in alignment.dtypes)
    return np.stack([dtypes == child for dtypes in others], axis=1)


def _likeness(
    statistics: Statistics,
    alignment: Alignment,
    columns: Columns,
    sampled: Mapping[str, float],
) -> dict[str, float]:
    """Return the cosine of each checkpoint's weights with the child's, over matrices.

    A few elements of great size turn the cosine over all elements; where that of a sample with far
    values limited, ``sampled``, is larger, it counts, and so does that of most matrices.
    """
    rows = is_matrix(alignment.slices)
    is_any = bool(rows.any())
    cosines = likeness(statistics.matrices[None])[0]
    single = np.nan_to_num(likeness(statistics.slices.estimates.gram[rows]))
    size = statistics.slices.n[rows].astype(np.float64)
    middle = {
        name: weighted_median(single[:, i], size) if is_any else np.nan
        for i, name in enumerate(columns.names)
    }
    # A child of zeros is like nothing; only without any matrix is there nothing to say.
    found = {
        name: 0.0 if is_any and np.isnan(cosine) else float(cosine)
        for name, cosine in zip(columns.names, cosines, strict=True)
    }
    known = {name: (found[name], sampled.get(name, np.nan), middle[name]) for name in found}
    return {
        name: max((x for x in each if x == x), key=abs, default=np.nan)
        for name, each in known.items()
    }


def _origin_r2(gram: Floats, start: int, parents: int) -> float:
    """Return the share of the difference from the origin that base and other parents explain."""
    # Controls are no candidates: they are left out of what explains the child.
    candidates = [column for column in range(1 + parents) if column != start]
    fitted = fit(_from(gram, start)[None], [1 + column for column in candidates])
    return float(fitted.r2[0]) if candidates else math.nan


def _strange_elements(statistics: Statistics, slices: Sequence[Slice], start: int) -> float:
    """Return how many elements lie in matrices that are no relatives of the origin's."""
    alike = likeness(statistics.slices.estimates.gram)
    is_strange = is_matrix(slices) & (alike[:, start] < Thresholds().related)
    return float(statistics.slices.n[is_strange].sum())


def beside_replays(statistics: Statistics) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (S,) elements that no recipe gives, and those of them that are nobody's.

    The latter are those beyond the most that one checkpoint has of a slice.
    """
    slices = statistics.slices
    beside = np.where(statistics.replayed.applies, 0, slices.n).astype(np.int64)
    most = slices.equal.max(axis=1, initial=0).astype(np.int64)
    return beside, np.where(beside > 0, beside - most, 0)


def _replay(
    outcome: Outcome, alignment: Alignment, total: int, statistics: Statistics
) -> ReplayFacts:
    """Gather what the rules look at of the best recipe."""
    recipe, best = outcome.recipe, outcome.position
    replayed, slices = statistics.replayed, statistics.slices
    mismatched = replayed.mismatched[:, best].astype(np.float64)
    given = (replayed.reproduced + replayed.explained)[:, best].astype(np.float64)
    is_whole = replayed.applies & (mismatched == 0) & (given > 0)
    # What is a copy of a checkpoint, a decoy gives as well.
    is_whole &= ~(slices.equal == slices.n[:, None]).any(axis=1)
    rest = replayed.applies & (mismatched > 0)
    energy = float(slices.energy[rest].sum())
    others = float((mismatched + given)[rest].sum())
    beside, odd = beside_replays(statistics)
    # Elements that those which were replayed stand for: themselves, but of a sample.
    sizes = np.array([each.elements for each in alignment.slices], dtype=np.float64)
    held = (mismatched + given) * (sizes / np.maximum(slices.n, 1))
    return ReplayFacts(
        kind=METHODS[recipe.method].verdict(recipe),
        text=recipe.describe(),
        equivalents=recipe.equivalents,
        elements=outcome.elements,
        coverage=float(held.sum()) / total if total else 0.0,
        mismatched=outcome.mismatched,
        explained=outcome.explained,
        decoy_share=outcome.decoy_share,
        weights=recipe.effective_weights or {},
        whole_share=float(given[is_whole].sum()) / outcome.elements if outcome.elements else 0.0,
        changed_share=float(mismatched[rest].sum()) / others if others else 0.0,
        is_rounded_once=recipe.arithmetic.startswith("float32"),
        changed_floors=math.sqrt(float(slices.residual[rest].sum()) / energy)
        if energy > 0
        else 0.0,
        ulps=outcome.ulps,
        whole_slices=int((replayed.applies & (mismatched == 0) & (given > 0)).sum()),
        replayed_slices=int((replayed.applies & (mismatched + given > 0)).sum()),
        changed_slices=tuple(
            alignment.slices[i].name for i in np.argsort(-mismatched, kind="stable") if rest[i]
        ),
        unreplayed=int(beside.sum()),
        strange=int(odd.sum()),
        strange_slices=tuple(
            alignment.slices[i].name for i in np.argsort(-odd, kind="stable") if odd[i]
        ),
    )


def _angles(statistics: Statistics, alignment: Alignment, columns: Columns, child: str) -> Angles:
    """Return the angles between the checkpoints and the child."""
    chosen = is_matrix(alignment.slices)
    return Angles(
        columns.names,
        child,
        statistics.slices.estimates.gram[chosen][:, 1:, 1:],
        statistics.slices.used[chosen],
    )


def shared_slices(
    statistics: Statistics, alignment: Alignment, columns: Columns, options: Options
) -> dict[str, SharedSlices]:
    """Return what the child shares with each checkpoint by whole slices, bit for bit.

    Matrices that are computed, not learned, are nobody's alone. They are looked for where there are
    few that could be: what is shared of a model beside them is more.
    """
    sizes = statistics.slices.n.astype(np.int64)
    equal = (statistics.slices.equal == statistics.slices.n[:, None]) & _same_dtype(alignment)
    # Of a slice of which nothing was read, nothing is known.
    equal &= (sizes > 0)[:, None]
    # Vectors of relatives move alike: norms, variances, counters.
    is_alone = equal & ((equal.sum(axis=1) == 1) & is_matrix(alignment.slices))[:, None]
    rows = np.flatnonzero(is_alone.any(axis=1))
    if len(rows) <= FEW_ALONE:
        for row in rows.tolist():
            is_alone[row] &= not is_computed(alignment, row, options)
    strange = is_matrix(alignment.slices)[:, None] & (
        likeness(statistics.slices.estimates.gram) < Thresholds().related
    )
    order = np.argsort(-sizes, kind="stable")
    names = [each.name for each in alignment.slices]
    return {
        name: SharedSlices(
            int(equal[:, i].sum()),
            int(sizes[equal[:, i]].sum()),
            int(is_alone[:, i].sum()),
            int(sizes[is_alone[:, i]].sum()),
            tuple(names[row] for row in order if not equal[row, i]),
            tuple(names[row] for row in order if not equal[row, i] and strange[row, i]),
        )
        for i, name in enumerate(columns.names)
    }


MOST_ROUNDED = 1.25
"""Most of what a blend leaves of a rounded slice, in floors: 0.85 to 1.25 were measured."""


def _remainder(
    statistics: Statistics, estimates: SampleEstimates | None, outcome: Outcome | None
) -> Residual | None:
    """Return the layers and the rank of what the best blend leaves over."""
    if estimates is None or not estimates.columns.parents:
        return None
    # What rounding leaves is everywhere, and says nothing of where something is on top.
    table = statistics.slices
    beyond = np.maximum(table.residual - table.energy, 0.0)
    beyond = np.where(table.residual > MOST_ROUNDED**2 * table.energy, beyond, 0.0)
    total = float(beyond.sum())
    if total <= 0:
        return None
    layers = {int(number): 0.0 for number in statistics.layer_numbers}
    for each, share in zip(estimates.slices, (beyond / total).tolist(), strict=True):
        if each.layer is not None and share > 0.0:
            layers[each.layer] += share
    weights = np.zeros((len(estimates.slices), estimates.sample.columns - 1))
    parents = estimates.columns.parent_indices
    known = None if outcome is None else outcome.recipe.effective_weights
    if known is not None:
        weights[:, 0] = sum(known.values()) - 1.0
        for i in parents:
            weights[:, i] = known.get(estimates.columns.names[i], 0.0)
    elif outcome is not None:
        weights = estimates.blends[-1].by_slice
    else:
        # Cells say little where everything was changed; least squares still does.
        weights[:, parents] = np.nan_to_num(statistics.model.estimates.parents.weights[0])
    return describe_residual(estimates, weights, table.residual, table.energy, layers)


def _displacement(
    statistics: Statistics, estimates: SampleEstimates | None, origin: int
) -> Residual | None:
    """Return the layers and the rank of what the child differs by from one checkpoint."""
    if estimates is None:
        return None
    gram = statistics.slices.estimates.gram
    distance = gram[:, -1, -1].copy()
    weights = np.zeros((len(gram), estimates.sample.columns - 1))
    if origin > 0:
        distance += gram[:, origin, origin] - 2.0 * gram[:, origin, -1]
        weights[:, origin] = 1.0
    return describe_residual(
        estimates, weights, np.maximum(distance, 0.0), statistics.slices.energy, {}
    )


def _left_over(statistics: Statistics) -> dict[str, float]:
    """Return the share of what the fit leaves over, by component, the largest first."""
    components = statistics.components
    left = np.maximum(components.residual - components.energy, 0.0)
    total = float(left.sum())
    if total <= 0:
        return {}
    shares = zip(statistics.component_names, left / total, strict=True)
    return {name: float(x) for name, x in sorted(shares, key=lambda each: -each[1])}


def _distances(gram: Floats) -> list[float]:
    """Return the squared distance of the child from base, parents and controls."""
    columns = gram.shape[0] - 1
    distances = [float(gram[-1, -1])]
    for i in range(1, columns):
        distances.append(float(gram[-1, -1] - 2.0 * gram[i, -1] + gram[i, i]))
    # A difference of large sums: what is below their rounding is no distance.
    scale = 1e-13 * float(gram[-1, -1])
    return [distance if distance > scale else 0.0 for distance in distances]


def _from(gram: Floats, origin: int) -> Floats:
    """Return the Gram matrix with displacements taken from column ``origin``.

    Columns: the base's value, then base, parents, controls and child as displacements.
    """
    columns = gram.shape[0]
    change = np.zeros((columns + 1, columns))
    change[0, 0] = 1.0
    for i in range(columns):
        if i > 0:
            change[1 + i, i] += 1.0
        if origin > 0:
            change[1 + i, origin] -= 1.0
    return change @ gram @ change.T


def judge(
    case: TraceInputs, statistics: Statistics, sample: Sampled
) -> tuple[Verdict, Recipe | None]:
    """Return the verdict that rests on a sample, and the recipe, without tables.

    Nor is what takes more reading found: the rank of what is left over, what was changed, and which
    elements are constants. A rule that asks what was changed finds nothing, and does not decide.
    """
    outcome = best_outcome(statistics.replayed, case.hypotheses)
    facts = gather_facts(case, statistics, outcome, sample)
    nothing = cache(lambda: None)
    unseen = replace(
        facts,
        remainder=nothing,
        displacement=nothing,
        structure=nothing,
        changes=lambda *_: (),
        blends=(),
        wholes=replace(facts.wholes, constants=lambda: 0),
    )
    verdict = decide(unseen)
    return verdict, None if outcome is None else outcome.recipe
