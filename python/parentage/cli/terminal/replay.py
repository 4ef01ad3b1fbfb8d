"""Shows what a recipe reproduces of a child, and what was written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from parentage.cli.terminal.console import (
    REASONS_SHOWN,
    as_share,
    as_text,
    counted,
    new_table,
    reason_lines,
)
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from rich.table import Table

    from parentage.cli.terminal.console import Terminal
    from parentage.replay import Comparison, Written

SLICES_SHOWN = 10

ULPS = ("1", "2", "3 to 4", "5 to 8", "9 to 16", "17 to 32", "33 to 64", "more")
"""What ``Comparison.ulps`` counts, in units in the last place."""

MARKS = {None: "", True: "  = child", False: "  not the child's"}
"""What is said of a written tensor, by whether it agrees with the child's."""

ELSEWHERE = "told with --json"
"""Where the reasons are that are not shown."""


def show_replay(terminal: Terminal, comparison: Comparison | None, written: Written | None) -> None:
    """Print what a recipe reproduces of a child, and what was written of it."""
    if comparison is not None:
        _comparison(terminal, comparison)
    if written is not None:
        _written(terminal, written)


def _comparison(terminal: Terminal, comparison: Comparison) -> None:
    """Print how many elements of the child the recipe reproduces, and where it does not."""
    terminal.out.print()
    terminal.out.print(as_text(comparison.recipe.describe()), soft_wrap=True)
    terminal.out.print(_counts(comparison))
    if comparison.explained:
        terminal.out.print(
            "  explained: one of the choices that the recipe leaves open gives these elements"
        )
    if comparison.mismatched:
        _mismatches(terminal, comparison)
    else:
        exactly = "bit for bit" if not comparison.explained else "or explains"
        terminal.out.print(f"  the recipe reproduces {exactly} everything that was compared")
    if comparison.uncompared.height:
        rows = comparison.uncompared.select("checkpoint", "reason", "tensor").rows()
        terminal.out.print(f"  not compared, {counted(comparison.uncompared.height, 'tensor')}:")
        terminal.indent(reason_lines(rows, ELSEWHERE))


def _counts(comparison: Comparison) -> Table:
    child = printable(comparison.child.name)
    counts = new_table(f"of {child}", "elements", "reproduced", "explained", "mismatched", "share")
    counts.add_row(
        f"compared ({as_share(comparison.elements, comparison.child.elements)} of all)",
        f"{comparison.elements:,}",
        f"{comparison.reproduced:,}",
        f"{comparison.explained:,}",
        f"{comparison.mismatched:,}",
        as_share(comparison.reproduced + comparison.explained, comparison.elements),
    )
    return counts


def _mismatches(terminal: Terminal, comparison: Comparison) -> None:
    """Print by how much elements mismatch, and in which slices most do."""
    distances = new_table("units in the last place", "mismatched", "share")
    for ulps, mismatched in zip(ULPS, comparison.ulps, strict=True):
        if mismatched:
            distances.add_row(ulps, f"{mismatched:,}", as_share(mismatched, comparison.mismatched))
    terminal.out.print(distances)
    if comparison.zero_signs:
        terminal.out.print(f"  {comparison.zero_signs:,} of them are zeros of the other sign")
    worst = comparison.worst
    terminal.out.print(_slices(worst.head(SLICES_SHOWN)))
    rest = worst.height - SLICES_SHOWN
    if rest > 0:
        terminal.out.print(f"  ... and {rest:,} more; all are told with --json")
    elif worst.height < comparison.slices.height:
        others = comparison.slices.height - worst.height
        terminal.out.print(f"  the other {counted(others, 'slice')} mismatch nowhere")


def _slices(slices: pl.DataFrame) -> Table:
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
    terminal.out.print(
        f"wrote {counted(written.tensors.height, 'tensor')} in "
        f"{counted(len(written.files), 'file')}, {size:,} bytes, to "
        f"{printable(str(written.folder))}",
        soft_wrap=True,
    )
    copies = written.copied
    if copies.height:
        terminal.out.print(f"  copied byte for byte, {counted(copies.height, 'tensor')}:")
        rows = [("them", reason, name) for name, reason in copies["tensor", "reason"].rows()]
        terminal.indent(reason_lines(rows, ELSEWHERE))
    left_out = [name for _, name in written.left_out]
    _names(terminal, "not written, since the base does not have them", left_out)
    _names(terminal, "of the child, and not written", written.unwritten)
    if written.child is not None:
        terminal.out.print(
            f"  the bytes are those of {printable(written.child)} in {written.agreeing:,} of "
            f"{counted(written.tensors.height, 'tensor')}",
            soft_wrap=True,
        )


def _names(terminal: Terminal, title: str, names: Sequence[str]) -> None:
    """Print the first names of tensors, and how many more there are; nothing of none."""
    if names:
        shown = ", ".join(printable(name) for name in names[:REASONS_SHOWN])
        rest = len(names) - REASONS_SHOWN
        more = f" and {rest:,} more" if rest > 0 else ""
        terminal.out.print(f"  {title}: {shown}{more}", soft_wrap=True)
