#!/usr/bin/env python3
"""Writes seeds for the fuzz targets into corpus/, from tests/golden/headers.json."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent.parent / "tests" / "golden" / "headers.json"

INDEXES = [
    '{"metadata":{"total_size":8},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}',
    '{"weight_map":{"a":"../x","b":"/x","c":"C:x","d":"a//b","e":"a\\\\b","f":"a/./b"}}',
    '{"weight_map":{"a":"x","\\u0061":"x"}}',
    '{"metadata":[[[{"a":[1,-1,1.5e3,true,null]}]]],"weight_map":{"":"a/b/c"}}',
    '{"weight_map":{}}',
]


def seeds() -> tuple[list[bytes], ...]:
    """The seeds of the targets header, index and pass."""
    headers = []
    for case in json.loads(GOLDEN.read_text("utf-8")):
        if "hex" in case:
            headers.append(bytes.fromhex(case["hex"]))
        else:
            headers.append(case["data_len"].to_bytes(4, "little") + case["header"].encode())
    return headers, [index.encode() for index in INDEXES], [b"\x11" + each for each in headers]


if __name__ == "__main__":
    for target, inputs in zip(("header", "index", "pass"), seeds(), strict=True):
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"seed-{number:03}").write_bytes(data)
        print(f"{folder}: {len(inputs)} seeds")
