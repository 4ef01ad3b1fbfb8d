"""``parentage verify``: whether evidence agrees with itself, and with the checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    FOUND,
    PATH,
    Reading,
    checkpoint_option,
    custody_options,
    json_option,
    named,
    reading_options,
    terminal_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal

NAMED = "[NAME=]CHECKPOINT"


@click.command(cls=HelpAlone)
@click.argument("folder", metavar="DIR", type=PATH)
@checkpoint_option("The checkpoint under test.", "--child")
@checkpoint_option("The base of the evidence.", "-b", "--base")
@checkpoint_option(
    "A parent of the evidence, told by the name of its folder or by NAME. Can be repeated.",
    "-p", "--parent", "parents", multiple=True, metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "A control of the evidence, as --parent. Can be repeated.",
    "-c", "--control", "controls", multiple=True, metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "Any checkpoint by its name in the evidence; child and base name those two. Can be repeated.",
    "--files", multiple=True, metavar="NAME=CHECKPOINT",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N",
    help="What draws the slices that are read again. By default the system draws it.",
)  # fmt: skip
@click.option(
    "--slices", type=click.IntRange(1), metavar="N",
    help="How many slices are drawn, and read again. [default: 32]",
)  # fmt: skip
@click.option(
    "--all", "everything", is_flag=True,
    help="Trace the checkpoints again, compare all that follows, and hash all files.",
)  # fmt: skip
@click.option(
    "--digest", type=click.Choice(["sha256"]),
    help="Hash all files of the checkpoints, too, and compare them with the evidence.",
)  # fmt: skip
@click.option("--no-log", is_flag=True, help="Add no entry to custody.jsonl.")
@json_option()
@reading_options(
    "mmap", "direct", "pread",
    help_text="How files are read: mapped, past the page cache, or with pread, for network disks.",
)  # fmt: skip
@custody_options
@terminal_options
def verify(
    folder: Path,
    child: str | None,
    base: str | None,
    parents: tuple[str, ...],
    controls: tuple[str, ...],
    files: tuple[str, ...],
    seed: int | None,
    slices: int | None,
    everything: bool,
    digest: str | None,
    no_log: bool,
    as_json: bool,
    reading: Reading,
    terminal: Terminal,
) -> None:
    """Check whether the evidence in DIR agrees with itself, and with the checkpoints.

    Without checkpoints, every number that can be made again of others is: the verdict, by the
    rules, from the facts that they looked at; estimates, from sums; the statements and the recipe,
    from what they speak of; and every file is held against the manifest. That finds what was
    altered, and shows nothing of the checkpoints: who makes all of it up consistently is found with
    them alone.

    With all checkpoints at hand, slices are read again, and their sums and what the recipe gives of
    them are compared bit for bit. Which slices, your seed draws, and nobody can have known it
    before. Of each file that none of them lies in, one more slice is read.

    With --all, the checkpoints are traced again as the evidence says that it was made, recipes and
    samples included, and every number, sentence and row has to come out: standard errors, p values,
    rounding cells and lists as well, which nothing else holds. That takes as long as the trace did.

    \b
    Examples:
      Was anything altered?
        parentage verify evidence/
      Do the checkpoints give these numbers? In 32 slices, drawn by a seed of mine:
        parentage verify evidence/ --child ./Suspect -b ./Base -p ./Tuned --seed 20261127
      Do they give all of it, and are these the files that were read, by their SHA-256?
        parentage verify evidence/ --child ./Suspect -b ./Base -p ./Tuned --all
      The folders have other names than they had for whoever made it:
        parentage verify evidence/ --child /a -b /b -p Tuned=/c --control Other=/d
      In a pipeline:
        parentage verify evidence/ --json > verification.json

    Exit status: 0 if nothing is refuted; 3 if something is; 1 if there is no evidence to verify, it
    is of a newer version, or another version made it and this one can not check its verdict. What
    else could not be checked is told, and refutes nothing.
    """
    pairs = []
    for each in files:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise click.UsageError(f"--files {each}: say which it is, as in --files NAME={each}")
        pairs.append((name, path))
    if everything and slices is not None:
        raise click.UsageError("--all reads all slices; --slices says how many are drawn")
    is_given = bool(pairs or parents or controls or child or base)
    of_checkpoints = seed is not None or slices is not None or everything or digest is not None
    if of_checkpoints and not is_given:
        raise click.UsageError(
            "--seed, --slices, --all and --digest are of checkpoints: say where they are, with "
            "--child, --base and --parent, or with --files"
        )
    from parentage.bundle import (
        CUSTODY,
        EVIDENCE,
        check_folder,
        log_custody,
        read_document,
        read_file,
    )
    from parentage.cli.terminal.verify import show_verification
    from parentage.support import ParentageError
    from parentage.verify import DRAWN, placed
    from parentage.verify import verify as verify_bundle

    places = None
    if is_given:
        check_folder(folder)
        document = read_document(read_file(folder / EVIDENCE), str(folder / EVIDENCE))
        of = [tuple(map(named, given)) for given in (parents, controls)]
        places = placed(document, pairs, *of, child=child, base=base)
    with terminal.watching() as progress:
        found = verify_bundle(
            folder,
            places,
            seed=seed,
            slices=None if everything else slices or DRAWN,
            digest=everything or digest is not None,
            progress=progress,
            **reading,
        )
    if not no_log:
        try:
            log_custody(folder, "verify", found.inputs, found.outcome)
        except ParentageError as error:
            terminal.note(f"{folder / CUSTODY} is left as it is: {error}")
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show_verification(terminal, found)
    if found.is_refuted:
        raise click.exceptions.Exit(FOUND)
    if found.standing == "incomplete":
        raise click.exceptions.Exit(1)
