"""Prefixes are found by what follows them, and only where nearly all of it is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.align.layouts.prefixes import Prefix, exchanged

BODY = {f"layers.{i}.{name}": (4 + i, 3) for i in range(3) for name in ("q", "k", "mlp.up")}
HEAD = {"lm_head.weight": (9, 3)}


def under(prefix, names=BODY):
    return {prefix + name: shape for name, shape in names.items()}


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("model.language_model.", "model."),
        ("model.", "model.language_model."),
        ("_orig_mod.", ""),
        ("", "module."),
        ("base_model.model.model.", "model."),
        ("a.b.c.d.e.", "f."),
        ("net_", ""),
        ("zq7.w_", "x."),
    ],
)
def test_one_prefix_is_exchanged_for_another(mine, theirs):
    prefixes, renamed = exchanged(under(mine), under(theirs))
    assert renamed == {theirs + name: mine + name for name in BODY}
    assert len(prefixes) == 1


def test_two_parts_of_a_file_have_prefixes_of_their_own():
    mine = under("text.", BODY) | under("image.", {"conv.weight": (5,), "conv.bias": (7,)})
    theirs = under("", BODY) | under("vision.tower.", {"conv.weight": (5,), "conv.bias": (7,)})
    prefixes, renamed = exchanged(mine, theirs)
    assert set(prefixes) == {Prefix("text.", ""), Prefix("image.", "vision.tower.")}
    assert len(renamed) == len(mine)


def test_a_part_of_another_model_is_not_taken_for_what_ends_alike():
    """Layers of an encoder are no layers of a decoder that has more in each."""
    encoder = under("encoder.", {"layers.0.q": (4, 3)})
    decoder = under("decoder.", BODY | {f"layers.{i}.cross.q": (4, 3) for i in range(3)})
    rest = {f"encoder.{name}": (2,) for name in ("a", "b", "c", "d")}
    assert exchanged(encoder | rest, decoder) == ([], {})


def test_shapes_have_to_agree_with_somebody():
    other = {f"m.{name}": (100, 100) for name in BODY}
    assert exchanged(BODY, other) == ([], {})


def test_an_embedding_of_other_rows_goes_with_the_rest():
    mine = under("a.", BODY | {"embed": (10, 3)})
    theirs = under("b.", BODY | {"embed": (12, 3)})
    assert exchanged(mine, theirs)[1]["b.embed"] == "a.embed"


def test_a_single_tensor_pairs_if_it_is_all_there_is():
    assert exchanged({"a.x.weight": (3,)}, {"b.x.weight": (3,)})[1] == {"b.x.weight": "a.x.weight"}


SEGMENT = st.sampled_from(["a", "b", "c", "0", "1", "weight"])
NAMES = st.dictionaries(
    st.lists(SEGMENT, min_size=1, max_size=5).map(".".join),
    st.sampled_from([(2,), (3,), (2, 3)]),
    max_size=12,
)


@given(NAMES, NAMES)
def test_no_tensor_is_paired_twice_and_all_are_there(mine, theirs):
    theirs = {name: shape for name, shape in theirs.items() if name not in mine}
    prefixes, renamed = exchanged(mine, theirs)
    assert set(renamed) <= set(theirs)
    assert set(renamed.values()) <= set(mine)
    assert len(set(renamed.values())) == len(renamed)
    for other, name in renamed.items():
        assert any(
            other.startswith(each.theirs) and name == each.mine + other[len(each.theirs) :]
            for each in prefixes
        )


def test_of_two_towers_with_the_same_names_inside_names_do_not_tell_which_is_which():
    towers = under("encoder.") | under("decoder.")
    assert exchanged(under("model."), towers) == ([], {})
    assert exchanged(under("text.") | under("vision."), towers) == ([], {})


def test_two_towers_of_other_shapes_are_told():
    wider = {name: (rows, 7) for name, (rows, _) in BODY.items()}
    towers = under("encoder.") | under("decoder.", wider)
    prefixes, _ = exchanged(under("model."), towers)
    assert prefixes == [Prefix("model.", "encoder.")]
