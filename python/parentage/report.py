"""What a trace found, as tables, as one JSON document and as text."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from parentage import _core
from parentage.align import LEAST_SHARE
from parentage.checkpoint import Checkpoint, is_of_the_body, natural_key, printable
from parentage.errors import RecipeError, WriteError
from parentage.methods import METHODS
from parentage.remainder import Remainder, remainder
from parentage.sample import crossed_likeness
from parentage.statistics import SINGULAR, benjamini_hochberg, fit, holm, likeness
from parentage.stream import is_matrix
from parentage.verdict import Evidence, Replay, Thresholds, Verdict, decide, origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.hypothesise import Hypothesis
    from parentage.recipe import Recipe
    from parentage.sampling import Sampled
    from parentage.stream import Options, Replayed, Statistics, Table

SCHEMA = "parentage.evidence/1"
"""Version of the JSON document. Keys keep their meaning from version to version."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The checkpoints of a trace, by role, under distinct names."""

    child: Checkpoint
    base: Checkpoint
    parents: tuple[Checkpoint, ...]
    controls: tuple[Checkpoint, ...]

    @property
    def others(self) -> tuple[Checkpoint, ...]:
        """Base, parents and controls, in column order."""
        return (self.base, *self.parents, *self.controls)


WRITING = ".writing-"
"""How folders are called that hold files until they are whole."""


@dataclass(frozen=True)
class Outcome:
    """What a recipe reproduces of everything that was compared."""

    recipe: Recipe
    elements: int
    """Elements that were replayed."""
    reproduced: int
    explained: int
    mismatched: int
    zero_signs: int
    ulps: tuple[int, ...]
    """Mismatched elements that are 1, 2, 3 to 4, 5 to 8, ... units in the last place off."""
    decoy_share: float
    """What the recipe reaches on the sample with a decoy for a parent."""

    @property
    def exact_share(self) -> float:
        """Share of elements whose bytes the recipe reproduces."""
        return self.reproduced / self.elements if self.elements else 0.0

    @property
    def share(self) -> float:
        """Share of elements that it reproduces or explains."""
        return (self.reproduced + self.explained) / self.elements if self.elements else 0.0


@dataclass(frozen=True)
class Trace:
    """The verdict on a child, and the tables it rests on."""

    verdict: Verdict
    inputs: Inputs
    slices: pl.DataFrame
    """One row per slice."""
    layers: pl.DataFrame
    """One row per layer."""
    components: pl.DataFrame
    """One row per component."""
    model: pl.DataFrame
    """One row: everything that was compared."""
    unaligned: pl.DataFrame
    """One row per tensor that took no part: checkpoint, tensor, reason, elements."""
    elements_total: int
    """Elements of the child, compared or not."""
    outcome: Outcome | None = None
    """The best recipe that was found, and what it reproduces; ``None`` without one."""
    sample: Sampled | None = None
    """What was read, if that was a sample; ``None`` if it was everything."""

    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """SHA-256 of every file by the checkpoint's name; empty if they were not asked for."""

    @property
    def recipe(self) -> Recipe | None:
        """How the child was made, if that was found."""
        return None if self.outcome is None else self.outcome.recipe

    @property
    def elements(self) -> int:
        """Elements of the child that were compared: of a sample, those that were read."""
        return int(self.model["n"][0])

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Everything a stranger needs to check the verdict, as one JSON-ready document.

        The same bytes in give the same document; no timing, path or date is in it.
        """
        names = [each.name for each in self.inputs.parents]
        model = _summary(self.model.row(0, named=True), names, self.inputs)
        return {
            "schema": SCHEMA,
            "tool": {
                "name": "parentage",
                "version": _core.__version__,
                "core": _core.__version__,
                "arithmetic": _core.DEFINITION,
            },
            "inputs": {
                "child": self._describe(self.inputs.child),
                "base": self._describe(self.inputs.base),
                "parents": [self._describe(each) for each in self.inputs.parents],
                "controls": [self._describe(each) for each in self.inputs.controls],
            },
            "parameters": {
                "blocks": _core.BLOCKS,
                "least_share_paired": LEAST_SHARE,
                "singular": SINGULAR,
                "sample": None if self.sample is None else self.sample.as_dict(),
                "thresholds": {name: getattr(Thresholds(), name) for name in Thresholds.__slots__},
            },
            "coverage": {
                "slices": self.slices.height,
                "elements": self.elements_total,
                "elements_read": self.elements,
                "unaligned": self.unaligned.select("checkpoint", "tensor", "reason").to_dicts(),
            },
            "model": model,
            "components": {
                row["component"]: _summary(row, names, self.inputs)
                for row in self.components.iter_rows(named=True)
            },
            "recipe": None if self.outcome is None else _recipe(self.outcome),
            "verdict": {
                "kind": self.verdict.kind,
                "level": self.verdict.level,
                "rule": self.verdict.rule,
                "text": self.verdict.text,
                "numbers": {name: _plain(x) for name, x in self.verdict.numbers.items()},
            },
        }

    def _describe(self, checkpoint: Checkpoint) -> dict[str, Any]:
        digests = self.digests.get(checkpoint.name, (None,) * len(checkpoint.shards))
        return {
            "name": checkpoint.name,
            "revision": None,
            "files": [
                {"name": shard.name, "bytes": shard.bytes, "sha256": digest}
                for shard, digest in zip(checkpoint.shards, digests, strict=True)
            ],
            "tensors": len(checkpoint.tensors),
            "elements": checkpoint.elements,
        }

    def to_json(self) -> str:
        """Return :attr:`evidence` as JSON text."""
        return json.dumps(self.evidence, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``evidence.json`` and ``slices.parquet`` into ``folder``, made if need be.

        Each file appears whole or not at all.

        Raises
        ------
        WriteError
            If the system refuses to write.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=WRITING) as scratch:
                self.slices.write_parquet(Path(scratch, "slices.parquet"), statistics=False)
                Path(scratch, "evidence.json").write_text(self.to_json(), encoding="utf-8")
                for name in ("slices.parquet", "evidence.json"):
                    _sync(Path(scratch, name))
                    Path(scratch, name).replace(folder / name)
        except OSError as error:
            raise WriteError(f"{folder}: write evidence: {error.strerror or error}") from error
        except pl.exceptions.PolarsError as error:
            raise WriteError(f"{folder}: write slices.parquet: {error}") from error
        return folder

    def __repr__(self) -> str:
        weights = ", ".join(
            f"{printable(each.name)}={self.model[f'ols_{each.name}'][0]:.4f}"
            for each in self.inputs.parents
            if self.model[f"ols_{each.name}"][0] is not None
        )
        return (
            f"<Trace of {printable(self.inputs.child.name)}: "
            f"{self.verdict.kind} ({self.verdict.level})"
            + (f", {weights}" if weights else "")
            + f", {self.slices.height} slices, {self.elements:,} elements"
            + (" of a sample>" if self.sample is not None else ">")
        )

    def _repr_html_(self) -> str:
        columns = [name for name in self.components.columns if name in _NOTEBOOK_COLUMNS]
        columns += [f"ols_{each.name}" for each in self.inputs.parents]
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_short(x))}</td>" for x in row) + "</tr>"
            for row in self.components.select(columns).iter_rows()
        )
        return (
            f"<p><b>{escape(self.verdict.kind)}</b> ({escape(self.verdict.level)}): "
            f"{escape(self.verdict.text)}</p><table><tr>{head}</tr>{rows}</table>"
        )


def _sync(path: Path) -> None:
    """Make a file outlive a power failure before its name promises that it is whole."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


_NOTEBOOK_COLUMNS = ("component", "n", "r2", "cosine")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def report(
    inputs: Inputs,
    alignment: Alignment,
    statistics: Statistics,
    options: Options,
    findings: Findings | None = None,
    hypotheses: Sequence[Hypothesis] = (),
    sample: Sampled | None = None,
) -> Trace:
    """Make tables of statistics, and a verdict of the tables.

    ``hypotheses`` are those that were replayed, in the order of ``statistics.replayed``; ``sample``
    is what the statistics are estimated from, if not everything was read.
    """
    slices = alignment.slices
    outcome, best = _outcome(statistics.replayed, hypotheses)
    labels = {
        "slices": np.arange(len(slices)),
        "layers": np.array([_layer_row(each, statistics.layer_numbers) for each in slices]),
        "components": np.array(
            [statistics.component_names.index(each.component) for each in slices]
        ),
        "model": np.zeros(len(slices), dtype=np.intp),
    }

    def columns(name: str, table: Table) -> dict[str, pl.Series]:
        found = _columns(table, inputs)
        rows = len(table.n)
        found |= _cells(inputs, findings, labels[name], rows)
        if outcome is not None:
            found |= _shares(statistics.replayed, best, labels[name], rows)
        return found

    names = {
        "slice": pl.Series([each.name for each in slices], dtype=pl.String),
        "component": pl.Series([each.component for each in slices], dtype=pl.String),
        "layer": pl.Series([each.layer for each in slices], dtype=pl.Int64),
        "expert": pl.Series([each.expert for each in slices], dtype=pl.Int64),
        "shape": _shapes(slices),
        "dtype": pl.Series([each.dtype for each in slices], dtype=pl.String),
    }
    order = sorted(range(len(slices)), key=lambda row: natural_key(slices[row].name))
    # One column after the other: what is in order takes the place of what is not.
    table = names | columns("slices", statistics.slices)
    for name in table:
        table[name] = table[name].gather(order)
    model = columns("model", statistics.model)
    total = inputs.child.elements
    unaligned = pl.DataFrame(
        [
            (each.checkpoint, each.tensor, each.reason, each.elements)
            for each in alignment.unaligned
        ],
        schema={
            "checkpoint": pl.String,
            "tensor": pl.String,
            "reason": pl.String,
            "elements": pl.Int64,
        },
        orient="row",
    )
    return Trace(
        verdict=decide(
            _evidence(
                inputs, alignment, statistics, options, model, outcome, best, findings, sample
            )
        ),
        inputs=inputs,
        slices=pl.DataFrame(table),
        layers=pl.DataFrame(
            {
                "layer": pl.Series(statistics.layer_numbers, dtype=pl.Int64),
                **columns("layers", statistics.layers),
            }
        ),
        components=pl.DataFrame(
            {
                "component": pl.Series(statistics.component_names, dtype=pl.String),
                **columns("components", statistics.components),
            }
        ),
        model=pl.DataFrame(model),
        unaligned=unaligned,
        elements_total=total,
        outcome=outcome,
        sample=sample,
    )


def _shapes(slices: Sequence[Slice]) -> pl.Series:
    """Return the shapes of slices; there are few, and lists are slow to make one by one."""
    rows: dict[tuple[int, ...], int] = {}
    found = [rows.setdefault(each.shape, len(rows)) for each in slices]
    return pl.Series([list(shape) for shape in rows], dtype=pl.List(pl.Int64)).gather(found)


def judge(
    inputs: Inputs,
    alignment: Alignment,
    statistics: Statistics,
    options: Options,
    findings: Findings | None,
    hypotheses: Sequence[Hypothesis],
    sample: Sampled,
) -> tuple[Verdict, Recipe | None]:
    """Return the verdict of :func:`report`, and the recipe, without tables.

    Nor is the rank of what is left over found, which takes whole matrices and decides nothing.
    """
    outcome, best = _outcome(statistics.replayed, hypotheses)
    evidence = _evidence(
        inputs,
        alignment,
        statistics,
        options,
        _columns(statistics.model, inputs),
        outcome,
        best,
        findings,
        sample,
    )
    nothing = cache(lambda: None)
    verdict = decide(replace(evidence, remainder=nothing, displacement=nothing))
    return verdict, None if outcome is None else outcome.recipe


def _layer_row(each: Slice, numbers: tuple[int, ...]) -> int:
    """Return the row of a slice's layer; one past the last for slices in none."""
    if each.layer is None or not is_of_the_body(each.component):
        return len(numbers)
    return numbers.index(each.layer)


def _outcome(replayed: Replayed, hypotheses: Sequence[Hypothesis]) -> tuple[Outcome | None, int]:
    """Return what the best hypothesis reproduces, and its position."""
    if not hypotheses:
        return None, -1
    mismatched = replayed.mismatched.sum(axis=0)
    explained = replayed.explained.sum(axis=0)
    best = min(range(len(hypotheses)), key=lambda i: (int(mismatched[i]), int(explained[i])))
    reproduced = int(replayed.reproduced[:, best].sum())
    return Outcome(
        recipe=hypotheses[best].recipe,
        elements=reproduced + int(explained[best]) + int(mismatched[best]),
        reproduced=reproduced,
        explained=int(explained[best]),
        mismatched=int(mismatched[best]),
        zero_signs=int(replayed.zero_signs[:, best].sum()),
        ulps=tuple(int(x) for x in replayed.ulps[:, best].sum(axis=0)),
        decoy_share=hypotheses[best].decoy_share,
    ), best


def _cells(
    inputs: Inputs, findings: Findings | None, labels: NDArray[np.intp], rows: int
) -> dict[str, pl.Series]:
    """Return the columns ``cells_<parent>``, with the half width of its plateau and its share."""
    out = {}
    parents = [each.name for each in inputs.parents]
    found = findings.cells(labels) if findings is not None and parents else None
    for number, prefix in enumerate(("cells", "cells_half_width", "cells_share")):
        values = np.full((rows + 1, len(parents)), np.nan)
        if found is not None:
            values[: len(found[number])] = found[number]
        for i, name in enumerate(parents):
            column = f"{prefix}_{name}"
            out[column] = pl.Series(column, values[:rows, i].copy()).fill_nan(None)
    return out


def _shares(
    replayed: Replayed, best: int, labels: NDArray[np.intp], rows: int
) -> dict[str, pl.Series]:
    """Return the columns that tell what the recipe reproduces, where it was replayed."""
    sums = [
        np.bincount(labels, counts[:, best].astype(np.float64), rows + 1)[:rows]
        for counts in (replayed.reproduced, replayed.explained, replayed.mismatched)
    ]
    total = sums[0] + sums[1] + sums[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [sums[0] / total, sums[1] / total]
    return {
        "exact_share": pl.Series("exact_share", shares[0]).fill_nan(None),
        "explained_share": pl.Series("explained_share", shares[1]).fill_nan(None),
        "mismatched": pl.Series("mismatched", sums[2].astype(np.int64)),
    }


def _recipe(outcome: Outcome) -> dict[str, Any]:
    """Return the recipe with what it reproduces, as it stands in evidence."""
    recipe = outcome.recipe
    try:
        mergekit = recipe.to_mergekit()
    except RecipeError:
        mergekit = None
    told = recipe.as_dict()
    effective = recipe.effective_weights
    if effective is not None:
        told["parents"] = [
            {**each, "effective_weight": effective[each["name"]]} for each in told["parents"]
        ]
    return {
        **told,
        "elements": outcome.elements,
        "mismatches": outcome.mismatched,
        "explained": outcome.explained,
        "unexplained": outcome.mismatched,
        "zero_signs": outcome.zero_signs,
        "mismatch_ulps": list(outcome.ulps),
        "exact_share": outcome.exact_share,
        "explained_share": outcome.explained / outcome.elements if outcome.elements else 0.0,
        "decoy_share": _plain(outcome.decoy_share),
        "mergekit": mergekit,
    }


def _columns(table: Table, inputs: Inputs) -> dict[str, pl.Series]:
    """Return the columns that slices, layers, components and the model have in common."""
    estimates = table.estimates
    parents = [each.name for each in inputs.parents]
    controls = [each.name for each in inputs.controls]
    n = table.n.astype(np.float64)
    used = np.maximum(table.used, 1.0)
    out: dict[str, pl.Series] = {}

    def put(name: str, values: Any) -> None:
        series = pl.Series(name, np.ascontiguousarray(values))
        out[name] = series.fill_nan(None) if series.dtype == pl.Float64 else series

    put("n", table.n)
    put("n_moved", table.moved)
    put("n_stray", table.stray)
    for i, each in enumerate(inputs.others):
        put(f"bit_equal_{each.name}", table.equal[:, i])
    adjusted = holm(estimates.log10_p[:, : len(parents)])
    for i, name in enumerate(parents):
        put(f"ols_{name}", estimates.parents.weights[:, i])
        put(f"se_{name}", estimates.standard_error[:, i])
        put(f"nnls_{name}", estimates.nonnegative[:, i])
        put(f"free_{name}", estimates.free.weights[:, 1 + i])
        put(f"cosine_{name}", estimates.cosines[:, 1 + i])
        put(f"log10_p_{name}", adjusted[:, i])
        put(f"displacement_ulps_{name}", estimates.ulps[:, i])
        put(f"rounding_bias_{name}", estimates.bias[:, i])
    if parents:
        # The base's own weight where weights need not sum to one.
        put(
            f"free_{inputs.base.name}",
            1.0 + estimates.free.weights[:, 0] - np.nansum(estimates.free.weights[:, 1:], axis=1),
        )
    for i, name in enumerate(controls):
        put(f"control_{name}", estimates.controls[:, i])
        put(f"cosine_{name}", estimates.cosines[:, 1 + len(parents) + i])
        put(f"log10_p_{name}", estimates.log10_p[:, len(parents) + i])
    r2 = estimates.parents.r2 if parents else np.full(len(n), np.nan)
    cosine = np.sqrt(np.clip(r2, 0.0, 1.0))
    put("r2", r2)
    put("cosine", cosine)
    put("residual_rms", np.sqrt(estimates.parents.residual / used))
    put("residual_rms_free", np.sqrt(table.residual / used))
    put("rounding_rms", np.sqrt(table.energy / used))
    put("z_naive", cosine * np.sqrt(n))
    least = adjusted.min(axis=1) if parents else np.zeros(len(n))
    put("log10_p", least)
    put("log10_q", benjamini_hochberg(least))
    put("condition", estimates.condition)
    # Null: no recipe was replayed.
    for column in ("exact_share", "explained_share"):
        put(column, np.full(len(n), np.nan))
    out["mismatched"] = pl.Series("mismatched", [None] * len(n), dtype=pl.Int64)
    put("nan", table.nan.sum(axis=1))
    put("inf", table.inf.sum(axis=1))
    put("excluded", table.excluded)
    return out


def _evidence(
    inputs: Inputs,
    alignment: Alignment,
    statistics: Statistics,
    options: Options,
    model: dict[str, pl.Series],
    outcome: Outcome | None,
    best: int,
    findings: Findings | None,
    sample: Sampled | None,
) -> Evidence:
    """Gather what the rules look at."""
    total = inputs.child.elements
    compared = sum(each.elements for each in alignment.slices)
    table = statistics.model
    gram = table.estimates.gram[0]
    parents = [each.name for each in inputs.parents]
    others = [each.name for each in inputs.others]
    elements = int(table.n[0])
    floor = float(table.energy[0])

    def value(name: str) -> float:
        found = model[name][0]
        return math.nan if found is None else float(found)

    def floors(energy: float) -> float:
        return math.sqrt(max(energy, 0.0) / floor) if floor > 0 else 0.0

    distances = _distances(gram)
    start = others.index(
        origin(inputs.base.name, parents, dict(zip(others, distances, strict=True)))
    )
    energy = float(gram[-1, -1])
    r2_slices = 1.0 - float(table.residual[0]) / energy if energy > 0 else math.nan
    # Controls are no candidates: they are left out of what explains the child.
    candidates = [i for i in range(1 + len(parents)) if i != start]
    origin_fit = fit(_from(gram, start)[None], [1 + i for i in candidates])
    alike = likeness(statistics.slices.estimates.gram)
    matrices = is_matrix(alignment.slices)
    is_strange = matrices & (alike[:, start] < Thresholds().related)
    dtypes = [[tensor.dtype for tensor in each.tensors.values()] for each in inputs.others]
    same_dtype = [
        [dtype[extent.tensor] == each.dtype for dtype, extent in zip(dtypes, each.extents)]  # noqa: B905
        for each in alignment.slices
    ]
    return Evidence(
        child=inputs.child.name,
        base=inputs.base.name,
        elements=elements,
        coverage=compared / total if total else 0.0,
        finite=1.0 - int(table.excluded[0]) / max(elements, 1),
        equal={name: int(table.equal[0, i]) for i, name in enumerate(others)},
        same_dtype={name: all(row[i] for row in same_dtype) for i, name in enumerate(others)},
        weights={name: value(f"ols_{name}") for name in parents},
        log10_p={name: value(f"log10_p_{name}") for name in parents},
        condition=value("condition"),
        r2=value("r2"),
        r2_slices=r2_slices,
        residual_floors=floors(float(table.estimates.parents.residual[0])),
        residual_floors_slices=floors(float(table.residual[0])),
        distance_floors={name: floors(distances[i]) for i, name in enumerate(others)},
        likeness={
            # A child of zeros is like nothing; only without any matrix is there nothing to say.
            name: 0.0 if matrices.any() and np.isnan(x) else float(x)
            for name, x in zip(others, likeness(statistics.matrices[None])[0], strict=True)
        },
        crossed=lambda: {
            each.name: crossed_likeness(inputs.child, each, options) for each in inputs.others
        },
        origin=others[start],
        origin_r2=float(origin_fit.r2[0]) if candidates else math.nan,
        strange_share=float(statistics.slices.n[is_strange].sum()) / elements,
        slices=len(alignment.slices),
        copied=_copied(statistics, same_dtype, others),
        unmoved=elements - int(table.moved[0]),
        stray=int(table.stray[0]),
        bias={name: value(f"rounding_bias_{name}") for name in parents},
        replay=None if outcome is None else _replay(outcome, alignment, total, statistics, best),
        cells_share=None if findings is None or not parents else findings.blends[-1].share,
        left_over=_left_over(statistics),
        remainder=cache(lambda: _remainder(statistics, findings, outcome)),
        displacement=cache(lambda: _displacement(statistics, findings, start)),
        sample=sample,
    )


def _replay(
    outcome: Outcome, alignment: Alignment, total: int, statistics: Statistics, best: int
) -> Replay:
    recipe = outcome.recipe
    replayed, slices = statistics.replayed, statistics.slices
    mismatched = replayed.mismatched[:, best].astype(np.float64)
    given = (replayed.reproduced + replayed.explained)[:, best].astype(np.float64)
    is_whole = replayed.applies & (mismatched == 0) & (given > 0)
    # What is a copy of a checkpoint, a decoy gives as well.
    is_whole &= ~(slices.equal == slices.n[:, None]).any(axis=1)
    rest = replayed.applies & (mismatched > 0)
    energy = float(slices.energy[rest].sum())
    others = float((mismatched + given)[rest].sum())
    # Elements that those which were replayed stand for: themselves, but of a sample.
    sizes = np.array([each.elements for each in alignment.slices], dtype=np.float64)
    held = (mismatched + given) * (sizes / np.maximum(slices.n, 1))
    return Replay(
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
    )


def _remainder(
    statistics: Statistics, findings: Findings | None, outcome: Outcome | None
) -> Remainder | None:
    """Return the layers and the rank of what the best blend leaves over."""
    if findings is None or not findings.parents:
        return None
    table, left = statistics.slices, statistics.layers.residual
    total = float(table.residual.sum())
    if total <= 0:
        return None
    layers = dict(zip(statistics.layer_numbers, (left / total).tolist(), strict=True))
    weights = np.zeros((len(findings.slices), findings.sample.columns - 1))
    parents = range(1, 1 + len(findings.parents))
    known = None if outcome is None else outcome.recipe.effective_weights
    if known is not None:
        weights[:, 0] = sum(known.values()) - 1.0
        for i in parents:
            weights[:, i] = known.get(findings.names[i], 0.0)
    elif outcome is not None:
        weights = findings.blends[-1].by_slice
    else:
        # Cells say little where everything was changed; least squares still does.
        weights[:, parents] = np.nan_to_num(statistics.model.estimates.parents.weights[0])
    return remainder(findings, weights, table.residual, table.energy, layers)


def _displacement(
    statistics: Statistics, findings: Findings | None, origin: int
) -> Remainder | None:
    """Return the layers and the rank of what the child differs by from one checkpoint."""
    if findings is None:
        return None
    gram = statistics.slices.estimates.gram
    distance = gram[:, -1, -1].copy()
    weights = np.zeros((len(gram), findings.sample.columns - 1))
    if origin > 0:
        distance += gram[:, origin, origin] - 2.0 * gram[:, origin, -1]
        weights[:, origin] = 1.0
    return remainder(findings, weights, np.maximum(distance, 0.0), statistics.slices.energy, {})


def _left_over(statistics: Statistics) -> dict[str, float]:
    """Return the share of what the fit leaves over, by component, the largest first."""
    left = statistics.components.residual
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


def _copied(
    statistics: Statistics, same_dtype: list[list[bool]], names: list[str]
) -> dict[str, int]:
    """Return how many slices are copies of each checkpoint's, the first one's if of several."""
    equal = (statistics.slices.equal == statistics.slices.n[:, None]) & np.array(same_dtype)
    first = np.where(equal.any(axis=1), equal.argmax(axis=1), -1)
    return {name: int((first == i).sum()) for i, name in enumerate(names)}


def _summary(row: dict[str, Any], parents: list[str], inputs: Inputs) -> dict[str, Any]:
    controls = [each.name for each in inputs.controls]
    return {
        "n": row["n"],
        "n_moved": row["n_moved"],
        "n_stray": row["n_stray"],
        "bit_equal": {each.name: row[f"bit_equal_{each.name}"] for each in inputs.others},
        "weights": {
            name: {
                "ols": row[f"ols_{name}"],
                "standard_error": row[f"se_{name}"],
                "cells": row[f"cells_{name}"],
                "cells_half_width": row[f"cells_half_width_{name}"],
                "cells_share": row[f"cells_share_{name}"],
                "nnls": row[f"nnls_{name}"],
                "free": row[f"free_{name}"],
                "ols_bias": row[f"rounding_bias_{name}"],
                "displacement_ulps": row[f"displacement_ulps_{name}"],
            }
            for name in parents
        },
        "controls": {name: {"ols": row[f"control_{name}"]} for name in controls},
        "r2": row["r2"],
        "cosine": {name: row[f"cosine_{name}"] for name in [*parents, *controls]},
        "residual_rms": row["residual_rms"],
        "residual_rms_free": row["residual_rms_free"],
        "rounding_rms": row["rounding_rms"],
        "z_naive": row["z_naive"],
        "log10_p": {name: row[f"log10_p_{name}"] for name in [*parents, *controls]},
        "condition": _plain(row["condition"]),
        "exact_share": row["exact_share"],
        "explained_share": row["explained_share"],
        "nan": row["nan"],
        "inf": row["inf"],
        "excluded": row["excluded"],
    }


def _plain(value: float | int | str | None) -> float | int | str | None:
    """Return a value that JSON can hold: infinities as text, NaN as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
