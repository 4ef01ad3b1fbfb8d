"""Every family of models, in the two layouts that tools store it in: no bit is lost."""

import numpy as np
import parentage
import pytest
from common.layouts import (
    filled,
    fused_experts,
    gemma,
    gguf,
    gguf_gemma,
    llama,
    meta,
    moe,
    phi3,
    tuned,
)
from common.merges import two_in_bf16
from common.towers import FAMILIES
from conftest import opened, write_checkpoint
from parentage.align import align, views
from parentage.align.orders.reading import runs
from parentage.stream import Options, one_pass

ALL = pytest.mark.parametrize("name", FAMILIES)


def elements(checkpoint):
    """Return all elements of each tensor of a view, by name."""
    return {
        each.name: runs(checkpoint, [(each.index, 0)], each.elements, Options(1)).reshape(
            each.shape
        )
        for each in checkpoint.tensors.values()
        if each.elements
    }


@ALL
def test_all_tensors_pair_and_are_what_they_are_in_the_other_layout(tmp_path, name):
    shapes, relaid = FAMILIES[name]
    tensors = filled(shapes, 1)
    plain, other = opened(tmp_path, "plain", tensors), opened(tmp_path, "other", relaid(tensors))
    for child, parent in ((plain, other), (other, plain)):
        found = views(child, [parent])
        mine, theirs = elements(found.child), elements(found.others[0])
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
        assert sum(x.size for x in mine.values()) == sum(x.size for x in tensors.values())
        assert found.remarks


@ALL
def test_a_copy_is_identical_and_a_merge_is_found(tmp_path, name):
    shapes, relaid = FAMILIES[name]
    base = filled(shapes, 1)
    parent = tuned(base, 2)
    blend = {
        key: x.reshape(np.shape(parent[key])) for key, x in two_in_bf16(parent, base, 0.6).items()
    }
    folders = {
        "base": write_checkpoint(tmp_path / "base", base),
        "parent": write_checkpoint(tmp_path / "parent", parent),
        "copy": write_checkpoint(tmp_path / "copy", relaid(parent)),
        "blend": write_checkpoint(tmp_path / "blend", relaid(blend)),
    }
    copy = parentage.trace(folders["copy"], base=folders["base"], parents=[folders["parent"]])
    assert (copy.verdict.kind, copy.verdict.level) == ("identical", "exact")
    merge = parentage.trace(folders["blend"], base=folders["base"], parents=[folders["parent"]])
    assert (merge.verdict.kind, merge.verdict.level) == ("merge", "exact")
    again = merge.recipe.replay(
        {name: folders[name] for name in ("base", "parent")}, folders["blend"]
    )
    assert again.mismatched == 0
    assert again.elements == sum(x.size for x in blend.values())


def grams(child, base):
    """Return the sums of each slice of a child and a base, by name."""
    found = views(child, [base])
    aligned = align(found.child, found.others)
    rows = one_pass(aligned.plan, 0, aligned.plan.slices, Options(1)).gram
    return {each.name: row.tobytes() for each, row in zip(aligned.slices, rows, strict=True)}


@pytest.mark.parametrize("options", [{}, {"transposed": True}, {"transposed": True, "turns": True}])
def test_fused_and_split_experts_give_the_same_sums(tmp_path, options):
    base, child = filled(moe(), 1), tuned(filled(moe(), 1), 2)
    split = opened(tmp_path, "split", base)
    plain = grams(opened(tmp_path, "child", child), split)
    fused = opened(tmp_path, "fused", fused_experts(child, **options))
    assert grams(fused, split) == plain
    both = opened(tmp_path, "both", fused_experts(base, **options))
    assert grams(opened(tmp_path, "again", child), both) == plain


def test_norms_that_are_one_more_are_the_same(tmp_path):
    base = filled(gemma(), 1)
    parent = tuned(base, 2)
    folders = {
        name: write_checkpoint(tmp_path / name, tensors)
        for name, tensors in (("base", base), ("parent", parent), ("child", gguf_gemma(parent)))
    }
    found = parentage.trace(folders["child"], base=folders["base"], parents=[folders["parent"]])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert "plus a number" in found.verdict.text
    found = parentage.trace(folders["parent"], base=folders["child"])
    assert found.verdict.kind in ("identical", "re-encoded")


def test_strangers_in_another_layout_are_unrelated_and_in_no_order(tmp_path):
    """What names do not decide, values of strangers do not either, and it is said."""
    one, two = filled(llama(), 1), meta(filled(llama(), 2))
    found = parentage.trace(
        write_checkpoint(tmp_path / "child", one), base=write_checkpoint(tmp_path / "base", two)
    )
    assert found.verdict.kind == "unrelated"
    assert "values tell none" in found.verdict.text


def test_a_checkpoint_that_holds_a_whole_and_its_pieces_is_told_of(tmp_path):
    tensors = filled(llama(), 1)
    both = tensors | {name: x for name, x in phi3(filled(llama(), 2)).items() if "qkv_proj" in name}
    found = views(opened(tmp_path, "child", phi3(tensors)), [opened(tmp_path, "other", both)])
    assert "model.layers.0.self_attn.qkv_proj.weight" in found.child.tensors
    assert "model.layers.0.mlp.gate_proj.weight" in found.child.tensors
    pieces = views(opened(tmp_path, "two", gguf(both | {})), [opened(tmp_path, "plain", tensors)])
    assert any("as a whole and in pieces" in each for each in pieces.remarks)


def test_two_names_that_mean_the_same_are_not_taken_for_one_another(tmp_path):
    """One of them is the partner, by its name; the other keeps its own."""
    tensors = filled(llama(), 1)
    more = tensors | {"model.layers.0.self_attn.query.weight": tensors["model.norm.weight"]}
    twice = tensors | {"model.layers.0.attention.wq.weight": filled({"a": (32, 32)}, 9)["a"]}
    found = views(opened(tmp_path, "child", more), [opened(tmp_path, "other", twice)])
    assert set(found.others[0].tensors) == set(twice)
