"""Pictures of cell spectra: of the whole model, beside a decoy's, and by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from parentage.report.figure import POINTER, Figure, least_of, most_of, shortened
from parentage.report.shares import share_of
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.report.figure import Drawing

ZOOMED = 0.3
"""Share of cells that the axis of a spectrum ends at, where a peak stays below it."""

BEYOND_CHANCE = 2.0
"""How many times a decoy's or control's peak one that is shown larger has, at least."""

DASHES = {"parent": [1, 0], "decoy": [4, 3], "control": [8, 3]}
"""How lines are dashed, so that they differ without colour."""

EVERY = 5
"""Bins of a spectrum of which one can be pointed at."""

MOST_TOLD = 12
"""Layers whose weights are told in words."""


def spectrum_figure(drawing: Drawing, parent: str, name: str) -> Figure:
    """Return how many cells admit each weight of a parent, a decoy and controls."""
    alt = drawing.alt
    raw = drawing.series.spectrum(parent)
    tops = {
        kind: raw.filter(pl.col("kind") == kind).sort("share", descending=True).head(1)
        for kind in DASHES
    }
    weight, share = tops["parent"]["weight"][0], tops["parent"]["share"][0]
    chance = max(most_of(tops[kind]["share"]) for kind in ("decoy", "control"))
    end = ZOOMED if BEYOND_CHANCE * chance < share < ZOOMED - 0.05 else 1.0
    rows = raw.select(
        "weight", "share", "admitted", "intervals", "kind",
        curve=pl.struct("kind", "checkpoint").map_elements(_curve_name, return_dtype=pl.String),
        told=(pl.col("share") == pl.col("share").max().over("kind", "checkpoint"))
        | (pl.int_range(pl.len()).over("kind", "checkpoint") % EVERY == 0),
    )  # fmt: skip
    kinds = dict(zip(rows["curve"], rows["kind"], strict=True))
    curves = list(kinds)
    legend = alt.Legend(
        orient="top", direction="vertical", symbolType="stroke", symbolStrokeWidth=3, labelLimit=420
    )
    color = alt.Color(
        "curve:N", sort=curves, title=None, legend=legend,
        scale=alt.Scale(domain=curves, range=[f"@{kinds[each]}" for each in curves]),
    )  # fmt: skip
    dash = alt.StrokeDash(
        "curve:N", sort=curves, title=None, legend=legend,
        scale=alt.Scale(domain=curves, range=[DASHES[kinds[each]] for each in curves]),
    )  # fmt: skip
    title = f"weight of {shortened(printable(parent))}"
    lines = (
        drawing.chart()
        .mark_line(interpolate="linear", strokeWidth=2, clip=True)
        .encode(
            x=alt.X("weight:Q", title=title, axis=alt.Axis(tickCount=7, grid=False)),
            y=alt.Y(
                "share:Q", title="share of cells that admit it",
                axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, end]),
            ),
            color=color,
            strokeDash=dash,
        )
    )  # fmt: skip
    # What is nearest to the pointer has a mark, and its numbers: of the peaks, and of some others.
    near = alt.selection_point(
        name="near", nearest=True, on="pointerover", clear="pointerout", fields=["weight"],
        empty=False,
    )  # fmt: skip
    points = (
        drawing.chart()
        .properties(name=POINTER)
        .transform_filter("datum.told")
        .mark_point(filled=True, size=60)
        .encode(
            x="weight:Q",
            y="share:Q",
            color=color,
            opacity=alt.condition(near, alt.value(1), alt.value(0)),
            tooltip=drawing.tips(
                ("curve:N", "curve", None),
                ("weight:Q", "weight", ".3f"),
                ("share:Q", "share of cells", ".1%"),
                ("admitted:Q", "cells that admit it", ","),
                ("intervals:Q", "cells looked at", ","),
            ),
        )
        .add_params(near)
    )
    told = f"{share_of(share)} of the rounding cells admit the weight {weight:g}"
    for kind, called in (("decoy", "a decoy"), ("control", "a control")):
        if tops[kind].height:
            peak = share_of(tops[kind]["share"][0])
            told += f"; the best weight of {called} is admitted by {peak}"
    axis = "" if end == 1.0 else f"The axis ends at {end:.0%}. "
    return Figure(
        name=name,
        title=f"How much of {printable(parent)}? The cell spectrum",
        caption="Each number of the child was rounded when it was stored, so each admits a small "
        "range of weights. The curve counts, for every weight, the share of numbers that admit it. "
        "A pure blend has a peak of 100% at its weight; a checkpoint that has no part in the child "
        f"has none. {_others_held(drawing, parent)}{axis}Looked at: {_looked_at(drawing)}.",
        alt=f"{told}.",
        frame=rows,
        subject="cells",
        spec=drawing.made(lines, points),
        columns=(("curve", "curve"), ("weight", "weight"), ("share", "share of cells")),
    )


def _curve_name(row: dict[str, str]) -> str:
    """Return what a curve is called: decoys are of the parent whose numbers they are."""
    name = printable(row["checkpoint"])
    return "decoy: its changes, shuffled" if row["kind"] == "decoy" else f"{row['kind']}: {name}"


def _looked_at(drawing: Drawing) -> str:
    told = drawing.document.spectrum
    return "a sample" if told is None else f"{told.elements:,} elements of the child"


def _others_held(drawing: Drawing, parent: str) -> str:
    """Return where the weights of other parents were held, in a sentence."""
    told = drawing.document.spectrum
    held = {} if told is None else told.held
    said = [
        f"{printable(name)} at "
        + ("weights that differ by tensor" if value is None else f"{value:.4g}")
        for name, value in held.items()
        if name != parent and value != 0.0
    ]
    if not said:
        return ""
    return f"The other parents are held where the search found them: {', '.join(said)}. "


def spectrum_layers_figure(drawing: Drawing, parent: str, name: str) -> Figure | None:
    """Return the spectrum of every layer, where they have peaks at several weights."""
    alt = drawing.alt
    rows = drawing.series.spectrum_layers(parent)
    if rows.is_empty():
        return None
    peaks = drawing.series.layer_peaks(parent)
    told = ", ".join(
        f"layer {row['layer']}: {row['weight']:g}" for row in peaks.head(MOST_TOLD).to_dicts()
    )
    layers = list(dict.fromkeys(rows["at"].to_list()))
    scale = alt.Scale(
        zero=False, nice=False, domain=[least_of(rows["start"]), most_of(rows["end"])]
    )
    cells = (
        drawing.chart()
        .mark_rect()
        .encode(
            x=drawing.band(alt.X, "at:O", layers, "layer"),
            y=alt.Y("start:Q", title=f"weight of {shortened(printable(parent))}", scale=scale),
            y2="end:Q",
            color=alt.Color(
                "share:Q", title="share of cells",
                scale=alt.Scale(domain=[0, 1], range=["@low", "@high"]),
                legend=alt.Legend(format="%", orient="right", gradientLength=120),
            ),
            tooltip=drawing.tips(
                ("at:N", "layer", None),
                ("start:Q", "weight from", ".3f"),
                ("end:Q", "to", ".3f"),
                ("share:Q", "share of cells", ".1%"),
            ),
        )
    )  # fmt: skip
    return Figure(
        name=name,
        title=f"The weight of {printable(parent)} differs by layer",
        caption="The same count as the cell spectrum, for the tensors of each layer alone. Where "
        "it stands out from the ground, most numbers of that layer admit the weight.",
        alt="The weight that most cells admit, "
        + told
        + (" and so on." if peaks.height > MOST_TOLD else "."),
        frame=rows,
        subject="cells by layer",
        spec=drawing.made(cells),
        columns=(
            ("at", "layer"), ("start", "weight from"), ("end", "to"), ("share", "share of cells"),
        ),
    )  # fmt: skip
