"""What is measured, in a process of its own: ``subject.py EVENTS plan|cli|pair ARGUMENT ...``.

Writes one JSON document per line into the file EVENTS, each with the time it happened:

- ``stage``: a stage of the flow is done, and took so many seconds;
- ``start`` and ``update``: what the progress bar is told, in bytes;
- ``first_tile``: something of a tensor was read for the first time after planning.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parentage.stream import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 0.05
"""Seconds between updates that are written down, but for the first."""


class Events:
    """A file of events, each on the disk of its reader at once."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a", buffering=1)  # noqa: SIM115

    def write(self, event: str, **values: Any) -> None:
        """Write one event."""
        self._file.write(json.dumps({"at": time.time(), "event": event, **values}) + "\n")

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, writing how long each call took."""

        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            self.write("stage", name=name, seconds=time.perf_counter() - start)
            return result

        return call


class Log(Progress):
    """Writes down what it is told."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._last = 0.0
        self._moved = False

    def start(self, total: int) -> None:
        """Write the bytes that will be read."""
        self._events.write("start", bytes=total)

    def update(self, done: int) -> None:
        """Write the bytes read so far."""
        now = time.monotonic()
        first = done > 0 and not self._moved
        if first or now - self._last >= EVERY:
            self._events.write("update", bytes=done)
            self._last, self._moved = now, self._moved or first

    def stop(self) -> None:
        """Do nothing: there is no bar to take away."""


def plan(events: Events, child: str, base: str, *parents: str) -> None:
    """Open, align and plan; then read until the first progress above zero."""
    from parentage import _core
    from parentage.align import pairing
    from parentage.checkpoint import open_all

    inputs = events.timed("open", open_all)(child, base, parents, [])
    pairing._plan = events.timed("plan", pairing._plan)
    alignment = events.timed("align and plan", pairing.align)(inputs.child, inputs.others)
    events.write(
        "planned",
        tensors=sum(len(each.tensors) for each in (inputs.child, *inputs.others)),
        slices=len(alignment.slices),
        bytes=alignment.plan.bytes(0, alignment.plan.slices),
        unaligned=len(alignment.unaligned),
    )

    class Read(Exception):  # noqa: N818
        """Something was read."""

    def progress(done: int) -> None:
        if done > 0:
            events.write("first_tile", bytes=done)
            raise Read

    try:
        # About 25 GB: the first update comes long before the end.
        some = min(8, alignment.plan.slices)
        _core.gram(alignment.plan, 0, some, threads=_core.threads(), progress=progress)
        events.write("first_tile", bytes=alignment.plan.bytes(0, some))
    except Read:
        pass


def cli(events: Events, *arguments: str) -> None:
    """Run the command, with the stages timed and the progress written down."""
    from parentage import cli as command
    from parentage.cli.terminal import console
    from parentage.pipeline import flow

    for name in ("open_all", "pair", "hypothesise", "full_pass", "conclude"):
        setattr(flow, name, events.timed(name, getattr(flow, name)))
    console.Bar = lambda _: Log(events)  # type: ignore[misc, assignment]
    sys.argv[1:] = arguments
    command.main()


def pair(events: Events, child: str, base: str) -> None:
    """Align two checkpoints of different layouts, and write how much pairs and why not more."""
    from parentage.align import align
    from parentage.checkpoint import Checkpoint
    from parentage.support import PlanError

    one, other = Checkpoint.open(child, "child"), Checkpoint.open(base, "base")
    try:
        found = align(one, [other])
    except PlanError as error:
        events.write("pairs", share=0.0, reasons=[str(error)])
        return
    mine = [each for each in found.unaligned if each.checkpoint == one.name]
    reasons = Counter(each.reason for each in mine).most_common(3)
    share = sum(each.elements for each in found.slices) / one.elements
    events.write("pairs", share=share, reasons=[f"{count}: {why}" for why, count in reasons])


if __name__ == "__main__":
    written = Events(sys.argv[1])
    written.write("begun")
    what = {"plan": plan, "cli": cli, "pair": pair}[sys.argv[2]]
    sys.exit(what(written, *sys.argv[3:]))
