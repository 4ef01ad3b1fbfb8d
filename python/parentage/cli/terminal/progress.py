"""A bar that shows how far a pass has come, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from parentage.cli.terminal.styles import STYLES
from parentage.stream import Progress
from parentage.support import percent

if TYPE_CHECKING:
    from rich.console import Console

    from parentage.checkpoint import Traffic
    from parentage.stream import Preview


class Bar(Progress):
    """Shows bytes read, speed and time left in a bar that goes when done; all else in a line.

    Where the console is no terminal, there is no bar, and first looks are lines of text alone.
    """

    def __init__(self, console: Console, traffic: Traffic | None = None) -> None:
        self._console, self._traffic = console, traffic
        self._bar = RichProgress(
            TextColumn("reading"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[traffic]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("read", total=None, traffic="")
        self._stage = console.status("")

    def stage(self, text: str) -> None:
        """Show what begins in place of the bar."""
        if self._console.is_terminal:
            self._bar.stop()
            self._stage.update(Text(text))
            self._stage.start()

    def start(self, total: int) -> None:
        """Show the bar, from its beginning."""
        self._bar.reset(self._task, total=total)
        if self._console.is_terminal:
            self._stage.stop()
            self._bar.start()

    def update(self, done: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done, traffic=self._said)

    @property
    def _said(self) -> str:
        """What came over a network, if anything did."""
        return str(self._traffic) if self._traffic is not None and self._traffic.requests else ""

    def look(self, preview: Preview) -> None:
        """Print what a sample says while more is read."""
        kind = (preview.kind, STYLES[preview.kind])
        number = "first look" if preview.rounds == 1 else f"look {preview.rounds}"
        read = f", {percent(preview.share)} read: "
        level = f" ({preview.level}, by rule {preview.rule})"
        self._console.print(Text.assemble(number, read, kind, level), soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away."""
        if self._console.is_terminal:
            self._stage.stop()
            self._bar.stop()
