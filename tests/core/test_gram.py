"""Chunks have the bits of the golden file."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import DTYPES, opened
from golden.long_columns import generated
from parentage import _core

BLOCKS = _core.BLOCKS

pytestmark = pytest.mark.levels


def golden_chunks():
    path = Path(__file__).parents[1] / "golden" / "gram.json"
    document = json.loads(path.read_text("utf-8"))
    assert document["definition"] == _core.DEFINITION
    return [pytest.param(case, id=case["name"]) for case in document["cases"]]


def golden_bytes(column):
    """The bytes of a column: written down, or made as tests/golden/long_columns.py says."""
    if "bytes" in column:
        return bytes.fromhex(column["bytes"])
    return generated(column["dtype"], column["made"])


def to_hex(values):
    return [struct.pack(">d", value).hex() for value in values]


def from_hex(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


@pytest.mark.parametrize("level", _core.levels())
@pytest.mark.parametrize("case", golden_chunks())
def test_a_chunk_has_the_bits_of_the_golden_file(tmp_path, case, level):
    # Sixteen copies make each block of the slice the one chunk of the case.
    columns = []
    for i, column in enumerate(case["columns"]):
        stored = np.frombuffer(golden_bytes(column), DTYPES[column["dtype"]])
        columns.append(opened(tmp_path, f"c{i}", {"x": np.tile(stored, BLOCKS)}).core)
    zeros = np.zeros((1, len(columns)), np.uint64)
    plan = _core.Plan(columns, np.array([BLOCKS * stored.size], np.uint64), zeros, zeros)
    found = _core.gram(plan, 0, 1, threads=1, level=level)
    # Sums over chunks start from +0, which takes the sign off a zero.
    expected = to_hex([0.0 + from_hex(entry) for entry in case["gram"]])
    for block in range(BLOCKS):
        assert to_hex(found.gram[0, block]) == expected
    energy = 0.0
    for _ in range(BLOCKS if stored.size else 0):
        energy += from_hex(case["energy"])
    assert to_hex(found.energy) == to_hex([energy])
    for count in ("excluded", "moved", "stray", "equal", "nan", "inf", "histogram"):
        once = np.array(case[count], dtype=np.uint64).reshape(np.shape(getattr(found, count)[0]))
        # One block for each 4096 elements is looked at, rounded down to a power of two.
        looked_at = 1 << int(np.log2(np.clip(BLOCKS * stored.size // 4096, 1, BLOCKS)))
        times = looked_at if count == "histogram" else BLOCKS
        assert np.array_equal(getattr(found, count)[0], times * once), count
