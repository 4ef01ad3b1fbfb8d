"""What a replay gave, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from parentage.cli.terminal.console import (
    REASONS_SHOWN,
    Terminal,
    as_share,
    as_text,
    counted,
    new_table,
    reason_lines,
)
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.replay import Comparison, Written


_SLICES_SHOWN = 10

_ULPS = ("1", "2", "3 to 4", "5 to 8", "9 to 16", "17 to 32", "33 to 64", "more")


def show_replay(terminal: Terminal, comparison: Comparison | None, written: Written | None) -> None:
    """Print what a recipe reproduces of a child, and what was written of it."""
    if comparison is not None:
        _comparison(terminal, comparison)
    if written is not None:
        _written(terminal, written)


def _comparison(terminal: Terminal, found: Comparison) -> None:
    terminal.out.print()
    terminal.out.print(Text(printable(found.recipe.describe())), soft_wrap=True)
    child = printable(found.child.name)
    table = new_table(f"of {child}", "elements", "reproduced", "explained", "mismatched", "share")
    total = found.child.elements
    table.add_row(
        f"compared ({as_share(found.elements, total)} of all)",
        f"{found.elements:,}",
        f"{found.reproduced:,}",
        f"{found.explained:,}",
        f"{found.mismatched:,}",
        as_share(found.reproduced + found.explained, found.elements),
    )
    terminal.out.print(table)
    if found.explained:
        terminal.out.print(
            "  explained: one of the choices that the recipe leaves open gives these elements"
        )
    if found.mismatched:
        _mismatches(terminal, found)
    else:
        bits = "bit for bit" if not found.explained else "or explains"
        terminal.out.print(f"  the recipe reproduces {bits} everything that was compared")
    if found.uncompared.height:
        rows = found.uncompared.select("checkpoint", "reason", "tensor").rows()
        terminal.out.print(f"  not compared, {counted(found.uncompared.height, 'tensor')}:")
        for line in reason_lines(rows, "told with --json"):
            terminal.out.print(Text("    " + line), soft_wrap=True)


def _mismatches(terminal: Terminal, found: Comparison) -> None:
    table = new_table("units in the last place", "mismatched", "share")
    for name, count in zip(_ULPS, found.ulps, strict=True):
        if count:
            table.add_row(name, f"{count:,}", as_share(count, found.mismatched))
    terminal.out.print(table)
    if found.zero_signs:
        terminal.out.print(f"  {found.zero_signs:,} of them are zeros of the other sign")
    worst = found.worst
    table = new_table("slice", "elements", "mismatched", "share", "first at")
    for row in worst.head(_SLICES_SHOWN).iter_rows(named=True):
        at = np.unravel_index(row["first"], tuple(row["shape"]))
        table.add_row(
            as_text(row["slice"]),
            f"{row['elements']:,}",
            f"{row['mismatched']:,}",
            as_share(row["mismatched"], row["elements"]),
            str([int(x) for x in at]),
        )
    terminal.out.print(table)
    rest = worst.height - _SLICES_SHOWN
    if rest > 0:
        terminal.out.print(f"  ... and {rest:,} more; all are told with --json")
    elif worst.height < found.slices.height:
        good = found.slices.height - worst.height
        terminal.out.print(f"  the other {counted(good, 'slice')} mismatch nowhere")


def _written(terminal: Terminal, written: Written) -> None:
    marks = {None: "", True: "  = child", False: "  not the child's"}
    terminal.out.print()
    for row in written.tensors.iter_rows(named=True):
        made = "" if row["made"] == "replayed" else "  (copied)"
        mark = marks[row["agrees"]]
        line = f"{row['sha256']}  {printable(row['tensor'])}{made}"
        terminal.out.print(
            Text.assemble(line, (mark, "" if row["agrees"] else "red")), soft_wrap=True
        )
    size = sum(bytes_ for _, bytes_ in written.files)
    terminal.out.print()
    terminal.out.print(
        f"wrote {counted(written.tensors.height, 'tensor')} in "
        f"{counted(len(written.files), 'file')}, {size:,} bytes, to "
        f"{printable(str(written.folder))}",
        soft_wrap=True,
    )
    copied = written.copied
    if copied.height:
        terminal.out.print(f"  copied byte for byte, {counted(copied.height, 'tensor')}:")
        rows = [("them", reason, name) for name, reason in copied["tensor", "reason"].rows()]
        for line in reason_lines(rows, "told with --json"):
            terminal.out.print(Text("    " + line), soft_wrap=True)
    for title, names in (
        ("not written, since the base does not have them", written.left_out),
        ("of the child, and not written", [("", name) for name in written.unwritten]),
    ):
        if names:
            shown = ", ".join(printable(name) for _, name in names[:REASONS_SHOWN])
            more = f" and {len(names) - REASONS_SHOWN:,} more" * (len(names) > REASONS_SHOWN)
            terminal.out.print(f"  {title}: {shown}{more}", soft_wrap=True)
    if written.child is not None:
        terminal.out.print(
            f"  the bytes are those of {printable(written.child)} in {written.agreeing:,} of "
            f"{counted(written.tensors.height, 'tensor')}",
            soft_wrap=True,
        )
