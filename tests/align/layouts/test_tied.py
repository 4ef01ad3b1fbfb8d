"""An embedding stands in for a head where there is none."""

import pytest
from common.alignments import full
from conftest import opened
from parentage.align.layouts.tied import embeddings, heads, tied_to

EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def stands_in(folder, shape, other):
    head = opened(folder, "child", {HEAD: full(shape)}).tensors[HEAD]
    found = tied_to(head, opened(folder, "other", other))
    return None if found is None else found.name


def test_the_embedding_of_the_heads_shape_stands_in(tmp_path):
    other = {EMBED: full((8, 3)), "model.embed_positions.weight": full((9, 3))}
    assert stands_in(tmp_path, (8, 3), other) == EMBED


@pytest.mark.parametrize(
    "other",
    [
        {EMBED: full((9, 3))},
        {EMBED: full((8, 3)), "model.embed_out.weight": full((8, 3))},
        {EMBED: full((8, 3)), "model.other_embedding.weight": full((8, 3))},
        {"model.layers.0.embed.weight": full((8, 3))},
    ],
)
def test_nothing_stands_in_for_another_head_or_shape_or_where_it_is_not_clear(tmp_path, other):
    assert stands_in(tmp_path, (8, 3), other) is None


def test_heads_and_embeddings_are_matrices_outside_layers(tmp_path):
    found = opened(
        tmp_path,
        "both",
        {
            EMBED: full((8, 3)),
            HEAD: full((8, 3)),
            "lm_head.bias": full(8),
            "model.layers.0.head.weight": full((8, 3)),
        },
    )
    assert [each.name for each in heads(found)] == [HEAD]
    assert [each.name for each in embeddings(found)] == [EMBED]
