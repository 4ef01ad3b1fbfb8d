"""The command line. Results go to stdout, progress and messages to stderr.

Exit status: 0 done, 1 error or a verdict named by --fail-on, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from parentage.support import Portion, share_heaps, size
from parentage.verdict import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from parentage.checkpoint import Checkpoint
    from parentage.cli.terminal import Terminal

_F = TypeVar("_F", bound="Callable[..., Any]")


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 8MiB, 500kB, 4096."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        try:
            return size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PortionType(click.ParamType):  # type: ignore[type-arg]
    """Bytes, or a share of everything: 5GB, 0.2%."""

    name = "portion"

    def convert(self, value: Any, param: Any, ctx: Any) -> Portion:
        """Return the portion that the text says."""
        try:
            return Portion.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _paths(
    help_text: str, *names: str, required: bool = False, multiple: bool = False
) -> Callable[[_F], _F]:
    return click.option(
        *names,
        required=required,
        multiple=multiple,
        metavar="CHECKPOINT",
        type=click.Path(path_type=Path),
        help=help_text,
    )


def _display(command: _F) -> _F:
    for option in (
        click.option("--no-color", "--no-colour", is_flag=True, help="Plain text."),
        click.option("-q", "--quiet", is_flag=True, help="No progress and no messages."),
    ):
        command = option(command)
    return command


class _HelpAlone(click.Command):
    """A command that shows its help and ends with status 2 if nothing is said.

    What click itself makes of that hangs on its version.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, if there are any."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


class _Commands(_HelpAlone, click.Group):
    """All commands."""


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(package_name="parentage", message="%(prog)s %(version)s")
def cli() -> None:
    """A parentage test for model checkpoints.

    Say what a checkpoint is made of, from its weights: whether it is a copy, a blend of others or a
    fine-tune, how much of each, and how sure that is.

    \b
    Start here:
      parentage demo                     a guided tour on a small real family, offline
      parentage inspect CHECKPOINT       what is in a checkpoint
      parentage trace CHILD --base BASE --parent PARENT
      parentage replay RECIPE --against CHILD
      parentage bench                    how fast all of this is here

    A CHECKPOINT is a folder of safetensors files, with or without an index, one such file, or an
    index file. Nothing in it is executed.
    """


@cli.command(cls=_HelpAlone)
@click.argument("child", type=click.Path(path_type=Path))
@_paths("The common ancestor; may itself be part of a blend.", "-b", "--base", required=True)
@_paths(
    "May be a parent of the child. Can be repeated.", "-p", "--parent", "parents", multiple=True
)
@_paths(
    "A relative known not to be a parent: what the same fit gives for it. Can be repeated.",
    "-c", "--control", "controls", multiple=True,
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR",
    help="Write evidence.json and slices.parquet into this folder.",
)  # fmt: skip
@click.option(
    "--digest", type=click.Choice(["sha256"]),
    help="Compute the digest of every file in the same pass, as hubs publish it, for the evidence.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True,
    help="Go on with what an interrupted trace has left in the folder of -o.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as one JSON document.")
@click.option("--layers", is_flag=True, help="Print a row for every layer, too.")
@click.option(
    "--fail-on", "fail_on", multiple=True, type=click.Choice(KINDS), metavar="VERDICT",
    help=f"Exit with status 1 on this verdict. Can be repeated. One of: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option(
    "--sample", type=PortionType(), metavar="AMOUNT",
    help="Read a sample spread over every tensor: bytes over all checkpoints (5GB), or a share of "
    "what there is to read (0.2%). Its verdict says what it rests on, and is never exact.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
    help="Which places a sample is read at.",
)  # fmt: skip
@click.option(
    "--until-sure", is_flag=True,
    help="Read a sample and double it until more would not change the verdict, up to --sample or "
    "everything.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one per CPU.")
@click.option(
    "--io", type=click.Choice(["auto", "mmap", "direct", "pread"]), default="auto",
    show_default=True,
    help="How files are read: mapped, past the page cache, or with pread, which suits network "
    "disks. auto is direct for what does not fit in free memory, else mmap.",
)  # fmt: skip
@click.option(
    "--tile-size", type=Size(), metavar="SIZE",
    help="Bytes of each checkpoint that a thread reads at once. [default: 8MiB, mapped]",
)  # fmt: skip
@_display
def trace(
    child: Path,
    base: Path,
    parents: tuple[Path, ...],
    controls: tuple[Path, ...],
    output: Path | None,
    digest: str | None,
    resume: bool,
    as_json: bool,
    layers: bool,
    fail_on: tuple[str, ...],
    sample: Portion | None,
    seed: int,
    until_sure: bool,
    threads: int | None,
    io: str,
    tile_size: int | None,
    quiet: bool,
    no_color: bool,
) -> None:
    """Say what CHILD is made of.

    Every tensor of CHILD is compared with the same tensor of the base and of up to eight parents
    and controls, in one pass over the files. The verdict is one of identical, re-encoded, merge,
    merge-then-changed, fine-tune, assembled, unrelated and undetermined; it names the rule that
    decided and the numbers that met it.

    A first verdict, from a sample, is told on stderr before everything is read. Where that takes
    too long, a sample may be enough: --until-sure reads as little as settles the verdict. What a
    sample says is never exact, since what was not read may differ; the verdict says how much.

    \b
    Examples:
      Is it a blend of these two?
        parentage trace ./Suspect --base ./Base --parent ./Tuned
      Which of these went into it, and how much? Keep the evidence.
        parentage trace ./Suspect -b ./Base -p ./A -p ./B -p ./C -o evidence/
      What would a relative that is no parent look like?
        parentage trace ./Suspect -b ./Base -p ./A --control ./Sibling
      It was interrupted, by whatever. Go on:
        parentage trace ./Suspect -b ./Base -p ./A -p ./B -p ./C -o evidence/ --resume
      It is large, and an answer is wanted in a minute, or with 5 GB of reading at most:
        parentage trace ./Suspect -b ./Base -p ./A --until-sure
        parentage trace ./Suspect -b ./Base -p ./A --sample 5GB
      Tie the verdict to published files by their SHA-256:
        parentage trace ./Suspect -b ./Base -p ./A --digest sha256 -o evidence/
      In a pipeline:
        parentage trace ./Upload -b ./Ours --json --fail-on identical > evidence.json

    With -o, what is finished is kept in DIR/trace.journal until the evidence is written. --resume
    reads the rest alone, and ends in the same evidence byte for byte; if a file has changed since,
    or the checkpoints are others, it says so and stops. Without --resume, what is kept is never
    overwritten: remove the file to give it up.

    No option from --threads on changes a digit of the result, nor does --resume.
    """
    if digest is not None and (sample is not None or until_sure):
        raise click.UsageError("--digest is of whole files; --sample and --until-sure read a part")
    if resume and output is None:
        raise click.UsageError("--resume needs -o DIR: what was read is kept there")
    if resume and (sample is not None or until_sure):
        raise click.UsageError(
            "--resume goes on with a full pass; with --sample or --until-sure, begin again"
        )
    terminal = _terminal(quiet=quiet, no_color=no_color)
    if output is not None:
        _check_output(output)
    from parentage import pipeline

    with terminal.watching() as progress:
        found = pipeline.trace(
            child,
            base=base,
            parents=parents,
            controls=controls,
            sample=sample,
            seed=seed,
            digest=digest,
            until_sure=until_sure,
            threads=threads,
            tile_bytes=tile_size,
            io=io,
            output=output,
            resume=resume,
            progress=progress,
            note=terminal.note,
        )
    if output is not None:
        terminal.note(f"wrote {output / 'evidence.json'} and {output / 'slices.parquet'}")
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        terminal.trace(found, layers=layers)
    if found.verdict.kind in fail_on:
        terminal.note(f"the verdict is {found.verdict.kind}, which --fail-on names")
        raise click.exceptions.Exit(1)


@cli.command(cls=_HelpAlone)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--from", "offered", multiple=True, metavar="[NAME=]PATH",
    help="A checkpoint that the recipe needs, told by the name of its folder or by NAME. Can be "
    "repeated. What is not offered is looked for by name, here and beside RECIPE.",
)  # fmt: skip
@_paths("Count what the recipe reproduces of this checkpoint.", "--against")
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Write what the recipe gives into this folder, which must not exist, or be empty.",
)  # fmt: skip
@click.option(
    "--shard-size", type=Size(), default="5GB", show_default=True, metavar="SIZE",
    help="Most bytes of tensors in a file that is written.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--fail-on-mismatch", is_flag=True,
    help="Exit with status 1 if anything compared, or written, is not the child's.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one per CPU.")
@click.option(
    "--io", type=click.Choice(["mmap", "direct", "pread"]), default="mmap", show_default=True,
    help="How files are read: mapped, past the page cache, or with pread, for network disks.",
)  # fmt: skip
@click.option(
    "--tile-size", type=Size(), metavar="SIZE",
    help="Bytes of each checkpoint that a thread reads at once. [default: 8MiB, mapped]",
)  # fmt: skip
@_display
def replay(
    recipe: Path,
    offered: tuple[str, ...],
    against: Path | None,
    folder: Path | None,
    shard_size: int,
    as_json: bool,
    fail_on_mismatch: bool,
    threads: int | None,
    io: str,
    tile_size: int | None,
    quiet: bool,
    no_color: bool,
) -> None:
    """Carry out RECIPE: compare what it gives with a child, or write it.

    RECIPE is a recipe as JSON, or the evidence.json of a trace that found one. The checkpoints that
    it names are read once, and what it gives is compared with the child bit for bit; where the two
    differ, it is told by how many units in the last place, and where first. A mismatch is a result
    and no error.

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
    if shard_size < 1:
        raise click.UsageError("--shard-size is 1 byte at least")
    from parentage import _core
    from parentage.checkpoint import Checkpoint
    from parentage.replay import (
        Recipe,
        compare,
        document,
        locate_checkpoints,
        open_parents,
        plan_write,
    )
    from parentage.stream import Options

    terminal = _terminal(quiet=quiet, no_color=no_color)
    read = Recipe.open(recipe)
    parents = open_parents(read, locate_checkpoints(read, offered, recipe.parent))
    child = None if against is None else Checkpoint.open(against)
    options = Options(_core.threads() if threads is None else threads, tile_size, io)
    # What can not be written is refused before hours are spent on comparing.
    writing = None if folder is None else plan_write(read, parents, folder, shard_size, options)
    compared = written = None
    with terminal.watching() as progress:
        if child is not None:
            compared = compare(
                read, parents, child,
                threads=threads, tile_bytes=tile_size, io=io, progress=progress,
            )  # fmt: skip
        if writing is not None:
            written = writing.run(child, progress)
    if as_json:
        found = document(
            read,
            parents,
            replay=None if compared is None else compared.as_dict(),
            written=None if written is None else written.as_dict(),
        )
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        terminal.replay(compared, written)
    differs = compared is not None and compared.mismatched > 0
    if fail_on_mismatch and (differs or (written is not None and written.agrees is False)):
        terminal.note("there are mismatches, which --fail-on-mismatch names")
        raise click.exceptions.Exit(1)


@cli.command(cls=_HelpAlone)
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, tensors included.")
@click.option("--tensors", is_flag=True, help="Print a row for every tensor, too.")
@_display
def inspect(
    checkpoints: tuple[Path, ...], as_json: bool, tensors: bool, quiet: bool, no_color: bool
) -> None:
    """Show what is in CHECKPOINTS, from their headers alone.

    \b
    Examples:
      parentage inspect ./Model
      parentage inspect ./Model --tensors
      parentage inspect ./Model/model-00001-of-00002.safetensors --json
    """
    from parentage.checkpoint import Checkpoint

    terminal = _terminal(quiet=quiet, no_color=no_color)
    opened = [Checkpoint.open(path) for path in checkpoints]
    if as_json:
        document = [_description(each) for each in opened]
        click.echo(json.dumps(document[0] if len(document) == 1 else document, indent=1))
        return
    for each in opened:
        terminal.inspect(each, tensors=tensors)


@cli.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT]...", type=click.Path(path_type=Path))
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
    "--folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Where checkpoints are made, in a folder that is removed: on the disk to be measured. "
    "[default: the system's folder for temporary files]",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE",
    help="Draw the speeds into this file, .svg or .png. Needs the extra parentage[plot].",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one per CPU.")
@_display
def bench(
    checkpoints: tuple[Path, ...],
    gib: float,
    runs: int,
    folder: Path | None,
    plot: Path | None,
    as_json: bool,
    threads: int | None,
    quiet: bool,
    no_color: bool,
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
    from parentage.bench import bench as measure
    from parentage.bench import check, draw

    if checkpoints and folder is not None:
        raise click.UsageError("--folder is where checkpoints are made, and these are given")
    if 0 < len(checkpoints) < 3:
        raise click.UsageError("give the base, at least one parent, and last the child; or nothing")
    terminal = _terminal(quiet=quiet, no_color=no_color)
    if plot is not None:
        # Minutes of measuring are not to end in a picture that can not be drawn.
        check(plot)
        _check_output(plot.parent)
    with terminal.watching() as progress:
        found = measure(
            checkpoints,
            size=int(gib * 2**30),
            runs=runs,
            threads=threads,
            folder=folder,
            progress=progress,
            note=terminal.note,
        )
    if plot is not None:
        draw(found, plot)
        terminal.note(f"wrote {plot}")
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        terminal.bench(found)


@cli.command()
@_display
def demo(quiet: bool, no_color: bool) -> None:
    """Trace a small real family that comes with the package, step by step."""
    from parentage.cli.tour import run as tour

    tour(_terminal(quiet=quiet, no_color=no_color))


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for SHELL.

    \b
    Examples:
      parentage completion bash >> ~/.bashrc
      parentage completion zsh >> ~/.zshrc
      parentage completion fish > ~/.config/fish/completions/parentage.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells"
    click.echo(kind(cli, {}, "parentage", "_PARENTAGE_COMPLETE").source())


def _terminal(*, quiet: bool, no_color: bool) -> Terminal:
    from parentage.cli.terminal import Terminal

    return Terminal(quiet=quiet, color=not no_color)


def _check_output(folder: Path) -> None:
    """Refuse a folder that can not be written before hours are spent on what would go there."""
    from parentage.support import WriteError

    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise WriteError(f"{folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise WriteError(f"{folder}: {existing} can not be written to")


def _description(checkpoint: Checkpoint) -> dict[str, Any]:
    tensors = checkpoint.tensors.values()
    return {
        "name": checkpoint.name,
        "shards": [
            {"name": shard.name, "bytes": shard.bytes, "metadata": shard.metadata}
            for shard in checkpoint.shards
        ],
        "bytes": checkpoint.bytes,
        "elements": checkpoint.elements,
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
            }
            for tensor in tensors
        ],
    }


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        status = cli.main(arguments, prog_name="parentage", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        # What click makes of an interrupt follows the one that says what is kept.
        kept = str(error if isinstance(error, KeyboardInterrupt) else error.__context__ or "")
        click.echo(f"interrupted; {kept or 'nothing was written'}", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; a flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        from parentage.support import ParentageError

        if not isinstance(error, (ParentageError, ValueError)):
            raise
        _terminal(quiet=False, no_color=False).error(str(error))
        return 1


def main() -> None:
    """Entry point of the ``parentage`` command."""
    share_heaps()
    sys.exit(run())
