"""``parentage report``: make the report of stored evidence again, and its pictures as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import PATH, terminal_options

if TYPE_CHECKING:
    from pathlib import Path

    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "-o", "--output", type=PATH, metavar="FILE",
    help="Write the page here. [default: DIR/report.html]",
)  # fmt: skip
@click.option(
    "--figures", type=PATH, metavar="FOLDER",
    help="Write every picture into this folder, too, as a file of its own.",
)  # fmt: skip
@click.option(
    "--format", "picture_format", type=click.Choice(["svg", "png"]), default="svg",
    show_default=True, help="Format of these pictures.",
)  # fmt: skip
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True,
    help="Colours of these pictures; the page has both.",
)  # fmt: skip
@click.option(
    "--custody", is_flag=True,
    help="Show custody.jsonl as it stands in the page; with -o, since the page of DIR has none.",
)  # fmt: skip
@terminal_options
def report(
    folder: Path,
    output: Path | None,
    custody: bool,
    figures: Path | None,
    picture_format: str,
    theme: str,
    terminal: Terminal,
) -> None:
    """Make the report of the evidence in DIR again.

    DIR is what "parentage trace -o DIR" wrote. The report is one page that opens from disk and
    loads nothing: the verdict and the recipe, pictures, the table of slices, what was compared, and
    what the evidence does not show. It has a first page for journalists, moderators, lawyers and
    CI. The same evidence gives the same page as trace -o wrote, byte for byte, and verify compares
    them.

    What parentage identify left in DIR, identity.json, is shown as well, and becomes part of the
    bundle. The log of custody grows, and is shown with --custody, in a page that is none of it.

    \b
    Examples:
      parentage report evidence/
      parentage report evidence/ -o suspect.html
      parentage report evidence/ --custody -o for-the-court.html
      parentage report evidence/ --figures pictures/
      parentage report evidence/ --figures pictures/ --format png --theme dark
    """
    from parentage.report import write_figures, write_report

    try:
        written_to = write_report(folder, output, custody=custody)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    terminal.note(f"wrote {written_to}")
    if figures is not None:
        written = write_figures(folder, figures, file_format=picture_format, theme=theme)
        terminal.note(f"wrote {len(written)} pictures into {figures}")
