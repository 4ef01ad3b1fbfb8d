"""Traces of the shipped family, and of names that hold markup."""

from __future__ import annotations

import numpy as np
import parentage
import pytest
from common.documents import HOSTILE
from common.traced import MERGE, trace
from conftest import BF16, write_checkpoint


@pytest.fixture(scope="module")
def merge(family):
    return parentage.trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )


@pytest.fixture
def hostile(tmp_path):
    """Markup in the names of checkpoints and tensors."""
    random = np.random.default_rng(0)
    tensors = {"model.layers.0.<script>.weight": random.normal(0, 1, (40, 50))}
    folders = []
    for i, name in enumerate(["<b>base", "<img src=x onerror=alert(1)>", HOSTILE]):
        moved = {key: (x + i * random.normal(0, 0.1, x.shape)) for key, x in tensors.items()}
        rounded = {key: x.astype(BF16) for key, x in moved.items()}
        if i == 2:
            rounded["</td><script>extra"] = np.ones(2, BF16)
        folders.append(write_checkpoint(tmp_path / name, rounded))
    return parentage.trace(folders[2], base=folders[0], parents=[folders[1]])


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return trace(tmp_path_factory.mktemp("exact"), MERGE, ["one", "other"], ["two"])
