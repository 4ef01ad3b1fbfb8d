"""``parentage inspect``: show what is in checkpoints, from their headers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    Networking,
    json_option,
    network_options,
    terminal_options,
)

if TYPE_CHECKING:
    from typing import Any

    from parentage.checkpoint import Checkpoint
    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument("checkpoints", nargs=-1, required=True, type=CHECKPOINT)
@json_option("Print one JSON document, tensors included.")
@click.option("--tensors", is_flag=True, help="Print a row for every tensor, too.")
@network_options
@terminal_options
def inspect(
    checkpoints: tuple[str, ...],
    as_json: bool,
    tensors: bool,
    networking: Networking,
    terminal: Terminal,
) -> None:
    """Show what is in CHECKPOINTS, from their headers alone.

    \b
    Examples:
      parentage inspect ./Model
      parentage inspect ./Model --tensors
      parentage inspect ./Model/model-00001-of-00002.safetensors --json
      parentage inspect ./model.Q4_K_M.gguf
      parentage inspect hf://org/name@revision
    """
    from parentage.checkpoint import Checkpoint, Network
    from parentage.cli.terminal.inspect import show_inspect

    network = Network(**networking, note=terminal.note)
    opened = [Checkpoint.open(path, None, network) for path in checkpoints]
    if as_json:
        documents = [headers(checkpoint) for checkpoint in opened]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1))
        return
    for checkpoint in opened:
        show_inspect(terminal, checkpoint, tensors=tensors)


def headers(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what JSON can hold of a checkpoint's headers."""
    from parentage.checkpoint import adapter_of

    adapter = adapter_of(checkpoint)
    tensors = checkpoint.tensors.values()
    published = {} if checkpoint.origin is None else checkpoint.origin.published
    encodings = {
        name: {"kind": each.kind, "shape": list(each.shape)}
        for name, each in checkpoint.encodings.items()
    }
    return {
        "name": checkpoint.name,
        "source": None if checkpoint.origin is None else checkpoint.origin.where,
        "revision": None if checkpoint.origin is None else checkpoint.origin.revision,
        "shards": [
            {
                "name": shard.name,
                "bytes": shard.bytes,
                "published_sha256": published.get(shard.name),
                "metadata": shard.metadata,
            }
            for shard in checkpoint.shards
        ],
        "bytes": checkpoint.bytes,
        "elements": checkpoint.elements,
        "remarks": list(checkpoint.remarks),
        "adapter": None
        if adapter is None
        else {
            "kind": adapter.kind,
            "modules": [
                {"name": each.name, "rank": each.rank, "alpha": each.alpha}
                for each in adapter.modules
            ],
        },
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
                "encoding": encodings.get(tensor.name),
            }
            for tensor in tensors
        ],
    }
