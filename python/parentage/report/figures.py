"""The pictures of a report: what each shows, in words, and as a chart of Altair.

Every picture is of a small table (:mod:`parentage.report.series`). Names of checkpoints, tensors and
components are data in it, never part of an expression, an address or markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from parentage.report.series import LEAST_RATIO, MOST_RATIO, OUTSIDE, Series
from parentage.support import ReportError, percent, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import altair as alt

    from parentage.report.parts import ReportParts

MOST_PARENTS = 3
"""Parents that have pictures of their own: those with most weight."""

MOST_LABELLED = 14
"""Columns of a heat map up to which numbers are written into it."""

MOST_NARROW = 24
"""Columns of a picture up to which it takes half of a wide page."""

ROW = 24
"""Height of a row of a heat map, in pixels."""

MOST_SVG = 2500
"""Marks up to which a chart is drawn as SVG; of more, as an image."""


@dataclass(frozen=True)
class Figure:
    """A picture: its words, its numbers, and how it is drawn."""

    name: str
    """What its file is called: letters and hyphens."""
    title: str
    caption: str
    """How to read it."""
    alt: str
    """What it shows, in numbers, for those who do not see it."""
    frame: pl.DataFrame
    """What is drawn."""
    spec: dict[str, Any]
    """The chart of Vega-Lite, without data; colours by what they stand for."""
    columns: tuple[tuple[str, str], ...]
    """Columns of its table for readers, each with its title."""

    @property
    def is_wide(self) -> bool:
        """Whether it takes the width of the page: it has many columns."""
        across = "expert" if "expert" in self.frame.columns else "at"
        return across in self.frame.columns and self.frame[across].n_unique() > MOST_NARROW

    @property
    def is_large(self) -> bool:
        """Whether it is drawn as an image."""
        return self.frame.height > MOST_SVG


def figures_of(parts: ReportParts) -> list[Figure]:
    """Return the pictures of a trace, the most telling first.

    Raises
    ------
    ReportError
        If Altair can not be loaded.
    """
    try:
        return list(_Gallery(parts).figures())
    except ImportError as error:
        raise ReportError(f"altair, which describes charts, is not at hand: {error}") from error


class _Gallery:
    def __init__(self, parts: ReportParts) -> None:
        # Heavy, and of no use before somebody wants a report.
        import altair

        self.alt = altair
        self.parts, self.series, self.document = parts, Series(parts), parts.read

    def figures(self) -> Iterator[Figure]:
        """Yield every picture that there is something to show of."""
        parents = self._parents()
        several = len(parents) > 1
        for number, parent in enumerate(parents):
            tail = f"-{number + 1}" if several else ""
            if parent in self.series.spectrum_parents:
                yield self._spectrum(parent, f"spectrum{tail}")
                layers = self.series.spectrum_layers(parent)
                if not layers.is_empty():
                    yield self._spectrum_layers(parent, layers, f"spectrum-layers{tail}")
        for number, parent in enumerate(parents):
            tail = f"-{number + 1}" if several else ""
            if (weights := self.series.weights(parent)).height:
                yield self._weights(parent, weights, f"weights{tail}")
            if (experts := self.series.experts(parent)).height:
                yield self._experts(parent, experts, f"experts{tail}")
        if self.series.residuals.height:
            yield self._residuals()
        if self.series.mismatches["off"].sum():
            yield self._mismatches()
        if self.series.alikeness.height:
            yield self._alikeness()

    def _parents(self) -> list[str]:
        """Return the parents that have pictures of their own."""
        weights = self.document.model.weights

        def size(name: str) -> float:
            known = weights[name].cells if weights[name].cells is not None else weights[name].ols
            return abs(known or 0.0)

        told = {each.name for each in self.document.inputs.parents}
        chosen = [name for name in weights if name in told]
        largest = sorted(chosen, key=size, reverse=True)[:MOST_PARENTS]
        return [name for name in chosen if name in largest]

    def _made(self, chart: Any) -> dict[str, Any]:
        found: dict[str, Any] = chart.to_dict()
        found.pop("config", None)
        return found

    def _chart(self) -> alt.Chart:
        return self.alt.Chart(self.alt.NamedData(name="rows"))

    def _at(self, title: str = "layer", *, angle: int = 0) -> Any:
        alt = self.alt
        return alt.X(
            "at:O", sort=self.series.layers, title=title,
            axis=alt.Axis(labelAngle=angle, labelOverlap=True, labelPadding=4, ticks=False, domain=False),
        )  # fmt: skip

    def _component(self) -> Any:
        alt = self.alt
        present = [printable(each) for each in self.series.components]
        return alt.Y(
            "component:N", sort=present, title=None,
            axis=alt.Axis(ticks=False, domain=False, labelPadding=6, labelColor="@ink"),
        )  # fmt: skip

    def _spectrum(self, parent: str, name: str) -> Figure:
        alt = self.alt
        raw = self.series.spectrum(parent)
        rows = raw.select(
            "weight", "share", "admitted", "intervals", "kind",
            curve=pl.when(pl.col("kind") == "parent").then(pl.lit("this parent"))
            .when(pl.col("kind") == "decoy").then(pl.lit("decoy: the parent's changes, shuffled"))
            .otherwise(pl.concat_str(pl.lit("control: "), "checkpoint")),
        )  # fmt: skip
        rows = rows.with_columns(
            curve=pl.col("curve").map_elements(printable, return_dtype=pl.String)
        )
        tops = {
            kind: raw.filter(pl.col("kind") == kind).sort("share", descending=True).head(1)
            for kind in ("parent", "decoy", "control")
        }
        peak = tops["parent"]
        weight, share = float(peak["weight"][0]), float(peak["share"][0])
        others = self._others_held(parent)
        alt_text = f"{percent(share)} of the rounding cells admit the weight {weight:g}"
        for kind in ("decoy", "control"):
            if tops[kind].height:
                top = tops[kind]
                alt_text += (
                    f"; the best weight of {'a decoy' if kind == 'decoy' else 'a control'} is "
                    f"admitted by {percent(float(top['share'][0]))}"
                )
        # Lines begin and end with what they show: what lies between is none of it.
        curves = rows["curve"].unique(maintain_order=True).to_list()
        kinds = dict(zip(rows["curve"], rows["kind"], strict=True))
        color = alt.Color(
            "curve:N", sort=curves, title=None,
            scale=alt.Scale(domain=curves, range=[f"@{kinds[each]}" for each in curves]),
            legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, direction="vertical"),
        )  # fmt: skip
        dash = {"parent": [1, 0], "decoy": [4, 3], "control": [8, 3]}
        lines = (
            self._chart()
            .mark_line(interpolate="linear", strokeWidth=2)
            .encode(
                x=alt.X("weight:Q", title=f"weight of {_short(printable(parent))}", axis=alt.Axis(tickCount=7, grid=False)),
                y=alt.Y("share:Q", title="share of cells that admit it", axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
                color=color,
                strokeDash=alt.StrokeDash(
                    "curve:N", sort=curves, legend=None,
                    scale=alt.Scale(domain=curves, range=[dash[kinds[each]] for each in curves]),
                ),
            )
        )  # fmt: skip
        # The nearest point to the pointer has a mark and its numbers.
        near = alt.selection_point(
            name="near",
            nearest=True,
            on="pointerover",
            clear="pointerout",
            fields=["weight"],
            empty=False,
        )
        points = (
            self._chart()
            .mark_point(filled=True, size=60)
            .encode(
                x="weight:Q", y="share:Q", color=color,
                opacity=alt.condition(near, alt.value(1), alt.value(0)),
                tooltip=[
                    alt.Tooltip("curve:N", title="curve"),
                    alt.Tooltip("weight:Q", title="weight", format=".3f"),
                    alt.Tooltip("share:Q", title="share of cells", format=".1%"),
                    alt.Tooltip("admitted:Q", title="cells that admit it", format=","),
                    alt.Tooltip("intervals:Q", title="cells looked at", format=","),
                ],
            )
            .add_params(near)
        )  # fmt: skip
        chart = alt.layer(lines, points).properties(width="container", height=230)
        return Figure(
            name,
            f"How much of {printable(parent)}? The cell spectrum",
            "Each number of the child was rounded when it was stored, so each admits a small range of "
            "weights. The curve counts, for every weight, how many numbers admit it. A pure blend has "
            "a peak of 100% at its weight; a checkpoint that has no part in the child has none. "
            f"{others}Looked at: {self._looked_at()}.",
            alt_text + ".",
            rows,
            self._made(chart),
            (("curve", "curve"), ("weight", "weight"), ("share", "share of cells")),
        )

    def _looked_at(self) -> str:
        told = self.document.spectrum
        return "a sample" if told is None else f"{told.elements:,} elements"

    def _others_held(self, parent: str) -> str:
        told = self.document.spectrum
        held = (
            {} if told is None else {k: v for k, v in told.held.items() if k != parent and v != 0.0}
        )
        if not held:
            return ""
        said = ", ".join(
            f"{printable(name)} at {'weights that differ by tensor' if value is None else f'{value:.4g}'}"
            for name, value in held.items()
        )
        return f"Along this axis the other parents are held where the search found them: {said}. "

    def _spectrum_layers(self, parent: str, rows: pl.DataFrame, name: str) -> Figure:
        alt = self.alt
        frame = self.series._spectra(parent).filter(pl.col("layer").is_not_null())
        peaks = (
            frame.sort("share", descending=True)
            .unique("layer", keep="first", maintain_order=True)
            .sort("layer")
        )
        told = ", ".join(
            f"layer {row['layer']}: {row['weight']:g}" for row in peaks.head(12).to_dicts()
        )
        layers = list(dict.fromkeys(rows["at"].to_list()))
        chart = (
            self._chart()
            .mark_rect()
            .encode(
                x=alt.X("at:O", sort=layers, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False)),
                y=alt.Y("start:Q", title=f"weight of {_short(printable(parent))}", scale=alt.Scale(zero=False, nice=False)),
                y2="end:Q",
                color=alt.Color(
                    "share:Q", title="share of cells",
                    scale=alt.Scale(domain=[0, 1], range=["@low", "@high"]),
                    legend=alt.Legend(format="%", orient="right", gradientLength=120),
                ),
                tooltip=[
                    alt.Tooltip("at:N", title="layer"),
                    alt.Tooltip("start:Q", title="weight from", format=".3f"),
                    alt.Tooltip("end:Q", title="to", format=".3f"),
                    alt.Tooltip("share:Q", title="share of cells", format=".1%"),
                ],
            )
            .properties(width="container", height=230)
        )  # fmt: skip
        return Figure(
            name,
            f"The weight of {printable(parent)} goes by layer",
            "The same count as the cell spectrum, for the tensors of each layer alone: where it is "
            "dark in light mode, or bright in dark mode, most numbers of that layer admit the weight.",
            f"The weight that most cells admit, {told}{' and so on' if peaks.height > 12 else ''}.",
            rows,
            self._made(chart),
            (("at", "layer"), ("start", "weight from"), ("end", "to"), ("share", "share of cells")),
        )

    def _weights(self, parent: str, weights: pl.DataFrame, name: str) -> Figure:
        rows = _said(weights, "component")
        return self._weight_map(
            parent, rows, name, y=self._component(), x=self._at(),
            title=f"Weight of {printable(parent)} by layer and part of the model",
            caption="How much of the parent's change went into each part of the child; 0 is none of "
            "it, 1 all. Grey: rounding alone may have moved it by more than 0.1, so that it tells "
            f"nothing. “{OUTSIDE}” are tensors outside of layers. Different numbers from least "
            "squares are no evidence of different recipes: rounding moves them.",
        )  # fmt: skip

    def _experts(self, parent: str, experts: pl.DataFrame, name: str) -> Figure:
        alt = self.alt
        order = list(dict.fromkeys(experts.sort(_first_number("expert"))["expert"].to_list()))
        x = alt.X(
            "expert:O", sort=order, title="expert",
            axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False),
        )  # fmt: skip
        layers = [each for each in self.series.layers if each != OUTSIDE]
        y = alt.Y(
            "at:O", sort=layers, title="layer",
            axis=alt.Axis(ticks=False, domain=False, labelOverlap=True),
        )  # fmt: skip
        return self._weight_map(
            parent, experts, name, y=y, x=x,
            title=f"Weight of {printable(parent)} by layer and expert",
            caption="The experts of each layer, each by itself: one that was taken from elsewhere, or "
            "trained, stands out. Grey: rounding may have moved it by more than 0.1.",
        )  # fmt: skip

    def _weight_map(
        self,
        parent: str,
        rows: pl.DataFrame,
        name: str,
        *,
        x: Any,
        y: Any,
        title: str,
        caption: str,
    ) -> Figure:
        """Return a heat map of weights; its columns are layers or experts."""
        alt = self.alt
        by_expert = "expert" in rows.columns
        across = "expert" if by_expert else "at"
        down = "at" if by_expert else "component"
        known = rows.filter(pl.col("weight").is_not_null())
        least = min(0.0, float(known["weight"].min() or 0.0)) if known.height else 0.0  # type: ignore[arg-type]
        most = max(1.0, float(known["weight"].max() or 1.0)) if known.height else 1.0  # type: ignore[arg-type]
        middle = least + 0.55 * (most - least)
        tooltip = [
            *([alt.Tooltip("expert:N", title="expert")] if by_expert else []),
            alt.Tooltip("at:N", title="layer"),
            *([] if by_expert else [alt.Tooltip("component:N", title="part")]),
            alt.Tooltip("guess:Q", title="weight", format=".4f"),
            alt.Tooltip("doubt:Q", title="give or take", format=".2g"),
            alt.Tooltip("source:N", title="from"),
            alt.Tooltip("slices:Q", title="slices", format=","),
            alt.Tooltip("elements:Q", title="elements", format=","),
        ]
        hover = alt.selection_point(
            name="hover", on="pointerover", clear="pointerout", fields=["at"], empty=False
        )
        base = self._chart().encode(x=x, y=y, tooltip=tooltip)
        cells = (
            base.mark_rect(strokeWidth=1.5)
            .encode(
                color=alt.condition(
                    "isValid(datum.weight)",
                    alt.Color(
                        "weight:Q", title="weight",
                        scale=alt.Scale(domain=[least, most], range=["@low", "@high"]),
                        legend=alt.Legend(orient="right", gradientLength=90, tickCount=5),
                    ),
                    alt.value("@unknown"),
                ),
                stroke=alt.condition(hover, alt.value("@halo"), alt.value(None)),
            )
            .add_params(hover)
        )  # fmt: skip
        columns, lines = rows[across].n_unique(), rows[down].n_unique()
        layers: list[Any] = [cells]
        if columns <= MOST_LABELLED:
            layers.append(
                base.mark_text(fontSize=11).encode(
                    text=alt.condition(
                        "isValid(datum.weight)", alt.Text("weight:Q", format=".2f"), alt.value("?")
                    ),
                    color=alt.condition(
                        f"isValid(datum.weight) && datum.weight > {middle!r}",
                        alt.value("@on-high"),
                        alt.value("@on-low"),
                    ),
                )
            )
        height = max(ROW * lines, 60) if lines <= 40 else 12 * lines
        chart = alt.layer(*layers).properties(width="container", height=height)
        return Figure(
            name,
            title,
            caption,
            _spread(known["weight"], rows.height - known.height, printable(parent)),
            rows,
            self._made(chart),
            ((down, "layer" if by_expert else "part"), (across, "expert" if by_expert else "layer"),
             ("guess", "weight"), ("doubt", "give or take"), ("source", "from"), ("elements", "elements")),
        )  # fmt: skip

    def _residuals(self) -> Figure:
        alt = self.alt
        rows = _said(self.series.residuals, "component")
        components = [printable(each) for each in self.series.components]
        x = self._at()
        scale = alt.Scale(
            type="log", domain=[min(0.5, float(rows["shown"].min() or 0.5)), max(10.0, float(rows["shown"].max() or 10.0))],  # type: ignore[arg-type]
            nice=True,
        )  # fmt: skip
        hover = alt.selection_point(
            name="hover", on="pointerover", clear="pointerout", fields=["at"], empty=False
        )
        few = len(components) <= 6
        dots = (
            self._chart()
            .mark_point(filled=True, size=70, opacity=0.85)
            .encode(
                x=x,
                y=alt.Y("shown:Q", title="left over ÷ rounding", scale=scale, axis=alt.Axis(tickCount=5, format="~g")),
                color=alt.condition(
                    hover, alt.value("@halo"), alt.value("@parent")
                ),
                shape=alt.Shape(
                    "component:N", sort=components, title=None,
                    legend=alt.Legend(orient="top", columns=4, symbolFillColor="@parent", symbolStrokeColor="@parent") if few else None,
                ),
                tooltip=[
                    alt.Tooltip("at:N", title="layer"),
                    alt.Tooltip("component:N", title="part"),
                    alt.Tooltip("ratio:Q", title="left over ÷ rounding", format=",.3~g"),
                    alt.Tooltip("residual:Q", title="left over (rms)", format=".3e"),
                    alt.Tooltip("floor:Q", title="rounding (rms)", format=".3e"),
                    alt.Tooltip("elements:Q", title="elements", format=","),
                ],
            )
            .add_params(hover)
        )  # fmt: skip
        floor = (
            alt.Chart(alt.InlineData(values=[{"floor": 1}]))
            .mark_rule(strokeDash=[5, 4], color="@ink")
            .encode(y="floor:Q")
        )
        ratios = rows["ratio"]
        most = float(ratios.max() or 0.0)  # type: ignore[arg-type]
        return Figure(
            "residual",
            "What the blend leaves over, against the rounding floor",
            "Root mean square of what a least-squares blend, with weights of its own for every tensor, "
            "leaves of the child, in units of what rounding alone leaves. At the dashed line (1) nothing "
            "but rounding is left; above it there is something that the parents do not explain. "
            f"Drawn from {LEAST_RATIO:g} to {MOST_RATIO:,.0f} at most.",
            f"Between {_ratio(float(ratios.min() or 0.0))} and {_ratio(most)} times the rounding floor.",  # type: ignore[arg-type]
            rows,
            self._made(alt.layer(floor, dots).properties(width="container", height=230)),
            (
                ("component", "part"),
                ("at", "layer"),
                ("ratio", "left over ÷ rounding"),
                ("elements", "elements"),
            ),
        )

    def _mismatches(self) -> Figure:
        alt = self.alt
        rows = _said(self.series.mismatches, "component")
        recipe = self.document.recipe
        what = "the recipe does not give" if recipe is not None else (
            f"differ from {printable(self.series.nearest or '')}, the checkpoint with most of the child's bits"
        )  # fmt: skip
        hover = alt.selection_point(
            name="hover", on="pointerover", clear="pointerout", fields=["at"], empty=False
        )
        base = self._chart().encode(
            x=self._at(), y=self._component(),
            tooltip=[
                alt.Tooltip("at:N", title="layer"),
                alt.Tooltip("component:N", title="part"),
                alt.Tooltip("share:Q", title="share", format=".2%"),
                alt.Tooltip("off:Q", title="elements", format=","),
                alt.Tooltip("elements:Q", title="of", format=","),
            ],
        )  # fmt: skip
        most = max(float(rows["share"].max() or 0.0), 1e-9)  # type: ignore[arg-type]
        cells = (
            base.mark_rect(strokeWidth=1.5)
            .encode(
                color=alt.condition(
                    "datum.off > 0",
                    alt.Color(
                        "share:Q", title="share",
                        scale=alt.Scale(domain=[0, most], range=["@off-low", "@off-high"]),
                        legend=alt.Legend(orient="right", format=".1~%", gradientLength=90, tickCount=4),
                    ),
                    alt.value("@none"),
                ),
                stroke=alt.condition(hover, alt.value("@halo"), alt.value(None)),
            )
            .add_params(hover)
        )  # fmt: skip
        layers: list[Any] = [cells]
        if rows["at"].n_unique() <= MOST_LABELLED:
            layers.append(
                base.mark_text(fontSize=11).encode(
                    text=alt.condition("datum.off > 0", alt.Text("share:Q", format=".2~p"), alt.value("0")),
                    color=alt.condition(
                        f"datum.share > {0.6 * most!r}", alt.value("@on-high"), alt.value("@on-low")
                    ),
                )
            )  # fmt: skip
        lines = rows["component"].n_unique()
        total, off = int(rows["elements"].sum()), int(rows["off"].sum())
        return Figure(
            "mismatches",
            "Where the recipe does not give the child's bits" if recipe is not None
            else "Where the child differs",
            f"Share of the elements that {what}. A number that is right but for its last bit counts as "
            "one that is not given.",
            f"{off:,} of {total:,} elements ({percent(off / total if total else 0.0)}) {what}.",
            rows,
            self._made(alt.layer(*layers).properties(width="container", height=max(ROW * lines, 60))),
            (("component", "part"), ("at", "layer"), ("share", "share"), ("off", "elements"), ("elements", "of")),
        )  # fmt: skip

    def _alikeness(self) -> Figure:
        alt = self.alt
        rows = _said(self.series.alikeness, "of")
        names = list(dict.fromkeys(rows["checkpoint"].to_list()))
        whole = rows.filter(pl.col("of") == "all")
        roles = [each for each in ("parent", "control") if each in rows["role"].to_list()]
        color = alt.Color(
            "role:N", title=None, scale=alt.Scale(domain=roles, range=[f"@{each}" for each in roles]),
            legend=alt.Legend(orient="top") if len(roles) > 1 else None,
        )  # fmt: skip
        tooltip = [
            alt.Tooltip("checkpoint:N", title="checkpoint"),
            alt.Tooltip("role:N", title="offered as"),
            alt.Tooltip("of:N", title="part"),
            alt.Tooltip("cosine:Q", title="cosine", format=".4f"),
        ]
        x = alt.X(
            "cosine:Q", title="cosine with the child's change from the base",
            scale=alt.Scale(domain=[min(-0.1, float(rows["cosine"].min() or 0.0)), 1]),  # type: ignore[arg-type]
            axis=alt.Axis(tickCount=6),
        )  # fmt: skip
        y = alt.Y(
            "checkpoint:N", sort=names, title=None,
            axis=alt.Axis(ticks=False, domain=False, labelPadding=8, labelColor="@ink", grid=True),
        )  # fmt: skip
        parts = (
            self._chart().transform_filter("datum.of !== 'all'")
            .mark_tick(thickness=2, size=14, opacity=0.6).encode(x=x, y=y, color=color, tooltip=tooltip)
        )  # fmt: skip
        model = (
            self._chart().transform_filter("datum.of === 'all'")
            .mark_point(filled=True, size=130, opacity=1).encode(x=x, y=y, color=color, tooltip=tooltip)
        )  # fmt: skip
        zero = (
            alt.Chart(alt.InlineData(values=[{"zero": 0}]))
            .mark_rule(strokeDash=[5, 4], color="@ink")
            .encode(x="zero:Q")
        )
        chart = alt.layer(zero, parts, model).properties(
            width="container", height=max(34 * len(names), 60)
        )
        told = "; ".join(
            f"{row['checkpoint']} ({row['role']}) {row['cosine']:.3f}" for row in whole.to_dicts()
        )
        return Figure(
            "controls",
            "Parents against controls" if "control" in roles else "How alike the changes are",
            "Whether the child moved from the base the way a checkpoint did: 1 is the same direction, 0 "
            "none in common. The dot is the whole model, ticks are its parts. "
            + (
                "Controls are relatives known not to be parents: what is no higher than theirs proves nothing."
                if "control" in roles
                else "No control was offered, so that nothing here shows what a relative that is no parent "
                "would look like."
            ),
            f"Cosine over the whole model: {told}.",
            rows,
            self._made(chart),
            (
                ("checkpoint", "checkpoint"),
                ("role", "offered as"),
                ("of", "part"),
                ("cosine", "cosine"),
            ),
        )


def _said(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return a table whose names in a column can be shown."""
    return frame.with_columns(pl.col(column).map_elements(printable, return_dtype=pl.String))


def _short(name: str, most: int = 40) -> str:
    """Return a name of not more than ``most`` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _first_number(column: str) -> pl.Expr:
    return pl.col(column).str.extract(r"^(\d+)").cast(pl.Int64)


def _ratio(value: float) -> str:
    return f"more than {MOST_RATIO:,.0f}" if value > MOST_RATIO else f"{value:.3g}"


def _spread(known: pl.Series, unknown: int, name: str) -> str:
    """Return how weights are spread, in a sentence."""
    if not len(known):
        return "Nothing is known of any weight."
    low, high = float(known.min() or 0.0), float(known.max() or 0.0)  # type: ignore[arg-type]
    told = (
        f"The weight of {name} is {low:.3f} everywhere"
        if high - low < 5e-4
        else f"The weight of {name} goes from {low:.3f} to {high:.3f}"
    )
    return told + (f"; of {unknown} fields nothing is known." if unknown else ".")
