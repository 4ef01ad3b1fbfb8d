"""Every family of models, in the two layouts that tools store it in: no bit is lost."""

import numpy as np
import parentage
import pytest
from common.layouts import filled, tuned
from common.merges import two_in_bf16
from common.towers import FAMILIES
from conftest import opened, write_checkpoint
from parentage.align import views
from parentage.align.orders.reading import runs
from parentage.stream import Options

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
