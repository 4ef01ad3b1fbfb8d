"""Whether tracing the checkpoints again gives all of a bundle: every number, sentence and row."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from parentage.bundle import CURVES, EVIDENCE, FACTS, SLICES, SUMS
from parentage.hypothesise import NO_SEARCH
from parentage.pipeline import trace_again
from parentage.support import EvidenceError, ParentageError
from parentage.verdict import Roles
from parentage.verify.comparing import differences, short
from parentage.verify.finding import FAILED, OK, Finding
from parentage.verify.folder import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from parentage.bundle import Document
    from parentage.checkpoint import Inputs
    from parentage.evidence import Trace
    from parentage.stream import Options, Progress
    from parentage.verify.finding import Reread
    from parentage.verify.folder import Folder

MOST_TOLD = 8
"""Differences of one file that are told, each with both values."""

LONGEST = 160
"""Characters of a value that are told, at most."""

NOT_GIVEN = ("inputs", "tool", "assumed")
"""Parts of a document that checkpoints do not give: names and digests of files, which are compared
with the files; what made it; and what was assumed, which the verdict's remarks are held against."""


def check_again(
    folder: Folder,
    document: Document,
    inputs: Inputs,
    options: Options,
    told: Reread,
    progress: Progress,
) -> Iterator[Finding]:
    """Trace the checkpoints again, and compare everything that follows with the bundle.

    The same bytes in give the same bits out, so that nothing may differ: of a full pass as of a
    sample, whose places its seed draws.
    """
    evidence = json.loads(folder.files[EVIDENCE])
    try:
        again = _traced(document, evidence, inputs, options, progress)
    except (ParentageError, ValueError) as error:
        yield Finding("slices", FAILED, f"the checkpoints can not be traced again: {error}", SUMS)
        return
    yield from _check_sums(read_table(folder.files[SUMS], SUMS), again, told)
    found = [*_check_document(evidence, again)]
    if FACTS in folder.files:
        found += _check_facts(json.loads(folder.files[FACTS]), again)
    for name, table in ((SLICES, again.slices), (CURVES, again.spectrum)):
        if name in folder.files:
            found += _check_table(read_table(folder.files[name], name), table, name)
    yield from found
    if not found:
        text = (
            "traced again, the checkpoints give all of it: every number, sentence and row, those "
            "of standard errors, p values, rounding cells and lists as well"
        )
        yield Finding("again", OK, text, EVIDENCE)


def _traced(
    document: Document,
    evidence: Mapping[str, Any],
    inputs: Inputs,
    options: Options,
    progress: Progress,
) -> Trace:
    """Trace the checkpoints as the evidence says that it was made."""
    by_name = {each.name: each for each in inputs.others}
    called = document.inputs.called or Roles.of(document.inputs)
    if Counter((called.base, *called.parents, *called.controls)) != Counter(list(by_name)):
        raise EvidenceError(f"{EVIDENCE}: inputs.called is not of the checkpoints that there are")
    offered = replace(
        inputs,
        base=by_name[called.base],
        parents=tuple(by_name[name] for name in called.parents),
        controls=tuple(by_name[name] for name in called.controls),
    )
    sample, assumed = document.parameters.sample, document.assumed
    # Of what was fetched, fewer and longer runs are read.
    is_far = sample is not None and any(
        each.source is not None and not each.was_in_memory for _, each in document.inputs.by_role
    )
    return trace_again(
        offered,
        replace(options, is_far=is_far),
        progress,
        recipes=evidence["spectrum"]["missing"] != NO_SEARCH,
        seed=document.parameters.search_seed,
        sample=sample,
        remarks=() if assumed is None else assumed.sentences,
    )


def _check_sums(stored: pl.DataFrame, again: Trace, told: Reread) -> Iterator[Finding]:
    """Compare the sums of all slices, bit for bit."""
    found = again.sums
    told.of = told.drawn = len(stored)
    keys = ["part", "slice", "checkpoints"]
    if found is None or not found.select(keys).equals(stored.select(keys)):
        yield Finding("slices", FAILED, "the checkpoints give other slices", SUMS)
        return
    told.slices, told.elements = len(stored), again.elements
    differs = [_differs(stored[name], found[name]) for name in stored.columns]
    wrong = pl.DataFrame([each.alias(str(at)) for at, each in enumerate(differs)]).select(
        pl.any_horizontal(pl.all())
    )
    rows = wrong.to_series()
    told.equal = len(stored) - int(rows.sum())
    for part in stored["part"].unique(maintain_order=True):
        mine = (stored["part"] == part).to_numpy()
        at = [row for row in rows.arg_true().to_list() if mine[row]]
        for row in at[:MOST_TOLD]:
            name = next(name for name, one in zip(stored.columns, differs, strict=True) if one[row])
            text = (
                f"{name} of {stored['slice'][row]} is {_plain(stored[name][row])}, and "
                f"read again {_plain(found[name][row])}"
            )
            yield Finding("slices", FAILED, text, SUMS)
        if len(at) > MOST_TOLD:
            yield Finding("slices", FAILED, f"{len(at) - MOST_TOLD:,} more slices differ", SUMS)
        if not at:
            names = ", ".join(stored["checkpoints"][int(mine.argmax())])
            count = int(mine.sum())
            of = "of a sample, " if again.sample is not None else ""
            text = (
                f"{count:,} of {count:,} slices over {names}, {of}read again, give the sums of the "
                "bundle bit for bit"
            )
            yield Finding("slices", OK, text, SUMS)


def _check_document(evidence: Mapping[str, Any], again: Trace) -> Iterator[Finding]:
    whole = json.loads(again.to_json())
    given, found = (
        {name: value for name, value in each.items() if name not in NOT_GIVEN}
        for each in (evidence, whole)
    )
    # Of what is told of files, how much is in them.
    given["inputs"], found["inputs"] = (_sizes(each["inputs"]) for each in (evidence, whole))
    yield from _told(given, found, EVIDENCE)


def _sizes(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors and elements of each checkpoint."""

    def of(one: Mapping[str, Any]) -> dict[str, Any]:
        return {name: one[name] for name in ("name", "tensors", "elements")}

    roles = {role: [of(one) for one in inputs[role]] for role in ("parents", "controls")}
    return {"child": of(inputs["child"]), "base": of(inputs["base"]), **roles}


def _check_facts(stored: Any, again: Trace) -> Iterator[Finding]:
    yield from _told(stored, json.loads(json.dumps(again.facts, allow_nan=False)), FACTS)


def _told(stored: Any, again: Any, file: str) -> Iterator[Finding]:
    """Yield a finding on every value of JSON that is another, up to :data:`MOST_TOLD`."""
    found = list(differences(stored, again))
    for path, mine, theirs in found[:MOST_TOLD]:
        text = f"{path} is {short(mine, LONGEST)}, and traced again it is {short(theirs, LONGEST)}"
        yield Finding("again", FAILED, text, file)
    if len(found) > MOST_TOLD:
        text = f"{len(found) - MOST_TOLD:,} more values are others, traced again"
        yield Finding("again", FAILED, text, file)


def _check_table(stored: pl.DataFrame, again: pl.DataFrame, file: str) -> Iterator[Finding]:
    """Compare a table with what it is when traced again."""
    if stored.schema != again.schema or len(stored) != len(again):
        text = f"has {len(stored):,} rows and columns that traced again it has not"
        yield Finding("again", FAILED, text, file)
        return
    names = [name for name in ("slice", "checkpoint", "weight") if name in stored.columns]
    wrong = 0
    for name in stored.columns:
        differs = _differs(stored[name], again[name])
        if not differs.any():
            continue
        wrong += 1
        at = differs.arg_max()
        assert at is not None, "a column that differs does somewhere"
        of = ", ".join(str(stored[key][at]) for key in names)
        text = (
            f"{name} of {of} is {_plain(stored[name][at])}, and traced again it is "
            f"{_plain(again[name][at])}"
        )
        if wrong <= MOST_TOLD:
            yield Finding("again", FAILED, text, file)
    if wrong > MOST_TOLD:
        yield Finding("again", FAILED, f"{wrong - MOST_TOLD} more columns are others", file)


def _differs(one: pl.Series, other: pl.Series) -> pl.Series:
    """Return where two columns of one type differ; what is no number is equal to itself."""
    if one.dtype != other.dtype:
        return pl.Series([True] * len(one), dtype=pl.Boolean)
    # In polars, NaN equals NaN, and zeros of two signs are equal: their reciprocals are not.
    differs = one.ne_missing(other)
    if one.dtype == pl.Float64:
        return differs | (1.0 / one).ne_missing(1.0 / other)
    if one.dtype == pl.List(pl.Float64):
        parts = [each.list.eval(1.0 / pl.element()) for each in (one, other)]
        return differs | parts[0].ne_missing(parts[1])
    return differs


def _plain(value: Any) -> str:
    return short(value.to_list() if isinstance(value, pl.Series) else value, LONGEST)
