"""Whether tables and facts are what the stored sums make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage import _core
from parentage.bundle import EVIDENCE, FACTS, SLICES, SUMS
from parentage.evidence import group_rows, rows_of, slice_rows, summary
from parentage.support import EvidenceError
from parentage.verdict import beside_replays, measured_facts
from parentage.verify.comparing import alike, held, short
from parentage.verify.derived import parts_of, restored_statistics
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding
from parentage.verify.folder import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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

LOST = 1e-13
"""What is lost of a sum where it is added up in another order, as a share of the largest."""


def check_sums(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: Sequence[Facts]
) -> Iterator[Finding]:
    """Make tables, and the facts that follow from sums, again of the sums that are stored.

    ``told`` is the document as it is written; ``kept`` holds the facts, if they can be read.

    Raises
    ------
    EvidenceError
        If the tables are not as they are written, or do not fit each other.
    """
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
                f"{name} of {row['slice']} (of {row['checkpoint']}) is {short(row[name])}, and "
                f"made again of {SUMS} it is {short(again[name][at])}",
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
            text = f"{path} is {short(value)}, and made again of {SUMS} it is {short(expected)}"
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
    elif not alike(found, again, CLOSE):
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


def _cancel(found: Any, expected: Any, lost: float) -> bool:
    """Return whether roots of energies are alike, of which ``lost`` is lost where sums cancel."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(
            _cancel(found[name], expected[name], lost) for name in found
        )
    if not (isinstance(found, int | float) and isinstance(expected, int | float)):
        return False
    return alike(found, expected, NEAR) or abs(found**2 - expected**2) <= lost


def _check_measured(part: Part, statistics: Statistics, facts: Facts) -> Iterator[Finding]:
    """Make the facts that follow from sums again, and hold those that were stored against them."""
    again = measured_facts(statistics, part.slices, part.columns)
    wrong = 0
    # What is left where large sums cancel is known to the last places of those.
    energy, gram = float(statistics.model.energy[0]), statistics.model.estimates.gram[0]
    lost = LOST * float(np.diagonal(gram).max(initial=0.0)) / energy if energy > 0 else 0.0
    for name, expected in again.items():
        found = getattr(facts, name)
        if not alike(found, expected, NEAR) and not (
            "floors" in name and _cancel(found, expected, lost)
        ):
            wrong += 1
            text = f"{name} is {short(found)}, and made again of {SUMS} it is {short(expected)}"
            yield Finding("facts", FAILED, text, FACTS)
    replay = facts.replay
    if replay is not None:
        sums = part.sums
        beside, odd = beside_replays(statistics)
        counted = [sums[name].sum() for name in ("reproduced", "explained", "mismatched")]
        ulps = part.sums["ulps"].drop_nulls().list.to_array(_core.ULPS).to_numpy().sum(axis=0)
        pairs = {
            "replay.elements": (replay.elements, sum(counted)),
            "replay.explained": (replay.explained, counted[1]),
            "replay.mismatched": (replay.mismatched, counted[2]),
            "replay.ulps": (list(replay.ulps), ulps.tolist()),
            "replay.unreplayed": (replay.unreplayed, int(beside.sum())),
            "replay.strange": (replay.strange, int(odd.sum())),
        }
        for name, (told, expected) in pairs.items():
            if not alike(told, expected, 0.0):
                wrong += 1
                text = f"{name} is {short(told)}, and made again of {SUMS} it is {expected}"
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
    yield from held("recipe", EVIDENCE, pairs, f"elements that it does not give: as in {SUMS}")
