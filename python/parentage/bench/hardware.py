"""Describes the machine that speeds are of."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bench.disk_speed import file_system

if TYPE_CHECKING:
    from typing import Any


def memory_bytes() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine(folder: Path) -> dict[str, Any]:
    """Describe the machine, and the file system that ``folder`` is on."""
    return {
        "cpu": _cpu(),
        "cpus": _core.threads(),
        "levels": _core.levels(),
        "level": _core.simd_level(),
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **file_system(folder),
    }


def _cpu() -> str:
    """Return the model of the CPU, its architecture where the system does not say."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
