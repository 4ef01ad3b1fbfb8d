"""Shows what files of checkpoints say, side by side."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from rich.text import Text

from parentage.cli.terminal.console import as_text, counted, new_table
from parentage.metadata import NOTE
from parentage.support import listed, printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.cli.terminal.console import Terminal
    from parentage.metadata import Comparison, Row

ROWS_SHOWN = 20
"""Values of one aspect that are printed, before the others are counted."""

NAMES_SHOWN = 30
"""Names that are printed, before the others are counted."""

_VALUE = 120
"""Characters of a value that are printed."""

_QUOTE = 1500
"""Characters of a prompt that are printed."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

_WORDS = {
    "is": "is said to be",
    "made by": "is said to be made by",
    "link": "links to",
    "known": "speaks of",
    "path": "says as its path",
    "field": "names",
}


def show_metadata(terminal: Terminal, found: Comparison, *, every: bool = False) -> None:
    """Print a comparison; with ``every`` what agrees with all of them, too."""
    terminal.out.print()
    terminal.out.print(
        Text.assemble(("circumstantial", "bold blue"), f"  {printable(found.child.checkpoint)}")
    )
    terminal.prose(NOTE)
    _prompts(terminal, found)
    _names(terminal, found)
    _claims(terminal, found)
    _summary(terminal, found)
    _rows(terminal, found, every=every)
    _tokenizers(terminal, found)
    _writers(terminal, found)
    _problems(terminal, found)


def _prompts(terminal: Terminal, found: Comparison) -> None:
    all_said = (found.child, *found.others)
    said = [each.checkpoint for each in all_said if each.templates]
    if not said:
        terminal.say("Chat templates.", "None of the checkpoints has one.")
        return
    for text, held in _by_text(found).items():
        names = list(dict.fromkeys(x["checkpoint"] for x in held))
        of = listed(names) + (" alone" if len(names) == 1 else "")
        terminal.say("Default prompt", printable(f"of {of}, told {held[0]['when']}:"))
        _quote(terminal, text)
        for one in held:
            lines = f", line {one['lines'][0]}" if one["lines"] else ""
            terminal.prose(printable(f"{one['checkpoint']}: {one['template']}{lines}"), 4, "dim")
        for name, difference in held[0]["differences"].items():
            # Where nothing is taken away, the other has no prompt that differs.
            if any(line.startswith("-") for line in difference) and name not in names:
                terminal.prose(printable(f"Beside that of {name}:"), 4)
                terminal.indent((printable(line[:_QUOTE]) for line in difference[:20]), 6)
    saying = {each["checkpoint"] for each in found.prompts}
    silent = [
        each.checkpoint
        for each in all_said
        if any(x.problem is None for x in each.templates) and each.checkpoint not in saying
    ]
    if silent:
        verb = "says" if len(silent) == 1 else "say"
        terminal.say("No default prompt.", f"{printable(listed(silent))} {verb} none.")
    for each in all_said:
        for prompted in each.templates:
            where = f"{each.checkpoint}, {prompted.template.origin}"
            if prompted.problem is not None:
                terminal.say("Not tried.", printable(f"{where}: {prompted.problem}"))
            for hidden in prompted.hidden:
                terminal.say(
                    "Not reached",
                    printable(
                        "in any conversation that was tried, and it says who somebody is: "
                        f"{where}, line {hidden['line']}:"
                    ),
                )
                _quote(terminal, hidden["text"])


def _by_text(found: Comparison) -> dict[str, list[dict[str, Any]]]:
    holders: dict[str, list[dict[str, Any]]] = {}
    for each in found.prompts:
        holders.setdefault(each["text"], []).append(each)
    return holders


def _quote(terminal: Terminal, text: str) -> None:
    shown = text if len(text) <= _QUOTE else f"{text[:_QUOTE]}..."
    terminal.out.print()
    for line in shown.splitlines():
        terminal.prose(printable(line), 4, "cyan")


def _names(terminal: Terminal, found: Comparison) -> None:
    rows = [
        (said.checkpoint, name, where)
        for said in (found.child, *found.others)
        for where, name in said.names
    ]
    if not rows:
        return
    terminal.say("Names", "that stand in templates, cards, notices and configurations:")
    table = new_table("checkpoint", "file", "dtype")
    table.headers[1:] = ["says", "where"]
    table.words = frozenset({0, 1, 2})
    for checkpoint, name, where in rows[:NAMES_SHOWN]:
        table.add_row(
            as_text(checkpoint), as_text(f"{_WORDS[name.kind]} {name.name}"), as_text(where)
        )
    terminal.table(table)
    if len(rows) > NAMES_SHOWN:
        terminal.prose(f"... and {len(rows) - NAMES_SHOWN:,} more, in --json.")


def _claims(terminal: Terminal, found: Comparison) -> None:
    if not found.claims:
        return
    terminal.say("Claims", "of the child, beside other files, and the verdict on its weights:")
    for each in found.claims:
        terminal.out.print()
        terminal.prose(printable(f"{each.field}: {each.claim}  ({each.source})"), 2, "bold")
        if each.metadata:
            terminal.prose(printable(f"files: {each.metadata}"), 4)
        of = "headers" if each.field == "parameters" else "weights"
        terminal.prose(printable(f"{of}: {each.standing}; {each.weights}"), 4)


def _summary(terminal: Terminal, found: Comparison) -> None:
    table = new_table("of", *(f"agree with {each.checkpoint}" for each in found.others))
    for aspect, others in found.summary.items():
        table.add_row(as_text(aspect), *(_agreed(others[x.checkpoint]) for x in found.others))
    if table.rows:
        terminal.say("Values", "that agree, of those that the child or the other has:")
        terminal.table(table)


def _agreed(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return f"{counts['agree']:,} of {total:,}" if total else "-"


def _rows(terminal: Terminal, found: Comparison, *, every: bool) -> None:
    told: dict[str, list[Row]] = {}
    for row in found.rows:
        if every or row.standing != "agrees with all":
            told.setdefault(row.aspect, []).append(row)
    for aspect, rows in told.items():
        terminal.say(printable(aspect), "")
        # What tells the architecture is before what a tool has written.
        rows.sort(key=lambda row: (row.kind == "cosmetic", row.kind != "architecture"))
        for row in rows if every else rows[:ROWS_SHOWN]:
            kind = f" ({row.kind})" if row.kind else ""
            agreed = f" {printable(listed(row.agrees))}" if row.standing.endswith("some") else ""
            standing = "agrees with" if agreed else row.standing
            terminal.prose(f"{printable(row.key)}{kind}: {standing}{agreed}", 2)
            own = "-" if row.standing == "missing" else _shown(row.child)
            lines = [f"{found.child.checkpoint}: {own}"]
            by_value: dict[str, list[str]] = {}
            for name, value in row.others.items():
                if name not in row.agrees:
                    by_value.setdefault(_shown(value), []).append(name)
            lines += [f"{listed(names)}: {value}" for value, names in by_value.items()]
            for line in lines if row.standing != "agrees with all" else lines[:1]:
                terminal.prose(printable(line), 6, "dim")
        rest = len(rows) - ROWS_SHOWN
        if rest > 0 and not every:
            terminal.prose(f"... and {rest:,} more, with --all or --json.")


def _tokenizers(terminal: Terminal, found: Comparison) -> None:
    if not found.tokenizers:
        return
    table = new_table(
        "tokenizer beside", "tokens shared", "of one id", "child alone", "other alone",
        "merges shared", "of",
    )  # fmt: skip
    for name, each in found.tokenizers.items():
        table.add_row(
            as_text(name),
            f"{each['tokens_shared']:,}",
            f"{each['same_id']:,}",
            f"{each['only_child']:,}",
            f"{each['only_other']:,}",
            f"{each['merges_shared_from_the_first']:,}",
            f"{each['merges_child']:,}",
        )
    terminal.say("Tokenizers", "token by token:")
    terminal.table(table)
    for name, each in found.tokenizers.items():
        for key, words in (("only_child", "not in"), ("only_other", "only in")):
            examples = each[f"{key}_examples"]
            if examples:
                shown = ", ".join(map(repr, examples))
                more = ", ..." if each[key] > len(examples) else ""
                terminal.prose(printable(f"{words} {name}: {shown}{more}"), 2)


def _writers(terminal: Terminal, found: Comparison) -> None:
    lines: dict[str, list[str]] = {}
    for said in (found.child, *found.others):
        for tool in said.headers.tools:
            lines.setdefault(tool, []).append(said.checkpoint)
    if lines:
        terminal.say("Written by", "what their headers show, which anybody can write:")
        for tool, names in lines.items():
            terminal.prose(printable(f"{listed(names)}: {tool}"), 2)


def _problems(terminal: Terminal, found: Comparison) -> None:
    for said in (found.child, *found.others):
        if said.problems:
            count = counted(len(said.problems), "remark")
            terminal.say("Not read.", printable(f"{said.checkpoint}, {count}:"))
            for each in said.problems[:ROWS_SHOWN]:
                terminal.prose(printable(each), 4)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _DIGEST.fullmatch(text):
        return f"{text[:16]}..."
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}..."
