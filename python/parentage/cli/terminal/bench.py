"""Speeds, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from parentage.cli.terminal.console import Terminal, counted, new_table
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.bench import Bench


_BAR = 16
"""Characters of the bar of a ceiling."""


def show_bench(terminal: Terminal, bench: Bench) -> None:
    """Print speeds with their ceilings, and the machine they are of."""
    about = bench.machine
    terminal.out.print()
    terminal.out.print(
        f"{about['cpu']}, {counted(about['cpus'], 'CPU')}, {about['level']} of "
        f"{', '.join(about['levels'])}, {about['memory_gib']} GiB; kernel {about['kernel']}; "
        f"{about['file_system']} on {about['device']}; {counted(bench.threads, 'thread')}, "
        f"medians of {bench.runs} runs in turns",
        soft_wrap=True,
    )
    for given in bench.inputs:
        table = new_table(given["dtype"], "cache", "parents", "GB/s", "of ceiling", "")
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
        terminal.out.print(table)
    for each in bench.skipped:
        terminal.out.print(f"  not measured: {printable(each)}", soft_wrap=True)
