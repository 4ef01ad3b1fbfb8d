"""Workers of Dask: those of a scheduler that is there, or some on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import re
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from parentage.stream.backends.engines import deaf_children
from parentage.support import ExecutorError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from typing import Any

ANSWER_SECONDS = 10
"""How long a scheduler may take to answer."""

WORKER_SECONDS = 60
"""How long it may take until there is a worker."""

CLOSE_SECONDS = 5
"""How long workers on this machine may take to end."""

_LOCAL = re.compile(r"local:(\d{1,4})")


@contextmanager
def dask_workers(address: str) -> Iterator[Executor]:
    """Give the executor of a scheduler at ``tcp://host:8786``, or of ``local:4`` processes.

    Raises
    ------
    ExecutorError
        If Dask is not installed, no scheduler answers, or it has no workers.
    """
    local = _LOCAL.fullmatch(address)
    if local is not None and not int(local[1]):
        raise ExecutorError(f"{address}: there is no work without a worker; write local:1")
    if local is None and "://" not in address:
        raise ExecutorError(
            f"{printable(address)}: no address of a scheduler; write tcp://host:8786, or local:4"
        )
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ExecutorError(
            f"Dask can not be loaded ({error}); pip install 'parentage[dask]' installs it"
        ) from error
    # What goes wrong is said once, and in a line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)

    class Client(distributed.Client):  # type: ignore[misc]
        def __del__(self) -> None:
            """Do nothing: it is closed here, and one that never began has nothing to close."""

    with ExitStack() as stack:
        try:
            if local is not None:
                stack.push(_killing())
                with deaf_children():
                    cluster = distributed.LocalCluster(
                        n_workers=int(local[1]),
                        threads_per_worker=1,
                        dashboard_address=":0",
                        scheduler_kwargs={"dashboard": False},
                        worker_dashboard_address=None,
                        # Mapped pages of checkpoints are no memory that a worker could run out of.
                        memory_limit=0,
                        silence_logs=logging.CRITICAL + 1,
                    )
                stack.callback(_close, cluster)
                client = Client(cluster, set_as_default=False)
            else:
                client = Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
            stack.callback(_close, client)
            if not client.nthreads():
                client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise ExecutorError(f"{address}: it has no workers") from error
        except Exception as error:
            # Whatever answers at an address may be no scheduler at all.
            told = " ".join(str(error).split())
            raise ExecutorError(f"{printable(address)}: no scheduler answers: {told}") from error
        executor: Executor = client.get_executor(pure=False)
        yield executor


def _killing() -> Callable[[type[BaseException] | None, object, object], None]:
    """Return what ends processes that are started from now on, if something has gone wrong."""
    before = {each.pid for each in multiprocessing.active_children()}

    def kill(kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        for each in multiprocessing.active_children() if kind is not None else ():
            if each.pid not in before:
                each.kill()

    return kill


def _close(what: Any) -> None:
    # What is at work does not answer in time, and ends with this process.
    with suppress(Exception):
        what.close(timeout=CLOSE_SECONDS)
