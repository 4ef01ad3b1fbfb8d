"""Points of known making: sampled values of checkpoints and a child."""

import ml_dtypes
import numpy as np
from parentage.descent import Points

TYPES = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}
ELEMENTS = 20_000


def rounded(values, dtype):
    """Return values rounded to a dtype, as float64."""
    return np.asarray(values).astype(np.float32).astype(TYPES[dtype]).astype(np.float64)


def noise(dtype, seed, of=None):
    """Return normal weights; with ``of``, those of another seed moved by a fiftieth."""
    random = np.random.default_rng(seed)
    drawn = random.normal(0, 0.04, ELEMENTS)
    if of is not None:
        drawn = np.random.default_rng(of).normal(0, 0.04, ELEMENTS) + 0.05 * drawn
    return rounded(drawn, dtype)


def made(columns, dtypes, slices=1):
    """Return points of slices of one size; the child comes last."""
    values = np.stack(columns, axis=1)
    owner = np.arange(len(values)) * slices // len(values)
    return Points(values, owner, tuple(np.array([dtype] * slices) for dtype in dtypes))
