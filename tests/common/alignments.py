"""Small checkpoints that are paired, and the reasons of what does not pair."""

import numpy as np
from conftest import BF16, opened
from parentage.align import align

COMMON = "model.layers.0.mlp.up_proj.weight"


def full(shape, dtype=BF16):
    return np.ones(shape, dtype)


def aligned(tmp_path, child, *others):
    names = ["base", "parent", "control"]
    pairs = zip(names, others, strict=False)
    opened_others = [opened(tmp_path, name, tensors) for name, tensors in pairs]
    return align(opened(tmp_path, "child", child), opened_others)


def reasons(alignment, checkpoint="child"):
    return {
        each.tensor: each.reason for each in alignment.unaligned if each.checkpoint == checkpoint
    }
