"""Tensors of small checkpoints."""

import numpy as np
from conftest import BF16

ONE = {"a": np.zeros(4, BF16)}


TENSORS = {
    "z": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.ones((1, 1, 4), BF16),
    "scalar": np.array(1.5, np.float16),
    "empty": np.zeros((0, 3), np.int8),
    "flags": np.zeros(3, bool),
}
