"""What a trace found, with its tables."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage import _core
from parentage.align import LEAST_SHARE
from parentage.evidence.document import SCHEMA, plain, recipe_document, summary
from parentage.evidence.tables import cell_columns, columns_of, layer_row, shapes_of, share_columns
from parentage.replay import Recipe
from parentage.statistics import SINGULAR
from parentage.support import WRITING, WriteError, natural_key, printable, sync_file
from parentage.verdict import Thresholds, best_outcome, decide, gather_facts

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.align import Alignment
    from parentage.checkpoint import Checkpoint, Inputs
    from parentage.hypothesise import Findings, Hypothesis
    from parentage.sample import Sampled
    from parentage.statistics import Statistics, Table
    from parentage.stream import Options
    from parentage.verdict import Outcome, Verdict


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
        return None if self.outcome is None else Recipe.of(self.outcome.recipe)

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
        model = summary(self.model.row(0, named=True), names, self.inputs)
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
                row["component"]: summary(row, names, self.inputs)
                for row in self.components.iter_rows(named=True)
            },
            "recipe": None if self.outcome is None else recipe_document(self.outcome),
            "verdict": {
                "kind": self.verdict.kind,
                "level": self.verdict.level,
                "rule": self.verdict.rule,
                "text": self.verdict.text,
                "numbers": {name: plain(x) for name, x in self.verdict.numbers.items()},
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
                    sync_file(Path(scratch, name))
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
    outcome, best = best_outcome(statistics.replayed, hypotheses)
    labels = {
        "slices": np.arange(len(slices)),
        "layers": np.array([layer_row(each, statistics.layer_numbers) for each in slices]),
        "components": np.array(
            [statistics.component_names.index(each.component) for each in slices]
        ),
        "model": np.zeros(len(slices), dtype=np.intp),
    }

    def columns(name: str, table: Table) -> dict[str, pl.Series]:
        found = columns_of(table, inputs)
        rows = len(table.n)
        found |= cell_columns(inputs, findings, labels[name], rows)
        if outcome is not None:
            found |= share_columns(statistics.replayed, best, labels[name], rows)
        return found

    names = {
        "slice": pl.Series([each.name for each in slices], dtype=pl.String),
        "component": pl.Series([each.component for each in slices], dtype=pl.String),
        "layer": pl.Series([each.layer for each in slices], dtype=pl.Int64),
        "expert": pl.Series([each.expert for each in slices], dtype=pl.Int64),
        "shape": shapes_of(slices),
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
            gather_facts(inputs, alignment, statistics, options, outcome, best, findings, sample)
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
