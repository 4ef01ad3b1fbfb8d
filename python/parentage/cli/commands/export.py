"""``parentage export``: evidence in the formats of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import FOUND, PATH, terminal_options
from parentage.verdict import KINDS

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal

FORMATS = (
    "cyclonedx", "in-toto", "junit", "mergekit", "model-card", "sarif", "slsa", "spdx", "svr",
)  # fmt: skip
"""As :data:`parentage.bundle.FORMATS`, which takes long to import."""


@click.command(cls=HelpAlone)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="Which format.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write it here. [default: stdout]")
@click.option(
    "--fail-on", "fail_on", multiple=True, type=click.Choice(KINDS), metavar="VERDICT",
    help=f"Exit with status {FOUND} on this verdict, which sarif and junit say is a failure. Can "
    f"be repeated. One of: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option(
    "--supplied-by", multiple=True, metavar="[NAME=]WHO",
    help="For spdx: who supplies the child, or the checkpoint of the evidence called NAME. Can be "
    "repeated, as the next three.",
)  # fmt: skip
@click.option(
    "--released", multiple=True, metavar="[NAME=]TIME",
    help="For spdx: when it was released, as 2026-01-31 or 2026-01-31T12:00:00Z.",
)  # fmt: skip
@click.option(
    "--download-location", multiple=True, metavar="[NAME=]URL",
    help="For spdx: where it can be had.",
)  # fmt: skip
@click.option(
    "--package-version", multiple=True, metavar="[NAME=]VERSION",
    help="For spdx: its version. [default: the revision, where the evidence has one]",
)  # fmt: skip
@terminal_options
def export(
    folder: Path,
    form: str,
    output: Path | None,
    fail_on: tuple[str, ...],
    supplied_by: tuple[str, ...],
    released: tuple[str, ...],
    download_location: tuple[str, ...],
    package_version: tuple[str, ...],
    terminal: Terminal,
) -> None:
    """Print the evidence in DIR in a format of other tools.

    DIR is what trace -o wrote. Its files are held against its manifest first, and nothing is made
    of evidence that was altered.

    \b
    Formats:
      cyclonedx    CycloneDX 1.7: pedigree, formulation, and the verdict as a declaration
      in-toto      the in-toto statement on the child that is this evidence, for cosign
      junit        JUnit XML: a case for the verdict, and one for each checkpoint
      mergekit     the recipe as a configuration of mergekit
      model-card   base_model and base_model_relation, as the card on a hub has them
      sarif        SARIF 2.1.0: the verdict as a result
      slsa         SLSA provenance 1 of a child that a recipe gives in all bits
      spdx         SPDX 3.0.1 JSON-LD: checkpoints as AI packages, and how they are related
      svr          simple verification result: the verdict as properties

    in-toto, slsa and svr name files by their SHA-256: trace with --digest sha256.

    SPDX's AI profile asks for supplier, time of release, place of download and version, which
    weights do not tell. A document claims that profile if you say them of the child; checkpoints
    that you do not say them of are plain packages in it.

    \b
    Examples:
      A statement to sign, and the signed statement beside the signature of the model:
        parentage export evidence/ --format in-toto -o statement.json
        cosign attest-blob --statement statement.json --bundle claim.json
        cat claim.json >> claims.jsonl
      What the card of this model should say:
        parentage export evidence/ --format model-card
      In a pipeline that refuses copies:
        parentage export evidence/ --format sarif --fail-on identical -o parentage.sarif
        parentage export evidence/ --format junit --fail-on identical -o parentage.xml
      For a bill of materials of your own model, by the AI profile:
        parentage export evidence/ --format spdx --supplied-by "Example Lab" \\
          --released 2026-01-31 --download-location https://example.org/model \\
          --package-version 1.0 -o model.spdx.json
    """
    from parentage.bundle import export as export_bundle
    from parentage.support import write_file

    releases = {
        "supplied_by": supplied_by,
        "released": released,
        "download_location": download_location,
        "version": package_version,
    }
    if form != "spdx" and any(releases.values()):
        raise click.UsageError(
            "--supplied-by, --released, --download-location and --package-version are for --format "
            "spdx"
        )
    text, kind = export_bundle(folder, form, fail_on=fail_on, releases=releases)
    if any(releases.values()):
        (about,) = (x for x in json.loads(text)["@graph"] if x["type"] == "SpdxDocument")
        if "ai" not in about["profileConformance"]:
            terminal.note(about["comment"])
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text.encode())
        terminal.note(f"wrote {output}")
    if kind in fail_on:
        terminal.note(f"the verdict is {kind}, which --fail-on names")
        raise click.exceptions.Exit(FOUND)
