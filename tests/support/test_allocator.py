"""Threads share heaps."""

import platform
import subprocess
import sys

from parentage.support import share_heaps

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
