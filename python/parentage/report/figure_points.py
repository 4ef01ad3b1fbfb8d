"""Pictures of points: what is left over against rounding, and parents against controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from parentage.report.figure import Figure, least_of, most_of, shown_names
from parentage.report.series import LEAST_RATIO, MOST_RATIO

if TYPE_CHECKING:
    from parentage.report.figure import Drawing

TICKS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
"""Where an axis of ratios has a line."""

LEAST_AXIS = (0.3, 10.0)
"""What an axis of ratios shows, at least."""

MOST_SHAPES = 8
"""Parts of the model up to which each has a shape in a legend."""


def residual_figure(drawing: Drawing) -> Figure | None:
    """Return what least squares leave, in units of rounding, by layer and part of the model."""
    alt = drawing.alt
    rows = shown_names(drawing.series.residuals, "component")
    if rows.is_empty():
        return None
    names = drawing.part_names
    least, most = LEAST_AXIS
    domain = [min(least, least_of(rows["shown"], least)), max(most, most_of(rows["shown"], most))]
    legend = (
        alt.Legend(
            orient="top", columns=4, symbolFillColor="@parent", symbolStrokeColor="@parent"
        )
        if len(names) <= MOST_SHAPES
        else None
    )  # fmt: skip
    hover = drawing.hover()
    title = "left over ÷ rounding"
    dots = (
        drawing.chart()
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(
            x=drawing.layers_across,
            xOffset=alt.XOffset("component:N", sort=names),
            y=alt.Y(
                "shown:Q", title=title, axis=alt.Axis(values=TICKS, format="~g"),
                scale=alt.Scale(type="log", domain=domain, nice=False),
            ),
            color=alt.condition(hover, alt.value("@halo"), alt.value("@parent")),
            shape=alt.Shape("component:N", sort=names, title=None, legend=legend),
            tooltip=drawing.tips(
                ("at:N", "layer", None),
                ("component:N", "part", None),
                ("ratio:Q", title, ".3~r"),
                ("residual:Q", "left over (rms)", ".3e"),
                ("floor:Q", "rounding (rms)", ".3e"),
                ("elements:Q", "elements", ","),
            ),
        )
        .properties(name="points")
        .add_params(hover)
    )  # fmt: skip
    ratios = rows["ratio"]
    is_blend = bool(drawing.document.inputs.parents)
    what = (
        "what a least-squares blend, with weights of its own for every tensor, leaves of the child"
        if is_blend
        else "the child's difference from the base: no parent was offered"
    )
    return Figure(
        name="residual",
        title="What the blend leaves over, against the rounding floor"
        if is_blend
        else "The difference from the base, against the rounding floor",
        caption=f"Root mean square of {what}, in units of what rounding alone leaves. At the "
        "dashed line there is nothing but rounding; above it there is something that the others "
        f"do not explain. The axis goes from {LEAST_RATIO:g} to {MOST_RATIO:,.0f} at most; what is "
        "beyond stands at its end. "
        + drawing.outside_told.rstrip(),
        alt=f"Between {_ratio(least_of(ratios))} and {_ratio(most_of(ratios))} times the rounding "
        "floor.",
        frame=rows,
        subject=title,
        spec=drawing.made(drawing.rule(y=1.0), dots),
        columns=(
            ("component", "part"), ("at", "layer"), ("ratio", title), ("elements", "elements"),
        ),
    )  # fmt: skip


def _ratio(value: float) -> str:
    return f"more than {MOST_RATIO:,.0f}" if value > MOST_RATIO else f"{value:.3g}"


def controls_figure(drawing: Drawing) -> Figure | None:
    """Return the cosine of each parent's and control's change with the child's."""
    alt = drawing.alt
    rows = shown_names(drawing.series.alikeness, "of", "checkpoint")
    if rows.is_empty():
        return None
    names = list(dict.fromkeys(rows["checkpoint"].to_list()))
    present = rows["role"].to_list()
    roles = [each for each in ("parent", "control") if each in present]
    has_controls = "control" in roles
    encoding = {
        "x": alt.X(
            "cosine:Q", title="cosine with the child's change from the base",
            scale=alt.Scale(domain=[min(-0.1, least_of(rows["cosine"])), 1]),
            axis=alt.Axis(tickCount=6),
        ),
        "y": drawing.band(alt.Y, "checkpoint:N", names, None),
        "color": alt.Color(
            "role:N", title=None,
            scale=alt.Scale(domain=roles, range=[f"@{each}" for each in roles]),
            legend=alt.Legend(orient="top") if has_controls else None,
        ),
        "tooltip": drawing.tips(
            ("checkpoint:N", "checkpoint", None),
            ("role:N", "offered as", None),
            ("of:N", "part", None),
            ("cosine:Q", "cosine", ".4f"),
        ),
    }  # fmt: skip
    ticks = (
        drawing.chart()
        .transform_filter("!datum.whole")
        .mark_tick(thickness=2, size=14, opacity=0.6)
        .encode(**encoding)
    )
    dots = (
        drawing.chart()
        .transform_filter("datum.whole")
        .mark_point(filled=True, size=130, opacity=1)
        .encode(**encoding)
    )
    told = "; ".join(
        f"{row['checkpoint']} ({row['role']}) {row['cosine']:.3f}"
        for row in rows.filter(pl.col("whole")).to_dicts()
    )
    return Figure(
        name="controls",
        title="Parents against controls" if has_controls else "How alike the changes are",
        caption="Whether the child moved from the base the way a checkpoint did: 1 is the same "
        "direction, 0 none in common. The dot is the whole model, ticks are its parts. "
        + (
            "Controls are relatives known not to be parents: what is no higher than theirs proves "
            "nothing."
            if has_controls
            else "No control was offered, so that nothing here shows what a relative that is no "
            "parent would look like."
        ),
        alt=f"Cosine over the whole model: {told}.",
        frame=rows,
        subject="cosine",
        spec=drawing.made(drawing.rule(x=0.0), ticks, dots, height=max(34 * len(names), 60)),
        columns=(
            ("checkpoint", "checkpoint"), ("role", "offered as"), ("of", "part"),
            ("cosine", "cosine"),
        ),
    )  # fmt: skip
