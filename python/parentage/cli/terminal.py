"""What a person sees: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from parentage.checkpoint import COMPONENTS
from parentage.evidence import rows_of
from parentage.stream import SILENT, Preview, Progress
from parentage.support import percent, printable
from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import polars as pl

    from parentage.bench import Bench
    from parentage.checkpoint import Checkpoint
    from parentage.evidence import Trace
    from parentage.replay import Comparison, Written
    from parentage.verdict import Outcome, Verdict

_STYLES = {
    "identical": "bold red",
    "re-encoded": "bold red",
    "merge": "bold red",
    "merge-then-changed": "bold red",
    "assembled": "bold red",
    "fine-tune": "bold yellow",
    "unrelated": "bold green",
    "undetermined": "bold blue",
}

_REASONS_SHOWN = 6

_SLICES_SHOWN = 10

_BAR = 16
"""Characters of the bar of a ceiling."""

_ULPS = ("1", "2", "3 to 4", "5 to 8", "9 to 16", "17 to 32", "33 to 64", "more")


class Terminal:
    """Renders results; knows whether to be quiet and whether to use colour."""

    def __init__(self, *, quiet: bool = False, color: bool = True) -> None:
        self.quiet = quiet
        self.out = _console(color=color, stderr=False)
        self.err = _console(color=color, stderr=True)

    def say(self, lead: str, text: str) -> None:
        """Print a line of explanation."""
        self.out.print()
        self.out.print(Text.assemble((lead, "bold"), " " if lead else "", text))

    def code(self, text: str) -> None:
        """Print something to type."""
        self.out.print()
        for line in text.splitlines():
            self.out.print(Text("    " + line, style="cyan"), soft_wrap=True)

    def error(self, message: str) -> None:
        """Print an error message."""
        self.err.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a message that is no result."""
        if not self.quiet:
            self.err.print(Text(printable(message)), soft_wrap=True)

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Give what shows progress, on terminals, and first looks; nothing of it if quiet."""
        if self.quiet:
            yield SILENT
            return
        bar = Bar(self.err)
        try:
            yield bar
        finally:
            bar.stop()

    def verdict(self, verdict: Verdict) -> None:
        """Print a verdict with its rule."""
        self.out.print()
        self.out.print(
            Text.assemble(
                (verdict.kind, _STYLES[verdict.kind]),
                (f"  {verdict.level}, by rule {verdict.rule}", "dim"),
            )
        )
        self.out.print(Padding(Text(printable(verdict.text)), (0, 0, 0, 2)))

    def trace(self, trace: Trace, *, layers: bool = False) -> None:
        """Print what a trace found: verdict, weights, components, what was not compared."""
        self.verdict(trace.verdict)
        if trace.outcome is not None and trace.verdict.rule not in ("replayed", "changed"):
            # Those rules have said it.
            self._recipe(trace.outcome)
        if trace.inputs.parents or trace.inputs.controls:
            self._weights(trace)
        self._groups(trace, trace.components, "component")
        if layers and trace.layers.height:
            self._groups(trace, trace.layers, "layer")
        self._coverage(trace)
        self._digests(trace)

    def _digests(self, trace: Trace) -> None:
        """Print the SHA-256 of every file, as sha256sum does, if they were computed."""
        for each in (trace.inputs.child, *trace.inputs.others):
            for shard, digest in zip(each.shards, trace.digests.get(each.name, ()), strict=False):
                name = printable(f"{each.name}/{shard.name}")
                self.out.print(f"{digest}  {name}", markup=False, highlight=False, soft_wrap=True)

    def _recipe(self, outcome: Outcome) -> None:
        """Print the recipe, what it reproduces, and what a decoy would."""
        recipe = outcome.recipe
        table = Table.grid(padding=(0, 2))
        table.add_row("recipe", _text(recipe.describe()))
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
            table.add_row(label, _text(", ".join(recipe.equivalents)))
        self.out.print(Padding(table, (0, 0, 1, 2)))

    def _weights(self, trace: Trace) -> None:
        columns = trace.inputs.columns
        ((row, single),) = rows_of(trace.model, columns)
        table = _table(
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
                _text(name),
                _cells(own),
                _number(own["ols"], ".4f") + ("*" if near else ""),
                _number(own["se"], ".1e"),
                _number(own["checkpoint_cosine"], ".4f"),
                _number(own["checkpoint_log10_p"], ".1f"),
                _share(own["bit_equal"], row["n"]),
                _number(own["displacement_ulps"], "g"),
            )
        weights = [single[name]["ols"] for name in columns.parents]
        base = columns.base
        rest = None if None in weights or not weights else 1.0 - sum(weights)
        equal = _share(single[base]["bit_equal"], row["n"])
        table.add_row(_text(f"{base} (base)"), "", _number(rest, ".4f"), "", "", "", equal, "")
        for name in columns.controls:
            own = single[name]
            table.add_row(
                _text(f"{name} (control, alone)"),
                "",
                _number(own["alone"], ".4f"),
                "",
                _number(own["checkpoint_cosine"], ".4f"),
                _number(own["checkpoint_log10_p"], ".1f"),
                _share(own["bit_equal"], row["n"]),
                "",
            )
        self.out.print(table)
        for note in notes:
            self.out.print(Padding(Text("* " + printable(note), style="yellow"), (0, 0, 0, 2)))
        if trace.inputs.parents:
            z = _number(row["z_naive"], ",.0f")
            self.out.print(
                Text(
                    f"  R2 {_number(row['r2'], '.5f')}; naive z {z}, as if elements were "
                    "independent; p bounds the chance under block-wise sign flips, which do not "
                    "assume it",
                    style="dim",
                )
            )

    def _groups(self, trace: Trace, frame: pl.DataFrame, key: str) -> None:
        columns = trace.inputs.columns
        parents, rows = columns.parents, rows_of(frame, columns)
        headers = [f"{printable(name)}" for name in parents]
        replayed = trace.outcome is not None
        last = ["reproduced"] if replayed else []
        table = _table(
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
                _share(single[columns.base]["bit_equal"], row["n"]),
                *weights,
                _number(row["r2"], ".5f"),
                _number(ratio, ".2f"),
                *([_number(row["exact_share"], ".4%")] if replayed else []),
            )
        self.out.print(table)
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
            self.out.print(Text(note, style="yellow"))

    def _coverage(self, trace: Trace) -> None:
        row = trace.model.row(0, named=True)
        share = trace.elements / trace.elements_total if trace.elements_total else 0.0
        compared = "compared" if trace.sample is None else "read a sample:"
        self.out.print(
            f"  {compared} {trace.elements:,} of {trace.elements_total:,} elements of "
            f"{printable(trace.inputs.child.name)} ({share:.2%}), in "
            f"{trace.tables.number_of_slices:,} slices"
        )
        if row["excluded"]:
            self.out.print(
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
            self.out.print(f"  not compared, {trace.unaligned.height:,} tensors:")
            for line in _reasons(rows):
                self.out.print(Text("    " + line), soft_wrap=True)
        else:
            compared = "was compared" if trace.sample is None else "is in the sample"
            self.out.print(f"  every tensor of every checkpoint {compared}")

    def replay(self, comparison: Comparison | None, written: Written | None) -> None:
        """Print what a recipe reproduces of a child, and what was written of it."""
        if comparison is not None:
            self._comparison(comparison)
        if written is not None:
            self._written(written)

    def _comparison(self, found: Comparison) -> None:
        self.out.print()
        self.out.print(Text(printable(found.recipe.describe())), soft_wrap=True)
        child = printable(found.child.name)
        table = _table(f"of {child}", "elements", "reproduced", "explained", "mismatched", "share")
        total = found.child.elements
        table.add_row(
            f"compared ({_share(found.elements, total)} of all)",
            f"{found.elements:,}",
            f"{found.reproduced:,}",
            f"{found.explained:,}",
            f"{found.mismatched:,}",
            _share(found.reproduced + found.explained, found.elements),
        )
        self.out.print(table)
        if found.explained:
            self.out.print(
                "  explained: one of the choices that the recipe leaves open gives these elements"
            )
        if found.mismatched:
            self._mismatches(found)
        else:
            bits = "bit for bit" if not found.explained else "or explains"
            self.out.print(f"  the recipe reproduces {bits} everything that was compared")
        if found.uncompared.height:
            rows = found.uncompared.select("checkpoint", "reason", "tensor").rows()
            self.out.print(f"  not compared, {_count(found.uncompared.height, 'tensor')}:")
            for line in _reasons(rows, "told with --json"):
                self.out.print(Text("    " + line), soft_wrap=True)

    def _mismatches(self, found: Comparison) -> None:
        table = _table("units in the last place", "mismatched", "share")
        for name, count in zip(_ULPS, found.ulps, strict=True):
            if count:
                table.add_row(name, f"{count:,}", _share(count, found.mismatched))
        self.out.print(table)
        if found.zero_signs:
            self.out.print(f"  {found.zero_signs:,} of them are zeros of the other sign")
        worst = found.worst
        table = _table("slice", "elements", "mismatched", "share", "first at")
        for row in worst.head(_SLICES_SHOWN).iter_rows(named=True):
            at = np.unravel_index(row["first"], tuple(row["shape"]))
            table.add_row(
                _text(row["slice"]),
                f"{row['elements']:,}",
                f"{row['mismatched']:,}",
                _share(row["mismatched"], row["elements"]),
                str([int(x) for x in at]),
            )
        self.out.print(table)
        rest = worst.height - _SLICES_SHOWN
        if rest > 0:
            self.out.print(f"  ... and {rest:,} more; all are told with --json")
        elif worst.height < found.slices.height:
            good = found.slices.height - worst.height
            self.out.print(f"  the other {_count(good, 'slice')} mismatch nowhere")

    def _written(self, written: Written) -> None:
        marks = {None: "", True: "  = child", False: "  not the child's"}
        self.out.print()
        for row in written.tensors.iter_rows(named=True):
            made = "" if row["made"] == "replayed" else "  (copied)"
            mark = marks[row["agrees"]]
            line = f"{row['sha256']}  {printable(row['tensor'])}{made}"
            self.out.print(
                Text.assemble(line, (mark, "" if row["agrees"] else "red")), soft_wrap=True
            )
        size = sum(bytes_ for _, bytes_ in written.files)
        self.out.print()
        self.out.print(
            f"wrote {_count(written.tensors.height, 'tensor')} in "
            f"{_count(len(written.files), 'file')}, {size:,} bytes, to "
            f"{printable(str(written.folder))}",
            soft_wrap=True,
        )
        copied = written.copied
        if copied.height:
            self.out.print(f"  copied byte for byte, {_count(copied.height, 'tensor')}:")
            rows = [("them", reason, name) for name, reason in copied["tensor", "reason"].rows()]
            for line in _reasons(rows, "told with --json"):
                self.out.print(Text("    " + line), soft_wrap=True)
        for title, names in (
            ("not written, since the base does not have them", written.left_out),
            ("of the child, and not written", [("", name) for name in written.unwritten]),
        ):
            if names:
                shown = ", ".join(printable(name) for _, name in names[:_REASONS_SHOWN])
                more = f" and {len(names) - _REASONS_SHOWN:,} more" * (len(names) > _REASONS_SHOWN)
                self.out.print(f"  {title}: {shown}{more}", soft_wrap=True)
        if written.child is not None:
            self.out.print(
                f"  the bytes are those of {printable(written.child)} in {written.agreeing:,} of "
                f"{_count(written.tensors.height, 'tensor')}",
                soft_wrap=True,
            )

    def bench(self, bench: Bench) -> None:
        """Print speeds with their ceilings, and the machine they are of."""
        about = bench.machine
        self.out.print()
        self.out.print(
            f"{about['cpu']}, {_count(about['cpus'], 'CPU')}, {about['level']} of "
            f"{', '.join(about['levels'])}, {about['memory_gib']} GiB; kernel {about['kernel']}; "
            f"{about['file_system']} on {about['device']}; {_count(bench.threads, 'thread')}, "
            f"medians of {bench.runs} runs in turns",
            soft_wrap=True,
        )
        for given in bench.inputs:
            table = _table(given["dtype"], "cache", "parents", "GB/s", "of ceiling", "")
            table.columns[-1].justify = "left"
            for row in bench.rows():
                if row["dtype"] == given["dtype"]:
                    share = row["of_ceiling"]
                    table.add_row(
                        row["what"],
                        row["cache"],
                        str(row["parents"] or ""),
                        f"{row['gb_per_s']:.2f}",
                        f"{share:.2f}",
                        Text("█" * max(1, round(min(share, 1.25) * _BAR)), style="cyan"),
                    )
            self.out.print(table)
        for each in bench.skipped:
            self.out.print(f"  not measured: {printable(each)}", soft_wrap=True)

    def inspect(self, checkpoint: Checkpoint, *, tensors: bool = False) -> None:
        """Print what a checkpoint's headers say."""
        all_tensors = list(checkpoint.tensors.values())
        layers = {tensor.layer for tensor in all_tensors} - {None}
        self.out.print()
        self.out.print(
            Text.assemble(
                (printable(checkpoint.name), "bold"),
                f"  {_count(len(checkpoint.shards), 'file')}, {checkpoint.bytes:,} bytes, "
                f"{_count(len(all_tensors), 'tensor')}, {checkpoint.elements:,} elements, "
                f"{_count(len(layers), 'layer')}",
            )
        )
        by_dtype, by_component = defaultdict(list), defaultdict(list)
        for tensor in all_tensors:
            by_dtype[tensor.dtype].append(tensor)
            by_component[tensor.component].append(tensor)
        for key, groups in (
            ("dtype", sorted(by_dtype.items())),
            ("component", sorted(by_component.items(), key=lambda item: COMPONENTS.index(item[0]))),
        ):
            table = _table(key, "tensors", "elements", "bytes", "a tensor of it")
            for name, members in groups:
                largest = max(members, key=lambda tensor: tensor.elements)
                table.add_row(
                    name,
                    f"{len(members):,}",
                    f"{sum(tensor.elements for tensor in members):,}",
                    f"{sum(tensor.end - tensor.begin for tensor in members):,}",
                    _text(f"{largest.name} {list(largest.shape)}"),
                )
            self.out.print(table)
        if len(checkpoint.shards) > 1 or tensors:
            table = _table("file", "tensors", "bytes")
            held = Counter(tensor.shard for tensor in all_tensors)
            for number, shard in enumerate(checkpoint.shards):
                table.add_row(_text(shard.name), f"{held[number]:,}", f"{shard.bytes:,}")
            self.out.print(table)
        if tensors:
            table = _table("tensor", "dtype", "shape", "component", "file", "bytes from", "to")
            for tensor in all_tensors:
                table.add_row(
                    _text(tensor.name),
                    tensor.dtype,
                    str(list(tensor.shape)),
                    tensor.component,
                    _text(checkpoint.shards[tensor.shard].name),
                    f"{tensor.begin:,}",
                    f"{tensor.end:,}",
                )
            self.out.print(table)


class Bar(Progress):
    """A progress bar of bytes read, with speed and time left, gone when done; a line for all else.

    Where the console is no terminal, there is no bar, and first looks are lines of text alone.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = RichProgress(
            TextColumn("reading"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("read", total=None)
        self._stage = console.status("")

    def stage(self, text: str) -> None:
        """Show what begins in place of the bar."""
        if self._console.is_terminal:
            self._bar.stop()
            self._stage.update(Text(text))
            self._stage.start()

    def start(self, total: int) -> None:
        """Show the bar, from its beginning."""
        self._bar.reset(self._task, total=total)
        if self._console.is_terminal:
            self._stage.stop()
            self._bar.start()

    def update(self, done: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done)

    def look(self, preview: Preview) -> None:
        """Print what a sample says while more is read."""
        kind = (preview.kind, _STYLES[preview.kind])
        number = "first look" if preview.rounds == 1 else f"look {preview.rounds}"
        read = f", {percent(preview.share)} read: "
        level = f" ({preview.level}, by rule {preview.rule})"
        self._console.print(Text.assemble(number, read, kind, level), soft_wrap=True)

    def stop(self) -> None:
        """Take it away."""
        if self._console.is_terminal:
            self._stage.stop()
            self._bar.stop()


def _console(*, color: bool, stderr: bool) -> Console:
    console = Console(
        stderr=stderr,
        no_color=None if color else True,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # A file or a pipe has no width; eighty columns would only fold tables.
        console.width = 120
    return console


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for position, header in enumerate(headers):
        text = header in {"a tensor of it", "dtype", "shape", "component", "file"}
        left = position == 0 or text
        table.add_column(Text(header), justify="left" if left else "right", overflow="fold")
    return table


def _text(name: str) -> Text:
    return Text(printable(name))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _number(value: float | None, form: str) -> str:
    # Adding zero turns a negative zero, and what rounds to it, into a plain one.
    return "-" if value is None else format(round(value, 9) + 0.0, form)


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
    return f"{_number(own['ols'], '.4f')} ± {_number(own['se'], '.4f')}{star}"


def _share(count: int, of: int) -> str:
    """Return a share that says 100 % only of all."""
    if of == 0:
        return "-"
    if count == of:
        return "100 %"
    return f"{min(count / of, 0.99999):.3%}" if count / of > 0.999 else f"{count / of:.1%}"


def _reasons(rows: Iterable[tuple[str, str, str]], where: str = "in evidence.json") -> list[str]:
    """Fold tensors with one reason into one line."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for checkpoint, reason, tensor in rows:
        found[checkpoint, reason].append(tensor)
    lines = [
        f"{len(names):,} of {printable(checkpoint)}: {printable(reason)} (as {printable(names[0])})"
        for (checkpoint, reason), names in sorted(found.items(), key=lambda item: -len(item[1]))
    ]
    rest = len(lines) - _REASONS_SHOWN
    more = [f"... and {rest:,} more reasons; all are {where}"] if rest > 0 else []
    return lines[:_REASONS_SHOWN] + more
