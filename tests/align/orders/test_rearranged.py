"""What was put in another order is traced as what it was, and merges of it are replayed."""

import numpy as np
import parentage
import pytest
from common.merges import two_in_bf16
from common.rearranged import (
    EXPERTS,
    INNER,
    LAYERS,
    WORDS,
    dense,
    fused,
    mixture,
    tuned,
    upcycled,
    with_experts,
    with_heads,
    with_layers,
    with_neurons,
    with_words,
)
from conftest import BF16, opened, write_checkpoint
from parentage.align import seen_by
from parentage.align.orders.rearranged import named, rearranged
from parentage.stream import Options


def order_of(seed, count):
    return np.random.default_rng(seed).permutation(count).tolist()


def in_heads_and_neurons(tensors):
    out = tensors
    for layer in range(LAYERS):
        out = with_heads(out, layer, (3, 2, 0, 1), (1, 0))
        out = with_neurons(out, {f"model.layers.{layer}.mlp": order_of(layer, INNER)})
    return out


PERMUTED = {i: order_of(i, EXPERTS) for i in range(LAYERS)}


def exchanged(tensors):
    """Return a mixture where layers 0 and 1 have one another's second expert."""
    out = dict(tensors)
    for part in ("gate_proj", "up_proj", "down_proj"):
        one, two = (f"model.layers.{i}.mlp.experts.2.{part}.weight" for i in (0, 1))
        out[one], out[two] = tensors[two], tensors[one]
    return out


WAYS = {
    "experts exchanged": (mixture, exchanged),
    "experts permuted": (mixture, lambda x: with_experts(x, PERMUTED)),
    "experts pruned": (mixture, lambda x: with_experts(x, {i: [0, 2, 4] for i in range(LAYERS)})),
    "experts permuted and stacked": (mixture, lambda x: fused(with_experts(x, PERMUTED))),
    "experts copied": (mixture, lambda x: with_experts(x, {1: [3, 3, 0, 1, 2, 4]})),
    "two experts swapped": (mixture, lambda x: with_experts(x, {1: [0, 4, 2, 3, 1, 5]})),
    "upcycled": (dense, upcycled),
    "upcycled and stacked": (dense, lambda x: fused(upcycled(x))),
    "layers swapped": (dense, lambda x: with_layers(x, (0, 2, 1))),
    "layers dropped": (dense, lambda x: with_layers(x, (0, 2))),
    "layers repeated": (dense, lambda x: with_layers(x, (0, 1, 0, 1, 2))),
    "words added": (dense, lambda x: with_words(x, [*range(WORDS), 5, 5, 9])),
    "words permuted": (dense, lambda x: with_words(x, order_of(1, WORDS))),
    "words cut": (dense, lambda x: with_words(x, sorted(order_of(1, WORDS)[:150]))),
    "neurons and heads": (dense, in_heads_and_neurons),
    "all at once": (
        dense,
        lambda x: with_layers(with_words(in_heads_and_neurons(x), order_of(1, WORDS)), (0, 2, 1)),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_assembled_from_it_and_a_merge_is_exact(tmp_path, way):
    model, change = WAYS[way]
    base = model(1)
    parent = tuned(base, 2)
    blend = two_in_bf16(parent, base, 0.6)
    at = {
        name: write_checkpoint(tmp_path / name, tensors)
        for name, tensors in (
            *(("base", base), ("parent", parent)),
            *(("copy", change(parent)), ("merge", change(blend))),
        )
    }
    found = parentage.trace(at["copy"], base=at["base"], parents=[at["parent"]])
    assert (found.verdict.kind, found.verdict.level) == ("assembled", "exact")
    assert found.verdict.numbers["parent"] == "parent"
    if "layers" not in way:
        assert "paired by values" in found.verdict.text
        assert found.evidence["coverage"]["orders"]
    found = parentage.trace(at["merge"], base=at["base"], parents=[at["parent"]])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    weights = {each["name"]: each["weight"] for each in found.evidence["recipe"]["parents"]}
    assert weights == pytest.approx({"parent": 0.6, "base": 0.4})
    again = found.recipe.replay({name: at[name] for name in ("base", "parent")}, at["merge"])
    assert again.mismatched == 0
    routers = sum("gate.weight" in name for name in change(blend)) if "upcycled" in way else 0
    made = sum(x.size for name, x in change(blend).items() if not routers or ".gate." not in name)
    assert again.elements == made


def test_parts_of_several_models_are_told_apart(tmp_path):
    """Each expert is the dense MLP of one of them, under other names."""
    base = dense(1)
    one, two = tuned(base, 2), tuned(base, 3)
    names = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
    child = {name: x for name, x in base.items() if ".mlp." not in name}
    for expert, tensors in enumerate((one, two, one)):
        for name, x in tensors.items():
            if ".mlp." in name:
                layer, part = name.split(".")[2], names[name.split(".")[4]]
                at = f"model.layers.{layer}.block_sparse_moe.experts.{expert}"
                child[f"{at}.{part}.weight"] = x
    at = {
        name: write_checkpoint(tmp_path / name, tensors)
        for name, tensors in (("child", child), ("base", base), ("one", one), ("two", two))
    }
    found = parentage.trace(at["child"], base=at["base"], parents=[at["one"], at["two"]])
    assert (found.verdict.kind, found.verdict.rule) == ("assembled", "assembled")
    assert found.verdict.numbers["slices_one"] == 2 * 3 * LAYERS
    assert found.verdict.numbers["slices_two"] == 3 * LAYERS


def test_coverage_says_what_was_pruned(tmp_path):
    base = mixture(1)
    child = write_checkpoint(tmp_path / "child", with_experts(base, {1: [0, 2, 3, 4, 5]}))
    found = parentage.trace(child, base=write_checkpoint(tmp_path / "base", base))
    assert "and 1 is paired with none" in found.verdict.text
    assert "child lacks 5 tensors of layer 1" in found.verdict.text
    expert = 3 * INNER * 96 + 96 + 1
    share = 1.0 - expert / sum(x.size for x in base.values())
    assert found.verdict.numbers["share_of_parent"] == pytest.approx(share)


def test_what_computes_the_same_with_neurons_scaled_is_never_identical(tmp_path):
    base, at = dense(1), "model.layers.0.mlp"
    child = with_neurons(base, {at: order_of(1, INNER)})
    scale = np.float32(2.0) ** np.random.default_rng(1).integers(-1, 2, INNER).astype(np.float32)
    for name, factor in (("up_proj", scale[:, None]), ("down_proj", 1.0 / scale)):
        wide = child[f"{at}.{name}.weight"].astype(np.float32)
        child[f"{at}.{name}.weight"] = (wide * factor).astype(BF16)
    folders = [write_checkpoint(tmp_path / n, x) for n, x in (("child", child), ("base", base))]
    found = parentage.trace(folders[0], base=folders[1])
    assert found.verdict.kind not in ("identical", "re-encoded", "merge", "unrelated")
    assert found.verdict.level != "exact"
    assert "Neurons are paired by values" in found.verdict.text


def test_a_stranger_stays_one_whatever_the_order(tmp_path):
    child = write_checkpoint(tmp_path / "child", in_heads_and_neurons(dense(2)))
    found = parentage.trace(child, base=write_checkpoint(tmp_path / "base", dense(1)))
    assert found.verdict.kind in ("unrelated", "undetermined")
    assert found.evidence["coverage"]["orders"] == []


def test_what_is_in_place_is_left_as_it_is(tmp_path):
    base = mixture(1)
    child = opened(tmp_path, "child", tuned(base, 2))
    other = opened(tmp_path, "base", base)
    found = rearranged(child, [other], [{}], Options(2))
    assert (found.child, found.others, found.orders) == (child, (other,), ())


def test_names_are_given_once_each(tmp_path):
    base = mixture(1)
    child = opened(tmp_path, "child", base)
    other = opened(tmp_path, "base", base)
    stem = "model.layers.0.mlp.experts.{}.up_proj.weight"
    view = named(other, {stem.format(0): stem.format(3), stem.format(3): stem.format(3)}, child)
    place = other.tensors[stem.format(3)].begin
    assert {view.tensors[stem.format(i)].begin for i in (0, 3)} == {place}
    spare = view.tensors[f"unpaired.{stem.format(0)}"]
    assert spare.begin == other.tensors[stem.format(0)].begin
    assert named(other, {}, child) is other


def test_of_what_is_fetched_in_part_no_order_is_looked_for_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("parentage.stream.options.FAR_TOTAL", 0)
    base = dense(1)
    child = opened(tmp_path, "child", in_heads_and_neurons(tuned(base, 2)))
    other = opened(tmp_path, "base", base)
    found = rearranged(child, [other], [{}], Options(2, is_far=True))
    assert (found.others, found.orders, found.unordered) == ((other,), (), ("base",))
    (remark,) = seen_by(child, [other], Options(2, is_far=True)).remarks
    assert "base are not alike in place" in remark
    assert "a full pass looks for it" in remark
