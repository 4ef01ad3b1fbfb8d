"""One JSON-ready document of everything that a trace found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parentage.methods import to_mergekit
from parentage.support import RecipeError

if TYPE_CHECKING:
    from typing import Any

    from parentage.checkpoint import Inputs
    from parentage.verdict import Outcome

SCHEMA = "parentage.evidence/1"
"""Version of the JSON document. Keys keep their meaning from version to version."""


def summary(row: dict[str, Any], parents: list[str], inputs: Inputs) -> dict[str, Any]:
    """Return what the document says of the model or a component, of its row."""
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
        "condition": plain(row["condition"]),
        "exact_share": row["exact_share"],
        "explained_share": row["explained_share"],
        "nan": row["nan"],
        "inf": row["inf"],
        "excluded": row["excluded"],
    }


def recipe_document(outcome: Outcome) -> dict[str, Any]:
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
        "decoy_share": plain(outcome.decoy_share),
        "mergekit": mergekit,
    }


def plain(value: float | int | str | None) -> float | int | str | None:
    """Return a value that JSON can hold: infinities as text, NaN as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
