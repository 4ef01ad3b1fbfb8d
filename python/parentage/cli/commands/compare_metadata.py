"""``parentage compare-metadata``: say what checkpoints' files say besides their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    as_named,
    checkpoint_option,
    json_option,
    terminal_options,
)

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal

NAMED = "[NAME=]CHECKPOINT"


@click.command("compare-metadata", cls=HelpAlone)
@click.argument("child", type=CHECKPOINT)
@checkpoint_option(
    "The common ancestor, as for trace.", "-b", "--base", required=True, metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "May be a parent of the child; NAME= says what reports call it. Can be repeated.",
    "-p", "--parent", "parents", multiple=True, metavar=NAMED,
)  # fmt: skip
@checkpoint_option(
    "A relative known not to be a parent. Can be repeated.",
    "-c", "--control", "controls", multiple=True, metavar=NAMED,
)  # fmt: skip
@click.option(
    "--evidence", type=PATH, metavar="DIR",
    help="A folder that trace -o has written: what it says of the weights is put beside each "
    "claim.",
)  # fmt: skip
@json_option("Print everything as one JSON document.")
@click.option("--all", "every", is_flag=True, help="Print what agrees with all of them, too.")
@terminal_options
def compare_metadata(
    child: str,
    base: str,
    parents: tuple[str, ...],
    controls: tuple[str, ...],
    evidence: Path | None,
    as_json: bool,
    every: bool,
    terminal: Terminal,
) -> None:
    """Say what CHILD's files say of it, beside those of other checkpoints.

    Configurations, tokenizers, chat templates, licences and notices, model cards, headers, and the
    recipes that merging tools leave: what agrees with which checkpoint, what differs, and what was
    added. A default system prompt that a chat template has is found by rendering it, and quoted.
    What a card claims is put beside what was found.

    All of it is circumstance: anybody can write files, and what they say makes no verdict. Nothing
    in them is executed; a template is rendered in a sandbox, in a process of its own, with limits
    of time, memory and output. No tensor is read.

    \b
    Examples:
      What does it say of itself, and who says the same?
        parentage compare-metadata ./Suspect --base ./Base --parent ./Tuned
      Claims of its card, beside a verdict on its weights:
        parentage trace ./Suspect -b ./Base -p ./Tuned -o evidence/
        parentage compare-metadata ./Suspect -b ./Base -p ./Tuned --evidence evidence/
      For a program:
        parentage compare-metadata ./Suspect -b ./Base --json > metadata.json

    What could not be read, or is too large, is listed; it is no error. trace -o writes the same
    document as metadata.json beside the evidence.
    """
    from parentage import metadata
    from parentage.cli.terminal.compare_metadata import show_metadata

    found = metadata.compare_metadata(
        as_named(child),
        base=as_named(base),
        parents=[as_named(each) for each in parents],
        controls=[as_named(each) for each in controls],
        evidence=evidence,
    )
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        show_metadata(terminal, found, every=every)
