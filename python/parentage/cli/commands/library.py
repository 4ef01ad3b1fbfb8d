"""``parentage library``: keep sketches in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    Networking,
    Size,
    as_named,
    bind_libraries,
    json_option,
    network_options,
    terminal_options,
    threads_option,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal

library_option = click.option(
    "-l", "--library", type=PATH, metavar="DIR",
    help="The library. [default: $PARENTAGE_LIBRARY, or parentage/library in the user's data]",
)  # fmt: skip


class _Group(HelpAlone, click.Group):
    """The commands on a library."""


@click.group(cls=_Group)
def library() -> None:
    """Keep sketches in a folder, for parentage search.

    \b
    Examples:
      parentage library add base.sketch.safetensors tuned.sketch.safetensors
      parentage library list
      parentage library show tuned
      parentage library remove tuned
    """


@library.command(cls=HelpAlone)
@click.argument("sketches", nargs=-1, required=True, type=CHECKPOINT, metavar="[NAME=]SKETCH...")
@library_option
@click.option("--replace", is_flag=True, help="Take the place of sketches of the same names.")
@click.option(
    "--size", type=Size(1 << 14), default="1MiB", show_default=True, metavar="SIZE",
    help="Bytes of sketches that are made, as in parentage sketch.",
)  # fmt: skip
@threads_option
@network_options
@terminal_options
def add(
    sketches: tuple[str, ...],
    library: Path | None,
    replace: bool,
    size: int,
    threads: int | None,
    networking: Networking,
    terminal: Terminal,
) -> None:
    """Copy SKETCHES into the library, all of them or none.

    Of what is a checkpoint and no sketch, one is made, and the library remembers where the
    checkpoint is: parentage trace opens it there when it proposes it. Of a remote one no more is
    read than a sketch holds.

    Each is called as its checkpoint was; a name that is taken is an error without --replace. Who
    searches in the meantime sees the library as it was.

    \b
    Examples:
      parentage library add *.sketch.safetensors
      parentage library add ./Base tuned=./runs/last hf://org/Other
    """
    bind_libraries(threads)
    from parentage.checkpoint import Network
    from parentage.library import Library

    shelf = Library(library)
    network = Network(**networking, note=terminal.note)
    with terminal.watching(network.traffic) as progress:
        names = shelf.add(
            [as_named(each, network) for each in sketches],
            replace=replace,
            size=size,
            threads=threads,
            network=network,
            progress=progress,
        )
    terminal.note(f"added {', '.join(names)} to {shelf.folder}")


@library.command(cls=HelpAlone)
@click.argument("names", nargs=-1, required=True)
@library_option
@terminal_options
def remove(names: tuple[str, ...], library: Path | None, terminal: Terminal) -> None:
    """Take the sketches of NAMES out of the library, all of them or none.

    \b
    Example:
      parentage library remove tuned
    """
    from parentage.library import Library

    shelf = Library(library)
    shelf.remove(names)
    terminal.note(f"removed {', '.join(names)} from {shelf.folder}")


@library.command("list", cls=HelpAlone)
@library_option
@json_option("Print a JSON document.")
@terminal_options
def list_(library: Path | None, as_json: bool, terminal: Terminal) -> None:
    """List the sketches in the library, by name.

    \b
    Example:
      parentage library list --library ./sketches
    """
    from parentage.cli.terminal.search import show_library
    from parentage.library import Library

    shelf = Library(library)
    if as_json:
        click.echo(json.dumps(shelf.table.to_dicts(), indent=1))
    else:
        show_library(terminal, shelf)


@library.command(cls=HelpAlone)
@click.argument("name")
@library_option
@json_option("Print a JSON document.")
@terminal_options
def show(name: str, library: Path | None, as_json: bool, terminal: Terminal) -> None:
    """Show what the sketch of NAME holds, and of what.

    \b
    Example:
      parentage library show tuned
    """
    from parentage.cli.terminal.search import show_sketch, sketch_document
    from parentage.library import Library

    opened = Library(library).open(name)
    if as_json:
        click.echo(json.dumps(sketch_document(opened), indent=1))
    else:
        show_sketch(terminal, opened)
