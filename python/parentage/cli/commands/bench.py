"""``parentage bench``: measure how fast all of this is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    check_output,
    json_option,
    terminal_options,
    threads_option,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT]...", type=CHECKPOINT)
@click.option(
    "--gib", type=click.FloatRange(0.001), default=1.0, show_default=True,
    metavar="N", help="GiB to measure on: of the given checkpoints together at most, of made ones "
    "for each dtype.",
)  # fmt: skip
@click.option(
    "--runs", type=click.IntRange(5), default=5, show_default=True, metavar="N",
    help="How often everything is measured, in turns; medians are shown.",
)  # fmt: skip
@click.option(
    "--folder", type=PATH, metavar="DIR",
    help="Where checkpoints are made, in a folder that is removed: on the disk to be measured. "
    "[default: the system's folder for temporary files]",
)  # fmt: skip
@click.option(
    "--plot", type=PATH, metavar="FILE",
    help="Draw the speeds into this file, .svg or .png. Needs the extra parentage[plot].",
)  # fmt: skip
@json_option()
@threads_option
@terminal_options
def bench(
    checkpoints: tuple[str, ...],
    gib: float,
    runs: int,
    folder: Path | None,
    plot: Path | None,
    as_json: bool,
    threads: int | None,
    terminal: Terminal,
) -> None:
    """Measure how fast checkpoints are read, compared, replayed and hashed here.

    With CHECKPOINTS, on these: first the base, then parents, last the child. Without, on a base,
    eight parents and a child that are made in bf16, f16 and f32, one after the other, and removed;
    from the disk, on a base, a parent and a child.

    Every speed is in GB/s (10^9 bytes) and a share of a ceiling: in the page cache (warm), of
    reading the mapped bytes; from the disk (cold), of the fastest direct read of the same files. It
    is asserted first that all instruction sets give the same bits, near enough to float64.

    \b
    Examples:
      parentage bench
      How fast is the disk that the models are on?
        parentage bench --folder /models --gib 8
      How long would a trace of these take?
        parentage bench ./Base ./Tuned ./Suspect --gib 16
      For a report:
        parentage bench --json --plot speeds.svg > speeds.json
    """
    if checkpoints and folder is not None:
        raise click.UsageError("--folder is where checkpoints are made, and these are given")
    if 0 < len(checkpoints) < 3:
        raise click.UsageError("give the base, at least one parent, and last the child; or nothing")
    from parentage.bench import bench as measure
    from parentage.bench import check, draw
    from parentage.cli.terminal.bench import show_bench

    if plot is not None:
        # Minutes of measuring are not to end in a picture that can not be drawn.
        check(plot)
        check_output(plot.parent)
    with terminal.watching() as progress:
        speeds = measure(
            checkpoints,
            size=int(gib * 2**30),
            runs=runs,
            threads=threads,
            folder=folder,
            progress=progress,
            note=terminal.note,
        )
    if plot is not None:
        draw(speeds, plot)
        terminal.note(f"wrote {plot}")
    if as_json:
        click.echo(json.dumps(speeds.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show_bench(terminal, speeds)
