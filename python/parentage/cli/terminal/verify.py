"""Shows what checks of evidence found, and what they do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from parentage.support import percent, printable
from parentage.verify import FAILED, OK, UNCHECKED

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal
    from parentage.verify import Finding, Verification

STYLES = {OK: "green", FAILED: "bold red", UNCHECKED: "yellow"}
MARKS = {OK: "ok", FAILED: "FAILED", UNCHECKED: "unchecked"}
SHOWN = 40
"""Findings of one check that are shown, before the others are counted."""

HEADS = {
    "refuted": "something was altered, or is not what the checkpoints give",
    "incomplete": "nothing is refuted, and what is told below could not be checked",
    "consistent": "nothing that was checked contradicts itself",
    "reproduced": "the checkpoints give what was read again of them",
}

DIGESTED_ONLY = (
    "Standard errors, p values, weights from cells and their spectra, what rules were told by "
    "samples of elements, and lists of what did not pair are held by digests alone, until the "
    "checkpoints are traced again (--all); so is what files beside the weights say, without them."
)


def show_verification(terminal: Terminal, found: Verification) -> None:
    """Print a line for each finding, and what follows."""
    standing = found.standing
    style = {"refuted": "bold red", "incomplete": "bold yellow"}.get(standing, "bold green")
    terminal.out.print(Text.assemble((standing, style), f": {HEADS[standing]}"))
    if found.document is not None:
        verdict = found.document.verdict
        said = f"{verdict.kind} ({verdict.level}), by rule {verdict.rule}"
        terminal.prose(f"what it says: {printable(said)}")
    terminal.out.print()
    shown: dict[str, int] = {}
    for each in found.findings:
        shown[each.check] = shown.get(each.check, 0) + 1
        if shown[each.check] <= SHOWN:
            _line(terminal, each)
    for check, count in shown.items():
        if count > SHOWN:
            terminal.prose(f"... and {count - SHOWN:,} more of {check}, told with --json", 4)
    terminal.out.print()
    for line in _notes(found):
        terminal.prose(line)


def _line(terminal: Terminal, each: Finding) -> None:
    name = "" if each.file is None else f"{each.file}: "
    mark = Text(f"  {MARKS[each.status]:<10}", style=STYLES[each.status])
    text = Text(f"{each.check:<11} {printable(name + each.text)}")
    terminal.out.print(Text.assemble(mark, text), soft_wrap=True)


def _notes(found: Verification) -> list[str]:
    """Return what the checks show, and what they do not, in lines."""
    lines = []
    if found.manifest is not None:
        lines.append(
            f"SHA-256 of the manifest: {found.manifest}. Whoever has it from elsewhere knows that "
            "these are the same files."
        )
    read = found.slices
    if read is None:
        if not found.is_refuted:
            lines.append(
                "The checkpoints were not at hand: this shows that the files fit each other, and "
                "not that they are true. --child, --base and --parent read slices again. "
                + DIGESTED_ONLY
            )
        return lines
    lines.append(
        f"Read again: {read['read']:,} of {read['of']:,} slices, {read['elements']:,} elements, "
        f"drawn by the seed {read['seed']}."
    )
    bound = read["differing_less_than"]
    if bound:
        lines.append(
            "Whoever made this could not know the seed: with 95 % confidence, fewer than "
            f"{percent(bound)} of the slices give other sums than they are said to."
        )
    if not read["digests"]:
        lines.append("Files were not hashed; --digest sha256 or --all does.")
    if not any(each.check == "again" for each in found.findings):
        lines.append(DIGESTED_ONLY)
    return lines
