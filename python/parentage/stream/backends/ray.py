"""Ray as an executor: it has tasks, and no interface of ``concurrent.futures``."""

from __future__ import annotations

from concurrent.futures import Executor
from importlib import import_module
from typing import TYPE_CHECKING

from parentage.support import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any


class RayExecutor(Executor):
    """An executor whose calls are tasks of the Ray cluster that this process is connected to.

    Parameters
    ----------
    cpus
        CPUs that Ray sets aside for each call.
    options
        What else ``ray.remote`` takes, as ``max_retries``.

    Raises
    ------
    ExecutorError
        If Ray is not installed, or ``ray.init`` was not called.

    Examples
    --------
    ::

        ray.init("auto")
        parentage.trace(child, base=base, parents=[parent], executor=RayExecutor())
    """

    def __init__(self, cpus: int = 1, **options: Any) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise ExecutorError(
                f"Ray can not be loaded ({error}); pip install 'parentage[ray]' installs it"
            ) from error
        if not ray.is_initialized():
            raise ExecutorError("Ray is not running here; call ray.init() before")
        self._call = ray.remote(num_cpus=cpus, **options)(_call)
        slots = [int(each["Resources"].get("CPU", 0)) // cpus for each in ray.nodes()]
        self.workers = max(1, sum(slots))
        """Calls that the cluster carries out at a time, as it is now."""
        self.at_once = max(1, *slots)
        """Those on one machine."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called by a task."""
        future: Future[Any] = self._call.remote(fn, args, kwargs).future()
        return future


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
