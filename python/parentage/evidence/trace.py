"""What a trace found, with its tables."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from parentage import metadata
from parentage.bundle import (
    CURVES,
    EVIDENCE,
    FACTS,
    METADATA,
    RECIPE,
    SLICES,
    STATEMENTS,
    SUMS,
    checkpoint_entry,
    log_custody,
    recipe_yaml,
    sealed,
)
from parentage.evidence.document import document
from parentage.evidence.notebook import html
from parentage.evidence.save import as_bytes, save
from parentage.evidence.spectrum import spectrum_table
from parentage.evidence.sums import sums_of
from parentage.evidence.tables import rows_of, tables_of, wide
from parentage.hypothesise import Spectra, spectra_of
from parentage.replay import Recipe
from parentage.report import MADE_OF, REPORT, parts_of, render_report
from parentage.support import ReportError, printable
from parentage.verdict import (
    Roles,
    best_outcome,
    decide,
    decided_relations,
    gather_facts,
    stored_facts,
    watched,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import polars as pl

    from parentage.align import Order
    from parentage.bundle import Assumed, FolderDigests
    from parentage.checkpoint import Inputs
    from parentage.evidence.tables import Tables
    from parentage.metadata import Comparison
    from parentage.sample import Sampled
    from parentage.statistics import Statistics
    from parentage.verdict import Outcome, Relation, TraceInputs, Verdict

KINDS_OF_TABLES = ("slices", "layers", "components", "model")
"""Tables that have a wide view."""


@dataclass(frozen=True)
class Trace:
    """The verdict on a child, and the tables it rests on."""

    verdict: Verdict
    inputs: Inputs
    """The checkpoints that all slices of the main tables have, the origin of displacements as
    their base."""
    tables: Tables
    outcome: Outcome | None = None
    """The best recipe that was found, and what it reproduces; ``None`` without one."""
    sample: Sampled | None = None
    """What was read, if that was a sample; ``None`` if it was everything."""
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """SHA-256 of every file by the checkpoint's name; empty if they were not asked for."""
    folders: Mapping[str, FolderDigests] = field(default_factory=dict)
    """Digests of what lies beside the weights, by the checkpoint's name; empty as ``digests``."""
    search_seed: int | None = None
    """What drew the places that were looked at for recipes, and for who came first; ``None`` if
    that was everywhere."""
    relations: tuple[Relation, ...] = ()
    """What each checkpoint offered is to the child, as far as it was decided."""
    orders: tuple[Order, ...] = ()
    """What of the others was compared in another order than it is stored in."""
    given: Inputs | None = None
    """All checkpoints that were offered, in their roles."""
    opened: Inputs | None = None
    """All as they were opened, before they were seen as they are compared, and in the roles that
    they were offered in."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the rules looked at, as :func:`parentage.verdict.stored_facts` writes it."""
    sums: pl.DataFrame | None = None
    """One row per slice: the sums that tables and rules rest on."""
    spectra: Spectra = field(default_factory=lambda: spectra_of(None))
    """How many rounding cells admit each weight of each parent, and how many a decoy's."""

    assumed: Assumed | None = None
    """What of the others nobody gave, and because of what it was assumed; ``None`` if all was."""
    device: Mapping[str, str] | None = None
    """What computed if not the core, as the backend describes it; nothing else hangs on it."""

    @property
    def offered(self) -> Inputs:
        """All checkpoints that were offered, in their roles."""
        return self.inputs if self.given is None else self.given

    @property
    def slices(self) -> pl.DataFrame:
        """One row per slice and checkpoint."""
        return self.tables.slices

    @property
    def layers(self) -> pl.DataFrame:
        """One row per layer and checkpoint."""
        return self.tables.layers

    @property
    def components(self) -> pl.DataFrame:
        """One row per component and checkpoint."""
        return self.tables.components

    @property
    def model(self) -> pl.DataFrame:
        """One row per checkpoint: everything that was compared."""
        return self.tables.model

    @property
    def unaligned(self) -> pl.DataFrame:
        """One row per tensor that took no part: checkpoint, tensor, reason, elements."""
        return self.tables.unaligned

    @cached_property
    def spectrum(self) -> pl.DataFrame:
        """One row per parent, decoy or control, and weight: how many rounding cells admit it.

        Besides those of the whole model, parents have rows for every component and layer.
        """
        return spectrum_table(self.spectra)

    @property
    def recipe(self) -> Recipe | None:
        """How the child was made, if that was found."""
        return None if self.outcome is None else Recipe.of(self.outcome.recipe)

    @property
    def elements(self) -> int:
        """Elements of the child that were compared: of a sample, those that were read."""
        return self.tables.elements

    @property
    def elements_total(self) -> int:
        """Elements of the child, compared or not."""
        return self.inputs.child.elements

    @property
    def weights(self) -> dict[str, float | None]:
        """Least-squares weight of each parent over the whole model; ``None`` where undefined."""
        ((_, single),) = rows_of(self.model, self.inputs.columns)
        return {name: single[name]["ols"] for name in self.inputs.columns.parents}

    def wide(self, table: str = "slices") -> pl.DataFrame:
        """Return a table with one row per slice, layer or component, and a column per checkpoint.

        Parameters
        ----------
        table
            ``"slices"``, ``"layers"``, ``"components"`` or ``"model"``.

        Returns
        -------
        polars.DataFrame
            What is true of one checkpoint is in columns called ``quantity:checkpoint``, as
            ``ols:parent``.

        Raises
        ------
        ValueError
            If there is no such table.
        """
        if table not in KINDS_OF_TABLES:
            raise ValueError(f"tables are {', '.join(KINDS_OF_TABLES)}; there is no {table!r}")
        return wide(getattr(self.tables, table))

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Everything a stranger needs to check the verdict, as one JSON-ready document.

        The same bytes in give the same document; no timing, path or date is in it.
        """
        return document(
            self.verdict,
            self.inputs,
            self.tables,
            self.outcome,
            self.sample,
            self.digests,
            self.search_seed,
            relations=self.relations,
            offered=self.offered,
            called=self.called,
            orders=self.orders,
            folders=self.folders,
            spectra=self.spectra,
            device=self.device,
            assumed=self.assumed,
        )

    @cached_property
    def metadata(self) -> Comparison:
        """What the files of the checkpoints say besides weights, side by side: circumstance.

        It is read when it is first asked for; no verdict hangs on it.
        """
        # The room is entered when it is asked for: what reads files of strangers is large.
        stored = self.offered if self.opened is None else _ordered_as(self.offered, self.opened)
        return metadata.comparison_of(stored, self.evidence)

    @property
    def called(self) -> Roles | None:
        """What each was called by whoever offered it, where some turned out to be another thing."""
        if self.opened is None:
            return None
        called = Roles.of(self.opened)
        return None if called == Roles.of(self.offered) else called

    def released(self) -> Trace:
        """Return the same without tensors that a program holds in memory."""
        opened = None if self.opened is None else self.opened.released()
        inputs, given = self.inputs.released(), self.offered.released()
        return replace(self, inputs=inputs, given=given, opened=opened)

    def to_json(self) -> str:
        """Return :attr:`evidence` as JSON text."""
        return json.dumps(self.evidence, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self) -> str:
        """Return the report: one page that needs no network, with pictures, limits and tables.

        It is made of the bytes that :meth:`save` writes, as :func:`parentage.write_report` makes it
        of the folder.

        Raises
        ------
        ReportError
            If what draws the pictures can not be loaded here.
        """
        return self._page(self._stored(MADE_OF))

    def _page(self, stored: Mapping[str, bytes]) -> str:
        return render_report(parts_of({name: stored[name] for name in MADE_OF if name in stored}))

    def _stored(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return what files hold, of those ``names`` that there are."""
        made: dict[str, Callable[[], pl.DataFrame | str]] = {
            SLICES: lambda: self.slices,
            CURVES: lambda: self.spectrum,
            METADATA: self.metadata.to_json,
            EVIDENCE: self.to_json,
        }
        return {name: as_bytes(name, made[name]()) for name in names if name in made}

    def save(
        self, folder: str | os.PathLike[str], note: Callable[[str], None] | None = None
    ) -> Path:
        """Write the evidence as a bundle into ``folder``, made if need be.

        ``evidence.json`` is the document; ``manifest.json`` names all files with their digests, and
        docs/bundle.md what each of them is; ``report.html`` shows it to people. The same trace
        gives the same files, but for ``custody.jsonl``, which an entry is added to
        (:func:`parentage.bundle.acting`). Each file appears whole or not at all. Where what draws
        pictures can not be loaded, the evidence is written without a report, and ``note`` is told
        so in a sentence; :func:`parentage.write_report` makes it from the evidence elsewhere.

        Raises
        ------
        WriteError
            If the system refuses to write.
        EvidenceError
            If ``custody.jsonl`` is there and is damaged: it is left as it is.
        """
        files = self._stored((SLICES, CURVES, METADATA))
        if self.sums is not None:
            files[SUMS] = as_bytes(SUMS, self.sums)
        if self.facts:
            text = json.dumps(self.facts, ensure_ascii=False, allow_nan=False) + "\n"
            files[FACTS] = text.encode()
        if self.outcome is not None:
            files[RECIPE] = recipe_yaml(self.outcome.recipe).encode()
        document = self._stored((EVIDENCE,))
        failure = None
        try:
            files[REPORT] = self._page({**files, **document}).encode()
        except ReportError as error:
            if note is not None:
                note(f"no {REPORT} was written: {error}")
        except Exception as error:
            # Whatever is amiss with the page: what took hours to read is kept.
            failure = error
        bundle = sealed({**files, **document})
        # One of an earlier trace is none of this.
        written = save(folder, {REPORT: None, RECIPE: None, STATEMENTS: None, **bundle})
        log_custody(folder, "trace", self._custody_inputs(), {"verdict": self.verdict.kind})
        if failure is not None:
            raise failure
        return written

    def _custody_inputs(self) -> list[dict[str, Any]]:
        """Return what the custody log says of the checkpoints."""
        offered = self.offered
        roles = [("child", offered.child), ("base", offered.base)]
        roles += [("parent", each) for each in offered.parents]
        roles += [("control", each) for each in offered.controls]
        return [checkpoint_entry(role, each, self.digests.get(each.name)) for role, each in roles]

    def __repr__(self) -> str:
        weights = ", ".join(
            f"{printable(name)}={weight:.4f}"
            for name, weight in self.weights.items()
            if weight is not None
        )
        return (
            f"<Trace of {printable(self.inputs.child.name)}: "
            f"{self.verdict.kind} ({self.verdict.level})"
            + (f", {weights}" if weights else "")
            + f", {self.tables.number_of_slices} slices, {self.elements:,} elements"
            + (" of a sample>" if self.sample is not None else ">")
        )

    def _repr_html_(self) -> str:
        return html(self.verdict, self.tables, self.inputs.columns)


def _ordered_as(offered: Inputs, opened: Inputs) -> Inputs:
    """Return checkpoints as they were opened, in the roles of ``offered``."""
    by_name = {each.name: each for each in opened.others}
    return offered.replaced(opened.child, [by_name[each.name] for each in offered.others])


def conclude(case: TraceInputs, statistics: Statistics, sample: Sampled | None = None) -> Trace:
    """Make tables of statistics, and a verdict of the facts in them.

    ``sample`` is what the statistics are estimated from, if not everything was read.
    """
    outcome = best_outcome(statistics.replayed, case.hypotheses)
    facts, asked = watched(gather_facts(case, statistics, outcome, sample))
    verdict = decide(facts)
    relations = decided_relations(facts, verdict)
    # Without recipes, a sample was looked at all the same: who came first rests on it.
    searched = case.view if case.estimates is None else case.estimates
    return Trace(
        verdict=verdict,
        relations=relations,
        facts=stored_facts(facts, asked),
        sums=sums_of(case, statistics, outcome),
        inputs=case.inputs,
        tables=tables_of(case, statistics, outcome, facts.wholes),
        outcome=outcome,
        sample=sample,
        given=case.offered,
        orders=tuple(case.orders),
        opened=case.opened,
        search_seed=None if searched is None else searched.seed,
    )
