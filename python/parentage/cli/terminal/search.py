"""Shows what a search found, and what is in a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from parentage.cli.terminal.console import as_number, as_text, counted, new_table
from parentage.cli.terminal.styles import STYLES
from parentage.library import sketch_of
from parentage.relatives import summary
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint
    from parentage.cli.terminal.console import Terminal
    from parentage.library import Library
    from parentage.relatives import Found


def show_found(terminal: Terminal, found: Found, most: int) -> None:
    """Print what was found: a few sentences, relatives, a verdict and a command."""
    terminal.out.print()
    terminal.prose(summary(found), 0)
    for remark in found.remarks:
        terminal.note(remark)
    if len(found.relatives):
        rows = new_table("relative", "relation", "cosine", "distance", "weight", "same as")
        for each in found.relatives.head(most).iter_rows(named=True):
            rows.add_row(
                as_text(each["name"]),
                each["relation"],
                as_number(each["cosine"], ".4f"),
                as_number(each["distance"], ".4f"),
                as_number(each["weight"], ".3f"),
                as_text(each["same_as"] or ""),
            )
        terminal.table(rows)
        rest = len(found.relatives) - most
        if rest > 0:
            terminal.prose(f"and {counted(rest, 'relative')} more; --most prints them")
    if found.trace is not None:
        verdict = found.trace.verdict
        terminal.out.print()
        terminal.out.print(
            Text.assemble(
                ("from sketches: ", "bold"),
                (verdict.kind, STYLES[verdict.kind]),
                f" ({verdict.level}, by rule {verdict.rule})",
            )
        )
        terminal.prose(verdict.text)
    if found.command is not None:
        terminal.out.print()
        terminal.out.print("This would decide, with the checkpoints in place of their names:")
        terminal.code(found.command)


def show_library(terminal: Terminal, library: Library) -> None:
    """Print a row for every sketch."""
    table = library.table
    terminal.out.print()
    number = "1 sketch" if len(table) == 1 else f"{len(table):,} sketches"
    terminal.prose(f"{number} in {printable(str(library.folder))}", 0)
    if not len(table):
        return
    # Where none was made here of a checkpoint, nobody is told of none.
    is_known = table["source"].is_not_null().any()
    rows = new_table(
        "name", "elements", "tensors", "held", "bytes", "model type", "says it is",
        *(["made of"] if is_known else []),
    )  # fmt: skip
    for each in table.iter_rows(named=True):
        rows.add_row(
            as_text(each["name"]),
            f"{each['elements']:,}",
            f"{each['tensors']:,}",
            f"{each['held']:,}",
            f"{each['bytes']:,}",
            as_text(each["model_type"] or "-"),
            as_text(each["claims"] or "-"),
            *([as_text(each["source"] or "-")] if is_known else []),
        )
    terminal.table(rows)


def sketch_document(opened: Checkpoint) -> dict[str, Any]:
    """Return what a sketch says of itself, for JSON."""
    said = sketch_of(opened)
    assert said is not None, "a library holds sketches alone"
    return {
        "name": said.name,
        "tool": said.tool,
        "read": said.read,
        "elements": said.elements,
        "held": said.held,
        "tensors": [
            {
                "name": each.name,
                "dtype": each.dtype,
                "shape": list(each.shape),
                "held": 0 if (place := said.places.get(each.name)) is None else place.elements,
                "encoding": said.encodings.get(each.name),
            }
            for each in said.tensors
        ],
        "config": dict(said.config),
        "files": [dict(each) for each in said.files],
    }


def show_sketch(terminal: Terminal, opened: Checkpoint) -> None:
    """Print what a sketch holds, and of what."""
    said = sketch_of(opened)
    assert said is not None, "a library holds sketches alone"
    terminal.out.print()
    terminal.out.print(
        Text.assemble(
            (printable(said.name), "bold"),
            f"  {counted(len(said.tensors), 'tensor')}, {said.elements:,} elements; held: "
            f"{said.held:,} of {counted(len(said.places), 'tensor')}",
        ),
        soft_wrap=True,
    )
    read = "everything was read" if said.read == "all" else "what is held was read, and no more"
    terminal.prose(f"made by parentage {printable(said.tool)}: {read}")
    if said.config:
        rows = new_table("config.json", "says")
        for key, value in sorted(said.config.items()):
            rows.add_row(as_text(key), as_text(str(value)))
        terminal.table(rows)
    if said.files:
        rows = new_table("file", "bytes", "sha256")
        for each in said.files:
            rows.add_row(
                as_text(str(each.get("name"))),
                as_text(str(each.get("bytes"))),
                as_text(str(each.get("sha256"))),
            )
        terminal.table(rows)
