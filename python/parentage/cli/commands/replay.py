"""``parentage replay``: compare what a recipe gives with a child, or write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    FOUND,
    PATH,
    Device,
    Networking,
    Reading,
    Size,
    checkpoint_option,
    device_options,
    json_option,
    network_options,
    reading_options,
    terminal_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command(cls=HelpAlone)
@click.argument("recipe", type=PATH)
@click.option(
    "--from", "offered", multiple=True, metavar="[NAME=]PATH",
    help="A checkpoint that the recipe needs, told by the name of its folder or by NAME. Can be "
    "repeated. What is not offered is looked for by name, here and beside RECIPE.",
)  # fmt: skip
@checkpoint_option("Count what the recipe reproduces of this checkpoint.", "--against")
@click.option(
    "--write", "folder", type=PATH, metavar="DIR",
    help="Write what the recipe gives into this folder, which must not exist, or be empty.",
)  # fmt: skip
@click.option(
    "--shard-size", type=Size(1), default="5GB", show_default=True, metavar="SIZE",
    help="Most bytes of tensors in a file that is written.",
)  # fmt: skip
@click.option(
    "--allow-non-finite", is_flag=True,
    help="Write numbers that are not finite though all that they are made of are; else an error.",
)  # fmt: skip
@json_option()
@click.option(
    "--fail-on-mismatch", is_flag=True,
    help="Exit with status 3 unless all of the child is what the recipe makes, and all of that is "
    "in it, in the dtype that it writes; and unless the checkpoints are those of the evidence.",
)  # fmt: skip
@reading_options(
    "mmap", "direct", "pread",
    help_text="How files are read: mapped, past the page cache, or with pread, for network disks.",
)  # fmt: skip
@device_options
@network_options
@terminal_options
def replay(
    recipe: Path,
    offered: tuple[str, ...],
    against: str | None,
    folder: Path | None,
    shard_size: int,
    allow_non_finite: bool,
    as_json: bool,
    fail_on_mismatch: bool,
    reading: Reading,
    computing: Device,
    networking: Networking,
    terminal: Terminal,
) -> None:
    """Carry out RECIPE: compare what it gives with a child, or write it.

    RECIPE is a recipe as JSON, the evidence.json of a trace that found one, or its folder, or a
    configuration of mergekit that merges whole models. The
    checkpoints that it names are read once, and what it gives is compared with the child bit for
    bit; where the two differ, it is told by how many units in the last place, and where first. What
    either has and the other lacks is told too. A mismatch is a result and no error. Sizes of the
    checkpoints, and their sha256 where evidence has it, are compared with those of the evidence.

    What is written has the names, shapes and order of the base, or of the first parent of a recipe
    without one, and the dtype of the recipe. Tensors that the recipe says nothing about, integers
    among them, are the base's byte for byte, and are listed. The sha256 of every tensor's data is
    printed, and with --against whether it is the child's. Nothing is left of what fails.

    \b
    Examples:
      Does the recipe that a trace found hold? Everything is beside each other:
        parentage trace ./Suspect -b ./Base -p ./Tuned -o evidence/
        parentage replay evidence/evidence.json --from ./Base --from ./Tuned --against ./Suspect
      The folders have other names than they had for whoever wrote the recipe:
        parentage replay recipe.json --from Base=/data/a --from Tuned=/data/b --against ./Suspect
      Make the child again, without having it, and see the digests:
        parentage replay recipe.json --from ./Base --from ./Tuned --write ./Again
      In a pipeline:
        parentage replay recipe.json --against ./Suspect --fail-on-mismatch --json > replay.json

    No option from --threads on changes a digit of the result, or a byte of what is written.
    """
    if against is None and folder is None:
        raise click.UsageError("say what for: --against CHILD to compare, --write DIR to write")
    if fail_on_mismatch and against is None:
        raise click.UsageError("--fail-on-mismatch needs --against CHILD to compare with")
    if allow_non_finite and folder is None:
        raise click.UsageError("--allow-non-finite is of what --write DIR writes")
    if computing["device"] is not None and against is None:
        raise click.UsageError("--device is of comparing with --against CHILD: the core writes")
    from parentage import _core
    from parentage.checkpoint import Checkpoint, Network
    from parentage.cli.terminal.replay import show_replay
    from parentage.replay import (
        Recipe,
        check_sources,
        compare,
        document,
        locate_checkpoints,
        open_parents,
        plan_write,
        recipe_file,
        recipe_text,
    )
    from parentage.stream import Options, backend_of

    # A device that is not there is refused before anything is read.
    remark = backend_of(computing["device"], computing["device_memory"])[2]
    if remark is not None:
        terminal.note(remark)
    text = recipe_text(recipe)
    opened = Recipe.from_json(text, str(recipe))
    near = recipe_file(recipe).parent
    network = Network(**networking, note=terminal.note)
    located = locate_checkpoints(opened, offered, near, network)
    parents = open_parents(opened, located, network)
    child = None if against is None else Checkpoint.open(against, None, network)
    threads = _core.threads() if reading["threads"] is None else reading["threads"]
    options = Options(threads, reading["tile_bytes"], reading["io"])
    # What can not be written is refused before hours are spent on comparing.
    plan = None if folder is None else plan_write(opened, parents, folder, shard_size, options)
    comparison = written = None
    with terminal.watching(network.traffic) as progress:
        sources = check_sources(text, parents, progress)
        if child is not None:
            comparison = compare(opened, parents, child, progress=progress, **reading, **computing)
        if plan is not None:
            written = plan.run(child, progress, allow_non_finite=allow_non_finite)
    if as_json:
        told = document(
            opened,
            parents,
            sources=None if sources is None else sources.as_dict(),
            replay=None if comparison is None else comparison.as_dict(),
            written=None if written is None else written.as_dict(),
        )
        click.echo(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show_replay(terminal, comparison, written, sources)
    agrees = (
        (comparison is None or comparison.agrees)
        and (written is None or written.agrees is not False)
        and (sources is None or not sources.differences)
    )
    if fail_on_mismatch and not agrees:
        terminal.note("the child is not what the recipe makes, which --fail-on-mismatch names")
        raise click.exceptions.Exit(FOUND)
