"""Embeddings and heads that differ in rows pair as far as both have them."""

import numpy as np
import pytest
from common.alignments import full
from conftest import opened
from parentage.align.layouts.by_rows import common_rows
from parentage.align.slices import Extent

EMBED = "model.embed_tokens.weight"


def found(folder, mine, yours, name=EMBED):
    child = opened(folder, "child", {name: mine})
    return common_rows(child.tensors[name], opened(folder, "other", {name: yours}))


@pytest.mark.parametrize(("mine", "yours"), [(5, 8), (8, 5)])
def test_the_first_rows_are_common(tmp_path, mine, yours):
    assert found(tmp_path, full((mine, 3)), full((yours, 3))) == (Extent(0, 0), 15)


@pytest.mark.parametrize(
    ("yours", "name"),
    [
        (full((5, 3)), EMBED),
        (full((8, 4)), EMBED),
        (full((8, 3), np.int8), EMBED),
        (full((8, 3)), "model.layers.0.mlp.up_proj.weight"),
        (full(8), EMBED),
        (full((0, 3)), EMBED),
    ],
)
def test_what_is_alike_or_of_another_kind_has_no_common_rows(tmp_path, yours, name):
    assert found(tmp_path, full((5, 3)), yours, name) is None
