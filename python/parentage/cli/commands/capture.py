"""``parentage capture``: keep what can be kept of a checkpoint before it is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    Networking,
    Reading,
    Size,
    as_named,
    network_options,
    terminal_options,
    usual_reading_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument("checkpoint", type=CHECKPOINT, metavar="[NAME=]CHECKPOINT")
@click.option(
    "-o", "--output", type=PATH, required=True, metavar="DIR",
    help="The folder to make. It must not be there, and appears whole or not at all.",
)  # fmt: skip
@click.option(
    "--size", type=Size(1 << 14), default="1MiB", show_default=True, metavar="SIZE",
    help="Bytes of the sketch, of a checkpoint of two bytes an element.",
)  # fmt: skip
@click.option("--by", metavar="WHO", help="Who captures it, for the log. [default: the user]")
@click.option(
    "--full", is_flag=True,
    help="Read everything of a remote checkpoint, too. By default, no more is read of it than "
    "headers, small files and what the sketches hold.",
)  # fmt: skip
@usual_reading_options
@network_options
@terminal_options
def capture(
    checkpoint: str,
    output: Path,
    size: int,
    by: str | None,
    full: bool,
    reading: Reading,
    networking: Networking,
    terminal: Terminal,
) -> None:
    """Keep what can be kept of CHECKPOINT in a folder, before it is gone.

    It holds a sketch, the headers of all files, the small files beside them (configuration,
    tokenizer, template, card, licence), a second sketch at places that are drawn now, and
    custody.jsonl, which says what was captured, from where, when, by whom and by which version,
    with the SHA-256 of every file that is kept, and what is not. The folder is a checkpoint for
    every command, of the sketch that it holds; so is the folder "drawn" in it, of the other.

    Of a checkpoint on a disk everything is read, and the SHA-256 of its files is logged. Of a
    remote one, a few megabytes are; the log has its commit, and the SHA-256 that each file was
    published with. A small file that can not be had is left, and the log says why.

    \b
    Examples:
      parentage capture ./Suspect -o evidence/suspect
      parentage trace evidence/suspect --base ./Base
      parentage trace evidence/suspect/drawn --base ./Base
      parentage capture hf://org/Suspect@v1.0 -o evidence/suspect --max-bytes 100MB
    """
    from parentage import library
    from parentage.checkpoint import Network

    network = Network(**networking, note=terminal.note)
    with terminal.watching(network.traffic) as progress:
        made = library.capture(
            as_named(checkpoint, network),
            output,
            size=size,
            by=by,
            full=full,
            network=network,
            progress=progress,
            **reading,
        )
    terminal.note(f"captured in {made}")
