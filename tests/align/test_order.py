"""Orders are told in a sentence, the long ones short, and in whole in the evidence."""

from parentage.align import Order
from parentage.align.order import sentences

STEM = "model.layers.{}.mlp.experts"


def order(layer, sources, checkpoint="a", unused=(), kind="experts", tensors=None, size=1):
    tensors = tensors or (STEM.format(layer),)
    return Order(checkpoint, kind, layer, tensors, tuple(sources), tuple(unused), size)


def test_what_was_pruned_is_named():
    (said,) = sentences([order(0, (0, 2), unused=(1, 3))])
    assert said == (
        "Experts are paired by values, not by their order: of layer 0, the child's 0, 1 are a's 0, "
        "2, and 1, 3 are paired with none."
    )


def test_the_same_order_in_several_checkpoints_is_told_once():
    (said,) = sentences([order(i, (1, 0), name) for name in ("a", "b") for i in range(4)])
    assert said == (
        "Experts are paired by values, not by their order: of layers 0 to 3, the child's 0, 1 are "
        "a and b's 1, 0."
    )


def test_more_orders_than_a_sentence_holds_are_counted():
    (said,) = sentences([order(i, (i, i + 1)) for i in range(1, 6)])
    assert said.endswith("; 3 more orders are in the evidence.")


def test_long_orders_are_cut():
    sources = [x for i in range(200) for x in (i + 200, i)]
    (said,) = sentences([order(0, sources)])
    assert len(said) < 250
    assert "..." in said


def test_heads_are_told_with_their_size_and_their_matrices():
    tensors = tuple(f"model.layers.1.self_attn.{x}_proj.weight" for x in "qo")
    (said,) = sentences([order(1, (1, 0), kind="heads", tensors=tensors, size=64)])
    assert said == (
        "Heads (blocks of 64) are paired by values, not by their order: of self_attn.q_proj and "
        "self_attn.o_proj of layer 1, the child's 0, 1 are a's 1, 0."
    )


def test_what_is_elsewhere_is_told_in_words():
    (said,) = sentences([order(0, ("mlp", "mlp", None, "3 of layer 2", 7))])
    assert "are a's mlp, twice, none, 3 of layer 2, 7." in said


def test_names_that_act_on_a_terminal_are_escaped():
    (said,) = sentences([order(0, (1, 0), "\x1b[2J")])
    assert "\x1b" not in said


def test_the_evidence_has_it_in_whole():
    told = order(0, range(99, -1, -1), unused=(100,)).as_dict()
    assert told["sources"] == list(range(99, -1, -1))
    assert (told["unused"], told["layer"], told["kind"]) == ([100], 0, "experts")


def test_plain_is_what_stands_as_it_stood():
    assert order(0, (0, 1, 2)).is_plain
    assert not order(0, (0, 1), unused=(2,)).is_plain
    assert not order(0, (0, 2, 1)).is_plain


def test_what_was_added_leaves_the_rest_in_place():
    assert order(None, (0, 1, "a mean", None), kind="rows", tensors=("e",)).is_in_place
    assert not order(None, (0, 1, 0), kind="rows", tensors=("e",)).is_in_place
    assert not order(None, (0, 1), unused=(2,), kind="rows", tensors=("e",)).is_in_place
    assert not order(0, ("mlp", "mlp")).is_in_place
    # What comes from another layer was not added.
    assert not order(0, (0, 1, "2 of layer 1")).is_in_place
