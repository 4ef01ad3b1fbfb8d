"""What is in a checkpoint, on a terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.text import Text

from parentage.checkpoint import COMPONENTS
from parentage.cli.terminal.console import Terminal, as_text, counted, new_table
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint


def show_inspect(terminal: Terminal, checkpoint: Checkpoint, *, tensors: bool = False) -> None:
    """Print what a checkpoint's headers say."""
    all_tensors = list(checkpoint.tensors.values())
    layers = {tensor.layer for tensor in all_tensors} - {None}
    terminal.out.print()
    terminal.out.print(
        Text.assemble(
            (printable(checkpoint.name), "bold"),
            f"  {counted(len(checkpoint.shards), 'file')}, {checkpoint.bytes:,} bytes, "
            f"{counted(len(all_tensors), 'tensor')}, {checkpoint.elements:,} elements, "
            f"{counted(len(layers), 'layer')}",
        )
    )
    by_dtype, by_component = defaultdict(list), defaultdict(list)
    for tensor in all_tensors:
        by_dtype[tensor.dtype].append(tensor)
        by_component[tensor.component].append(tensor)
    for key, groups in (
        ("dtype", sorted(by_dtype.items())),
        ("component", sorted(by_component.items(), key=lambda item: COMPONENTS.index(item[0]))),
    ):
        table = new_table(key, "tensors", "elements", "bytes", "a tensor of it")
        for name, members in groups:
            largest = max(members, key=lambda tensor: tensor.elements)
            table.add_row(
                name,
                f"{len(members):,}",
                f"{sum(tensor.elements for tensor in members):,}",
                f"{sum(tensor.end - tensor.begin for tensor in members):,}",
                as_text(f"{largest.name} {list(largest.shape)}"),
            )
        terminal.out.print(table)
    if len(checkpoint.shards) > 1 or tensors:
        table = new_table("file", "tensors", "bytes")
        held = Counter(tensor.shard for tensor in all_tensors)
        for number, shard in enumerate(checkpoint.shards):
            table.add_row(as_text(shard.name), f"{held[number]:,}", f"{shard.bytes:,}")
        terminal.out.print(table)
    if tensors:
        table = new_table("tensor", "dtype", "shape", "component", "file", "bytes from", "to")
        for tensor in all_tensors:
            table.add_row(
                as_text(tensor.name),
                tensor.dtype,
                str(list(tensor.shape)),
                tensor.component,
                as_text(checkpoint.shards[tensor.shard].name),
                f"{tensor.begin:,}",
                f"{tensor.end:,}",
            )
        terminal.out.print(table)
