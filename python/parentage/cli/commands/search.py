"""``parentage search``: say who in a library the relatives of a checkpoint are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.commands.library import library_option
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    as_named,
    bind_libraries,
    json_option,
    terminal_options,
    threads_option,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal
    from parentage.relatives import Found


@click.command(cls=HelpAlone)
@click.argument("child", type=CHECKPOINT, metavar="[NAME=]CHILD")
@library_option
@click.option(
    "--trace", "decide", is_flag=True,
    help="Trace CHILD from sketches, with what is found as base and parents: that is a verdict, "
    "and takes longer. Without it, all is a proposal.",
)  # fmt: skip
@click.option(
    "--without", multiple=True, metavar="NAME",
    help="Pass over the sketch of this name, as CHILD's own. Can be repeated.",
)  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=20, show_default=True,
    help="Relatives that are printed.",
)  # fmt: skip
@click.option("--mermaid", is_flag=True, help="Print the family's tree as a Mermaid chart alone.")
@click.option(
    "--picture", type=PATH, metavar="FILE",
    help="Write the family's tree as a picture, too: FILE ends with .svg or .png.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True,
    help="Colours of the picture.",
)  # fmt: skip
@json_option("Print what was found as one JSON document.")
@threads_option
@terminal_options
def search(
    child: str,
    library: Path | None,
    decide: bool,
    without: tuple[str, ...],
    most: int,
    mermaid: bool,
    picture: Path | None,
    theme: str,
    as_json: bool,
    threads: int | None,
    terminal: Terminal,
) -> None:
    """Say who in a library the relatives of CHILD are, and which of them explain it best.

    Of CHILD no more is read than a sketch holds. Thumbnails of all sketches in the library say who
    is a relative; of the nearest, of those at which lines meet and of those that explain the rest,
    sketches are read. Of these, each two and three are tried as a blend, and chance is told for as
    many as were tried. Then a trace command is proposed, which would decide.

    Who came first is said by --trace alone, and only where the data decide it: elsewhere the lines
    of the tree have no direction, in the chart and in the picture. A line in them is as long as two
    checkpoints are far from each other, and is no descent.

    \b
    Examples:
      parentage search ./Suspect
      parentage search ./Suspect --library ./sketches --trace
      parentage search suspect.sketch.safetensors --mermaid
      parentage search ./Suspect --trace --picture family.svg
    """
    if picture is not None and picture.suffix.lower() not in (".svg", ".png"):
        raise click.UsageError(f"--picture {picture}: the name of a picture ends with .svg or .png")
    bind_libraries(threads)
    from parentage import kinship
    from parentage.cli.terminal.search import show_found

    with terminal.watching() as progress:
        found = kinship.search(
            as_named(child),
            library,
            without=without,
            decide=decide,
            threads=threads,
            progress=progress,
        )
    if picture is not None:
        _write(picture, found, theme, terminal)
    if as_json:
        click.echo(found.to_json(), nl=False)
    elif mermaid:
        click.echo(found.mermaid())
    else:
        show_found(terminal, found, most)


def _write(path: Path, found: Found, theme: str, terminal: Terminal) -> None:
    """Write the picture of a family, whole or not at all."""
    from parentage import relatives
    from parentage.support import WriteError, write_file

    drawn = relatives.picture(found, path.suffix.lower().removeprefix("."), theme)
    if drawn is None:
        terminal.note(f"there is no relative to draw: {path} is not written")
        return
    try:
        write_file(path, drawn)
    except OSError as error:
        raise WriteError(f"{path}: write the picture: {error.strerror or error}") from error
    terminal.note(f"wrote {path}")
