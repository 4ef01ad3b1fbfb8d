"""One JSON-ready document of everything that a trace found."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from parentage import _core
from parentage.align import LEAST_SHARE
from parentage.evidence.spectrum import spectrum_entry
from parentage.evidence.tables import rows_of
from parentage.methods import to_mergekit
from parentage.statistics import SINGULAR
from parentage.support import RecipeError
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.align import Order
    from parentage.bundle import Assumed, FolderDigests
    from parentage.checkpoint import Checkpoint, Columns, Inputs
    from parentage.evidence.tables import Tables
    from parentage.hypothesise import Spectra
    from parentage.sample import Sampled
    from parentage.verdict import Outcome, Relation, Roles, Verdict

SCHEMA = "parentage.evidence/2"
"""Version of the JSON document and of ``slices.parquet`` beside it.

The number goes up when a key or a column changes its meaning or place. Of version 1, recipes are
read; its ``slices.parquet`` had a column per quantity and checkpoint.
"""


CONSTANTS = {
    "blocks": _core.BLOCKS,
    "least_share_paired": LEAST_SHARE,
    "singular": SINGULAR,
}
"""Parameters that are the same in every trace of a version."""


def tool_entry() -> dict[str, Any]:
    """Return what makes evidence here, as it stands in the document."""
    return {
        "name": "parentage",
        "version": _core.__version__,
        "core": _core.__version__,
        "arithmetic": _core.DEFINITION,
    }


def document(
    verdict: Verdict,
    inputs: Inputs,
    tables: Tables,
    outcome: Outcome | None,
    sample: Sampled | None,
    digests: Mapping[str, Sequence[str]],
    search_seed: int | None = None,
    *,
    relations: Sequence[Relation],
    offered: Inputs,
    called: Roles | None = None,
    orders: Sequence[Order] = (),
    folders: Mapping[str, FolderDigests] | None = None,
    spectra: Spectra,
    device: Mapping[str, str] | None = None,
    assumed: Assumed | None = None,
) -> dict[str, Any]:
    """Return everything a stranger needs to check the verdict.

    ``inputs`` are the checkpoints that the main tables are of, ``offered`` are all.
    The same bytes in give the same document; no timing, path or date is in it. ``device`` is what
    computed if not the core, and changes nothing else. ``assumed`` is of a trace that no
    base was given to, ``called`` of one in which some checkpoint turned out to be something else
    than it was called.
    """
    columns = inputs.columns
    ((model, of_model),) = rows_of(tables.model, columns)

    def described(checkpoint: Checkpoint) -> dict[str, Any]:
        told = _checkpoint(checkpoint, digests.get(checkpoint.name))
        folder = None if folders is None else folders.get(checkpoint.name)
        return told if folder is None else {**told, **_folder(folder)}

    return {
        "schema": SCHEMA,
        "tool": tool_entry() | ({} if device is None else {"device": dict(device)}),
        "inputs": {
            "child": described(offered.child),
            "base": described(offered.base),
            "parents": [described(each) for each in offered.parents],
            "controls": [described(each) for each in offered.controls],
            **({} if called is None else {"called": asdict(called)}),
        },
        **({} if assumed is None else {"assumed": msgspec.to_builtins(assumed)}),
        "parameters": {
            **CONSTANTS,
            "sample": None if sample is None else sample.as_dict(),
            "search_seed": search_seed,
            "thresholds": {name: getattr(Thresholds(), name) for name in Thresholds.__slots__},
        },
        "coverage": {
            "slices": tables.number_of_slices,
            "elements": inputs.child.elements,
            "elements_read": tables.elements,
            "origin": inputs.base.name,
            "main": list(columns.names),
            "share": tables.elements / max(offered.child.elements, 1),
            "of": dict(tables.shares),
            "unaligned": tables.unaligned.select("checkpoint", "tensor", "reason").to_dicts(),
            "orders": [each.as_dict() for each in orders],
        },
        "model": summary(model, of_model, columns),
        "components": {
            row["component"]: summary(row, of_row, columns)
            for row, of_row in rows_of(tables.components, columns)
        },
        "spectrum": spectrum_entry(spectra),
        "recipe": None if outcome is None else _recipe(outcome),
        "relations": [each.as_dict() for each in relations],
        "verdict": verdict_entry(verdict),
    }


def verdict_entry(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it stands in the document."""
    return {
        "kind": verdict.kind,
        "level": verdict.level,
        "rule": verdict.rule,
        "text": verdict.text,
        "numbers": {name: _plain(x) for name, x in verdict.numbers.items()},
    }


def _checkpoint(checkpoint: Checkpoint, digests: Sequence[str] | None) -> dict[str, Any]:
    """Return what identifies a checkpoint."""
    known: Sequence[str | None] = digests or (None,) * len(checkpoint.own_shards)
    origin = checkpoint.origin
    published = {} if origin is None else origin.published
    return {
        "name": checkpoint.name,
        "source": None if origin is None else origin.where,
        "revision": None if origin is None else origin.revision,
        "files": [
            {
                "name": shard.name,
                "bytes": shard.bytes,
                "sha256": digest,
                "published_sha256": published.get(shard.name),
            }
            for shard, digest in zip(checkpoint.own_shards, known, strict=True)
        ],
        "tensors": len(checkpoint.tensors),
        "elements": checkpoint.elements,
    }


def _folder(found: FolderDigests) -> dict[str, Any]:
    """Return what is said of the folder of a checkpoint where digests were asked for."""
    return {
        "beside": [
            {"name": name, "bytes": size, "sha256": digest} for name, size, digest in found.files
        ],
        "root": found.root,
    }


def summary(
    row: Mapping[str, Any], single: Mapping[str, Mapping[str, Any]], columns: Columns
) -> dict[str, Any]:
    """Return what the document says of the model or of a component.

    ``single`` are the rows of its checkpoints, by name.
    """
    compared = (*columns.parents, *columns.controls)
    return {
        "n": row["n"],
        "n_moved": row["n_moved"],
        "n_stray": row["n_stray"],
        "bit_equal": {name: single[name]["bit_equal"] for name in columns.names},
        "weights": {
            name: {
                "ols": single[name]["ols"],
                "standard_error": single[name]["se"],
                "cells": single[name]["cells"],
                "cells_half_width": single[name]["cells_half_width"],
                "cells_share": single[name]["cells_share"],
                "nnls": single[name]["nnls"],
                "free": single[name]["free"],
                "ols_bias": single[name]["rounding_bias"],
                "displacement_ulps": single[name]["displacement_ulps"],
            }
            for name in columns.parents
        },
        "controls": {name: {"ols": single[name]["alone"]} for name in columns.controls},
        "r2": row["r2"],
        "cosine": {name: single[name]["checkpoint_cosine"] for name in compared},
        "residual_rms": row["residual_rms"],
        "residual_rms_free": row["residual_rms_free"],
        "rounding_rms": row["rounding_rms"],
        "z_naive": row["z_naive"],
        "log10_p": {name: single[name]["checkpoint_log10_p"] for name in compared},
        "condition": _plain(row["condition"]),
        "exact_share": row["exact_share"],
        "explained_share": row["explained_share"],
        "nan": row["nan"],
        "inf": row["inf"],
        "excluded": row["excluded"],
    }


def _recipe(outcome: Outcome) -> dict[str, Any]:
    """Return the recipe with what it reproduces, as it stands in evidence."""
    recipe = outcome.recipe
    try:
        mergekit = to_mergekit(recipe)
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


def _plain(value: float | int | str | None) -> float | int | str | None:
    """Return a value that JSON can hold: infinities as text, NaN as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
