"""What has more columns than another's is compared in those that both have."""

import numpy as np
import parentage
import pytest
from conftest import opened, write_checkpoint
from parentage.align import views
from parentage.align.layouts.widened import columns, is_widened


@pytest.mark.parametrize(
    ("shape", "other", "expected"),
    [
        ((8, 9, 3, 3), (8, 4, 3, 3), True),
        ((8, 9), (8, 4), True),
        ((8, 4), (8, 9), False),
        ((8, 4), (8, 4), False),
        ((8, 9), (7, 4), False),
        ((8, 9, 3), (8, 4, 1), False),
        ((8, 9), (8, 0), False),
        ((9,), (4,), False),
    ],
)
def test_only_more_columns_are_a_widening(shape, other, expected):
    assert is_widened(shape, other) is expected


def test_readings_cover_every_element_once():
    shape, other = (2, 5, 3), (2, 2, 3)
    elements = np.arange(30).reshape(shape)
    for reading in columns("w", "w", shape, other):
        seen = []
        for piece in reading.pieces:
            step, one = piece.strides
            rows, count = piece.sizes
            at = piece.first + step * np.arange(rows)[:, None] + one * np.arange(count)
            seen += elements.ravel()[at].ravel().tolist()
        assert sorted(seen) == list(range(30))


def family(wide_in=9):
    rng = np.random.default_rng(5)
    shapes = {f"blocks.{k}.weight": (64, 64) for k in range(16)} | {"stem.weight": (32, 4, 3, 3)}

    def moved(base, scale=0.02):
        return {
            name: value + scale * rng.standard_normal(value.shape).astype(np.float32)
            for name, value in base.items()
        }

    base = {name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()}
    custom = moved(base)
    painter = moved(base)
    extra = 0.1 * rng.standard_normal((32, wide_in - 4, 3, 3)).astype(np.float32)
    painter["stem.weight"] = np.concatenate([painter["stem.weight"], extra], axis=1)
    return base, custom, painter


def added(base, custom, painter):
    """painter + 1.0 (custom - base), as tools add the difference to the first channels."""
    child = {}
    for name, value in painter.items():
        child[name] = value.copy()
        most = base[name].shape[1]
        child[name][:, :most] = value[:, :most] + (custom[name] - base[name])
    return child


def test_a_painter_with_the_difference_of_another_is_a_merge_in_every_channel(tmp_path):
    base, custom, painter = family()
    for name, tensors in {
        "base": base,
        "custom": custom,
        "painter": painter,
        "child": added(base, custom, painter),
    }.items():
        write_checkpoint(tmp_path / name, tensors)
    trace = parentage.trace(
        tmp_path / "child",
        base=tmp_path / "base",
        parents=[tmp_path / "painter", tmp_path / "custom"],
        seed=1,
    )
    assert (trace.verdict.kind, trace.verdict.level) == ("merge", "exact")
    text = str(trace.verdict)
    assert "stem.weight[:, 4:9]: bit for bit as in painter" in text
    assert "in another shape" not in text


def test_values_say_whether_common_columns_are_the_first_or_the_last(tmp_path):
    base, _, painter = family()
    last = dict(painter)
    last["stem.weight"] = np.roll(painter["stem.weight"], 5, axis=1)
    foreign = dict(painter)
    foreign["stem.weight"] = np.random.default_rng(9).standard_normal((32, 9, 3, 3), np.float32)
    names = {}
    for name, tensors in {"first": painter, "last": last, "foreign": foreign}.items():
        child = opened(tmp_path, name, tensors)
        seen = views(child, [opened(tmp_path, f"{name}-base", base)])
        names[name] = {each for each in seen.child.tensors if each.startswith("stem")}
        kept = sum(each.elements for each in seen.child.tensors.values())
        assert kept == child.elements
    assert names == {
        "first": {"stem.weight", "stem.weight[:, 4:9]"},
        "last": {"stem.weight", "stem.weight[:, :5]"},
        "foreign": {"stem.weight"},
    }


def test_a_model_of_another_width_is_not_taken_apart(tmp_path):
    rng = np.random.default_rng(3)
    wide = {f"{k}.weight": rng.standard_normal((16, 24)).astype(np.float32) for k in range(8)}
    child = opened(tmp_path, "wide", wide)
    narrow = {name: value[:, :16] for name, value in wide.items()}
    other = opened(tmp_path, "narrow", narrow)
    seen = views(child, [other])
    assert seen.child is child


def layers(rng, count=16, width=64):
    return {
        f"blocks.{k}.weight": rng.standard_normal((width, width)).astype("f4") for k in range(count)
    }


def seen_names(tmp_path, child, *others):
    found = [opened(tmp_path, f"{at}", each) for at, each in enumerate((child, *others))]
    seen = views(found[0], found[1:])
    return [
        {name for name in each.tensors if name.startswith("stem")}
        for each in (seen.child, *seen.others)
    ]


def test_tensors_without_elements_are_not_taken_apart(tmp_path):
    rest = layers(np.random.default_rng(1))
    child = {**rest, "stem.weight": np.zeros((0, 9), "f4")}
    base = {**rest, "stem.weight": np.zeros((0, 4), "f4")}
    assert seen_names(tmp_path, child, base)[0] == {"stem.weight"}


def test_what_is_constant_is_not_taken_apart(tmp_path):
    rng = np.random.default_rng(1)
    rest = layers(rng)
    child = {**rest, "stem.weight": np.zeros((64, 9), "f4")}
    base = {**rest, "stem.weight": rng.standard_normal((64, 4)).astype("f4")}
    assert seen_names(tmp_path, child, base)[0] == {"stem.weight"}


def test_what_has_the_childs_shape_is_taken_apart_as_the_child_is(tmp_path):
    rng = np.random.default_rng(1)
    rest = layers(rng)
    base = rng.standard_normal((64, 4)).astype("f4")
    child = np.concatenate([base, rng.standard_normal((64, 5)).astype("f4")], axis=1)
    strange = rng.standard_normal((64, 9)).astype("f4")
    found = seen_names(
        tmp_path, *({**rest, "stem.weight": each} for each in (child, base, strange))
    )
    assert found == [
        {"stem.weight", "stem.weight[:, 4:9]"},
        {"stem.weight"},
        {"stem.weight", "stem.weight[:, 4:9]"},
    ]


@pytest.mark.parametrize("rest_name", ["stem.weight[:, 4:9]", "stem.weight[:, :5]"])
def test_names_that_pieces_would_have_are_nobody_elses(tmp_path, rest_name):
    rng = np.random.default_rng(1)
    rest = {**layers(rng), rest_name: rng.standard_normal((8, 8)).astype("f4")}
    base = rng.standard_normal((64, 4)).astype("f4")
    child = np.concatenate([rng.standard_normal((64, 5)).astype("f4"), base], axis=1)
    found = seen_names(tmp_path, {**rest, "stem.weight": child}, {**rest, "stem.weight": base})
    assert found[0] == {"stem.weight", rest_name}


def test_an_embedding_of_another_width_is_not_taken_apart(tmp_path):
    rng = np.random.default_rng(1)
    rest = layers(rng)
    name = "model.embed_tokens.weight"
    wide = {**rest, name: rng.standard_normal((32, 9)).astype("f4")}
    narrow = {**rest, name: wide[name][:, :4]}
    seen = views(opened(tmp_path, "wide", wide), [opened(tmp_path, "narrow", narrow)])
    assert f"{name}[:, 4:9]" not in seen.child.tensors
