"""Checkpoints of any bits for backends that compute on devices, and results bit for bit."""

import numpy as np
from conftest import DTYPES, opened
from parentage import _core
from parentage.align import align
from parentage.stream import Program

SUMMED = (
    "gram", "energy", "bias", "precision", "excluded", "moved", "stray", "equal", "nan", "inf",
    "histogram",
)  # fmt: skip
COUNTED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "blocks", "first")

MODES = ("bits", "near", "far", "constant", "holes")
"""How the numbers of checkpoints lie to each other."""


def column(random, kind, base, number, mode):
    """Return the numbers of a checkpoint: any bits at all, or near or far from the base."""
    dtype = np.dtype(DTYPES[kind])
    if mode == "bits":
        return np.frombuffer(random.bytes(base.size * dtype.itemsize), dtype).copy()
    if mode == "constant":
        values = np.full(base.size, 0.013 * (1 + number / 7))
    elif mode == "far":
        values = base * 10.0 ** random.integers(-3, 4) + random.normal(0, 2, base.size)
    else:
        values = base + (number > 0) * random.normal(0, 0.002, base.size)
    with np.errstate(all="ignore"):
        stored = values.astype(dtype)
        if mode == "holes":
            for value in (np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38):
                stored[random.integers(0, base.size, 1 + base.size // 5000)] = value
    return stored


def related(folder, kinds, sizes, mode, seed):
    """Return the alignment of checkpoints of these dtypes, the child last, with such tensors."""
    random = np.random.default_rng(seed)
    tensors = [{} for _ in kinds]
    for name, size in enumerate(sizes):
        base = random.normal(0, 0.02, size)
        for number, kind in enumerate(kinds):
            tensors[number][f"w{name:02}"] = column(random, kind, base, number, mode)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = [opened(folder, f"c{n}", each) for n, each in enumerate(tensors)]
    return align(checkpoints[-1], checkpoints[:-1])


def replays_of(alignment, kind):
    """Return recipes with a decoy, a choice and a mask, and one that says nothing of a slice."""
    program = Program(len(alignment.slices))
    last = alignment.plan.columns - 2
    base, other = program.column(0), program.column(last)
    weight = program.scalar(np.linspace(0.3, 0.6, len(alignment.slices)))
    blend = program.fma(other, weight, base * program.scalar(0.6)).round(kind)
    rest = abs(other - base) / (base + program.scalar(1.0))
    mask = program.select(rest > program.scalar(0.001), other, program.maximum(base, rest))
    reverse = program._add("reversed", (last,)) + program.minimum(base, weight)
    applies = np.arange(len(alignment.slices)) % 3 != 1
    return [
        program.replay([blend]),
        program.replay([mask, blend, base]),
        program.replay([reverse.round("BF16")], applies=applies),
    ]


def differences(found, expected):
    """Return the names of arrays that are not the same bit for bit; none of anything right."""
    names = SUMMED if hasattr(expected, "gram") else COUNTED
    wrong = [
        name
        for name in names
        if getattr(found, name).dtype != getattr(expected, name).dtype
        or getattr(found, name).shape != getattr(expected, name).shape
        or getattr(found, name).tobytes() != getattr(expected, name).tobytes()
    ]
    if names is SUMMED:
        wrong += differences(found.replayed, expected.replayed)
    return wrong


def gram_differences(backend, alignment, replays=(), first=0, last=None):
    """Return what a backend's sums and counts have otherwise than the core's."""
    plan, last = alignment.plan, alignment.plan.slices if last is None else last
    found, expected = (
        each.gram(plan, first, last, threads=2, replays=list(replays)) for each in (backend, _core)
    )
    return differences(found, expected)
