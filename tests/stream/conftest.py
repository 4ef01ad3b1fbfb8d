"""A family of many lengths and dtypes, which streams in many ranges."""

import numpy as np
import pytest
from conftest import BF16, opened
from parentage.align import align


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A family whose slices are of many lengths and dtypes, in shards, with odd file offsets."""
    folder = tmp_path_factory.mktemp("varied")
    random = np.random.default_rng(0)
    sizes = {f"model.layers.{i}.mlp.up_proj.weight": 3001 * 4**i for i in range(5)}
    sizes |= {"model.embed_tokens.weight": 1_200_000, "model.norm.weight": 5}
    checkpoints = []
    for number, dtype in enumerate((BF16, BF16, np.float32, BF16)):
        tensors = {"": np.zeros(1 + 2 * number, np.int8)}  # what follows it is not aligned
        for name, size in sizes.items():
            values = np.random.default_rng(len(name)).normal(0, 0.02, size)
            values += number * random.normal(0, 0.001, size)
            tensors[name] = values.astype(np.float32 if size == 5 else dtype)
        experts = random.normal(0, 0.02, (3, 40, 50)).astype(np.float16)
        tensors["model.layers.1.mlp.experts.up_proj"] = experts
        checkpoints.append(opened(folder, f"c{number}", tensors, shards=1 + number))
    return checkpoints


@pytest.fixture(scope="module")
def varied(checkpoints):
    return align(checkpoints[-1], checkpoints[:-1])
