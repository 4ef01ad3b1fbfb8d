"""Checkpoints that take a while to read, watchers of passes, and the sums of some slices."""

import json
import os

from parentage.checkpoint import Checkpoint
from parentage.stream import Gram, Options, Progress, one_pass


class Witness(Progress):
    """A watcher that remembers what it was told."""

    def __init__(self):
        self.totals = []
        self.seen = []

    def start(self, total):
        self.totals.append(total)

    def update(self, done):
        self.seen.append(done)


def big(folder, name, megabytes=48):
    """A checkpoint of one sparse file of zeros, which is read in several times 50 ms."""
    path = folder / f"{name}.safetensors"
    size = megabytes << 20
    entry = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)
    return Checkpoint.open(path)


def slowly(io):
    return Options(1, 65536, io, "scalar")


def read_slices(alignment, first, last, options):
    """Return the sums of slices ``first`` to ``last`` (exclusive)."""
    found = one_pass(alignment.plan, first, last, options)
    return Gram.from_core(alignment.elements[first:last], found)
