"""``parentage sketch``: write a small file that can stand in a checkpoint's place."""

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
    "-o", "--output", type=PATH, metavar="FILE",
    help="The file to write. [default: NAME.sketch.safetensors in the current folder]",
)  # fmt: skip
@click.option(
    "--size", type=Size(1 << 14), default="1MiB", show_default=True, metavar="SIZE",
    help="Bytes that are held of a checkpoint of two bytes an element, whatever its size.",
)  # fmt: skip
@click.option(
    "--runs-only", is_flag=True,
    help="Read what is held and nothing else: no sums of squares, no digests of files.",
)  # fmt: skip
@click.option(
    "--full", is_flag=True,
    help="Read everything of a remote checkpoint, too. By default, no more is read of it than "
    "what is held.",
)  # fmt: skip
@usual_reading_options
@network_options
@terminal_options
def sketch(
    checkpoint: str,
    output: Path | None,
    size: int,
    runs_only: bool,
    full: bool,
    reading: Reading,
    networking: Networking,
    terminal: Terminal,
) -> None:
    """Write a sketch of CHECKPOINT: one small file that can stand in its place.

    It holds runs of elements at places that names and shapes alone decide, so that any two sketches
    of one architecture hold the same ones; names and shapes of all tensors; what config.json says;
    digests of files, and the sum of squares of every tensor; of a remote checkpoint, none of these
    two without --full. trace, compare and inspect take it
    wherever they take a checkpoint. What it says is level statistical: what it does not hold may
    differ.

    \b
    Examples:
      parentage sketch ./Model
      parentage sketch ./Model -o model.sketch.safetensors --size 4MiB
      parentage sketch ./Huge --runs-only
      parentage sketch hf://org/Model@v1.0 -o model.sketch.safetensors
      Then, with or without the checkpoints themselves:
        parentage trace ./Suspect --base base.sketch.safetensors --parent tuned.sketch.safetensors
    """
    if full and runs_only:
        raise click.UsageError("--full reads everything, and --runs-only what is held")
    from parentage import library
    from parentage.checkpoint import Network

    network = Network(**networking, note=terminal.note)
    with terminal.watching(network.traffic) as progress:
        written = library.sketch(
            as_named(checkpoint, network),
            output,
            size=size,
            runs_only=runs_only,
            full=full,
            network=network,
            progress=progress,
            **reading,
        )
    terminal.note(f"wrote {written}, {written.stat().st_size:,} bytes")
