"""Memory of a process of our own: how it is handed out, and when cycles are collected."""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_ARENA_MAX, HEAPS))


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
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    malloc_trim(0)
    return True


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
