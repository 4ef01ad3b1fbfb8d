"""Evidence that is made up, for reports: large, or with markup wherever a text can stand."""

from __future__ import annotations

import copy

import numpy as np
import polars as pl
from parentage.evidence import SPECTRUM
from parentage.report import ReportParts

MARKUP = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
"""A text that is markup, a script, and an image that fails."""


def summary(names, controls, n=1000, bit_equal=10):
    return {
        "n": n,
        "n_moved": n,
        "n_stray": 0,
        "bit_equal": dict.fromkeys(["base", *names, *controls], bit_equal),
        "weights": {
            name: {
                "ols": 0.6,
                "standard_error": 0.001,
                "cells": 0.6,
                "cells_half_width": 1e-7,
                "cells_share": 1.0,
                "nnls": 0.6,
                "free": 0.6,
                "ols_bias": 0.01,
                "displacement_ulps": 16.0,
            }
            for name in names
        },
        "controls": {name: {"ols": 0.1} for name in controls},
        "r2": 0.99,
        "cosine": dict.fromkeys(names, 0.99) | dict.fromkeys(controls, 0.1),
        "residual_rms": 1e-4,
        "residual_rms_free": 1e-4,
        "rounding_rms": 1e-4,
        "z_naive": 100.0,
        "log10_p": dict.fromkeys(names, -9.0) | dict.fromkeys(controls, -1.0),
        "condition": 1.0,
        "exact_share": 0.9999,
        "explained_share": 0.0,
        "nan": 0,
        "inf": 0,
        "excluded": 0,
    }


def entry(name, elements):
    files = [{"name": f"{name}.safetensors", "bytes": 2 * elements, "sha256": "0" * 64}]
    return {
        "name": name, "revision": None, "files": files, "tensors": 10, "elements": elements,
    }  # fmt: skip


def made_document(parents=("parent",), controls=("control",), components=("attention", "experts")):
    elements = 100_000
    return {
        "schema": "parentage.evidence/2",
        "tool": {"name": "parentage", "version": "0.0.0", "core": "0.0.0", "arithmetic": 3},
        "inputs": {
            "child": entry("child", elements),
            "base": entry("base", elements),
            "parents": [entry(name, elements) for name in parents],
            "controls": [entry(name, elements) for name in controls],
        },
        "parameters": {
            "blocks": 16,
            "sample": None,
            "search_seed": 7,
            "thresholds": {"reproduced": 0.999},
        },
        "coverage": {
            "slices": 10,
            "elements": elements,
            "elements_read": elements,
            "origin": "base",
            "main": ["base", *parents, *controls],
            "share": 1.0,
            "of": dict.fromkeys(["base", *parents, *controls], 1.0),
            "unaligned": [],
            "orders": [],
        },
        "model": summary(parents, controls),
        "components": {name: summary(parents, controls) for name in components},
        "spectrum": {
            "elements": 5000, "held": dict.fromkeys(parents, 0.6), "missing": None,
        },
        "recipe": {
            "schema": "parentage.recipe/1",
            "method": "linear",
            "parents": [
                {"name": parents[0], "weight": 0.6, "uncertainty": 0.0, "effective_weight": 0.6},
                {"name": "base", "weight": 0.4, "uncertainty": None, "effective_weight": 0.4},
            ],
            "base": None,
            "parameters": {},
            "arithmetic": "float32",
            "out_dtype": "BF16",
            "equivalents": [],
            "elements": elements,
            "mismatches": 12,
            "explained": 0,
            "exact_share": 0.99988,
            "explained_share": 0.0,
            "decoy_share": 0.03,
            "mergekit": "merge_method: linear\n",
        },
        "relations": [
            {"checkpoint": name, "relation": "ancestor", "test": "both_ways", "numbers": {}}
            for name in ("base", *parents)
        ],
        "verdict": {
            "kind": "merge",
            "level": "statistical",
            "rule": "replayed",
            "text": "linear of 0.6 parent + 0.4 base reproduces 99.99% of the elements.",
            "numbers": {"r2": 0.99},
        },
    }  # fmt: skip


def made_slices(
    count=40, parents=("parent",), controls=("control",), experts=4, name="model.layers.{}.{}"
):
    """One row per slice and checkpoint, of layers with attention and experts."""
    random = np.random.default_rng(0)
    of_layer = experts + 1
    index = np.arange(count)
    layer, place = index // of_layer, index % of_layer
    is_expert = place > 0
    checkpoints = ["base", *parents, *controls]
    roles = ["base", *["parent"] * len(parents), *["control"] * len(controls)]
    width = len(checkpoints)

    def wide(values):
        return np.repeat(values, width)

    role = np.tile(roles, count)
    of_parent = role == "parent"
    rows = count * width
    kind = np.where(is_expert, "experts", "attention")
    names = [
        name.format(a, f"mlp.experts.{b - 1}.down_proj" if b else "self_attn.q_proj")
        for a, b in zip(layer.tolist(), place.tolist(), strict=True)
    ]
    frame = {
        "slice": pl.Series(names).gather(wide(index)),
        "component": pl.Series(kind).gather(wide(index)),
        "layer": wide(layer),
        "expert": pl.Series(np.where(is_expert, place - 1, -1))
        .replace(-1, None)
        .gather(wide(index)),
        "shape": pl.Series([[10, 10]]).gather([0] * rows).cast(pl.List(pl.Int64)),
        "dtype": pl.Series(["BF16"]).gather([0] * rows),
        "checkpoint": np.tile(checkpoints, count),
        "role": role,
        "bit_equal": random.integers(0, 90, rows).astype(np.uint64),
        "ols": np.where(of_parent, 0.6 + random.normal(0, 0.01, rows), np.nan),
        "se": np.where(of_parent, 0.002, np.nan),
        "rounding_bias": np.where(of_parent, 0.01, np.nan),
        "cells": np.where(of_parent & (random.random(rows) < 0.9), 0.6, np.nan),
        "cells_half_width": np.where(of_parent, 1e-6, np.nan),
        "checkpoint_cosine": np.where(role == "base", np.nan, 0.9),
        "n": np.full(rows, 100, dtype=np.uint64),
        "r2": wide(random.uniform(0.9, 1.0, count)),
        "residual_rms": wide(random.uniform(0.9, 1.1, count) * 1e-4),
        "rounding_rms": np.full(rows, 1e-4),
        "exact_share": wide(1.0 - (index % 7 == 0) * 0.01),
        "mismatched": wide((index % 7 == 0).astype(np.int64)),
        "log10_p": wide(random.uniform(-30, 0, count)),
    }
    return pl.DataFrame(frame).with_columns(pl.selectors.float().fill_nan(None))


def made_spectrum(parents=("parent",), controls=("control",), layers=4):
    """Spectra with a peak at 0.6."""
    weights = np.round(np.linspace(-1, 2, 601), 6)
    peak = np.round(1000 * np.exp(-(((weights - 0.6) / 0.01) ** 2))).astype(np.uint64)
    flat = np.full(601, 30, dtype=np.uint64)
    curves = []
    for parent in parents:
        curves += [(parent, "parent", parent, None, None, peak)]
        curves += [(parent, "decoy", parent, None, None, flat)]
        curves += [(parent, "control", each, None, None, flat) for each in controls]
        curves += [
            (parent, "parent", parent, None, layer, np.roll(peak, 10 * layer))
            for layer in range(layers)
        ]
    frames = [
        pl.DataFrame(
            {
                "parent": [parent] * 601, "kind": [kind] * 601, "checkpoint": [checkpoint] * 601,
                "component": [component] * 601, "layer": [layer] * 601, "weight": weights,
                "admitted": admitted, "intervals": np.full(601, 1000, dtype=np.uint64),
            },
            schema=SPECTRUM,
        )
        for parent, kind, checkpoint, component, layer, admitted in curves
    ]  # fmt: skip
    return pl.concat(frames)


def made_parts(count=40, experts=4, **changes):
    """Return evidence of a merge that was made up; ``changes`` are keys of the document."""
    document = made_document() | changes
    return ReportParts(document, made_slices(count, experts=experts), made_spectrum())


def hostile_parts():
    """Return evidence with markup in every text: names, reasons, verdict, what lies beside it."""
    parent, control, part = (f"{MARKUP}{name}" for name in ("parent", "control", "part"))
    document = copy.deepcopy(made_document((parent,), (control,), (part, "experts")))
    document["inputs"]["child"]["name"] = f"{MARKUP}child"
    document["inputs"]["child"]["files"][0] |= {"name": MARKUP, "sha256": MARKUP}
    document["coverage"]["unaligned"] = [{"checkpoint": parent, "tensor": MARKUP, "reason": MARKUP}]
    document["coverage"]["orders"] = [{"checkpoint": parent, "kind": MARKUP}]
    document["verdict"] |= {"text": MARKUP, "rule": MARKUP, "numbers": {MARKUP: MARKUP}}
    document["recipe"] |= {"mergekit": MARKUP, "equivalents": [MARKUP], "method": MARKUP}
    document["recipe"]["parameters"] = {MARKUP: MARKUP}
    document["relations"][0] |= {"relation": MARKUP, "test": MARKUP}
    document["tool"] |= {"name": MARKUP, "version": MARKUP}
    slices = made_slices(40, (parent,), (control,), name=MARKUP + "model.layers.{}.{}")
    slices = slices.with_columns(
        component=pl.col("component").replace({"attention": part}), dtype=pl.lit(MARKUP)
    )
    beside = {
        "metadata": {"chat_template": MARKUP, MARKUP: [MARKUP, {MARKUP: MARKUP}]},
        "identity": {"answers": [MARKUP]},
        "custody": [{"who": MARKUP}],
    }
    return ReportParts(document, slices, made_spectrum((parent,), (control,)), beside)
