"""``parentage trace``: say what a checkpoint is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.commands.library import library_option
from parentage.cli.options import (
    CHECKPOINT,
    FOUND,
    PATH,
    Device,
    Networking,
    PartType,
    PortionType,
    Reading,
    Spreading,
    Telling,
    as_named,
    check_output,
    checkpoint_option,
    custody_options,
    device_options,
    executor_of,
    network_options,
    spreading_options,
    telling_options,
    terminal_options,
    usual_reading_options,
)
from parentage.support import listed

if TYPE_CHECKING:
    from typing import Any

    from parentage.cli.terminal.console import Terminal
    from parentage.evidence import Trace
    from parentage.support import Portion


NAMED = "[NAME=]CHECKPOINT"


@click.command(cls=HelpAlone)
@click.argument("child", type=CHECKPOINT)
@checkpoint_option(
    "The common ancestor; may itself be part of a blend. Without it, one is assumed, and so are "
    "parents if none are given.", "-b", "--base", metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "May be a parent of the child; NAME= says what reports call it, here as for the base and "
    "controls. Can be repeated.", "-p", "--parent", "parents", multiple=True, metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "A relative known not to be a parent: what the same fit gives for it. Can be repeated.",
    "-c", "--control", "controls", multiple=True, metavar=NAMED,
)  # fmt: skip
@library_option
@click.option(
    "--follow-claims", is_flag=True,
    help="Without --base, ask the hub for what CHILD's own files claim, though CHILD itself was "
    "not named on one.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=PATH, metavar="DIR",
    help="Write the evidence into this folder: evidence.json, tables, facts, recipe, manifest, and "
    "its report, report.html.",
)  # fmt: skip
@click.option(
    "--digest", type=click.Choice(["sha256"]),
    help="Compute the digest of every file in the same pass, as hubs publish it, for the evidence.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True,
    help="Go on with what an interrupted trace has left in the folder of -o.",
)  # fmt: skip
@telling_options
@click.option(
    "--sample", type=PortionType(), metavar="AMOUNT",
    help="Read a sample spread over every tensor: bytes over all checkpoints (5GB), or a share of "
    "what there is to read (0.2%). Its verdict says what it rests on, and is never exact.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N",
    help="What draws the places of samples, to have the same evidence again. By default the system "
    "draws it; with one given, the verdict states no confidence.",
)  # fmt: skip
@click.option(
    "--until-sure", is_flag=True,
    help="Read a sample and double it until more would not change the verdict, up to --sample or "
    "everything.",
)  # fmt: skip
@click.option(
    "--full", is_flag=True,
    help="Read everything of remote checkpoints, too. By default, they are read as by "
    "--until-sure, and 500MB of tensors at most unless --sample says otherwise.",
)  # fmt: skip
@click.option(
    "--part", type=PartType(), metavar="K/N",
    help="Read the K-th of N parts alone, and keep what it gives in the folder of -o; parentage "
    "join makes evidence of all parts.",
)  # fmt: skip
@click.option(
    "--no-recipes", is_flag=True,
    help="Do not look for the recipe: weights alone, in a fraction of the time.",
)  # fmt: skip
@usual_reading_options
@device_options
@spreading_options
@custody_options
@network_options
@terminal_options
def trace(
    child: str,
    base: str | None,
    parents: tuple[str, ...],
    controls: tuple[str, ...],
    library: Path | None,
    follow_claims: bool,
    output: Path | None,
    digest: str | None,
    resume: bool,
    sample: Portion | None,
    seed: int | None,
    until_sure: bool,
    full: bool,
    part: str | None,
    no_recipes: bool,
    reading: Reading,
    computing: Device,
    spreading: Spreading,
    networking: Networking,
    telling: Telling,
    terminal: Terminal,
) -> None:
    """Say what CHILD is made of.

    Every tensor of CHILD is compared with the same tensor of the base and of up to eight parents
    and controls, in one pass over the files. The verdict is one of identical, re-encoded, merge,
    merge-then-changed, fine-tune, assembled, related, unrelated and undetermined; it names the rule
    that decided and the numbers that met it.

    A first verdict, from a sample, is told on stderr before everything is read. Where that takes
    too long, a sample may be enough: --until-sure reads as little as settles the verdict. What a
    sample says is never exact, since what was not read may differ; the verdict says how much.

    \b
    Examples:
      Is it a blend of these two?
        parentage trace ./Suspect --base ./Base --parent ./Tuned
      Which of these went into it, and how much? Keep the evidence.
        parentage trace ./Suspect -b ./Base -p ./A -p ./B -p ./C -o evidence/
      What is it made of, and nobody says? The search of a library, and what its own files claim,
      propose a base and parents; the verdict says what was assumed.
        parentage library add ./Base ./A ./B ./C
        parentage trace ./Suspect
        parentage trace ./Suspect --library ~/sketches --follow-claims
      What would a relative that is no parent look like?
        parentage trace ./Suspect -b ./Base -p ./A --control ./Sibling
      Folders that are all called "model" have names of yours in the report:
        parentage trace ./Suspect -b base=/a/model -p tuned=/b/model -p other=/c/model
      It was interrupted, by whatever. Go on:
        parentage trace ./Suspect -b ./Base -p ./A -p ./B -p ./C -o evidence/ --resume
      It is large, and an answer is wanted in a minute, or with 5 GB of reading at most:
        parentage trace ./Suspect -b ./Base -p ./A --until-sure
        parentage trace ./Suspect -b ./Base -p ./A --sample 5GB
      Tie the verdict to published files by their SHA-256:
        parentage trace ./Suspect -b ./Base -p ./A --digest sha256 -o evidence/
      Compute on a GPU, or on two of them:
        parentage trace ./Suspect -b ./Base -p ./A --device cuda
        parentage trace ./Suspect -b ./Base -p ./A --device cuda:0,1 --device-memory 8GB
      None of them is here, and all are on a hub; or some are, and another is on a web server:
        parentage trace hf://org/Suspect -b hf://org/Base -p hf://org/Tuned@v1.0
        parentage trace ./Suspect -b org/Base -p https://host/a/model.safetensors --cache ~/ranges
      Four processes of this machine read it, or the workers of a cluster that sees the same files:
        parentage trace ./Suspect -b ./Base -p ./A --workers 4
        parentage trace /net/Suspect -b /net/Base -p /net/A --dask tcp://head:8786
      A job array of 64 reads it, each job a part, and one command makes the evidence of all:
        parentage trace /net/Suspect -b /net/Base -p /net/A --part $SLURM_ARRAY_TASK_ID/64 -o parts/
        parentage join parts/ -o evidence/
      In a pipeline:
        parentage trace ./Upload -b ./Ours --json --fail-on identical > evidence.json

    Remote checkpoints are read by ranges: headers first, then a sample that is doubled until more
    would not change the verdict, or 500MB were read; --full reads everything. The evidence has the
    commit, and the SHA-256 that each file was published with.

    Without --base, a base is assumed, and so are parents if none are given. The search of a library
    of sketches proposes some, and so do the card, the recipe, the headers and the configuration of
    CHILD. What a file claims is a name, never a path or an address: it is looked for beside CHILD,
    in the library and in the Hugging Face cache; on a hub if CHILD was named on one, or with
    --follow-claims. What was assumed is said on stderr first, and stands in the verdict and the
    evidence. Nothing is decided by it: the verdict is of the weights that were read. A library that
    knows where a checkpoint is has it read; or else its sketch stands for it, and the verdict is
    statistical.

    With -o, what is finished is kept in DIR/trace.journal until the evidence is written. --resume
    reads the rest alone, and ends in the same evidence byte for byte; if a file has changed since,
    or the checkpoints are others, it says so and stops. Without --resume, what is kept is never
    overwritten: remove the file to give it up.

    Many processes, or many machines that see the same files, read it together: --workers and --dask
    have them at once, and --part K/N on each of N machines, or of a job array, needs nothing but a
    folder. docs/many.md has an example of each.

    No option from --threads on changes a digit of the result, nor do --resume and --part;
    the evidence names the device.
    """
    is_sampled = sample is not None or until_sure
    if refusal := refused(digest, output, resume=resume, is_sampled=is_sampled, full=full):
        raise click.UsageError(refusal)
    if base is None and part is not None:
        raise click.UsageError("--part needs --base: every part has to assume the same")
    if base is not None and (library is not None or follow_claims):
        raise click.UsageError("--library and --follow-claims propose a base, which --base names")
    is_spread = part is not None or any(each is not None for each in spreading.values())
    if is_spread and computing["device"] is not None:
        raise click.UsageError(
            "--device computes in one process, which --workers, --dask and --part do not have"
        )
    if part is not None and (
        refusal := refused_of_part(output, is_sampled=is_sampled, is_shown=any(telling.values()))
    ):
        raise click.UsageError(refusal)
    if output is not None:
        check_output(output)
    from parentage import pipeline
    from parentage.checkpoint import Network

    network = Network(**networking, note=terminal.note)
    with (
        terminal.watching(network.traffic) as progress,
        executor_of(**spreading) as executor,
    ):
        common: dict[str, Any] = {
            "base": None if base is None else as_named(base, network),
            "parents": [as_named(each, network) for each in parents],
            "controls": [as_named(each, network) for each in controls],
            "recipes": not no_recipes,
            "seed": seed,
            "network": network,
            "digest": digest,
            "resume": resume,
            "executor": executor,
            "progress": progress,
            "note": terminal.note,
            **reading,
        }
        if part is not None:
            kept = pipeline.trace_part(child, part=part, output=str(output), **common)
        else:
            trace = pipeline.trace(
                child,
                library=library,
                follow_claims=follow_claims,
                sample=sample,
                until_sure=until_sure,
                full=full,
                output=output,
                **computing,
                **common,
            )
    if part is not None:
        terminal.note(f"part {part} is in {kept}; parentage join {output} makes evidence of all")
        return
    tell(terminal, trace, output, **telling)


def tell(
    terminal: Terminal,
    trace: Trace,
    output: Path | None,
    *,
    as_json: bool,
    layers: bool,
    fail_on: tuple[str, ...],
) -> None:
    """Show a trace, say what was written of it, and exit as its verdict is asked to."""
    from parentage.cli.terminal.trace import show_trace

    if output is not None:
        from parentage.bundle import EVIDENCE
        from parentage.report import REPORT

        written = [EVIDENCE, *(name for name in (REPORT,) if (output / name).exists())]
        names = listed(str(output / name) for name in written)
        terminal.note(f"wrote {names}, and others beside it")
    if as_json:
        if layers:
            terminal.note("--layers prints rows; with --json, slices.parquet of -o has them")
        click.echo(trace.to_json(), nl=False)
    else:
        show_trace(terminal, trace, layers=layers)
    if trace.verdict.kind in fail_on:
        terminal.note(f"the verdict is {trace.verdict.kind}, which --fail-on names")
        raise click.exceptions.Exit(FOUND)


def refused_of_part(output: Path | None, *, is_sampled: bool, is_shown: bool) -> str | None:
    """Return why options do not go together with --part, in the words of the command line."""
    if output is None:
        return "--part needs -o DIR: what was read is kept there"
    if is_sampled:
        return "--part is of everything; --sample and --until-sure read a part of another kind"
    if is_shown:
        return "--json, --layers and --fail-on are of a verdict; parentage join takes them"
    return None


def refused(
    digest: str | None,
    output: Path | None,
    *,
    resume: bool,
    is_sampled: bool,
    full: bool = False,
) -> str | None:
    """Return why options do not go together, in the words of the command line.

    :func:`parentage.trace` refuses the same, in those of Python, once it has opened files.
    """
    if digest is not None and is_sampled:
        return "--digest is of whole files; --sample and --until-sure read a part"
    if resume and output is None:
        return "--resume needs -o DIR: what was read is kept there"
    if resume and is_sampled:
        return "--resume goes on with a full pass; with --sample or --until-sure, begin again"
    if full and is_sampled:
        return "--full reads everything; --sample and --until-sure read a part"
    return None
