"""What is said of the machine."""

import os

from parentage import _core
from parentage.bench.hardware import machine, memory_bytes


def test_a_machine_has_a_cpu_memory_and_a_file_system(tmp_path):
    about = machine(tmp_path)
    assert about["cpu"]
    assert about["level"] in about["levels"]
    assert about["levels"] == _core.levels()
    assert about["memory_gib"] == round(memory_bytes() / 2**30, 1) > 0
    assert about["kernel"] == os.uname().release
    assert {"python", "cpus", "file_system", "device", "mounted_at"} <= about.keys()
