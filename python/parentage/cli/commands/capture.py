"""``parentage capture``: keep what can be kept of a checkpoint before it is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    Reading,
    Size,
    as_named,
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
@usual_reading_options
@terminal_options
def capture(
    checkpoint: str,
    output: Path,
    size: int,
    by: str | None,
    reading: Reading,
    terminal: Terminal,
) -> None:
    """Keep what can be kept of CHECKPOINT in a folder, before it is gone.

    It holds a sketch, the headers of all files, the small files beside them (configuration,
    tokenizer, template, card, licence), and custody.jsonl, which says what was captured, from
    where, when, by whom and by which version, with the SHA-256 of every file, kept or not. The
    folder is a checkpoint for every command, of the sketch that it holds.

    \b
    Examples:
      parentage capture ./Suspect -o evidence/suspect
      parentage trace evidence/suspect --base ./Base
    """
    from parentage import library

    with terminal.watching() as progress:
        made = library.capture(
            as_named(checkpoint), output, size=size, by=by, progress=progress, **reading
        )
    terminal.note(f"captured in {made}")
