"""Every family of models, in the two layouts that tools store it in: no bit is lost."""

import numpy as np
import parentage
import pytest
from common.hybrids import gguf_hybrid, gguf_mamba, mamba, qwen3_next, qwen35
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
    renamed,
    stacked,
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


def gguf_hybrid_moe(tensors):
    """Return Qwen3.5-MoE in GGUF: experts stacked, and a shared one."""
    names = {f"{one}_proj": f"{one}_proj.weight" for one in ("gate", "up", "down")}
    return renamed(
        gguf_hybrid(stacked(tensors, names)),
        (r"mlp\.shared_expert_gate", "ffn_gate_inp_shexp"),
        (r"ffn_shared_expert\.(\w+)_proj", r"ffn_\1_shexp"),
        (r"mlp\.shared_expert\.(\w+)_proj", r"ffn_\1_shexp"),
    )


def next_gguf(tensors):
    return gguf_hybrid(qwen3_next(tensors), tiles=False)


HYBRIDS = pytest.mark.parametrize(
    ("shapes", "relaid"),
    [
        (qwen35(), gguf_hybrid),
        (qwen35(experts=True), gguf_hybrid_moe),
        (qwen35(), lambda x: gguf_hybrid(x, norms=1.0)),
        (qwen35(), lambda x: gguf_hybrid(x, tiles=False)),
        (qwen35(), next_gguf),
        (mamba(), gguf_mamba),
    ],
    ids=["Qwen3.5", "Qwen3.5-MoE", "with 1 + w", "Qwen3-Next", "Qwen3-Next, fused", "Mamba"],
)


@HYBRIDS
def test_a_hybrid_in_gguf_is_a_copy_but_for_decays_which_are_named(tmp_path, shapes, relaid):
    """ssm_a is -exp(A_log): no window, and no difference."""
    base = filled(shapes, 1)
    parent = tuned(base, 2)
    plain = write_checkpoint(tmp_path / "plain", parent)
    other = write_checkpoint(tmp_path / "other", relaid(parent))
    start = write_checkpoint(tmp_path / "start", base)
    decays = sum(x.size for name, x in parent.items() if name.endswith("A_log"))
    total = sum(x.size for x in parent.values())
    for child, parents in ((other, plain), (plain, other)):
        found = parentage.trace(child, base=start, parents=[parents])
        assert found.verdict.kind in ("identical", "re-encoded")
        assert found.verdict.level == "exact"
        assert f"{total - decays:,} of {total:,} elements" in found.verdict.text
        assert f"the other {decays:,} are computed from its" in found.verdict.text
        rows = found.unaligned.filter(found.unaligned["reason"].str.contains("-exp"))
        assert {name.rpartition(".")[2] for name in rows["tensor"]} == {"ssm_a", "A_log"}
        assert rows["reason"].str.contains("to within rounding").any()


def test_decays_that_are_no_function_are_told_and_no_copy_is_whole(tmp_path):
    parent = filled(qwen35(), 1)
    changed = gguf_hybrid(parent)
    changed["blk.0.ssm_a"] = changed["blk.0.ssm_a"] * np.float32(1.1)
    found = parentage.trace(
        write_checkpoint(tmp_path / "child", changed),
        base=write_checkpoint(tmp_path / "base", parent),
    )
    assert found.verdict.kind not in ("identical", "re-encoded")
    assert "stands for -exp of model.layers.0.linear_attn.A_log, and differs" in found.verdict.text
    assert "was not compared with anything: ssm_a of layer 0" in found.verdict.text


def test_a_merge_of_hybrids_in_gguf_is_found(tmp_path):
    """Decays of a blend are a function of no parent's: they are named, and spoil nothing."""
    base = filled(qwen35(), 1)
    parent = tuned(base, 2)
    blend = {
        key: x.reshape(np.shape(parent[key])) for key, x in two_in_bf16(parent, base, 0.6).items()
    }
    child = {
        name: x.astype(base["lm_head.weight"].dtype) if "conv1d" in name else x
        for name, x in gguf_hybrid(blend).items()
    }
    folders = {
        "base": write_checkpoint(tmp_path / "base", base),
        "parent": write_checkpoint(tmp_path / "parent", parent),
    }
    found = parentage.trace(
        write_checkpoint(tmp_path / "child", child),
        base=folders["base"],
        parents=[folders["parent"]],
    )
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert "stands for -exp of" in found.verdict.text


def test_a_checkpoint_with_both_layouts_of_linear_attention_is_told_of(tmp_path):
    tensors = filled(qwen35(), 1)
    fused = qwen3_next(filled(qwen35(), 2))
    both = tensors | {name: x for name, x in fused.items() if "qkvz" in name}
    found = views(opened(tmp_path, "child", qwen3_next(tensors)), [opened(tmp_path, "two", both)])
    name = "model.layers.0.linear_attn.in_proj_qkvz.weight"
    assert name in found.child.tensors
    assert sum(each.endswith("in_proj_qkvz.weight") for each in found.others[0].tensors) == 1
    found = views(opened(tmp_path, "other", both), [opened(tmp_path, "split", tensors)])
    assert set(found.child.tensors) == set(both)


def test_strangers_with_linear_attention_are_in_no_order(tmp_path):
    one, two = filled(qwen35(), 1), qwen3_next(filled(qwen35(), 2))
    found = views(opened(tmp_path, "one", one), [opened(tmp_path, "two", two)])
    assert any("values tell none" in each for each in found.remarks)
    assert "model.layers.0.linear_attn.in_proj_qkv.weight" not in found.others[0].tensors
