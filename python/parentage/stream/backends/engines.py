"""Engines: how many workers an executor has, and processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parentage import _core
from parentage.stream.backends.core import CORE
from parentage.stream.backends.executor import Spread
from parentage.stream.backends.ray import RayExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Any

    from parentage.stream.backend import Backend

LOOK_SECONDS = 0.2
"""How often a process looks whether whoever started it is still there."""

END_SECONDS = 1.0
"""How long processes may take to end by themselves."""


def spread_over(
    executor: Executor | Callable[[], Executor],
    *,
    inner: Backend = CORE,
    threads: int | None = None,
    beside: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> Spread:
    """Return a backend over an executor, or over what makes one, with as many workers as it has.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if not isinstance(executor, Executor) and not callable(executor):
        raise TypeError(
            f"an executor has the interface of concurrent.futures, and this is "
            f"{type(executor).__name__}"
        )
    workers, at_once = workers_of(executor)
    return Spread(
        executor,
        inner=inner,
        workers=workers,
        at_once=at_once,
        threads=threads,
        beside=beside,
        note=note,
    )


def workers_of(executor: object) -> tuple[int | None, int]:
    """Return how many workers an executor has, ``None`` if it does not tell, and on one machine.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(3) as pool:
    ...     workers_of(pool)
    (3, 3)
    """
    if isinstance(executor, Processes):
        return executor.workers, executor.workers
    if isinstance(executor, RayExecutor):
        return executor.workers, executor.at_once
    nthreads = getattr(getattr(executor, "_client", None), "nthreads", None)
    if nthreads is not None:
        # Of Dask: every thread of a worker takes a range.
        threads: dict[str, int] = nthreads()
        hosts: Counter[str | None] = Counter()
        for address, slots in threads.items():
            hosts[urlsplit(address).hostname] += slots
        return sum(hosts.values()) or None, max(hosts.values(), default=1)
    for name in ("_max_workers", "num_workers", "max_workers"):
        count: object = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            is_here = isinstance(executor, (ProcessPoolExecutor, ThreadPoolExecutor))
            is_here = is_here or type(executor).__module__.split(".")[0] == "loky"
            return count, count if is_here else 1
    return None, 1


@contextmanager
def deaf_children() -> Iterator[None]:
    """Have processes that are started meanwhile hear no Ctrl-C: it is for this one to end them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It has the signal heard again when it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pool(ProcessPoolExecutor):
    """Processes that hear no Ctrl-C, from their first moment on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called by a process, which is started if need be."""
        with deaf_children():
            return super().submit(fn, *args, **kwargs)


class Processes:
    """Processes of this machine: what makes executors of so many, which end with it.

    Parameters
    ----------
    workers
        How many; each has its share of the machine's CPUs.

    Examples
    --------
    >>> with Processes(2) as processes:
    ...     processes.workers
    2
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._alive: Path | None = None
        self._made: list[ProcessPoolExecutor] = []

    def __enter__(self) -> Processes:
        self._alive = Path(tempfile.mkdtemp(prefix="parentage-"))
        return self

    def __call__(self) -> Executor:
        """Start processes, and return their executor."""
        if self._alive is None:
            raise RuntimeError("processes are started within a with statement")
        executor = _Pool(
            self.workers,
            # A fork has locks of threads that it has not.
            multiprocessing.get_context("spawn"),
            _watch,
            (str(self._alive), _threads_of(self.workers)),
        )
        self._made.append(executor)
        return executor

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes, whatever they are doing."""
        assert self._alive is not None
        shutil.rmtree(self._alive, ignore_errors=True)
        for each in self._made:
            each.shutdown(wait=kind is None, cancel_futures=True)
        self._made.clear()


def _threads_of(workers: int) -> int:
    return max(1, _core.threads() // workers)


def _watch(alive: str, threads: int) -> None:
    """Have this process end with whoever started it, and leave Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{name}_NUM_THREADS", str(threads))
    parent = multiprocessing.parent_process()

    def look() -> None:
        while os.path.isdir(alive) and (parent is None or parent.is_alive()):  # noqa: PTH112
            time.sleep(LOOK_SECONDS)
        os._exit(0)

    threading.Thread(target=look, name="parentage-watch", daemon=True).start()
