"""Shows what a trace found: verdict, recipe, weights, components, and what was not compared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parentage.cli.terminal.console import (
    as_number,
    as_share,
    as_text,
    counted,
    new_table,
    reason_lines,
)
from parentage.cli.terminal.styles import STYLES
from parentage.evidence import rows_of
from parentage.support import listed, percent, printable
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from typing import Any

    import polars as pl

    from parentage.cli.terminal.console import Terminal
    from parentage.evidence import Trace
    from parentage.verdict import Outcome, Verdict

    Row = dict[str, Any]

RULES_OF_RECIPES = ("replayed", "changed", "changed_in_part", "rounding_left", "either_way")
"""Rules whose text says what the recipe reproduces."""

KINDS_OF_RECIPES = ("merge", "merge-then-changed")
"""Verdicts beside which another recipe is shown: under others it would say more than they do."""

LEGEND = (
    "cells: the weight that the child's rounding cells admit; |d|: the median displacement, in "
    "units in the last place; a decoy is a stand-in put in a parent's place: what it reaches, a "
    "recipe reaches without that parent"
)
"""What the tables' words mean."""

SETTLED = 1e-6
"""Half width of a weight from cells that is shown without one."""

SMALL = 1e-4
"""Half width below which four digits would show none of it."""


def show_trace(terminal: Terminal, trace: Trace, *, layers: bool = False) -> None:
    """Print what a trace found, with a row for every layer if ``layers``."""
    show_verdict(terminal, trace.verdict)
    verdict = trace.verdict
    is_said = verdict.rule in RULES_OF_RECIPES or verdict.kind not in KINDS_OF_RECIPES
    if trace.outcome is not None and not is_said:
        _recipe(terminal, trace.outcome)
    if trace.inputs.parents or trace.inputs.controls:
        _weights(terminal, trace)
    _groups(terminal, trace, trace.components, "component")
    if layers and trace.layers.height:
        _groups(terminal, trace, trace.layers, "layer")
    _coverage(terminal, trace)
    _digests(terminal, trace)


def show_verdict(terminal: Terminal, verdict: Verdict) -> None:
    """Print a verdict with its rule."""
    terminal.out.print()
    terminal.out.print(
        Text.assemble(
            (verdict.heading, STYLES[verdict.kind]),
            (f"  {_level(verdict)}by rule {verdict.rule}", "dim"),
        )
    )
    terminal.prose(printable(verdict.text))


def _level(verdict: Verdict) -> str:
    """Return how sure a verdict is; what decides nothing is neither exact nor statistical."""
    return "" if verdict.kind == "undetermined" else f"{verdict.level}, "


def _recipe(terminal: Terminal, outcome: Outcome) -> None:
    """Print the recipe, what it reproduces, and what a decoy would."""
    recipe = outcome.recipe
    rows = Table.grid(padding=(0, 2))
    rows.add_row("recipe", as_text(recipe.describe()))
    reproduced = f"{outcome.exact_share:.4%} of {outcome.elements:,} elements, bit for bit"
    if outcome.explained:
        explained = outcome.explained / outcome.elements
        reproduced += f"; {explained:.4%} more where it leaves a choice open"
    if outcome.mismatched:
        near = outcome.ulps[0] / outcome.mismatched
        reproduced += (
            f"; {outcome.mismatched:,} differ, {near:.0%} of them by one unit in the last place"
        )
    rows.add_row("reproduces", reproduced)
    rows.add_row("a decoy", f"{outcome.decoy_share:.4%}")
    if recipe.equivalents:
        label = "the same bytes" if outcome.exact_share == 1.0 else "not told from"
        rows.add_row(label, as_text(", ".join(recipe.equivalents)))
    terminal.out.print(Padding(rows, (0, 0, 1, 2)))


def _weights(terminal: Terminal, trace: Trace) -> None:
    """Print the weight of every checkpoint over the whole child, and how sure it is."""
    columns = trace.inputs.columns
    ((model, by_name),) = rows_of(trace.model, columns)
    # Relatives that are no parents have small p-values, too: none is shown without theirs.
    significance = ["log10 p"] if columns.controls else []
    rows = new_table(
        "",
        "cells",
        "least squares",
        "std. error",
        "cosine",
        *significance,
        "bits equal",
        "|d| in ulp",
    )
    for name in columns.parents:
        fit = by_name[name]
        rows.add_row(
            as_text(name),
            _cells(fit),
            as_number(fit["ols"], ".4f") + ("*" if _moved_by_rounding(fit) else ""),
            as_number(fit["se"], ".1e"),
            as_number(fit["checkpoint_cosine"], ".4f"),
            *(as_number(fit["checkpoint_log10_p"], ".1f") for _ in significance),
            as_share(fit["bit_equal"], model["n"]),
            as_number(fit["displacement_ulps"], "g"),
        )
    base = columns.base
    weights = [by_name[name]["ols"] for name in columns.parents]
    rest = None if None in weights or not weights else 1.0 - sum(weights)
    equal = as_share(by_name[base]["bit_equal"], model["n"])
    nothing = [""] * (2 + len(significance))
    rows.add_row(as_text(f"{base} (base)"), "", as_number(rest, ".4f"), *nothing, equal, "")
    for name in columns.controls:
        fit = by_name[name]
        rows.add_row(
            as_text(f"{name} (control, alone)"),
            "",
            as_number(fit["alone"], ".4f"),
            "",
            as_number(fit["checkpoint_cosine"], ".4f"),
            as_number(fit["checkpoint_log10_p"], ".1f"),
            as_share(fit["bit_equal"], model["n"]),
            "",
        )
    terminal.table(rows)
    for name in columns.parents:
        fit = by_name[name]
        if _moved_by_rounding(fit):
            note = (
                f"* {printable(name)}: rounding alone can move this weight by "
                f"{fit['rounding_bias']:.2f}"
            )
            terminal.prose(note, style="yellow")
    if trace.inputs.parents:
        note = f"R2 {as_number(model['r2'], '.5f')}"
        if significance:
            note += (
                "; p bounds the chance under block-wise sign flips, which do not assume that "
                "elements are independent: compare it with the control's"
            )
        terminal.prose(note, style="dim")


def _groups(terminal: Terminal, trace: Trace, frame: pl.DataFrame, key: str) -> None:
    """Print a row for every group of slices: every component, or every layer."""
    columns = trace.inputs.columns
    groups = rows_of(frame, columns)
    replayed = trace.outcome is not None
    rows = new_table(
        key,
        "elements",
        "bits equal to base",
        *(printable(name) for name in columns.parents),
        "R2",
        "residual / rounding",
        *(["reproduced"] if replayed else []),
    )
    slices = Counter(trace.slices[key].to_list())
    for group, by_name in groups:
        rounding = group["rounding_rms"]
        ratio = group["residual_rms"] / rounding if rounding else None
        rows.add_row(
            f"{group[key]} ({slices[group[key]] // len(columns):,})",
            f"{group['n']:,}",
            as_share(by_name[columns.base]["bit_equal"], group["n"]),
            *(_weight(by_name[name]) for name in columns.parents),
            as_number(group["r2"], ".5f"),
            as_number(ratio, ".2f"),
            *([as_number(group["exact_share"], ".4%")] if replayed else []),
        )
    terminal.table(rows)
    starred = [
        (by_name[name]["rounding_bias"], group[key])
        for group, by_name in groups
        for name in columns.parents
        if _is_starred(by_name[name])
    ]
    if starred:
        bias, place = max(starred)
        note = f"* rounding alone can move the weight, by up to {bias:.2f} in {key} {place}"
        terminal.prose(note, style="yellow")


def _coverage(terminal: Terminal, trace: Trace) -> None:
    """Print how much of the child was compared, and why the rest was not."""
    model = trace.model.row(0, named=True)
    compared = trace.elements / trace.elements_total if trace.elements_total else 0.0
    did = "compared" if trace.sample is None else "read a sample:"
    terminal.prose(
        f"{did} {trace.elements:,} of {trace.elements_total:,} elements of "
        f"{printable(trace.inputs.child.name)} ({compared:.2%}), in "
        f"{trace.tables.number_of_slices:,} slices"
    )
    partial = {name: share for name, share in trace.tables.shares.items() if share < 1.0}
    if partial:
        shares = listed(f"{percent(x)} of {printable(name)}" for name, x in partial.items())
        terminal.out.print(f"  of the others, {shares} took part")
    if model["excluded"]:
        are = "element that is" if model["excluded"] == 1 else "elements that are"
        terminal.prose(
            f"left out {model['excluded']:,} {are} not finite: {model['nan']:,} NaN and "
            f"{model['inf']:,} infinite values"
        )
    if trace.unaligned.height:
        terminal.prose(f"not compared, {counted(trace.unaligned.height, 'tensor')}:")
        terminal.indent(
            reason_lines(trace.unaligned.select("checkpoint", "reason", "tensor").rows())
        )
    elif not partial:
        did = "was compared" if trace.sample is None else "is in the sample"
        everyone = (trace.inputs.child, *trace.inputs.others)
        is_all = not any(each.unread or each.choices for each in everyone)
        which = "every tensor of every checkpoint" if is_all else "every tensor that was read"
        terminal.prose(f"{which} {did}")
    terminal.prose(LEGEND, style="dim")


def _digests(terminal: Terminal, trace: Trace) -> None:
    """Print the SHA-256 of every file, as sha256sum does, if they were computed."""
    for checkpoint in (trace.inputs.child, *trace.inputs.others):
        digests = trace.digests.get(checkpoint.name, ())
        for shard, digest in zip(checkpoint.own_shards, digests, strict=False):
            name = printable(f"{checkpoint.name}/{shard.name}")
            terminal.out.print(f"{digest}  {name}", markup=False, highlight=False, soft_wrap=True)


def _cells(fit: Row) -> str:
    """Return the weight that the cells have, with the digits that they settle."""
    weight, half_width = fit["cells"], fit["cells_half_width"]
    if weight is None:
        return ""
    if half_width < SETTLED:
        return f"{weight:.6f}"
    if half_width < SMALL:
        return f"{weight:.6f} ± {half_width:.0e}"
    return f"{weight:.4f} ± {half_width:.4f}"


def _weight(fit: Row) -> str:
    """Return the weight that the cells have; or that of least squares, with its error.

    A star says that rounding can move the latter further.
    """
    if fit["cells"] is not None:
        return _cells(fit)
    star = "*" if _is_starred(fit) else " "
    return f"{as_number(fit['ols'], '.4f')} ± {as_number(fit['se'], '.4f')}{star}"


def _moved_by_rounding(fit: Row) -> bool:
    """Return whether rounding alone can move the weight of least squares by much."""
    bias = fit["rounding_bias"]
    return bool(bias is not None and bias >= Thresholds().bias)


def _is_starred(fit: Row) -> bool:
    """Return whether the weight shown is one of least squares that rounding can move."""
    return fit["cells"] is None and _moved_by_rounding(fit)
