"""Two checkpoints compared in one pass: by component and layer, with a null, and as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from parentage.align import crossed_layers, is_matrix, pair, seen_by
from parentage.checkpoint import Inputs, in_order
from parentage.library import seen_alike
from parentage.pipeline import compare_rest, undecoded, with_adapters, with_strengths
from parentage.places import compress
from parentage.relatives import Degrees, degree_of
from parentage.statistics import full_pass
from parentage.stream import SILENT
from parentage.support import PlanError, percent, printable
from parentage.verdict import TraceInputs, decide_kinship, gather_facts, is_computed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment
    from parentage.checkpoint import Checkpoint
    from parentage.sample import Sampled
    from parentage.statistics import Statistics
    from parentage.stream import Options, Progress
    from parentage.support import Floats
    from parentage.verdict import Verdict

QUANTILE = 0.95
"""Share of the cosines between layers of different places that the null is told by."""

LEAST_TELLING = 1 << 12
"""Elements of a matrix from which on its cosine alone says that it is no relative."""

MOST_CONSTANTS = 512
"""Equal slices that are looked at, for whether they are computed and not learned."""

_OF_GROUP = {
    "slices": pl.Int64,
    "elements": pl.Int64,
    "equal": pl.Float64,
    "cosine": pl.Float64,
    "distance": pl.Float64,
    "constants": pl.Int64,
    "relation": pl.String,
}
SLICES = {"slice": pl.String, "component": pl.String, "layer": pl.Int64, **_OF_GROUP}
"""Columns of the table of slices."""
LAYERS = {"layer": pl.Int64, **_OF_GROUP}
"""Columns of the table of layers."""
COMPONENTS = {"component": pl.String, **_OF_GROUP}
"""Columns of the table of components."""


@dataclass(frozen=True)
class Pair:
    """What two checkpoints are to each other."""

    first: str
    second: str
    relation: str
    """One of :data:`parentage.relatives.RELATIONS`."""
    level: str
    """``"exact"`` where bits decided, ``"statistical"`` otherwise."""
    text: str
    """The same in a sentence, with the figures that it rests on."""
    cosine: float = math.nan
    """Cosine of the weights themselves over matrices, constants left out; NaN without any."""
    equal: float = math.nan
    """Share of the elements compared that are the same, if after a cast to the first's dtype."""
    distance: float = math.nan
    """Length of the difference over the mean length of the two, over matrices."""
    null: float = math.nan
    """What 95 % of cosines between layers of different places stay below, in size; NaN where there
    are none."""
    null_pairs: int = 0
    """How many of those there are."""
    elements: int = 0
    """Elements compared."""
    coverage: tuple[float, float] = (0.0, 0.0)
    """Share of the first's and of the second's elements that were compared."""
    sample: Sampled | None = None
    """What was read, where a sketch took part."""
    components: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COMPONENTS))
    layers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LAYERS))
    slices: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SLICES))

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, tables by component and layer included."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "first": self.first,
            "second": self.second,
            "relation": self.relation,
            "level": self.level,
            "text": self.text,
            "cosine": finite(self.cosine),
            "equal": finite(self.equal),
            "distance": finite(self.distance),
            "null": {"quantile": QUANTILE, "cosine": finite(self.null), "pairs": self.null_pairs},
            "elements": self.elements,
            "coverage": list(self.coverage),
            "sample": None if self.sample is None else self.sample.as_dict(),
            "components": self.components.to_dicts(),
            "layers": self.layers.to_dicts(),
        }


def pair_of(
    first: Checkpoint,
    second: Checkpoint,
    options: Options,
    progress: Progress = SILENT,
    degrees: Degrees | None = None,
) -> Pair:
    """Return what two checkpoints are to each other.

    All of both is read once, or what sketches hold of them. Where they are stored in other dtypes,
    and the second, cast, is not the first, a second pass looks whether the first, cast, is the
    second. What pairs with nothing is a relation of its own: it was not compared.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable, or changes while it is read.
    """
    found = _one_way(first, second, options, progress, degrees)
    if found.relation in ("identical", "re-encoded", "not compared"):
        return found
    if {each.dtype for each in first.tensors.values()} == {
        each.dtype for each in second.tensors.values()
    }:
        return found
    other = _one_way(second, first, options, progress, degrees)
    if other.relation != "re-encoded":
        return found
    return replace(
        other,
        first=found.first,
        second=found.second,
        coverage=other.coverage[::-1],
    )


def _one_way(
    first: Checkpoint,
    second: Checkpoint,
    options: Options,
    progress: Progress,
    degrees: Degrees | None,
) -> Pair:
    """Return the relation, with the second's numbers cast to the first's dtypes."""
    progress.stage("pairing tensors")
    inputs = Inputs(first, second, (), ())
    try:
        inputs, sample = seen_alike(inputs, options)
        inputs, adapters = with_adapters(inputs, options)
        seen = seen_by(inputs.child, inputs.others, options)
        inputs = inputs.replaced(seen.child, seen.others)
        inputs, added = with_strengths(inputs, adapters, options)
        grouped = pair(inputs, options, seen.layers)
    except PlanError as error:
        text = printable(f"nothing says what they are to each other: {error}")
        return Pair(first.name, second.name, "not compared", "statistical", text, sample=None)
    alignment = grouped.main.alignment
    rest = compare_rest(inputs, grouped, options)
    if left := undecoded(inputs, grouped, rest):
        alignment = replace(alignment, unaligned=(*alignment.unaligned, *left))
    main = inputs.chosen(grouped.main.columns)
    case = TraceInputs(
        main,
        alignment,
        options,
        given=inputs,
        grouped=grouped,
        rest=rest,
        orders=seen.orders,
        added=added,
    )
    statistics = full_pass(alignment, main.columns, options, progress)
    progress.stage("making tables")
    facts = gather_facts(case, statistics, None, sample)
    verdict = decide_kinship(facts)
    table = _of_slices(statistics, alignment, options)
    whole = _sum(table, np.ones(len(table.names), dtype=bool))
    null, null_pairs = _null(inputs, options)
    shared, strange = _shared(table), _strange(table, degrees)
    relation = degree_of(
        verdict,
        _number(whole["cosine"]),
        shared,
        lambda: max(facts.crossed().values(), default=0.0),
        degrees,
        strange.share,
    )
    facts_of = facts.wholes.by_name[main.base.name]
    pair_ = Pair(
        main.child.name,
        main.base.name,
        relation,
        verdict.level
        if verdict is not None and relation in ("identical", "re-encoded")
        else "statistical",
        "",
        _number(whole["cosine"]),
        whole["equal"],
        _number(whole["distance"]),
        null,
        null_pairs,
        facts.elements,
        (facts.coverage, facts_of.share),
        sample,
    )
    return replace(
        pair_,
        text=_text(pair_, verdict, table, shared, strange),
        components=_components(table, degrees),
        layers=_layers(table, degrees),
        slices=_slices(table, degrees),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@dataclass(frozen=True)
class _Table:
    """What a pass gives of S slices of two checkpoints."""

    names: list[str]
    components: list[str]
    layers: list[int | None]
    elements: NDArray[np.int64]
    equal: NDArray[np.int64]
    raw: Floats
    """(S, 2, 2) inner products of the second and the first."""
    matrix: NDArray[np.bool_]
    constant: NDArray[np.bool_]


def _of_slices(statistics: Statistics, alignment: Alignment, options: Options) -> _Table:
    """Return what slices are alike in, and which of them are computed."""
    table, slices = statistics.slices, alignment.slices
    gram = table.estimates.gram
    change = np.array([[1.0, 0.0], [1.0, 1.0]])
    equal = table.equal[:, 0].astype(np.int64)
    elements = table.n.astype(np.int64)
    constant = np.zeros(len(slices), dtype=bool)
    for index in np.flatnonzero((equal == elements) & (elements > 0))[:MOST_CONSTANTS].tolist():
        constant[index] = is_computed(alignment, index, options)
    return _Table(
        [each.name for each in slices],
        [each.component for each in slices],
        [each.layer for each in slices],
        elements,
        equal,
        np.einsum("ik,skl,jl->sij", change, gram, change),
        is_matrix(slices),
        constant,
    )


def _shared(table: _Table) -> float:
    """Return the share of the elements in learned matrices that are the same, bit for bit."""
    chosen = table.matrix & ~table.constant
    total = int(table.elements[chosen].sum())
    same = chosen & (table.equal == table.elements)
    return int(table.elements[same].sum()) / total if total else 0.0


class _Strange(NamedTuple):
    """Matrices of two relatives that are no more alike than independent ones."""

    share: float
    """Their share of the elements in learned matrices."""
    names: tuple[str, ...] = ()


def _strange(table: _Table, degrees: Degrees | None) -> _Strange:
    """Return the matrices that are strangers', of those that are large enough to tell."""
    chosen = table.matrix & ~table.constant
    bb, bc, cc = table.raw[:, 0, 0], table.raw[:, 0, 1], table.raw[:, 1, 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cosines = np.abs(bc) / np.sqrt(bb * cc)
    most = (degrees or Degrees()).unrelated
    is_strange = chosen & (cosines <= most) & (table.elements >= LEAST_TELLING)
    total = int(table.elements[chosen].sum())
    names = [name for name, each in zip(table.names, is_strange.tolist(), strict=True) if each]
    share = int(table.elements[is_strange].sum()) / total if total else 0.0
    return _Strange(share, tuple(names))


def _sum(table: _Table, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the row of a group of slices, without its relation."""
    learned = chosen & ~table.constant
    elements = int(table.elements[learned].sum())
    # Weights of norms are near one in all models: they are alike, and no kinship.
    (bb, bc), (_, cc) = table.raw[learned & table.matrix].sum(axis=0).tolist()
    is_known = bb > 0 and cc > 0 and math.isfinite(bb * cc)
    square = max(bb + cc - 2.0 * bc, 0.0)
    return {
        "slices": int(chosen.sum()),
        "elements": int(table.elements[chosen].sum()),
        "equal": int(table.equal[learned].sum()) / elements if elements else math.nan,
        "cosine": min(1.0, max(-1.0, bc / math.sqrt(bb * cc))) if is_known else None,
        "distance": math.sqrt(square / ((bb + cc) / 2.0)) if is_known else None,
        "constants": int(table.elements[chosen & table.constant].sum()),
    }


def _with_relation(row: dict[str, Any], degrees: Degrees | None) -> dict[str, Any]:
    """Return a row with what the slices of a group are to each other."""
    limits, cosine = degrees or Degrees(), row["cosine"]
    equal = None if math.isnan(row["equal"]) else row["equal"]
    if equal is None:
        relation = "constants"
    elif equal == 1.0:
        relation = "equal"
    elif cosine is None:
        relation = "no matrices"
    elif cosine >= limits.close:
        relation = "close relatives"
    elif cosine >= limits.family:
        relation = "one family"
    else:
        relation = "unrelated" if abs(cosine) <= limits.unrelated else "undetermined"
    return {**row, "equal": equal, "relation": relation}


def _rows(
    table: _Table, labels: Sequence[Any], name: str, order: Sequence[Any], degrees: Degrees | None
) -> list[dict[str, Any]]:
    places = {label: np.array([each == label for each in labels], dtype=bool) for label in order}
    return [
        {name: label, **_with_relation(_sum(table, chosen), degrees)}
        for label, chosen in places.items()
    ]


def _components(table: _Table, degrees: Degrees | None) -> pl.DataFrame:
    order = in_order(table.components)
    rows = _rows(table, table.components, "component", order, degrees)
    return pl.DataFrame(rows, schema=COMPONENTS)


def _layers(table: _Table, degrees: Degrees | None) -> pl.DataFrame:
    order = sorted({layer for layer in table.layers if layer is not None})
    rows = _rows(table, table.layers, "layer", order, degrees)
    return pl.DataFrame(rows, schema=LAYERS)


def _slices(table: _Table, degrees: Degrees | None) -> pl.DataFrame:
    rows = []
    for index, name in enumerate(table.names):
        chosen = np.zeros(len(table.names), dtype=bool)
        chosen[index] = True
        rows.append(
            {
                "slice": name,
                "component": table.components[index],
                "layer": table.layers[index],
                **_with_relation(_sum(table, chosen), degrees),
            }
        )
    return pl.DataFrame(rows, schema=SLICES)


def _null(inputs: Inputs, options: Options) -> tuple[float, int]:
    """Return what cosines of layers of different places stay below, and how many there are.

    Such layers were trained from independent beginnings, so that they show what no kinship looks
    like in matrices of these shapes and spectra. Those that are kin, since layers were repeated or
    moved, are left out.
    """
    found = crossed_layers(inputs.child, inputs.base, options)
    if found is None:
        return math.nan, 0
    mine, yours, cosines = found
    off = np.array([[a != b for b in yours] for a in mine], dtype=bool)
    values = np.abs(cosines[off & np.isfinite(cosines)])
    values = values[values < Degrees().family]
    if not len(values):
        return math.nan, 0
    return float(np.quantile(values, QUANTILE)), len(values)


def _text(
    found: Pair, verdict: Verdict | None, table: _Table, shared: float, strange: _Strange
) -> str:
    """Return a sentence on two checkpoints: what was compared, and what came out."""
    a, b = found.first, found.second
    constants = int(table.elements[table.constant].sum())
    parts = []
    if found.relation == "identical":
        parts.append(f"all that was compared of {a} and {b} is the same, bit for bit")
    elif found.relation == "re-encoded":
        parts.append(
            f"the numbers of one of {a} and {b}, rounded as the other stores them, are the other's"
        )
    elif verdict is not None and verdict.rule == "disguised":
        parts.append(f"element by element {a} and {b} are like strangers, and in another basis kin")
    elif found.relation == "unrelated":
        parts.append(f"the matrices of {a} and {b} are no more alike than independent ones")
    elif found.relation == "undetermined":
        parts.append(f"what was compared does not decide what {a} and {b} are to each other")
    elif strange.share:
        parts.append(f"some matrices of {a} and {b} are those of relatives, and others are not")
    else:
        parts.append(f"the matrices of {a} and {b} are those of relatives")
    if found.cosine == found.cosine:
        null = (
            f"; {QUANTILE:.0%} of {found.null_pairs:,} cosines between layers of different places "
            f"are below {found.null:.4f} in size"
            if found.null_pairs
            else ""
        )
        parts.append(f": the cosine of their weights is {found.cosine:.4f}{null}.")
    else:
        parts.append(".")
    if found.equal == found.equal and found.relation not in ("identical", "re-encoded"):
        parts.append(f" {found.equal:.2%} of the elements are equal")
        parts.append(f", {shared:.1%} in whole matrices." if shared else ".")
    is_disguised = verdict is not None and verdict.rule == "disguised"
    if strange.share and not is_disguised and found.relation in ("close relatives", "one family"):
        parts.append(
            f" {percent(strange.share)} of the elements in matrices are no more alike than "
            f"independent ones are: {compress(strange.names, table.names)}."
        )
    if constants:
        parts.append(
            f" {constants:,} elements are computed, not learned, the same in any such model: they "
            "count for nothing."
        )
    mine, theirs = found.coverage
    if min(mine, theirs) < 1.0:
        parts.append(f" {mine:.1%} of {a} and {theirs:.1%} of {b} were compared.")
    if found.sample is not None:
        parts.append(f" {found.sample}")
    if found.relation in ("close relatives", "one family", "re-encoded", "identical"):
        parts.append(" Which of the two came first was not tested.")
    return printable("".join(parts))
