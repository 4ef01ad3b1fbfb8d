"""Shows how questions are answered, and what the answers claim."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from parentage.cli.terminal.console import as_number, as_text, counted, new_table
from parentage.identity import MEANS, SIGNIFICANT, AskingProgress, p_value
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.cli.terminal.console import Terminal
    from parentage.cli.terminal.grid import Grid
    from parentage.identity import Comparison, Identity, Side, Tally

LINES = 10
"""How many lines are told while questions are asked, where no bar can be shown."""

_OTHERS = 8
_PASSAGES = 5


@contextmanager
def watching(terminal: Terminal) -> Iterator[AskingProgress]:
    """Give a progress that shows a bar on terminals, lines elsewhere, and nothing if quiet."""
    if terminal.quiet:
        yield AskingProgress()
        return
    shown = Asked(terminal)
    try:
        yield shown
    finally:
        shown.stop()


class Asked(AskingProgress):
    """Shows answers that came, their rate, and what failed."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._has_bar = terminal.err.is_terminal
        self._told = 0
        self._bar = RichProgress(
            TextColumn("asking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[errors]}"),
            console=terminal.err,
            transient=True,
        )
        self._task = self._bar.add_task("ask", total=None, rate="", errors="")

    def start(self, tally: Tally) -> None:
        """Show the bar, and say what is there from before."""
        if tally.kept:
            left = tally.total - tally.kept
            self.note(f"{tally.kept:,} of {tally.total:,} answers are kept; {left:,} are asked for")
        self._bar.reset(self._task, total=tally.total, completed=tally.kept)
        if self._has_bar and tally.kept < tally.total:
            self._bar.start()

    def update(self, tally: Tally) -> None:
        """Move the bar; or print a line, ten in all."""
        done = tally.kept + tally.answered
        errors = [f"{tally.errors:,} failed attempts"] if tally.errors else []
        errors += [f"{tally.failed:,} without an answer"] if tally.failed else []
        speed = self._bar.tasks[0].speed
        rate = "" if not speed else f"{speed:.1f}/s"
        self._bar.update(
            self._task, completed=done, total=tally.total, rate=rate, errors=", ".join(errors)
        )
        step = LINES * done // max(tally.total, 1)
        if not self._has_bar and step > self._told:
            self._told = step
            words = [f"{done:,} of {tally.total:,} answers", rate, *errors]
            self.note(", ".join(filter(None, words)))

    def note(self, text: str) -> None:
        """Print a line."""
        self._terminal.note(text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._has_bar:
            self._bar.stop()


def show_identity(terminal: Terminal, found: Identity) -> None:
    """Print what the answers of a model claim."""
    findings = found.findings
    head = found.answers.head
    out = terminal.out
    asked = sum(each.answers for each in findings.arms)
    languages = len({each.language for each in head.questions})
    out.print()
    out.print(
        Text.assemble(
            (printable(found.answers.name), "bold"),
            f"  {counted(asked, 'answer')} to {counted(len(head.questions), 'question')} in "
            f"{counted(languages, 'language')}",
        )
    )
    if findings.names:
        terminal.table(_shares(found))
        out.print(
            Text(
                "claimed: said of itself. [ ]: exact 95 % interval, of these questions. questions: "
                "most answers to it claim the name. named: the name stands in the answer."
            )
        )
    _show_others(terminal, found)
    for arm, reason in sorted(found.answers.skipped.items()):
        terminal.prose(printable(f"{arm} was not asked: {reason}"))
    _show_tests(terminal, findings.comparisons)
    _show_passages(terminal, found)
    out.print()
    terminal.prose(MEANS, by=0)


def _shares(found: Identity) -> Grid:
    rows = new_table(
        "arm", "name", "answers", "claimed", "", "[", "]", "questions", "denied", "named"
    )
    for counts in found.findings.arms:
        for tally in counts.names.values():
            low, high = tally.interval
            share = None if not tally.answers else 100 * tally.claimed / tally.answers
            rows.add_row(
                as_text(counts.arm),
                as_text(tally.name),
                f"{tally.answers:,}",
                f"{tally.claimed:,}",
                f"{as_number(share, '.1f')}%",
                f"{100 * low:.1f}",
                f"{100 * high:.1f}",
                f"{tally.majorities:,} of {len(tally.of_question):,}",
                f"{tally.denied:,}",
                f"{tally.named:,}",
            )
    return rows


def _show_others(terminal: Terminal, found: Identity) -> None:
    for counts in found.findings.arms:
        remarks = []
        for number, what in (
            (counts.empty, "empty"),
            (counts.repeated, "word for word like another answer to the same question"),
            (counts.cut, "cut off at the most tokens"),
            (counts.thinking, "with thoughts, which are counted apart"),
            (counts.failed, "never came"),
        ):
            if number:
                remarks.append(f"{number:,} {what}")
        led = [each.name for each in counts.names.values() if each.led]
        if led:
            remarks.append(f"not counted where the question names it: {listed(led)}")
        if remarks:
            terminal.prose(printable(f"{counts.arm}: {'; '.join(remarks)}"))
        if counts.others:
            others = [f"{name} {number:,}" for name, number, _, _ in counts.others[:_OTHERS]]
            more = len(counts.others) - _OTHERS
            others += ["..."] if more > 0 else []
            terminal.prose(printable(f"{counts.arm}: other names claimed: {', '.join(others)}"))


def _show_tests(terminal: Terminal, comparisons: Sequence[Comparison]) -> None:
    """Print the differences that are more than chance, and count the others."""
    told = [each for each in comparisons if each.log10_p_holm <= SIGNIFICANT]
    if told:
        rows = new_table("of", "name", "in", "", "and in", "", "more in", "fewer in", "p")
        for each in told:
            one, other = (_side(each, side) for side in (each.one, each.other))
            rows.add_row(
                as_text(each.measure),
                as_text("" if each.kind == "names" else each.one.name),
                as_text(one),
                f"{each.counts[0]:,}",
                as_text(other),
                f"{each.counts[1]:,}",
                f"{each.more[0]:,}",
                f"{each.more[1]:,}",
                p_value(each.log10_p_holm).removeprefix("p = "),
            )
        terminal.table(rows)
        terminal.prose(
            "claimed, or named in any way, in so many answers; more and fewer: in so many "
            "questions. p: exact, over questions, corrected for all tests (Holm).",
            by=0,
        )
    others = [each for each in comparisons if each.log10_p_holm > SIGNIFICANT]
    if others:
        least = min(each.log10_p_holm for each in others)
        terminal.prose(
            f"{counted(len(others), 'other test')} of arms, names and models: no difference that "
            f"chance could not make, the least {p_value(least)} (corrected)."
        )


def _side(each: Comparison, side: Side) -> str:
    if each.kind == "arms":
        return side.arm
    return f"{side.name if each.kind == 'names' else side.model} ({side.arm})"


def _show_passages(terminal: Terminal, found: Identity) -> None:
    findings = found.findings
    for name, overlaps in findings.overlaps.items():
        words = findings.texts[name]
        terminal.say("Shared passages.", printable(f"{name}, {words:,} words:"))
        for each in overlaps:
            against = (
                f"; median of the longest run {each.median:g} words, with controls "
                f"{as_number(each.median_control, 'g')}"
            )
            test = each.why_no_test if each.log10_p is None else p_value(each.log10_p)
            terminal.prose(
                printable(
                    f"{each.arm}: {each.sharing:,} of {each.answers:,} answers, longest "
                    f"{each.longest:,} words{against} ({test})"
                )
            )
            terminal.indent(
                printable(f"{told.words} words, {counted(told.answers, 'answer')}: {told.quote}")
                for told in each.passages[:_PASSAGES]
            )
