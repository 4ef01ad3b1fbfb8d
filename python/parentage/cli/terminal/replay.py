"""Shows what a recipe reproduces of a child, and what was written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from rich.text import Text

from parentage.cli.terminal.console import (
    REASONS_SHOWN,
    as_share,
    as_text,
    counted,
    new_table,
    reason_lines,
)
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.cli.terminal.console import Terminal
    from parentage.cli.terminal.grid import Grid
    from parentage.replay import Comparison, Sources, Written

SLICES_SHOWN = 10

ULPS = ("1", "2", "3 to 4", "5 to 8", "9 to 16", "17 to 32", "33 to 64", "more")
"""What ``Comparison.ulps`` counts, in units in the last place."""

MARKS = {None: "", True: "  = child", False: "  not the child's"}
"""What is said of a written tensor, by whether it agrees with the child's."""

ELSEWHERE = "told with --json"
"""Where the reasons are that are not shown."""


def show_replay(
    terminal: Terminal,
    comparison: Comparison | None,
    written: Written | None,
    sources: Sources | None = None,
) -> None:
    """Print what a recipe reproduces of a child, and what was written of it."""
    if comparison is not None:
        _comparison(terminal, comparison)
    if sources is not None:
        _sources(terminal, sources)
    if written is not None:
        _written(terminal, written)


def _comparison(terminal: Terminal, comparison: Comparison) -> None:
    """Print how many elements of the child the recipe reproduces, and where it does not."""
    terminal.out.print()
    terminal.indent([printable(comparison.recipe.describe())], 0)
    terminal.table(_counts(comparison))
    if comparison.explained:
        terminal.indent(
            ["explained: one of the choices that the recipe leaves open gives these elements"], 2
        )
    _coverage(terminal, comparison)
    if comparison.mismatched:
        _mismatches(terminal, comparison)
    child = printable(comparison.child.name)
    exactly = "or explains" if comparison.explained else "bit for bit"
    if comparison.agrees:
        copies = " or leaves" if comparison.coverage.copied else ""
        terminal.indent([f"the recipe reproduces{copies} {exactly} all of {child}"], 2)
    elif not comparison.mismatched:
        terminal.indent([f"no element that was compared differs; {child} is not what the recipe "
                         "makes, for what is told above"], 2)  # fmt: skip


def _counts(comparison: Comparison) -> Grid:
    child = printable(comparison.child.name)
    counts = new_table(f"of {child}", "elements", "reproduced", "explained", "mismatched", "share")
    counts.add_row(
        "compared",
        f"{comparison.elements:,}",
        f"{comparison.reproduced:,}",
        f"{comparison.explained:,}",
        f"{comparison.mismatched:,}",
        as_share(comparison.reproduced + comparison.explained, comparison.elements),
    )
    return counts


def _coverage(terminal: Terminal, comparison: Comparison) -> None:
    """Print what was compared, of the child and of what the recipe makes, and what was not."""
    found = comparison.coverage
    total = comparison.child.elements
    child = printable(comparison.child.name)
    lines = [
        f"compared: {_of(comparison.elements, total)} of {child}, and "
        f"{_of(comparison.elements, comparison.made)} that the recipe makes"
    ]
    if found.copied:
        lines.append(
            f"left as they are, byte for byte: {counted(len(found.copied), 'tensor')} that the "
            f"recipe says nothing about ({counted(found.copied_elements, 'element')} of "
            f"{listed(sorted({tensor.dtype for tensor in found.copied}))})"
        )
    terminal.indent(lines, 2)
    if found.other_dtypes:
        theirs = sorted({dtype for _, dtype in found.other_dtypes})
        ours = sorted({comparison.recipe.dtype_of(name) for name, _ in found.other_dtypes})
        terminal.indent(
            [
                f"of another dtype, {counted(len(found.other_dtypes), 'slice')}: "
                f"{', '.join(theirs)}, and the recipe writes {', '.join(ours)}; "
                "values are compared, and the bytes are others"
            ],
            2,
        )
    for title, rows in (
        (f"lacking in {child}", found.missing),
        (f"not compared, of {child}", found.left),
    ):
        if rows:
            terminal.indent([f"{title}: {counted(len(rows), 'tensor')}"], 2)
            terminal.indent(
                reason_lines([(each.checkpoint, each.reason, each.tensor) for each in rows],
                             ELSEWHERE)
            )  # fmt: skip
    # What the recipe's own checkpoints have to spare says nothing of the child.


def _of(part: int, whole: int) -> str:
    """Return how many of some elements, with their share where it is not all."""
    if part == whole:
        return f"all {whole:,} elements"
    return f"{part:,} of {whole:,} elements ({as_share(part, whole)})"


def _sources(terminal: Terminal, sources: Sources) -> None:
    """Print whether the checkpoints are those that the evidence is of."""
    if sources.differences:
        terminal.indent((printable(each) for each in sources.differences), 2)
    elif sources.checked == "sha256":
        terminal.indent(["the recipe's checkpoints have the sha256 that the evidence says"], 2)
    else:
        terminal.indent(
            ["the evidence holds no sha256 of all files that were read (trace --digest sha256 "
             "does): that they are those it is of was checked by size alone"], 2
        )  # fmt: skip


def _mismatches(terminal: Terminal, comparison: Comparison) -> None:
    """Print by how much elements mismatch, and in which slices most do."""
    distances = new_table("units in the last place", "mismatched", "share")
    for ulps, mismatched in zip(ULPS, comparison.ulps, strict=True):
        if mismatched:
            distances.add_row(ulps, f"{mismatched:,}", as_share(mismatched, comparison.mismatched))
    terminal.table(distances)
    if comparison.zero_signs:
        terminal.prose(f"{comparison.zero_signs:,} of them are zeros of the other sign")
    if comparison.nan:
        first = comparison.slices.filter(pl.col("nan") > 0)["slice"][0]
        terminal.indent(
            [f"{comparison.nan:,} elements of the child are NaN there, the first in "
             f"{printable(first)}"], 2
        )  # fmt: skip
    worst = comparison.worst
    terminal.table(_slices(worst.head(SLICES_SHOWN)))
    rest = worst.height - SLICES_SHOWN
    if rest > 0:
        terminal.prose(f"... and {rest:,} more; all are told with --json")
    elif worst.height < comparison.slices.height:
        others = comparison.slices.height - worst.height
        terminal.prose(f"the other {counted(others, 'slice')} mismatch nowhere")


def _slices(slices: pl.DataFrame) -> Grid:
    """Return a row for every slice that mismatches, with the place of its first mismatch."""
    rows = new_table("slice", "elements", "mismatched", "share", "first at")
    for row in slices.iter_rows(named=True):
        place = np.unravel_index(row["first"], tuple(row["shape"]))
        rows.add_row(
            as_text(row["slice"]),
            f"{row['elements']:,}",
            f"{row['mismatched']:,}",
            as_share(row["mismatched"], row["elements"]),
            str([int(index) for index in place]),
        )
    return rows


def _written(terminal: Terminal, written: Written) -> None:
    """Print every tensor that was written with its digest, then what was copied or left out."""
    terminal.out.print()
    for row in written.tensors.iter_rows(named=True):
        copied = "" if row["made"] == "replayed" else "  (copied)"
        line = f"{row['sha256']}  {printable(row['tensor'])}{copied}"
        mark = (MARKS[row["agrees"]], "" if row["agrees"] else "red")
        terminal.out.print(Text.assemble(line, mark), soft_wrap=True)
    size = sum(size for _, size in written.files)
    terminal.out.print()
    terminal.indent(
        [
            f"wrote {counted(written.tensors.height, 'tensor')} in "
            f"{counted(len(written.files), 'file')}, {size:,} bytes, to "
            f"{printable(str(written.folder))}"
        ],
        0,
    )
    odd = written.tensors.filter(pl.col("non_finite") > 0)
    if odd.height:
        terminal.indent(
            [f"not finite, and made of what is: {odd['non_finite'].sum():,} elements of "
             f"{counted(odd.height, 'tensor')}, the first {printable(odd['tensor'][0])}"], 2
        )  # fmt: skip
    copies = written.copied
    if copies.height:
        terminal.prose(f"copied byte for byte, {counted(copies.height, 'tensor')}:")
        rows = [("them", reason, name) for name, reason in copies["tensor", "reason"].rows()]
        terminal.indent(reason_lines(rows, ELSEWHERE))
    left_out = [name for _, name in written.left_out]
    _names(terminal, "not written, since the base does not have them", left_out)
    _names(terminal, "of the child, and not written", written.unwritten)
    if written.child is not None:
        terminal.indent(
            [
                f"the bytes are those of {printable(written.child)} in {written.agreeing:,} of "
                f"{counted(written.tensors.height, 'tensor')}"
            ],
            2,
        )


def _names(terminal: Terminal, title: str, names: Sequence[str]) -> None:
    """Print the first names of tensors, and how many more there are; nothing of none."""
    if names:
        shown = ", ".join(printable(name) for name in names[:REASONS_SHOWN])
        rest = len(names) - REASONS_SHOWN
        more = f" and {rest:,} more" if rest > 0 else ""
        terminal.indent([f"{title}: {shown}{more}"], 2)
