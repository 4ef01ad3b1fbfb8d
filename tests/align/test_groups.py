"""The child paired with each checkpoint by itself, and what the same ones have."""

import numpy as np
import pytest
from common.alignments import full
from common.containers import gguf_bytes
from conftest import opened
from parentage.align import group
from parentage.checkpoint import Checkpoint
from parentage.support import PlanError

A, B, C = "model.a.weight", "model.b.weight", "model.c.weight"


def grouped(folder, child, *others, candidates=None):
    opened_others = [opened(folder, f"other{i}", tensors) for i, tensors in enumerate(others)]
    return group(
        opened(folder, "child", child),
        opened_others,
        len(others) if candidates is None else candidates,
    )


def names(each):
    return [one.name for one in each.alignment.slices]


def test_what_all_have_is_the_main_alignment_and_nothing_else_is(tmp_path):
    tensors = {A: full(90), B: full(60)}
    found = grouped(tmp_path, tensors, tensors, tensors)
    assert (found.main.columns, names(found.main), found.partial) == ((0, 1), [A, B], ())
    assert found.unaligned == ()


def test_what_a_small_file_lacks_is_taken_from_nobody(tmp_path):
    tensors = {A: full(90), B: full(30)}
    found = grouped(tmp_path, tensors, tensors, {B: full(30)}, tensors)
    assert (found.main.columns, names(found.main)) == ((0, 2), [A, B])
    ((columns, part),) = found.partial
    assert (columns, [each.name for each in part.slices]) == ((1,), [B])
    assert found.unaligned == ()


def test_what_the_base_lacks_is_compared_with_the_parents(tmp_path):
    tensors = {A: full(90), B: full(30)}
    found = grouped(tmp_path, tensors, {A: full(90)}, tensors, tensors)
    assert (found.main.columns, names(found.main)) == ((0, 1, 2), [A])
    assert [(each.columns, names(each)) for each in found.partial] == [((1, 2), [B])]


def test_a_base_that_holds_nothing_is_not_the_origin(tmp_path):
    tensors = {A: full(90), B: full(30)}
    found = grouped(tmp_path, tensors, {"other.a": full(90)}, tensors, {A: full(90)})
    assert found.main.columns == (1, 2)
    assert names(found.main) == [A]
    assert [(each.columns, names(each)) for each in found.partial] == [((1,), [B])]


def test_controls_come_last_into_the_main_set(tmp_path):
    child = {A: full(50), B: full(50)}
    found = grouped(tmp_path, child, child, {A: full(50)}, {B: full(50)}, candidates=2)
    assert (found.main.columns, names(found.main)) == ((0, 1), [A])
    assert {each.columns for each in found.partial} == {(0, 2)}


EMBED = "model.embed_tokens.weight"


def test_common_rows_of_embeddings_are_compared_and_the_rest_with_who_has_it(tmp_path):
    child = {EMBED: full((8, 3)), A: full(9)}
    found = grouped(
        tmp_path, child, {EMBED: full((5, 3)), A: full(9)}, {EMBED: full((7, 3)), A: full(9)}
    )
    assert names(found.main) == [EMBED, A]
    assert [each.elements for each in found.main.alignment.slices] == [15, 9]
    ((columns, part),) = found.partial
    assert columns == (1,)
    assert [(each.name, each.shape) for each in part.slices] == [(f"{EMBED}[5:7]", (2, 3))]
    assert part.slices[0].extents[0].start == 15
    ((left,)) = [each for each in found.unaligned if each.checkpoint == "child"]
    assert (left.tensor, left.elements) == (f"{EMBED}[7:8]", 3)


def test_other_matrices_of_another_shape_do_not_pair_by_rows(tmp_path):
    child = {A: full((8, 3)), B: full(90)}
    found = grouped(tmp_path, child, {A: full((5, 3)), B: full(90)})
    assert names(found.main) == [B]
    assert {each.tensor for each in found.unaligned} == {A}


def test_an_embedding_stands_in_for_a_head_that_is_tied_to_it(tmp_path):
    tied = {EMBED: full((8, 3)), A: full(9)}
    found = grouped(tmp_path, {**tied, "lm_head.weight": full((8, 3))}, tied)
    by_name = {each.name: each for each in found.main.alignment.slices}
    assert by_name["lm_head.weight"].extents[0] == by_name[EMBED].extents[0]


def test_no_embedding_stands_in_for_the_head_of_one_that_has_another(tmp_path):
    own = {EMBED: full((8, 3)), A: full(9), "score.weight": full((2, 3))}
    found = grouped(tmp_path, {**own, "lm_head.weight": full((8, 3))}, own)
    assert "lm_head.weight" not in names(found.main)


def test_what_has_no_arithmetic_is_compared_byte_for_byte(tmp_path):
    tensors = {A: full(9), "flags": full(3, bool), "q": full(4, np.int8), "q_scale": full(1)}
    found = grouped(tmp_path, tensors, tensors, {**tensors, "flags": full(4, bool)})
    child_names = sorted(tensors)
    assert [(child_names[each.tensor], each.column) for each in found.bytes] == [
        ("flags", 0),
        ("q", 0),
        ("q", 1),
    ]
    assert {(each.checkpoint, each.tensor) for each in found.unaligned} == {("other1", "flags")}


def test_if_nobody_holds_anything_it_is_said_who_pairs_and_how_names_differ(tmp_path):
    child = {"model.language_model.norm.weight": full(9)}
    with pytest.raises(PlanError, match=r"none of 1 tensors pair with other0: model\.language_"):
        grouped(tmp_path, child, {"model.norm.weight": full(9)})


IQ2_XXS, TQ2_0 = 16, 35
"""Types of GGUF files whose blocks both have 66 bytes for 256 elements."""


@pytest.mark.parametrize(
    ("mine", "theirs", "is_compared"), [(IQ2_XXS, IQ2_XXS, True), (IQ2_XXS, TQ2_0, False)]
)
def test_codes_of_two_encodings_are_not_compared_byte_for_byte(tmp_path, mine, theirs, is_compared):
    raw, numbers = bytes(range(66)), full(900)
    for name, kind in (("child", mine), ("other", theirs)):
        tensors = {A: numbers, B: (kind, (1, 256), raw)}
        (tmp_path / f"{name}.gguf").write_bytes(gguf_bytes(tensors))
    child, other = (Checkpoint.open(tmp_path / f"{name}.gguf") for name in ("child", "other"))
    found = group(child, [other], 1)
    assert [each.tensor for each in found.bytes] == ([1] if is_compared else [])
    left = [] if is_compared else [(child.name, B), (other.name, B)]
    assert [(each.checkpoint, each.tensor) for each in found.unaligned] == left


def test_codes_are_not_compared_with_bytes_that_stand_for_themselves(tmp_path):
    raw = bytes(range(66))
    (tmp_path / "child.gguf").write_bytes(gguf_bytes({A: full(900), B: (TQ2_0, (1, 256), raw)}))
    child = Checkpoint.open(tmp_path / "child.gguf")
    other = opened(tmp_path, "other", {A: full(900), B: np.frombuffer(raw, np.uint8)})
    assert group(child, [other], 1).bytes == ()
    assert group(other, [child], 1).bytes == ()
