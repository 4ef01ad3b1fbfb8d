"""Shows what is in checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.options import HelpAlone, display_options, terminal_of

if TYPE_CHECKING:
    from typing import Any

    from parentage.checkpoint import Checkpoint


@click.command(cls=HelpAlone)
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, tensors included.")
@click.option("--tensors", is_flag=True, help="Print a row for every tensor, too.")
@display_options
def inspect(
    checkpoints: tuple[Path, ...], as_json: bool, tensors: bool, quiet: bool, no_color: bool
) -> None:
    """Show what is in CHECKPOINTS, from their headers alone.

    \b
    Examples:
      parentage inspect ./Model
      parentage inspect ./Model --tensors
      parentage inspect ./Model/model-00001-of-00002.safetensors --json
    """
    from parentage.checkpoint import Checkpoint
    from parentage.cli.terminal.inspect import show_inspect

    terminal = terminal_of(quiet=quiet, no_color=no_color)
    opened = [Checkpoint.open(path) for path in checkpoints]
    if as_json:
        document = [_description(each) for each in opened]
        click.echo(json.dumps(document[0] if len(document) == 1 else document, indent=1))
        return
    for each in opened:
        show_inspect(terminal, each, tensors=tensors)


def _description(checkpoint: Checkpoint) -> dict[str, Any]:
    tensors = checkpoint.tensors.values()
    return {
        "name": checkpoint.name,
        "shards": [
            {"name": shard.name, "bytes": shard.bytes, "metadata": shard.metadata}
            for shard in checkpoint.shards
        ],
        "bytes": checkpoint.bytes,
        "elements": checkpoint.elements,
        "layers": sorted({tensor.layer for tensor in tensors if tensor.layer is not None}),
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "elements": tensor.elements,
                "component": tensor.component,
                "layer": tensor.layer,
                "shard": checkpoint.shards[tensor.shard].name,
                "begin": tensor.begin,
                "end": tensor.end,
            }
            for tensor in tensors
        ],
    }
