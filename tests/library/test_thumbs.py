"""Thumbnails lie at the same places in all checkpoints of a kind, whatever they are called."""

import numpy as np
from parentage.library.places import Outline
from parentage.library.thumbs import ELEMENTS, MOST, lengths, measured, spots


def outlines(layers=3, start="model.", vocabulary=300):
    found = [Outline(f"{start}embed_tokens.weight", "BF16", (vocabulary, 64))]
    for layer in range(layers):
        found.append(Outline(f"{start}layers.{layer}.mlp.up_proj.weight", "BF16", (96, 64)))
        found.append(Outline(f"{start}layers.{layer}.mlp.down_proj.weight", "BF16", (64, 96)))
        found.append(Outline(f"{start}layers.{layer}.input_layernorm.weight", "BF16", (64,)))
    return found


def test_names_that_begin_otherwise_and_more_layers_change_no_key():
    one = {each.key: each for each in spots(outlines())}
    other = {each.key: each for each in spots(outlines(7, "model.language_model."))}
    assert one.keys() == other.keys()
    assert all(one[key].place == other[key].place for key in one)
    assert {each.name for each in one.values()} == {
        "model.embed_tokens.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    }


def test_another_vocabulary_changes_the_key_of_embeddings_alone():
    one, other = ({x.key for x in spots(outlines(vocabulary=v))} for v in (300, 301))
    assert len(one & other) == 2


def test_they_hold_as_much_as_they_have_to_and_lie_in_their_tensors():
    many = [Outline(f"layers.0.m{at}.weight", "F32", (64, 40 + at)) for at in range(30)]
    found = spots([*many, Outline("small", "F32", (3, 4)), Outline("ids", "I64", (64, 64))])
    assert len(found) == MOST
    for each in found:
        assert each.place.elements >= ELEMENTS
        assert (each.place.rows[-1] + 1) * each.place.width <= np.prod(each.place.shape)


def test_lengths_do_not_depend_on_the_order_of_rows_and_columns():
    values = np.random.default_rng(1).normal(size=(40, 30)) * np.linspace(1, 2, 40)[:, None]
    turned = values[::-1][:, np.random.default_rng(2).permutation(30)] * -1.0
    for one, other in zip(
        lengths(values.ravel(), (40, 30)), lengths(turned.ravel(), (40, 30)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert not lengths(np.full(12, np.nan), (3, 4))[0].any()


def test_only_matrices_that_are_not_too_large_are_measured():
    huge = Outline("layers.0.x.weight", "BF16", (1 << 13, 1 << 13))
    assert {each.name for each in measured(spots([huge, *outlines()]))} == {
        each.name for each in spots(outlines())
    }
