"""``parentage join``: make the evidence of a trace of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.commands.trace import tell
from parentage.cli.options import (
    PATH,
    Networking,
    Reading,
    Telling,
    check_output,
    custody_options,
    network_options,
    telling_options,
    terminal_options,
    usual_reading_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument("folders", type=PATH, metavar="DIR...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=PATH, metavar="DIR",
    help="Write the evidence into this folder, as trace does.",
)  # fmt: skip
@telling_options
@usual_reading_options
@custody_options
@network_options
@terminal_options
def join(
    folders: tuple[Path, ...],
    output: Path | None,
    reading: Reading,
    networking: Networking,
    telling: Telling,
    terminal: Terminal,
) -> None:
    """Make the evidence of a trace of all its parts.

    DIR is what trace --part was given as -o: one folder for all parts, or one for each. All have to
    be there and done, none twice, and of the same files, options and version; what is missing is
    named. The checkpoints are opened again where the parts had them, and recipes are looked for
    again, in the same sample; what the parts have read is not read again. The evidence is byte for
    byte that of a trace on one machine.

    \b
    Examples:
      All parts are in one folder:
        parentage join parts/ -o evidence/
      They are in folders of their own, and were begun with the same --seed:
        parentage join part1/ part2/ part3/ -o evidence/
    """
    if output is not None:
        check_output(output)
    from parentage import pipeline
    from parentage.checkpoint import Network

    network = Network(**networking, note=terminal.note)
    with terminal.watching(network.traffic) as progress:
        trace = pipeline.join(
            folders,
            output=output,
            network=network,
            progress=progress,
            note=terminal.note,
            **reading,
        )
    tell(terminal, trace, output, **telling)
