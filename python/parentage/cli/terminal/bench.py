"""Shows speeds beside their ceilings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.cli.terminal.console import counted, new_table
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.bench import Bench
    from parentage.cli.terminal.console import Terminal

BAR = 16
"""Characters of the bar of a speed that is its ceiling."""

LONGEST = 1.25
"""Share of the ceiling from which on bars are of one length."""


def show_bench(terminal: Terminal, bench: Bench) -> None:
    """Print speeds with their ceilings, and the machine they are of."""
    about = bench.machine
    terminal.out.print()
    terminal.prose(
        f"{about['cpu']}, {counted(about['cpus'], 'CPU')}, {about['level']} of "
        f"{', '.join(about['levels'])}, {about['memory_gib']} GiB; kernel {about['kernel']}; "
        f"{about['file_system']} on {about['device']}; {counted(bench.threads, 'thread')}, "
        f"medians of {bench.runs} runs in turns",
        by=0,
    )
    rows = bench.rows()
    for group in bench.inputs:
        speeds = new_table(group["dtype"], "cache", "parents", "GB/s", "of ceiling", "")
        speeds.words |= {5}
        for row in rows:
            if row["dtype"] == group["dtype"]:
                share = row["of_ceiling"]
                length = max(1, round(min(share, LONGEST) * BAR))
                speeds.add_row(
                    row["what"],
                    row["cache"],
                    str(row["parents"] or ""),
                    f"{row['gb_per_s']:.2f}",
                    f"{share:.2f}",
                    "█" * length,
                )
        terminal.table(speeds)
    for reason in bench.skipped:
        terminal.indent([f"not measured: {printable(reason)}"], 2)
