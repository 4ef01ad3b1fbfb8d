"""Runs cases, each in a process of its own that is stopped when it takes too long."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import mkdtemp

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import numpy as np
import parentage
from parentage.support import ParentageError
from safetensors.numpy import save_file

from .cases import Case, Said, judge
from .families import Family

LIMIT = 60
"""Seconds of computing after which a case has no answer: what else a machine does counts little."""
PATIENCE = 10
"""How many times as long, by the clock, is waited for a case."""


@dataclass(frozen=True)
class Result:
    """A case, on a family, with what was said of it."""

    case: Case
    family: str
    said: Said
    judgement: str


def say(case: Case, family: Family, folder: Path) -> Said:
    """Build a case, write it, and trace it. The names of its checkpoints tell nothing."""
    offered = case.build(family)
    for name, tensors in offered.named().items():
        (folder / name).mkdir()
        # What is not contiguous would be written as it lies in memory.
        whole = {key: np.ascontiguousarray(x) for key, x in tensors.items()}
        save_file(whole, folder / name / "model.safetensors")
    start = time.process_time()
    try:
        found = parentage.trace(
            folder / "child",
            base=folder / "base",
            parents=[folder / f"parent{i}" for i in range(len(offered.parents))],
            controls=[folder / f"control{i}" for i in range(len(offered.controls))],
            threads=1,
        )
    except ParentageError as error:
        return Said("error", "", str(error), time.process_time() - start)
    except Exception as error:
        # A crash is an answer, too: it is counted, and the others go on.
        return Said("error", "", f"{type(error).__name__}: {error}", time.process_time() - start)
    seconds = time.process_time() - start
    verdict = found.verdict
    parent = str(verdict.numbers.get("parent") or "")
    return Said(verdict.kind, verdict.level, verdict.text, seconds, parent)


def work(case: Case, family: Family, folder: Path, answer: Connection, limit: int) -> None:
    """Send what is said, or be stopped by the system after so many seconds of computing."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    answer.send(say(case, family, folder))
    answer.close()


def run(
    todo: Sequence[tuple[Case, Family]],
    jobs: int,
    done: Callable[[Result], None],
    limit: int = LIMIT,
) -> list[Result]:
    """Run cases, ``jobs`` at a time, and return results in the order of the cases."""
    # A fork has what is imported here; threads are started in the forks only.
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(start)
    results: dict[int, Result] = {}
    active: dict[Connection, tuple[int, BaseProcess, float, Path]] = {}
    waiting = list(enumerate(todo))[::-1]
    while waiting or active:
        while waiting and len(active) < jobs:
            at, (case, family) = waiting.pop()
            folder = Path(mkdtemp(prefix="attack-"))
            here, there = context.Pipe(duplex=False)
            process = context.Process(
                target=work, args=(case, family, folder, there, limit), daemon=True
            )
            process.start()
            there.close()
            active[here] = (at, process, time.monotonic(), folder)
        ready = set(wait(list(active), timeout=0.5))
        for here, (at, process, since, folder) in list(active.items()):
            late = time.monotonic() - since
            if here in ready:
                try:
                    said = here.recv()
                except EOFError:
                    process.join()
                    stopped = resource is not None and process.exitcode == -signal.SIGXCPU
                    kind, why = ("no answer", "") if stopped else ("error", "the process died")
                    said = Said(kind, "", why, float(limit) if stopped else late)
            elif late > limit * PATIENCE:
                said = Said("no answer", "", "", late)
                process.kill()
            else:
                continue
            process.join()
            here.close()
            del active[here]
            shutil.rmtree(folder, ignore_errors=True)
            case, family = todo[at]
            results[at] = Result(case, family.name, said, judge(case.truth, said))
            done(results[at])
    return [results[at] for at in range(len(todo))]
