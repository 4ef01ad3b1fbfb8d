"""Memory of a process of our own: how it is handed out, and when cycles are collected."""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAPS = 2
"""Heaps of a process: with more, memory that one thread has freed is of no use to another."""

_ARENA_MAX = -8


def share_heaps() -> bool:
    """Have all threads take memory from :data:`HEAPS` heaps, for the rest of the process.

    By default glibc gives every thread a heap of its own, up to eight for each CPU. Threads that
    come and go with arrays of many sizes leave holes in all of them: a quarter of the anonymous
    memory of a trace of a large model.

    Only for a process that does nothing else: a host program has settings of its own.

    Returns
    -------
    bool
        Whether the C library has such a setting. Others, as musl, have one heap.

    Examples
    --------
    >>> isinstance(share_heaps(), bool)
    True
    """
    mallopt = _of_the_c_library("mallopt")
    return mallopt is not None and bool(mallopt(_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Give memory that was freed back to the system, where the C library keeps it.

    glibc keeps what lies below anything that is still in use; after a stage that has made and freed
    much, that is up to a third of the anonymous memory of a trace.

    Returns
    -------
    bool
        Whether the C library has such a call.

    Examples
    --------
    >>> isinstance(give_back(), bool)
    True
    """
    malloc_trim = _of_the_c_library("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)
    return malloc_trim is not None


def _of_the_c_library(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; ``None`` if it has none of that name."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return found


@contextmanager
def collection_paused() -> Iterator[None]:
    """Hold off the collector of cycles while many objects are made that stay.

    It would go through all there are again and again, which takes as long as making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
