"""Batches of chunks through devices: read, uploaded, computed; as many at a time as there is room.

On the CPU every thread reads a batch and computes it. On an accelerator one thread a device
computes, while another reads the next batch into pinned memory and uploads it on a stream of its
own. Where memory is not enough, a batch is halved and goes on, and so are those after it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from parentage.stream.backends.torch.device import (
    budget,
    describe,
    find,
    is_out_of_memory,
)
from parentage.stream.backends.torch.floats import FLOATS
from parentage.stream.backends.torch.selftest import examine
from parentage.stream.backends.torch.sums import Columns
from parentage.support import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.stream.backends.torch.source import Reader

    Compute = Callable[[Columns, Batch, Arithmetic, Callable[[], None]], Any]

_T = TypeVar("_T")

INTERVAL = 0.05
"""Seconds after which signals are heard and progress is told."""

HOST_ELEMENTS = 1 << 21
"""Elements of a column in a batch on a CPU, whose caches hold no more."""

BYTES_PER_COLUMN = 32
"""Of an element: as stored, decoded, displaced and in the order of steps."""

BYTES_BESIDE = 96
"""Of an element: what is compared, and the numbers that replays and cells hold at a time."""


class _Stopped(Exception):  # noqa: N818
    """The work is given up; nobody sees it."""


class Engine:
    """Devices that were tested, and what they are known by."""

    def __init__(self, name: str, memory: int | None, compiled: bool) -> None:
        self.devices, self.remark = find(name)
        self.described = describe(self.devices[0])
        if len(self.devices) > 1:
            self.described["device"] = ", ".join(map(str, self.devices))
        self._budgets = [budget(device, memory) for device in self.devices]
        self.arithmetic: Arithmetic | None = None
        """That of the first device; none if the core is to compute."""
        self._others: dict[torch.device, Arithmetic] = {}
        for number, device in enumerate(self.devices):
            found, problem = examine(device, compiled=compiled)
            if found is None:
                self.arithmetic = None
                self.remark = f"{device}: {problem}; the core computes instead"
                self.described["computed"] = f"by the core: {problem}"
                break
            if number == 0:
                self.arithmetic = found
                self.described["fma"] = found.name
            else:
                self._others[device] = found

    @property
    def has_fma64(self) -> bool:
        """Whether every device rounds a float64 multiply-add once, whatever the numbers."""
        every = (self.arithmetic, *self._others.values())
        return all(each is not None and each.has_fma64 for each in every)

    def limit(self, columns: int, threads: int) -> int:
        """Return how many elements of a column a batch may have."""
        pairs = (columns + 1) * (columns + 2) // 2
        each = BYTES_PER_COLUMN * columns + pairs + BYTES_BESIDE
        at_once = threads if self.devices[0].type == "cpu" else 2
        most = min(self._budgets) // (each * at_once)
        return min(most, HOST_ELEMENTS) if self.devices[0].type == "cpu" else most

    def run(
        self,
        reader: Reader,
        first: int,
        batches: Iterable[Batch],
        compute: Compute,
        threads: int,
        tell: Callable[[int], object] | None,
    ) -> Iterator[tuple[Batch, Any]]:
        """Yield batches and what ``compute`` gives of each, in any order.

        ``tell`` is called with the bytes of each batch, and may raise to stop.

        Raises
        ------
        ReadError
            If a file can not be read.
        DeviceError
            If not even one chunk fits into the memory of a device.
        """
        assert self.arithmetic is not None
        is_host = self.devices[0].type == "cpu"
        devices = self.devices * (threads if is_host else 1)
        flow = _Flow(reader, first, iter(batches), compute)
        workers = [
            threading.Thread(
                target=flow.work,
                args=(device, self._others.get(device, self.arithmetic), 1 if is_host else threads),
                name=f"parentage-{n}",
            )
            for n, device in enumerate(devices)
        ]
        for worker in workers:
            worker.start()
        try:
            left = len(workers)
            while left:
                try:
                    kind, batch, value = flow.results.get(timeout=INTERVAL)
                except Empty:
                    if tell is not None:
                        tell(0)
                    continue
                if kind == "ended":
                    left -= 1
                elif kind == "failed":
                    raise value
                else:
                    if tell is not None:
                        tell(bytes_of(batch))
                    yield batch, value
        finally:
            flow.stop.set()
            for worker in workers:
                worker.join()


def bytes_of(batch: Batch) -> int:
    """Return the bytes that a batch is read from."""
    width = sum(FLOATS[name].width for name in batch.dtypes)
    return int(batch.chunks.lengths.sum()) * width


class _Flow:
    """Batches on their way: threads take the next one, and put what comes of it into a queue."""

    def __init__(
        self,
        reader: Reader,
        first: int,
        batches: Iterator[Batch],
        compute: Compute,
    ) -> None:
        self.reader, self.first, self.compute = reader, first, compute
        self.results: SimpleQueue[tuple[str, Any, Any]] = SimpleQueue()
        self.stop = threading.Event()
        self._batches, self._lock = batches, threading.Lock()
        self._most: int | None = None

    def check(self) -> None:
        """Raise if the work is to stop."""
        if self.stop.is_set():
            raise _Stopped

    def _next(self) -> Batch | None:
        with self._lock:
            return None if self.stop.is_set() else next(self._batches, None)

    def work(self, device: torch.device, how: Arithmetic, readers: int) -> None:
        """Take batches until there are none."""
        try:
            with _as_ieee(device), torch.inference_mode():
                if device.type == "cpu":
                    self._on_host(how)
                else:
                    self._on_device(device, how, readers)
        except _Stopped:
            pass
        except BaseException as error:
            self.stop.set()
            self.results.put(("failed", None, error))
        self.results.put(("ended", None, None))

    def _on_host(self, how: Arithmetic) -> None:
        buffers: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        while (batch := self._next()) is not None:
            self._halved(batch, how, lambda each: self._load_host(each, buffers))

    def _load_host(
        self, batch: Batch, buffers: list[np.ndarray[Any, np.dtype[np.uint8]]]
    ) -> Columns:
        raw = []
        for column, name in enumerate(batch.dtypes):
            self.check()
            size = len(batch.chunks) * batch.width * FLOATS[name].width
            if len(buffers) <= column:
                buffers.append(np.empty(size, dtype=np.uint8))
            elif buffers[column].size < size:
                buffers[column] = np.empty(size, dtype=np.uint8)
            out = buffers[column][:size].reshape(len(batch.chunks), -1)
            self.reader.fill(batch, self.first, column, out)
            raw.append(torch.from_numpy(out).view(FLOATS[name].bits))
        return _columns(batch, raw, torch.device("cpu"))

    def _on_device(self, device: torch.device, how: Arithmetic, readers: int) -> None:
        module = torch.cuda if device.type == "cuda" else torch.xpu
        uploads = module.Stream(device=device)
        with (
            module.device(device),
            ThreadPoolExecutor(readers) as pool,
            ThreadPoolExecutor(1) as ahead,
        ):

            def load(batch: Batch) -> tuple[Columns, Any]:
                def fill(column: int) -> torch.Tensor:
                    kind = FLOATS[batch.dtypes[column]]
                    shape = len(batch.chunks), batch.width * kind.width
                    host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
                    self.reader.fill(batch, self.first, column, host.numpy())
                    return host

                hosts = list(pool.map(fill, range(len(batch.dtypes))))
                with module.device(device), module.stream(uploads):
                    raw = [
                        host.to(device, non_blocking=True).view(FLOATS[name].bits)
                        for host, name in zip(hosts, batch.dtypes, strict=True)
                    ]
                    columns = _columns(batch, raw, device)
                    done = module.Event()
                    done.record(uploads)
                return columns, done

            def arrived(loaded: tuple[Columns, Any]) -> Columns:
                columns, done = loaded
                stream = module.current_stream(device)
                stream.wait_event(done)
                for each in (*columns.raw, columns.valid, columns.starts, columns.lengths):
                    if each is not None:
                        each.record_stream(stream)
                return columns

            batch = self._next()
            coming = None if batch is None else ahead.submit(load, batch)
            while batch is not None and coming is not None:
                now, loading = batch, coming
                batch = self._next()
                try:
                    columns: Columns | None = arrived(loading.result())
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    columns = None
                coming = None if batch is None else ahead.submit(load, batch)
                self._halved(now, how, lambda each: arrived(load(each)), columns)

    def _halved(
        self,
        batch: Batch,
        how: Arithmetic,
        load: Callable[[Batch], Columns],
        columns: Columns | None = None,
    ) -> None:
        """Compute a batch, in halves where memory is not enough for it."""
        self.check()
        rows = len(batch.chunks)
        if self._most is None or rows == 1 or rows * batch.width <= self._most:
            try:
                loaded = load(batch) if columns is None else columns
                value = self.compute(loaded, batch, how, self.check)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if rows == 1:
                    raise DeviceError(
                        f"out of memory on the device: a chunk of {batch.width:,} elements of "
                        f"{len(batch.dtypes)} checkpoints does not fit"
                    ) from error
                self._most = rows * batch.width // 2
            else:
                self.results.put(("done", batch, value))
                return
        columns = None
        _give_back()
        for half in np.array_split(np.arange(rows), 2):
            self._halved(batch.rows(half), how, load)


def _give_back() -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _columns(batch: Batch, raw: list[torch.Tensor], device: torch.device) -> Columns:
    lengths = torch.from_numpy(batch.chunks.lengths).to(device)
    valid = None
    if (batch.chunks.lengths < batch.width).any():
        valid = torch.arange(batch.width, device=device) < lengths[:, None]
    starts = torch.from_numpy(batch.chunks.starts).to(device)
    return Columns(raw, batch.dtypes, valid, starts, lengths)


def rounds_to_nearest(one: float = 1.0, half: float = 2.0**-53) -> bool:
    """Return whether this thread rounds to nearest, as those do that it starts.

    ``half`` is half of a last place of ``one``.
    """
    return one + half == one and -one - half == -one and one + 1.5 * half > one


def apart(work: Callable[[], _T]) -> _T:
    """Return what ``work`` gives in a thread that keeps subnormal numbers."""
    with ThreadPoolExecutor(1, initializer=torch.set_flush_denormal, initargs=(False,)) as pool:
        return pool.submit(work).result()


@contextmanager
def _as_ieee(device: torch.device) -> Iterator[None]:
    """Have this thread keep subnormal numbers, and compute alone: others compute beside it."""
    if device.type == "cpu":
        torch.set_num_threads(1)
    torch.set_flush_denormal(False)
    yield
