"""Memory of a process of our own, as the C library of Linux hands it out."""

from __future__ import annotations

import ctypes

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
