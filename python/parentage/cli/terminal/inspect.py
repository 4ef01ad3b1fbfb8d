"""Shows what a checkpoint's headers say."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.text import Text

from parentage.checkpoint import adapter_of, in_order
from parentage.cli.terminal.console import as_text, counted, new_table
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from parentage.checkpoint import Adapter, Checkpoint, Tensor
    from parentage.cli.terminal.console import Terminal
    from parentage.cli.terminal.grid import Grid


def show_inspect(terminal: Terminal, checkpoint: Checkpoint, *, tensors: bool = False) -> None:
    """Print what a checkpoint's headers say, with a row for every tensor if ``tensors``."""
    terminal.out.print()
    terminal.out.print(_headline(checkpoint))
    for remark in checkpoint.remarks:
        terminal.prose(printable(remark))
    adapter = adapter_of(checkpoint)
    if adapter is not None:
        terminal.prose(printable(f"an adapter: {adapter}{_scale_of(adapter)}"))
    by_dtype, by_component = defaultdict(list), defaultdict(list)
    for tensor in map(_as_numbers(checkpoint), checkpoint.tensors.values()):
        by_dtype[tensor.dtype].append(tensor)
        by_component[tensor.component].append(tensor)
    components = [(name, by_component[name]) for name in in_order(by_component)]
    terminal.table(_groups("dtype", sorted(by_dtype.items())))
    terminal.table(_groups("component", components))
    if len(checkpoint.shards) > 1 or tensors:
        terminal.table(_files(checkpoint))
    if tensors:
        terminal.table(_tensors(checkpoint))


def _scale_of(adapter: Adapter) -> str:
    """Return a clause on the scale that an adapter or its configuration says."""
    if not adapter.modules:
        return ""
    scales = [x for each in adapter.modules if (x := adapter.said.scale_of(each)) is not None]
    if len(scales) < len(adapter.modules):
        return "; nothing says its scale"
    low, high = min(scales), max(scales)
    number = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
    return f"; its product is said to be multiplied by {number}"


def _as_numbers(checkpoint: Checkpoint) -> Callable[[Tensor], Tensor]:
    """Return what shows a tensor of codes as its numbers: their shape, and how they are encoded."""

    def shown(tensor: Tensor) -> Tensor:
        encoding = checkpoint.encodings.get(tensor.name)
        if encoding is None:
            return tensor
        return tensor._replace(dtype=encoding.kind, shape=encoding.shape)

    return shown


def _headline(checkpoint: Checkpoint) -> Text:
    tensors = list(map(_as_numbers(checkpoint), checkpoint.tensors.values()))
    elements = sum(tensor.elements for tensor in tensors)
    layers = {tensor.layer for tensor in tensors} - {None}
    return Text.assemble(
        (printable(checkpoint.name), "bold"),
        f"  {counted(len(checkpoint.shards), 'file')}, {checkpoint.bytes:,} bytes, "
        f"{counted(len(tensors), 'tensor')}, {elements:,} elements, "
        f"{counted(len(layers), 'layer')}",
    )


def _groups(key: str, groups: Iterable[tuple[str, list[Tensor]]]) -> Grid:
    """Return a row for every group of tensors, with the largest of them."""
    rows = new_table(key, "tensors", "elements", "bytes", "a tensor of it")
    for name, members in groups:
        largest = max(members, key=lambda tensor: tensor.elements)
        rows.add_row(
            as_text(name),
            f"{len(members):,}",
            f"{sum(tensor.elements for tensor in members):,}",
            f"{sum(tensor.end - tensor.begin for tensor in members):,}",
            as_text(f"{largest.name} {list(largest.shape)}"),
        )
    return rows


def _files(checkpoint: Checkpoint) -> Grid:
    rows = new_table("file", "tensors", "bytes")
    tensors = Counter(tensor.shard for tensor in checkpoint.tensors.values())
    for index, shard in enumerate(checkpoint.shards):
        rows.add_row(as_text(shard.name), f"{tensors[index]:,}", f"{shard.bytes:,}")
    return rows


def _tensors(checkpoint: Checkpoint) -> Grid:
    rows = new_table("tensor", "dtype", "shape", "component", "file", "bytes from", "to")
    for tensor in map(_as_numbers(checkpoint), checkpoint.tensors.values()):
        rows.add_row(
            as_text(tensor.name),
            as_text(tensor.dtype),
            str(list(tensor.shape)),
            tensor.component,
            as_text(checkpoint.shards[tensor.shard].name),
            f"{tensor.begin:,}",
            f"{tensor.end:,}",
        )
    return rows
