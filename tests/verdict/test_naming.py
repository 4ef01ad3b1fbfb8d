"""Names and layers are told once each, and short."""

from hypothesis import given
from hypothesis import strategies as st
from parentage.verdict.naming import layer_ranges, named


@given(st.sets(st.integers(0, 80), min_size=1))
def test_ranges_of_layers_say_each_layer_once(numbers):
    said = layer_ranges(numbers)
    found = []
    for part in said.removeprefix("layers").removeprefix("layer").split(","):
        first, *last = (int(each) for each in part.split(" to "))
        found.extend(range(first, (last or [first])[0] + 1))
    assert found == sorted(numbers)


def test_names_of_layers_are_told_by_layer():
    names = [f"model.layers.{i}.mlp.{x}_proj.weight" for i in (0, 1, 2) for x in ("up", "down")]
    assert named(names) == "mlp.up_proj and mlp.down_proj of layers 0 to 2"
    assert named([*names, "lm_head.weight"]).endswith("and lm_head.weight")


@given(st.lists(st.from_regex(r"[a-c]\.layers\.[0-9]\.[a-h]\.weight", fullmatch=True), max_size=60))
def test_many_names_are_short(names):
    assert len(named(names)) < 400


def test_a_single_tensor_beside_many_has_its_name():
    many = [f"a.b{i}.c.weight" for i in range(9)]
    assert named([*many, "model_ema.decay"]) == "9 tensors of a and model_ema.decay"
    inside = [f"enc.block10.{x}" for x in "abcd"]
    assert named([*inside, "enc.block1.z"]) == "4 tensors of enc.block10 and enc.block1.z"
