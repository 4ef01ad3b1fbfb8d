"""What a trace found, on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parentage.cli.terminal.console import (
    Terminal,
    as_number,
    as_share,
    as_text,
    new_table,
    reason_lines,
)
from parentage.cli.terminal.styles import STYLES
from parentage.evidence import rows_of
from parentage.support import printable
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from typing import Any

    import polars as pl

    from parentage.evidence import Trace
    from parentage.verdict import Outcome, Verdict


def show_verdict(terminal: Terminal, verdict: Verdict) -> None:
    """Print a verdict with its rule."""
    terminal.out.print()
    terminal.out.print(
        Text.assemble(
            (verdict.kind, STYLES[verdict.kind]),
            (f"  {verdict.level}, by rule {verdict.rule}", "dim"),
        )
    )
    terminal.out.print(Padding(Text(printable(verdict.text)), (0, 0, 0, 2)))


def show_trace(terminal: Terminal, trace: Trace, *, layers: bool = False) -> None:
    """Print what a trace found: verdict, weights, components, what was not compared."""
    show_verdict(terminal, trace.verdict)
    if trace.outcome is not None and trace.verdict.rule not in ("replayed", "changed"):
        # Those rules have said it.
        _recipe(terminal, trace.outcome)
    if trace.inputs.parents or trace.inputs.controls:
        _weights(terminal, trace)
    _groups(terminal, trace, trace.components, "component")
    if layers and trace.layers.height:
        _groups(terminal, trace, trace.layers, "layer")
    _coverage(terminal, trace)
    _digests(terminal, trace)


def _digests(terminal: Terminal, trace: Trace) -> None:
    """Print the SHA-256 of every file, as sha256sum does, if they were computed."""
    for each in (trace.inputs.child, *trace.inputs.others):
        for shard, digest in zip(each.shards, trace.digests.get(each.name, ()), strict=False):
            name = printable(f"{each.name}/{shard.name}")
            terminal.out.print(f"{digest}  {name}", markup=False, highlight=False, soft_wrap=True)


def _recipe(terminal: Terminal, outcome: Outcome) -> None:
    """Print the recipe, what it reproduces, and what a decoy would."""
    recipe = outcome.recipe
    table = Table.grid(padding=(0, 2))
    table.add_row("recipe", as_text(recipe.describe()))
    reproduced = f"{outcome.exact_share:.4%} of {outcome.elements:,} elements, bit for bit"
    if outcome.explained:
        share = outcome.explained / outcome.elements
        reproduced += f"; {share:.4%} more where it leaves a choice open"
    if outcome.mismatched:
        near = outcome.ulps[0] / outcome.mismatched
        reproduced += (
            f"; {outcome.mismatched:,} differ, {near:.0%} of them by one unit in the last place"
        )
    table.add_row("reproduces", reproduced)
    table.add_row("a decoy", f"{outcome.decoy_share:.4%}")
    if recipe.equivalents:
        label = "the same bytes" if outcome.exact_share == 1.0 else "not told from"
        table.add_row(label, as_text(", ".join(recipe.equivalents)))
    terminal.out.print(Padding(table, (0, 0, 1, 2)))


def _weights(terminal: Terminal, trace: Trace) -> None:
    columns = trace.inputs.columns
    ((row, single),) = rows_of(trace.model, columns)
    table = new_table(
        "", "cells", "least squares", "std. error", "cosine", "log10 p", "bits equal",
        "|d| in ulp",
    )  # fmt: skip
    notes = []
    for name in columns.parents:
        own = single[name]
        bias = own["rounding_bias"]
        near = bias is not None and bias >= Thresholds().bias
        if near:
            notes.append(
                f"{name}: a median displacement is {own['displacement_ulps']:g} units "
                f"in the last place; rounding alone can move this weight by {bias:.2f}"
            )
        table.add_row(
            as_text(name),
            _cells(own),
            as_number(own["ols"], ".4f") + ("*" if near else ""),
            as_number(own["se"], ".1e"),
            as_number(own["checkpoint_cosine"], ".4f"),
            as_number(own["checkpoint_log10_p"], ".1f"),
            as_share(own["bit_equal"], row["n"]),
            as_number(own["displacement_ulps"], "g"),
        )
    weights = [single[name]["ols"] for name in columns.parents]
    base = columns.base
    rest = None if None in weights or not weights else 1.0 - sum(weights)
    equal = as_share(single[base]["bit_equal"], row["n"])
    table.add_row(as_text(f"{base} (base)"), "", as_number(rest, ".4f"), "", "", "", equal, "")
    for name in columns.controls:
        own = single[name]
        table.add_row(
            as_text(f"{name} (control, alone)"),
            "",
            as_number(own["alone"], ".4f"),
            "",
            as_number(own["checkpoint_cosine"], ".4f"),
            as_number(own["checkpoint_log10_p"], ".1f"),
            as_share(own["bit_equal"], row["n"]),
            "",
        )
    terminal.out.print(table)
    for note in notes:
        terminal.out.print(Padding(Text("* " + printable(note), style="yellow"), (0, 0, 0, 2)))
    if trace.inputs.parents:
        z = as_number(row["z_naive"], ",.0f")
        terminal.out.print(
            Text(
                f"  R2 {as_number(row['r2'], '.5f')}; naive z {z}, as if elements were "
                "independent; p bounds the chance under block-wise sign flips, which do not "
                "assume it",
                style="dim",
            )
        )


def _groups(terminal: Terminal, trace: Trace, frame: pl.DataFrame, key: str) -> None:
    columns = trace.inputs.columns
    parents, rows = columns.parents, rows_of(frame, columns)
    headers = [f"{printable(name)}" for name in parents]
    replayed = trace.outcome is not None
    last = ["reproduced"] if replayed else []
    table = new_table(
        key, "elements", "bits equal to base", *headers, "R2", "residual / rounding", *last
    )
    counts = Counter(trace.slices[key].to_list())
    for row, single in rows:
        weights = [_weight(single[name]) for name in parents]
        rounding = row["rounding_rms"]
        ratio = row["residual_rms"] / rounding if rounding else None
        table.add_row(
            f"{row[key]} ({counts[row[key]] // len(columns):,})",
            f"{row['n']:,}",
            as_share(single[columns.base]["bit_equal"], row["n"]),
            *weights,
            as_number(row["r2"], ".5f"),
            as_number(ratio, ".2f"),
            *([as_number(row["exact_share"], ".4%")] if replayed else []),
        )
    terminal.out.print(table)
    starred = [
        (single[name]["rounding_bias"], row[key])
        for row, single in rows
        for name in parents
        if (single[name]["rounding_bias"] or 0.0) >= Thresholds().bias
        and single[name]["cells"] is None
    ]
    if starred:
        bias, where = max(starred)
        note = (
            "  * displacements near one unit in the last place: rounding alone can move the "
            f"weight, by up to {bias:.2f} in {key} {where}"
        )
        terminal.out.print(Text(note, style="yellow"))


def _coverage(terminal: Terminal, trace: Trace) -> None:
    row = trace.model.row(0, named=True)
    share = trace.elements / trace.elements_total if trace.elements_total else 0.0
    compared = "compared" if trace.sample is None else "read a sample:"
    terminal.out.print(
        f"  {compared} {trace.elements:,} of {trace.elements_total:,} elements of "
        f"{printable(trace.inputs.child.name)} ({share:.2%}), in "
        f"{trace.tables.number_of_slices:,} slices"
    )
    if row["excluded"]:
        terminal.out.print(
            f"  left out {row['excluded']:,} elements that are not finite: {row['nan']:,} NaN "
            f"and {row['inf']:,} infinite values"
        )
    if trace.unaligned.height:
        rows = zip(
            trace.unaligned["checkpoint"],
            trace.unaligned["reason"],
            trace.unaligned["tensor"],
            strict=True,
        )
        terminal.out.print(f"  not compared, {trace.unaligned.height:,} tensors:")
        for line in reason_lines(rows):
            terminal.out.print(Text("    " + line), soft_wrap=True)
    else:
        compared = "was compared" if trace.sample is None else "is in the sample"
        terminal.out.print(f"  every tensor of every checkpoint {compared}")


def _cells(own: dict[str, Any]) -> str:
    """Return the weight that the cells have, with the digits that they settle."""
    cells, half_width = own["cells"], own["cells_half_width"]
    if cells is None:
        return ""
    if half_width < 1e-6:
        return f"{cells:.6f}"
    return f"{cells:.4f} ± {half_width:.4f}"


def _weight(own: dict[str, Any]) -> str:
    """Return the weight that the cells have; or that of least squares, with its error.

    A star says that rounding can move the latter further.
    """
    if own["cells"] is not None:
        return _cells(own)
    bias = own["rounding_bias"]
    star = "*" if bias is not None and bias >= Thresholds().bias else " "
    return f"{as_number(own['ols'], '.4f')} ± {as_number(own['se'], '.4f')}{star}"
