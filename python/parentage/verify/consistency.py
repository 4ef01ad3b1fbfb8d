"""Whether a bundle agrees with itself: each number that can be made again of others is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from parentage import _core
from parentage.bundle import (
    CUSTODY,
    EVIDENCE,
    FACTS,
    METADATA,
    RECIPE,
    SLICES,
    STATEMENTS,
    SUMS,
    Assumed,
    read_custody,
    read_document,
    read_file,
    recipe_yaml,
    statements_of,
)
from parentage.evidence import (
    CONSTANTS,
    group_rows,
    rows_of,
    slice_rows,
    summary,
    tool_entry,
    verdict_entry,
)
from parentage.methods import from_json, to_mergekit
from parentage.support import EvidenceError, ParentageError, RecipeError, is_there, percent
from parentage.verdict import (
    Thresholds,
    decide,
    decided_relations,
    measured_facts,
    restored_facts,
)
from parentage.verify.circumstance import check_said
from parentage.verify.derived import parts_of, restored_statistics
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding, guarded
from parentage.verify.folder import read_table
from parentage.verify.keys import check_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from parentage.bundle import Document
    from parentage.statistics import Statistics
    from parentage.verdict import Facts
    from parentage.verify.derived import Part
    from parentage.verify.folder import Folder

DERIVED = (
    "n", "n_moved", "n_stray", "r2", "cosine", "residual_rms", "residual_rms_free", "rounding_rms",
    "z_naive", "condition", "nan", "inf", "excluded", "bit_equal", "ols", "nnls", "free", "alone",
    "checkpoint_cosine",
)  # fmt: skip
"""Columns of the table of slices that are made again of sums, bit for bit."""

DIGESTED = (
    "se", "log10_p", "log10_q", "checkpoint_log10_p", "displacement_ulps", "rounding_bias", "cells",
    "cells_half_width", "cells_share",
)  # fmt: skip
"""Columns that rest on more than is stored: their digest is all that is checked."""

CLOSE = 1e-9
"""Relative difference of numbers that were added up in another order, at most."""

NEAR = 1e-6
"""The same of differences of such numbers."""


def check_consistency(folder: Folder) -> Iterator[Finding]:
    """Check everything that can be checked without the checkpoints.

    Files that are not what the manifest says are left out: that is a finding of its own.

    Raises
    ------
    EvidenceError
        If there is no document, or it is of a schema that is not read.
    """
    if EVIDENCE not in folder.files:
        return
    document = read_document(folder.files[EVIDENCE], EVIDENCE)
    told: dict[str, Any] = json.loads(folder.files[EVIDENCE])
    facts: list[Facts] = []
    found = guarded("document", EVIDENCE, _check_document, folder, document, told)
    found += guarded("keys", EVIDENCE, check_keys, told)
    found += guarded("verdict", FACTS, _check_verdict, folder, document, told, facts)
    found += guarded("sums", SUMS, _check_sums, folder, document, told, facts)
    found += guarded("recipe", RECIPE, _check_recipe, folder, document, told, facts)
    found += guarded("statements", STATEMENTS, _check_statements, folder)
    found += guarded("metadata", METADATA, check_said, folder, document)
    yield from found if _is_ours(document) else (_of_another(each, document) for each in found)
    yield from _check_custody(folder)


OF_VERSIONS = ("keys", "thresholds", "verdict", "assumed", "facts", "recipe", "statements")
"""Checks that rest on what another version may do otherwise."""


def _of_another(each: Finding, document: Document) -> Finding:
    """Return a finding on evidence that another version made: what differs may be the version's."""
    if each.status != FAILED or each.check not in OF_VERSIONS:
        return each
    tool = document.tool
    text = (
        f"{each.text}: it was made by parentage {tool.version} (arithmetic {tool.arithmetic}), and "
        f"this is {_core.__version__} ({_core.DEFINITION}); that version tells whether it was "
        "altered"
    )
    return replace(each, status=UNCHECKED, text=text)


def _held(
    check: str, file: str, pairs: Mapping[str, tuple[Any, Any]], holds: str
) -> Iterator[Finding]:
    """Yield a finding on every value, by name, that is another than it was made again as.

    ``holds`` is what is said if there is none.
    """
    wrong = 0
    for name, (found, expected) in pairs.items():
        if not _alike(found, expected, 0.0):
            wrong += 1
            text = f"{name} is {_short(found)}, and made again it is {_short(expected)}"
            yield Finding(check, FAILED, text, file)
    if not wrong:
        yield Finding(check, OK, holds, file)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 240 else f"{text[:237]}..."


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    """Return whether two values of JSON are one, numbers within a relative tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[k], other[k], tolerance) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            _alike(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or (
            tolerance > 0.0 and math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        )
    return bool(one == other)


def _check_document(
    folder: Folder, document: Document, told: Mapping[str, Any]
) -> Iterator[Finding]:
    again = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    names = [each.name for _, each in document.inputs.by_role]
    thresholds: dict[str, tuple[Any, Any]]
    if again.encode() != folder.files[EVIDENCE]:
        yield Finding("document", FAILED, "is not written as documents are", EVIDENCE)
    elif len(set(names)) < len(names):
        yield Finding("document", FAILED, "inputs: two checkpoints have one name", EVIDENCE)
    else:
        text = f"is of {document.schema}, and written as those are"
        yield Finding("document", OK, text, EVIDENCE)
    own = {name: getattr(Thresholds(), name) for name in Thresholds.__slots__}
    thresholds = {"parameters.thresholds": (document.parameters.thresholds, own)}
    for name, value in CONSTANTS.items():
        thresholds[f"parameters.{name}"] = told["parameters"].get(name), value
    if _is_ours(document):
        # Which device computed changes nothing else.
        tool = {key: value for key, value in told["tool"].items() if key != "device"}
        thresholds["tool"] = tool, tool_entry()
    yield from _held("thresholds", EVIDENCE, thresholds, "thresholds are those of the rules")
    for _, each in document.inputs.by_role:
        if each.source is None and any(file.published_sha256 for file in each.files):
            text = f"{each.name} has published digests, and was published nowhere"
            yield Finding("document", FAILED, text, EVIDENCE)


def _is_ours(document: Document) -> bool:
    """Return whether this version of the rules and the arithmetic made the evidence."""
    tool = document.tool
    return (tool.version, tool.arithmetic) == (_core.__version__, _core.DEFINITION)


def _check_verdict(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: list[Facts]
) -> Iterator[Finding]:
    if FACTS not in folder.files:
        yield Finding(
            "verdict", UNCHECKED, "is not at hand: the verdict is not decided again", FACTS
        )
        return
    try:
        data = json.loads(folder.files[FACTS])
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{FACTS}: not JSON: {error}") from error
    facts = restored_facts(data, FACTS)
    verdict = decide(facts)
    kept.append(facts)
    again = verdict_entry(verdict)
    relations = [each.as_dict() for each in decided_relations(facts, verdict)]
    pairs = {f"verdict.{name}": (told["verdict"].get(name), again[name]) for name in again}
    pairs["relations"] = told["relations"], relations
    holds = (
        f"decided again from {FACTS}, the rules say the same: {verdict.kind} ({verdict.level}), by "
        f"{verdict.rule}"
    )
    yield from _held("verdict", EVIDENCE, pairs, holds)
    yield from _check_assumed(document, facts)
    yield from _check_coverage(document, facts)


def _check_assumed(document: Document, facts: Facts) -> Iterator[Finding]:
    """Hold what was assumed against what the verdict says of it."""
    assumed = document.assumed
    if assumed is None:
        # Whoever takes it out leaves the verdict that tells of it.
        told = [Assumed(None, given, []).sentences[0] for given in (False, True)]
        if any(each in facts.remarks for each in told):
            yield Finding("assumed", FAILED, "is not there, and the verdict tells of it", EVIDENCE)
        return
    names = {each.name for _, each in document.inputs.by_role[1:]}
    sentences = assumed.sentences
    pairs = {
        "assumed, in sentences": (list(facts.remarks[: len(sentences)]), list(sentences)),
        "assumed, not among inputs": (
            sorted({each.name for each in assumed.checkpoints} - names),
            [],
        ),
    }
    yield from _held("assumed", EVIDENCE, pairs, "what was assumed is what the verdict says")


def _check_coverage(document: Document, facts: Facts) -> Iterator[Finding]:
    """Hold what the document says of coverage and checkpoints against the facts."""
    inputs, coverage, wholes = document.inputs, document.coverage, facts.wholes
    sample = None if facts.sample is None else facts.sample.as_dict()
    pairs: dict[str, tuple[Any, Any]] = {
        "inputs.child.name": (inputs.child.name, facts.child),
        "inputs.child.elements": (inputs.child.elements, wholes.child_elements),
        "coverage.elements": (coverage.elements, wholes.child_elements),
        "coverage.slices": (coverage.slices, wholes.slices),
        "coverage.main": (coverage.main, list(wholes.main)),
        "coverage.origin": (coverage.origin, facts.base),
        "coverage.of": (coverage.of, {name: one.share for name, one in wholes.by_name.items()}),
        "coverage.share": (
            coverage.share,
            coverage.elements_read / max(inputs.child.elements, 1),
        ),
        "parameters.sample": (document.parameters.sample, sample),
        "inputs, by name": (
            [each.name for _, each in inputs.by_role[1:]],
            list(wholes.by_name),
        ),
    }
    if (called := inputs.called) is not None:
        names = sorted([called.base, *called.parents, *called.controls])
        pairs["inputs.called, by name"] = names, sorted(wholes.by_name)
    for each in inputs.by_role[1:]:
        one = wholes.by_name.get(each[1].name)
        # Of what was compared in another order, some is counted several times.
        if one is not None and not one.is_reordered:
            pairs[f"inputs: tensors and elements of {one.name}"] = (
                [each[1].tensors, each[1].elements],
                [one.tensors, one.elements],
            )
    if facts.sample is None:
        pairs["coverage.elements_read"] = coverage.elements_read, wholes.compared
    replay, recipe = facts.replay, document.recipe
    pairs["recipe: elements, mismatches, explained"] = (
        None if recipe is None else [recipe.elements, recipe.mismatches, recipe.explained],
        None if replay is None else [replay.elements, replay.mismatched, replay.explained],
    )
    if replay is not None and recipe is not None:
        decoy = replay.decoy_share if math.isfinite(replay.decoy_share) else None
        pairs["recipe.decoy_share"] = recipe.decoy_share, decoy
        pairs["recipe.explained_share"] = (
            recipe.explained_share,
            replay.explained / replay.elements if replay.elements else 0.0,
        )
        pairs["recipe.equivalents"] = recipe.equivalents, list(replay.equivalents)
    yield from _held("coverage", EVIDENCE, pairs, f"coverage is what {FACTS} says of it")


def _check_sums(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: Sequence[Facts]
) -> Iterator[Finding]:
    lacking = next((name for name in (SUMS, SLICES) if name not in folder.files), None)
    if lacking is not None:
        yield Finding("sums", UNCHECKED, "is not at hand: estimates are not made again", lacking)
        return
    if document.tool.arithmetic != _core.DEFINITION:
        yield Finding(
            "sums",
            UNCHECKED,
            f"are of arithmetic {document.tool.arithmetic}, and this version has "
            f"{_core.DEFINITION}",
            SUMS,
        )
        return
    sums = read_table(folder.files[SUMS], SUMS)
    slices = read_table(folder.files[SLICES], SLICES)
    parts = parts_of(sums, slices, document)
    main: Statistics | None = None
    for part in parts:
        statistics = restored_statistics(part)
        main = statistics if part.number == 0 else main
        yield from _check_rows(part, statistics, document)
    if main is None:
        raise EvidenceError(f"{SUMS}: has no slices")
    yield from _check_tables(parts[0], main, told)
    if kept:
        yield from _check_measured(parts[0], main, kept[0])
    if told["recipe"] is not None:
        yield from _check_mismatches(parts[0], told["recipe"])


def _check_rows(part: Part, statistics: Statistics, document: Document) -> Iterator[Finding]:
    """Make the rows of slices again, and compare them bit for bit."""
    again = slice_rows(part.slices, statistics.slices, part.columns)
    roles = {each.name: role for role, each in document.inputs.by_role}
    if part.number > 0:
        again = again.with_columns(role=pl.col("checkpoint").replace_strict(roles))
    if part.rows.columns != again.columns:
        raise EvidenceError(f"{SLICES}: has not the columns that it is written with")
    again = again.cast(dict(part.rows.schema))  # type: ignore[arg-type]
    again = again.with_columns(_shares(part, again))
    compared = [
        "slice",
        "checkpoint",
        "role",
        *DERIVED,
        "exact_share",
        "explained_share",
        "mismatched",
    ]
    wrong = 0
    for name in compared:
        differs = ~part.rows[name].eq_missing(again[name])
        # What is nowhere a number is one and the same.
        if part.rows[name].dtype.is_float():
            both = part.rows[name].is_nan().fill_null(False) & again[name].is_nan().fill_null(False)
            differs = differs & ~both
        if differs.any():
            at = differs.arg_max()
            assert at is not None
            row = part.rows.row(at, named=True)
            wrong += 1
            yield Finding(
                "sums",
                FAILED,
                f"{name} of {row['slice']} (of {row['checkpoint']}) is {_short(row[name])}, and "
                f"made again of {SUMS} it is {_short(again[name][at])}",
                SLICES,
            )
    if not wrong:
        yield Finding(
            "sums",
            OK,
            f"{len(part.slices):,} slices over {', '.join(part.columns.names)}: "
            f"{len(compared) - 3} columns are, bit for bit, as made again of {SUMS}",
            SLICES,
        )


def _shares(part: Part, again: pl.DataFrame) -> list[pl.Series]:
    """Return the columns that say what the recipe gives, by slice, in the order of the rows."""
    sums = part.sums.select(
        "slice",
        total=(pl.col("reproduced") + pl.col("explained") + pl.col("mismatched")),
        exact_share=pl.col("reproduced"),
        explained_share=pl.col("explained"),
        mismatched=pl.col("mismatched").cast(pl.Int64),
    )
    found = again.select("slice").join(sums, on="slice", how="left", maintain_order="left")
    # Of what was not replayed, nothing was given, if anything was replayed at all.
    is_replayed = part.sums["reproduced"].is_not_null().any()
    missing = found["mismatched"].fill_null(0) if is_replayed else found["mismatched"]
    total = found["total"].cast(pl.Float64)
    out = [missing.alias("mismatched")]
    for name in ("exact_share", "explained_share"):
        share = found[name].cast(pl.Float64) / total
        out.append(share.fill_nan(None).alias(name))
    return out


def _check_tables(part: Part, statistics: Statistics, told: Mapping[str, Any]) -> Iterator[Finding]:
    """Make the rows of the model and of components again: what adds up is added up."""
    components = pl.Series(statistics.component_names, dtype=pl.String)
    groups = {
        "model": ({"": told["model"]}, statistics.model, pl.Series([""])),
        "components": (told["components"], statistics.components, components),
    }
    labels = pl.Series([each.component for each in part.slices], dtype=pl.String)
    for name, (found, table, keys) in groups.items():
        of_slice = labels if name == "components" else pl.Series([""] * len(part.slices))
        frame = group_rows({"component": keys}, table, part.columns)
        again = {
            row["component"]: _derived(summary(row, single, part.columns))
            for row, single in rows_of(frame, part.columns)
        }
        for label, shares in _replayed_shares(part, of_slice).items():
            again[label] |= shares
        if found.keys() != again.keys():
            yield Finding("tables", FAILED, f"{name} are not those of the slices", EVIDENCE)
            continue
        wrong = [
            (f"{name}.{label}.{path}" if label else f"{name}.{path}", value, expected)
            for label in again
            for path, value, expected in _differences(found[label], again[label])
        ]
        for path, value, expected in wrong:
            text = f"{path} is {_short(value)}, and made again of {SUMS} it is {_short(expected)}"
            yield Finding("tables", FAILED, text, EVIDENCE)
        if not wrong:
            text = f"{name}: as made again of {SUMS}, to {CLOSE:.0e}"
            yield Finding("tables", OK, text, EVIDENCE)


NOT_DERIVED = {
    "standard_error", "cells", "cells_half_width", "cells_share", "ols_bias", "displacement_ulps",
    "log10_p",
}  # fmt: skip
"""Keys of the model and of components that rest on more than sums."""


def _derived(summed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the summary of a group follows from sums."""
    return {
        name: _derived(value) if isinstance(value, dict) else value
        for name, value in summed.items()
        if name not in NOT_DERIVED
    }


def _differences(found: Any, again: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where a summary differs from what was made again, which may hold less."""
    if isinstance(again, dict) and isinstance(found, dict):
        for name, value in again.items():
            yield from _differences(found.get(name), value, f"{path}.{name}" if path else name)
        if extra := found.keys() - again.keys() - NOT_DERIVED:
            yield f"{path}.{min(extra)}" if path else min(extra), found[min(extra)], None
    elif not _alike(found, again, CLOSE):
        yield path, found, again


def _replayed_shares(part: Part, labels: pl.Series) -> dict[str, dict[str, float | None]]:
    """Return what the recipe gives of groups of slices, by their labels."""
    counts = ("reproduced", "explained", "mismatched")
    known = part.sums.select(*counts).with_columns(label=labels)
    is_replayed = known["reproduced"].is_not_null().any()
    out: dict[str, dict[str, float | None]] = {}
    for row in known.group_by("label").agg(pl.col(counts).sum()).iter_rows(named=True):
        total = sum(row[name] for name in counts)
        shares = {"exact_share": "reproduced", "explained_share": "explained"}
        out[row["label"]] = {
            name: row[count] / total if is_replayed and total else None
            for name, count in shares.items()
        }
    return out


def _check_measured(part: Part, statistics: Statistics, facts: Facts) -> Iterator[Finding]:
    """Make the facts that follow from sums again, and hold those that were stored against them."""
    again = measured_facts(statistics, part.slices, part.columns)
    wrong = 0
    for name, expected in again.items():
        found = getattr(facts, name)
        if not _alike(found, expected, NEAR):
            wrong += 1
            text = f"{name} is {_short(found)}, and made again of {SUMS} it is {_short(expected)}"
            yield Finding("facts", FAILED, text, FACTS)
    replay = facts.replay
    if replay is not None:
        sums = part.sums
        counted = [sums[name].sum() for name in ("reproduced", "explained", "mismatched")]
        ulps = part.sums["ulps"].drop_nulls().list.to_array(_core.ULPS).to_numpy().sum(axis=0)
        pairs = {
            "replay.elements": (replay.elements, sum(counted)),
            "replay.explained": (replay.explained, counted[1]),
            "replay.mismatched": (replay.mismatched, counted[2]),
            "replay.ulps": (list(replay.ulps), ulps.tolist()),
        }
        for name, (told, expected) in pairs.items():
            if not _alike(told, expected, 0.0):
                wrong += 1
                text = f"{name} is {_short(told)}, and made again of {SUMS} it is {expected}"
                yield Finding("facts", FAILED, text, FACTS)
    if not wrong:
        text = f"{len(again)} facts are as made again of {SUMS}; the others rest on the checkpoints"
        yield Finding("facts", OK, text, FACTS)


def _check_mismatches(part: Part, recipe: Mapping[str, Any]) -> Iterator[Finding]:
    """Hold what the document says of elements that the recipe does not give against the sums."""
    sums = part.sums
    ulps = sums["ulps"].drop_nulls().list.to_array(_core.ULPS).to_numpy().sum(axis=0)
    pairs = {
        "recipe.unexplained": (recipe["unexplained"], sums["mismatched"].sum()),
        "recipe.zero_signs": (recipe["zero_signs"], sums["zero_signs"].sum()),
        "recipe.mismatch_ulps": (recipe["mismatch_ulps"], ulps.tolist()),
    }
    yield from _held("recipe", EVIDENCE, pairs, f"elements that it does not give: as in {SUMS}")


def _check_recipe(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: Sequence[Facts]
) -> Iterator[Finding]:
    if document.recipe is None:
        if RECIPE in folder.files:
            yield Finding("recipe", FAILED, "is there, and the evidence has no recipe", RECIPE)
        return
    try:
        recipe = from_json(json.dumps(told["recipe"]), f"{EVIDENCE}: recipe")
    except RecipeError as error:
        yield Finding("recipe", FAILED, str(error).removeprefix(f"{EVIDENCE}: "), EVIDENCE)
        return
    found = document.recipe
    exact = (found.elements - found.mismatches - found.explained) / max(found.elements, 1)
    try:
        mergekit: str | None = to_mergekit(recipe)
    except RecipeError:
        mergekit = None
    effective = recipe.effective_weights
    pairs: dict[str, tuple[Any, Any]] = {
        "recipe.exact_share": (found.exact_share, exact),
        "recipe.mergekit": (found.mergekit, mergekit),
        "recipe.parents: effective weights": (
            [each.effective_weight for each in found.parents],
            [None if effective is None else effective[each.name] for each in found.parents],
        ),
    }
    if kept and (replay := kept[0].replay) is not None:
        # What the verdict says of the recipe is what the facts have of it.
        pairs["recipe, in words"] = recipe.describe(), replay.text
    holds = f"the recipe gives {percent(found.exact_share)} of the elements replayed"
    yield from _held("recipe", EVIDENCE, pairs, holds)
    if RECIPE not in folder.files:
        yield Finding("recipe", FAILED, "is missing, and the evidence has a recipe", RECIPE)
    elif folder.files[RECIPE] != recipe_yaml(recipe).encode():
        yield Finding("recipe", FAILED, f"is not the recipe of {EVIDENCE}", RECIPE)
    else:
        yield Finding("recipe", OK, f"is the recipe of {EVIDENCE}", RECIPE)


def _check_statements(folder: Folder) -> Iterator[Finding]:
    again = statements_of(folder.files)
    found = folder.files.get(STATEMENTS)
    if again is None and found is None:
        text = "there are none: no digests were asked for, so the evidence names files by size"
        yield Finding("statements", UNCHECKED, text, EVIDENCE)
    elif again is None:
        yield Finding("statements", FAILED, "are of files that have no digests", STATEMENTS)
    elif found is None:
        yield Finding("statements", FAILED, "are missing, and there are digests", STATEMENTS)
    elif found != again:
        yield Finding("statements", FAILED, "are not those on this evidence", STATEMENTS)
    else:
        count = found.count(b"\n")
        text = f"{count} say what this evidence says, of the files that it names"
        yield Finding("statements", OK, text, STATEMENTS)


def _check_custody(folder: Folder) -> Iterator[Finding]:
    path = folder.path / CUSTODY
    if not is_there(path):
        text = "is missing: who made this evidence, when and where is not told"
        yield Finding("custody", UNCHECKED, text, CUSTODY)
        return
    try:
        entries = read_custody(read_file(path), CUSTODY)
    except ParentageError as error:
        yield Finding("custody", FAILED, str(error).removeprefix(f"{CUSTODY}: "), CUSTODY)
        return
    # Whoever verifies changes nothing, and may have seen files that had been changed.
    known = [each.get("manifest") for each in entries if each["action"] != "verify"]
    if not known or known[-1] != folder.manifest:
        text = "the last entry of whoever wrote is of other files than these: they were changed"
        yield Finding("custody", FAILED, text, CUSTODY)
    else:
        count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
        text = f"{count}, unaltered, and the last of whoever wrote is of these files"
        yield Finding("custody", OK, text, CUSTODY)
