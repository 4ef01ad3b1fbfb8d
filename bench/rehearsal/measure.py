"""Watches a process from outside: its anonymous memory, open files, and what it says it does."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SUBJECT = Path(__file__).parent / "subject.py"
INTERVAL = 0.005
"""Seconds between samples."""


@dataclass
class Measured:
    """What a process used, and the events that it wrote."""

    command: list[str]
    status: int = 0
    """Exit status; negative if a signal ended it."""
    seconds: float = 0.0
    anonymous_bytes: int = 0
    """Largest RssAnon seen."""
    files: int = 0
    """Most file descriptors seen open at once."""
    began: float = 0.0
    """When it was started, by the clock of the events."""
    events: list[dict[str, Any]] = field(default_factory=list)
    out: str = ""
    err: str = ""

    def stages(self) -> dict[str, float]:
        """Return seconds by stage."""
        total: dict[str, float] = {}
        for each in self.events:
            if each["event"] == "stage":
                total[each["name"]] = total.get(each["name"], 0.0) + each["seconds"]
        return {name: round(seconds, 3) for name, seconds in total.items()}

    def first(self, event: str) -> dict[str, Any] | None:
        """Return the first event of a kind; of updates, the first of more than 0 bytes."""
        return next(
            (
                each
                for each in self.events
                if each["event"] == event and (event != "update" or each["bytes"] > 0)
            ),
            None,
        )

    def seconds_to(self, event: str) -> float | None:
        """Return the seconds from the start of the process to :meth:`first`."""
        found = self.first(event)
        return None if found is None else round(found["at"] - self.began, 3)

    def last_done(self) -> int:
        """Return the bytes of the last update."""
        return max((each["bytes"] for each in self.events if each["event"] == "update"), default=0)

    def speed(self) -> float | None:
        """Return bytes per second between the first update and the last; ``None`` without two."""
        updates = [each for each in self.events if each["event"] == "update" and each["bytes"] > 0]
        if len(updates) < 2 or updates[-1]["at"] <= updates[0]["at"]:
            return None
        done = updates[-1]["bytes"] - updates[0]["bytes"]
        return float(done / (updates[-1]["at"] - updates[0]["at"]))

    def summary(self) -> dict[str, Any]:
        """Return what a report holds."""
        out: dict[str, Any] = {
            "seconds": round(self.seconds, 3),
            "peak_anonymous_mib": round(self.anonymous_bytes / 2**20, 1),
            "open_files": self.files,
            "status": self.status,
        }
        if self.stages():
            out["stages"] = self.stages()
        if self.status > 0:
            out["error"] = self.err.strip()[-600:]
        return out


def measure(
    scratch: Path,
    *arguments: str,
    until: Callable[[dict[str, Any]], bool] | None = None,
    limit: float = 600.0,
    open_files: int | None = None,
) -> Measured:
    """Run ``subject.py`` with ``arguments``.

    It is killed (SIGKILL) at the first event that ``until`` accepts, and after ``limit`` seconds.
    ``open_files`` is the RLIMIT_NOFILE that it gets.
    """
    events = scratch / "events.jsonl"
    events.unlink(missing_ok=True)
    events.touch()

    def lower() -> None:
        if open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))

    found = Measured(list(arguments), began=time.time())
    command = [sys.executable, str(SUBJECT), str(events), *arguments]
    start = time.monotonic()
    # Output goes to files: a full pipe would stop the process that is watched.
    with (
        (scratch / "out").open("w+") as out,
        (scratch / "err").open("w+") as err,
        events.open() as reader,
        subprocess.Popen(command, stdout=out, stderr=err, preexec_fn=lower) as process,
    ):
        try:
            while process.poll() is None:
                _sample(process.pid, found)
                fresh = _read(reader, found)
                if (until and any(map(until, fresh))) or time.monotonic() - start > limit:
                    process.kill()
                    break
                time.sleep(INTERVAL)
            found.status = process.wait()
        except BaseException:
            process.kill()
            raise
        found.seconds = time.monotonic() - start
        _read(reader, found)
        for stream in (out, err):
            stream.seek(0)
        found.out, found.err = out.read(), err.read()
    return found


def _sample(pid: int, found: Measured) -> None:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        found.files = max(found.files, len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208
    except (FileNotFoundError, ProcessLookupError):
        return
    for line in text.splitlines():
        if line.startswith("RssAnon"):
            found.anonymous_bytes = max(found.anonymous_bytes, int(line.split()[1]) * 1024)


def _read(reader: Any, found: Measured) -> list[dict[str, Any]]:
    """Take over the events that are written in full."""
    fresh = []
    while True:
        at = reader.tell()
        line = reader.readline()
        if not line.endswith("\n"):
            reader.seek(at)
            break
        fresh.append(json.loads(line))
    found.events += fresh
    return fresh
