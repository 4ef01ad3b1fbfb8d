"""``parentage compare``: say what checkpoints are to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    Reading,
    as_named,
    json_option,
    terminal_options,
    usual_reading_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument(
    "checkpoints", nargs=-1, required=True, type=CHECKPOINT, metavar="[NAME=]CHECKPOINT..."
)
@json_option("Print relations and tables as one JSON document.")
@click.option("--layers", is_flag=True, help="Print a row for every layer, too.")
@usual_reading_options
@terminal_options
def compare(
    checkpoints: tuple[str, ...],
    as_json: bool,
    layers: bool,
    reading: Reading,
    terminal: Terminal,
) -> None:
    """Say what CHECKPOINTS are to each other, two or more, with no base.

    Each two are identical, re-encoded, close relatives, of one family, unrelated, undetermined, or
    not compared because nothing of them pairs; with figures by component and by layer, and beside
    them what layers that have nothing to do with each other look like. Tensors that are computed
    and not learned are no kinship. Who came first is not tested, and not said: trace does that.

    \b
    Examples:
      parentage compare ./A ./B
      parentage compare ./A ./B ./C ./D
      parentage compare ours=./model theirs=other.sketch.safetensors --layers
    """
    if len(checkpoints) < 2:
        raise click.UsageError("compare takes two checkpoints or more")
    from parentage import kinship
    from parentage.cli.terminal.compare import show_comparison

    with terminal.watching() as progress:
        first, second, *more = (as_named(each) for each in checkpoints)
        found = kinship.compare(first, second, *more, progress=progress, **reading)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        show_comparison(terminal, found, layers=layers)
