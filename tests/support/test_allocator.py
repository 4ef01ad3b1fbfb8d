"""Threads share heaps."""

import platform
import subprocess
import sys

from parentage.support import give_back, share_heaps

# Threads hold memory all at once, so that each of them would rather have a heap of its own. Those
# of threads lie on boundaries of 64 MiB, and begin with a pointer to what describes them.
HEAPS_OF_THREADS = """
import ctypes, sys, threading
if "share" in sys.argv:
    from parentage.support.allocator import share_heaps
    assert share_heaps()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
meet, found = threading.Barrier(6), []
def work():
    meet.wait()
    found.append([c.malloc(5000) >> 26 for _ in range(50)])
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
print(len({place for places in found for place in places}))
"""


def heaps(*arguments):
    command = [sys.executable, "-c", HEAPS_OF_THREADS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_threads_share_heaps():
    if platform.libc_ver()[0] != "glibc":
        # Another library has no such setting, and needs none.
        assert not share_heaps()
        return
    assert heaps() > 4
    # One that grows past a boundary counts twice.
    assert heaps("share") <= 3


def test_what_was_freed_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", FREED], check=True, capture_output=True, text=True
    ).stdout.split()
    if platform.libc_ver()[0] == "glibc":
        before, after = map(int, done)
        assert after < before - 20_000
    else:
        assert isinstance(give_back(), bool)


FREED = """
import gc
from pathlib import Path
from parentage.support.allocator import give_back
def anonymous():
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x]
    return int(line.split()[1])
held = [bytes(5000) for _ in range(20_000)]
last = bytes(5000)
del held
gc.collect()
before = anonymous()
give_back()
print(before, anonymous())
"""
