"""Checkpoints that store the same in another way give the same bits, and are told to."""

import os

import numpy as np
import parentage
import pytest
from common.alignments import full
from common.merges import two_in_bf16
from conftest import BF16, opened, write_checkpoint
from parentage.align import views
from parentage.checkpoint import Checkpoint, Tensor
from parentage.support import CheckpointError, ReadError

E, M, H = 4, 24, 16


def split(seed, dtype=BF16):
    rng = np.random.default_rng(seed)
    out = {}
    for layer in range(2):
        at = f"model.layers.{layer}"
        shapes = {
            f"{at}.self_attn.q_proj.weight": (2 * H, H),
            f"{at}.self_attn.k_proj.weight": (H, H),
            f"{at}.self_attn.v_proj.weight": (H, H),
            f"{at}.input_layernorm.weight": (H,),
            **{
                f"{at}.mlp.experts.{e}.{name}.weight": shape
                for e in range(E)
                for name, shape in (
                    ("gate_proj", (M, H)),
                    ("up_proj", (M, H)),
                    ("down_proj", (H, M)),
                )
            },
        }
        out |= {name: rng.normal(0, 0.03, shape).astype(dtype) for name, shape in shapes.items()}
    return out | {"model.embed_tokens.weight": rng.normal(0, 0.03, (300, H)).astype(dtype)}


def fused(tensors, prefix="model."):
    out = dict(tensors)
    for layer in range(2):
        at = f"model.layers.{layer}"
        attn, experts = f"{at}.self_attn", f"{at}.mlp.experts"
        out[f"{attn}.qkv_proj.weight"] = np.concatenate(
            [out.pop(f"{attn}.{name}_proj.weight") for name in "qkv"]
        )
        parts = {
            name: [out.pop(f"{experts}.{e}.{name}_proj.weight") for e in range(E)]
            for name in ("gate", "up", "down")
        }
        out[f"{experts}.gate_up_proj"] = np.stack(
            [np.concatenate(pair) for pair in zip(parts["gate"], parts["up"], strict=True)]
        )
        out[f"{experts}.down_proj"] = np.stack(parts["down"])
    return {name.replace("model.", prefix, 1): x for name, x in out.items()}


def values(checkpoint):
    """Return the bytes of every tensor of a view, by name."""
    shards = [shard.path.read_bytes() for shard in checkpoint.shards]
    return {
        each.name: shards[each.shard][each.begin : each.end] for each in checkpoint.tensors.values()
    }


@pytest.mark.parametrize("prefix", ["model.", "model.language_model.", ""])
def test_fused_and_split_are_the_same_under_one_name(tmp_path, prefix):
    tensors = split(1)
    plain = opened(tmp_path, "split", tensors)
    stored = opened(tmp_path, "fused", fused(tensors, prefix))
    for child, other in ((plain, stored), (stored, plain)):
        found = views(child, [other])
        assert values(found.child) == values(found.others[0])
        assert {x.hex() for x in values(found.child).values()} == {
            tensors[name].tobytes().hex() for name in tensors
        }
        assert found.remarks


def test_what_is_stored_alike_is_left_as_it_is(tmp_path):
    one, two = opened(tmp_path, "one", split(1)), opened(tmp_path, "two", split(2))
    found = views(one, [two])
    assert (found.child, found.others, found.remarks) == (one, (two,), ())
    tall = opened(tmp_path, "tall", fused(split(1))), opened(tmp_path, "tall2", fused(split(2)))
    assert views(tall[0], [tall[1]]).child is tall[0]


def test_all_are_seen_in_the_pieces_of_the_finest(tmp_path):
    child = opened(tmp_path, "child", fused(split(1)))
    others = [
        opened(tmp_path, "a", split(1)),
        opened(tmp_path, "b", fused(split(2), "model.language_model.")),
        opened(tmp_path, "c", fused(split(3))),
    ]
    found = views(child, others)
    names = list(found.child.tensors)
    assert all(list(each.tensors) == names for each in found.others)
    assert any("in pieces" in each and "child" in each for each in found.remarks)


def test_names_that_both_have_are_not_renamed(tmp_path):
    tensors = {"model.a.weight": full((8, 3)), "model.b.weight": full((9, 3))}
    other = tensors | {f"wrapped.{name}": x for name, x in tensors.items()}
    found = views(opened(tmp_path, "child", tensors), [opened(tmp_path, "other", other)])
    assert set(found.others[0].tensors) == set(other)


def test_a_view_that_leaves_its_file_is_refused(tmp_path):
    one = opened(tmp_path, "one", {"a.weight": full((4, 4))})
    tensor = one.tensors["a.weight"]
    with pytest.raises(CheckpointError, match="leaves the data"):
        one.seen_as([tensor._replace(end=tensor.end + 8, shape=(5, 4))])
    with pytest.raises(CheckpointError, match="do not ascend"):
        one.seen_as([tensor, Tensor(*tensor)])


def test_a_merge_of_what_is_stored_in_three_ways_is_exact(tmp_path):
    base, tuned = split(1), split(2)
    for name in tuned:
        tuned[name] = (base[name].astype(np.float32) + 0.1 * tuned[name].astype(np.float32)).astype(
            BF16
        )
    child = two_in_bf16(tuned, base, 0.6)
    folders = {
        "child": write_checkpoint(tmp_path / "child", fused(child, "text.")),
        "base": write_checkpoint(tmp_path / "base", base),
        "tuned": write_checkpoint(tmp_path / "tuned", fused(tuned, "model.language_model.")),
    }
    found = parentage.trace(folders["child"], base=folders["base"], parents=[folders["tuned"]])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert 'with "model.language_model." for "text."' in found.verdict.text
    again = found.recipe.replay(
        {name: folders[name] for name in ("base", "tuned")}, folders["child"]
    )
    assert again.mismatched == 0
    assert again.elements == sum(x.size for x in child.values())


def test_a_copy_under_other_names_is_identical(tmp_path):
    tensors = split(1)
    base = write_checkpoint(tmp_path / "base", split(2))
    parent = write_checkpoint(tmp_path / "parent", tensors)
    child = write_checkpoint(tmp_path / "child", fused(tensors, "_orig_mod.model."))
    found = parentage.trace(child, base=base, parents=[parent])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert "read in pieces" in found.verdict.text


def test_a_file_that_was_replaced_is_noticed_through_a_view(tmp_path):
    """Of the same length and time: a view is of the very files whose headers were read."""
    path = write_checkpoint(tmp_path / "one", {"a.weight": full((4, 4))}) / "model.safetensors"
    one = Checkpoint.open(tmp_path / "one")
    view = one.seen_as([one.tensors["a.weight"]._replace(name="b.weight")])
    view.core.verify_unchanged()
    times = path.stat()
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    copy.replace(path)
    with pytest.raises(ReadError, match=r"replaced|changed|another"):
        view.core.verify_unchanged()


def test_what_another_holds_whole_and_in_pieces_stays_whole(tmp_path):
    """Both need not be the same: what has the child's name is its partner."""
    whole = fused(split(1))
    both = opened(tmp_path, "both", split(2) | fused(split(3)))
    child = opened(tmp_path, "child", whole)
    found = views(child, [opened(tmp_path, "base", split(1)), both])
    assert set(found.child.tensors) == set(whole)
