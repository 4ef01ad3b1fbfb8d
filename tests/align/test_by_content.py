"""Where names have nothing in common, shapes and values pair tensors, and it is said."""

import numpy as np
import parentage
import pytest
from common.merges import two_in_bf16
from conftest import BF16, opened, write_checkpoint
from parentage.align import seen_by
from parentage.stream import Options
from parentage.support import PlanError

OPTIONS = Options(2)


def model(seed, layers=4):
    rng = np.random.default_rng(seed)
    out = {"embed.weight": rng.normal(0, 0.03, (200, 32)), "norm.weight": rng.normal(1, 0.1, 256)}
    for i in range(layers):
        out[f"layers.{i}.q.weight"] = rng.normal(0, 0.03, (32, 32))
        out[f"layers.{i}.up.weight"] = rng.normal(0, 0.03, (96, 32))
        out[f"layers.{i}.norm.weight"] = rng.normal(1, 0.1, 256)
    return out


def stored(tensors):
    return {name: x.astype(np.float32).astype(BF16) for name, x in tensors.items()}


def numbered(tensors, seed=0):
    """Return tensors under numbers, in an order of their own, with the names they had."""
    order = np.random.default_rng(seed).permutation(len(tensors))
    names = list(tensors)
    return {f"t{i:03}": tensors[names[at]] for i, at in enumerate(order)}, {
        f"t{i:03}": names[at] for i, at in enumerate(order)
    }


def test_relatives_are_paired_tensor_by_tensor(tmp_path):
    base = model(1)
    rng = np.random.default_rng(2)
    tuned = {name: x + rng.normal(0, 0.3 * x.std(), x.shape) for name, x in base.items()}
    child, names = numbered(stored(tuned))
    one = opened(tmp_path, "child", child)
    other = opened(tmp_path, "base", stored(base))
    found = seen_by(one, [other], OPTIONS)
    (view,) = found.others
    assert set(view.tensors) == set(child)
    for name, tensor in view.tensors.items():
        assert (tensor.begin, tensor.shape) == (other.tensors[names[name]].begin, tensor.shape)
    assert "14 of 14 of base" in found.remarks[0]


def test_strangers_stay_unpaired(tmp_path):
    one = opened(tmp_path, "child", numbered(stored(model(1)))[0])
    other = opened(tmp_path, "base", stored(model(2)))
    found = seen_by(one, [other], OPTIONS)
    assert (found.others, found.remarks) == ((other,), ())


def test_who_has_names_in_common_is_left_as_he_is(tmp_path):
    tensors = stored(model(1))
    one, other = opened(tmp_path, "child", tensors), opened(tmp_path, "base", tensors)
    assert seen_by(one, [other], OPTIONS).others == (other,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_values_that_are_no_numbers_pair_nothing(tmp_path, bad):
    one = opened(tmp_path, "child", {"a.weight": np.full((8, 8), bad).astype(BF16)})
    other = opened(tmp_path, "base", {"b.c": np.full((8, 8), bad).astype(BF16)})
    assert seen_by(one, [other], OPTIONS).remarks == ()


def test_a_small_file_with_names_of_the_childs_keeps_them(tmp_path):
    """They are few of the child, and all of its own: names decide."""
    tensors = stored(model(1))
    tiny = {"layers.0.norm.weight": tensors["layers.1.norm.weight"]}
    big = {"big.weight": np.ones((300, 300), BF16)}
    one, other = opened(tmp_path, "child", tensors | big), opened(tmp_path, "tiny", tiny)
    found = seen_by(one, [other], OPTIONS)
    assert (found.others, found.remarks) == ((other,), ())


def test_a_copy_under_numbers_is_identical(tmp_path):
    tensors = stored(model(1))
    base = {n: (x.astype(np.float32) * 1.01).astype(BF16) for n, x in tensors.items()}
    paths = [
        write_checkpoint(tmp_path / name, each)
        for name, each in (
            ("child", numbered(tensors)[0]), ("base", base), ("parent", tensors)
        )
    ]  # fmt: skip
    found = parentage.trace(paths[0], base=paths[1], parents=[paths[2]])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert found.verdict.numbers["parent"] == "parent"
    assert "not by name" in found.verdict.text


def test_strangers_under_other_names_are_an_error_that_says_so(tmp_path):
    child = write_checkpoint(tmp_path / "child", numbered(stored(model(1)))[0])
    base = write_checkpoint(tmp_path / "base", stored(model(2)))
    with pytest.raises(PlanError, match="too little of child pairs with base"):
        parentage.trace(child, base=base)


def test_a_merge_under_numbers_is_exact_and_replays(tmp_path):
    base, tuned = stored(model(1)), stored(model(1))
    rng = np.random.default_rng(5)
    for name, x in tuned.items():
        tuned[name] = (x.astype(np.float32) + rng.normal(0, 0.005, x.shape)).astype(BF16)
    child = two_in_bf16(tuned, base, 0.6)
    places = {
        "child": write_checkpoint(tmp_path / "child", numbered(child)[0]),
        "base": write_checkpoint(tmp_path / "base", base),
        "tuned": write_checkpoint(tmp_path / "tuned", tuned),
    }
    found = parentage.trace(places["child"], base=places["base"], parents=[places["tuned"]])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    again = found.recipe.replay({n: places[n] for n in ("base", "tuned")}, places["child"])
    assert (again.mismatched, again.elements) == (0, sum(x.size for x in child.values()))


def test_towers_with_the_same_names_inside_are_told_by_values(tmp_path):
    one, two = stored(model(1)), stored(model(2))
    towers = {f"encoder.{n}": x for n, x in one.items()} | {
        f"decoder.{n}": x for n, x in two.items()
    }
    renamed = {f"text.{n}": x for n, x in two.items()} | {f"vision.{n}": x for n, x in one.items()}
    base = write_checkpoint(tmp_path / "base", towers)
    found = parentage.trace(write_checkpoint(tmp_path / "child", renamed), base=base)
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")


def test_matrices_of_an_export_are_transposed_and_called_by_numbers(tmp_path):
    """As an ONNX file has them: biases and norms keep their names, what is multiplied does not."""
    tensors = {name: x for name, x in stored(model(1)).items() if "norm" in name or x.ndim == 2}
    exported = {
        name if "norm" in name or "embed" in name else f"onnx::MatMul_{number}": (
            x if "norm" in name or "embed" in name else x.T.copy()
        )
        for number, (name, x) in enumerate(tensors.items())
    }
    for child, other in ((exported, tensors), (tensors, exported)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        found = seen_by(opened(folder, "child", child), [opened(folder, "other", other)], OPTIONS)
        assert set(found.others[0].tensors) == set(child)
        assert all(found.others[0].tensors[name].shape == x.shape for name, x in child.items())
        assert any("8 of them transposed" in each for each in found.remarks)
    copy = parentage.trace(
        write_checkpoint(tmp_path / "copy", exported),
        base=write_checkpoint(tmp_path / "plain", tensors),
    )
    assert (copy.verdict.kind, copy.verdict.level) == ("identical", "exact")


def test_what_is_left_of_strangers_stays_unpaired(tmp_path):
    tensors = stored(model(1))
    more = {f"a.p{i}": x for i, x in enumerate(stored(model(2)).values())}
    rest = {f"b.q{i}": x for i, x in enumerate(stored(model(3)).values())}
    other = opened(tmp_path, "other", tensors | rest)
    found = seen_by(opened(tmp_path, "child", tensors | more), [other], OPTIONS)
    assert found.others == (other,)
