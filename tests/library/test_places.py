"""Which elements a sketch holds: by names and shapes alone, spread, and the same for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.library.places import (
    LONGEST,
    Outline,
    Place,
    first_anchor,
    is_vector,
    natural_order,
    places_of_sketch,
    spread,
)


def llama(layers=8, width=512, dtype="BF16", start="model.", vocabulary=32_000):
    found = [Outline(f"{start}embed_tokens.weight", dtype, (vocabulary, width))]
    for layer in range(layers):
        for name, shape in (
            ("self_attn.q_proj", (width, width)),
            ("mlp.up_proj", (4 * width, width)),
            ("mlp.down_proj", (width, 4 * width)),
        ):
            found.append(Outline(f"{start}layers.{layer}.{name}.weight", dtype, shape))
        found.append(Outline(f"{start}layers.{layer}.input_layernorm.weight", dtype, (width,)))
    return [*found, Outline("position_ids", "I64", (1, 512))]


def elements_of(places):
    return {
        (name, place.width * row + at)
        for name, place in places.items()
        for row in place.rows
        for at in (0, place.width - 1)
    }


def test_a_sketch_is_about_as_large_as_it_is_asked_to_be_whatever_the_model():
    for layers, width in ((8, 512), (32, 1024), (80, 4096)):
        held = places_of_sketch(llama(layers, width), 1 << 19)
        assert 0.4 < sum(place.elements for place in held.values()) / (1 << 19) < 1.3


def test_a_model_that_is_smaller_than_its_sketch_is_held_whole():
    tensors = llama(2, 32, vocabulary=64)
    held = places_of_sketch(tensors, 1 << 19)
    assert all(place.is_whole for place in held.values())
    assert held.keys() == {each.name for each in tensors if each.dtype != "I64"}
    assert held["model.layers.0.mlp.up_proj.weight"].seen_shape == (128, 32)


def test_dtypes_and_how_names_begin_change_no_place():
    one = places_of_sketch(llama(), 1 << 18)
    other = places_of_sketch(llama(dtype="F32", start="model.language_model."), 1 << 18)
    begin = ("model.", "model.language_model.", 1)
    assert {name.replace(*begin): place for name, place in one.items()} == other


def test_layers_hold_the_same_rows():
    held = places_of_sketch(llama(), 1 << 18)
    rows = {place.rows for name, place in held.items() if "up_proj" in name}
    longest = max(rows, key=len)
    assert len(rows) >= 1
    assert all(set(each) <= set(longest) for each in rows)


def test_a_larger_sketch_holds_nearly_all_of_a_smaller_one():
    small, large = (places_of_sketch(llama(16, 1024), size) for size in (1 << 17, 1 << 20))
    inside = elements_of(small) & elements_of(large)
    assert len(inside) >= 0.95 * len(elements_of(small))


def test_every_template_has_a_run_and_layers_are_spread():
    held = places_of_sketch(llama(32, 1024), 1 << 18)
    for part in ("embed", "q_proj", "up_proj", "down_proj", "layernorm"):
        assert any(part in name for name in held)
    layers = {int(name.split(".")[2]) for name in held if "layers" in name}
    assert len(layers) >= 6
    assert max(layers) - min(layers) >= 16


def test_runs_are_long_where_there_is_room():
    held = places_of_sketch(llama(4, 4096), 1 << 22)
    runs = [
        (last - first) * place.width
        for name, place in held.items()
        if "proj" in name
        for first, last in place.runs
    ]
    assert min(runs) >= LONGEST


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b.1", "b.2", "c.10.w"]),
            st.lists(st.integers(0, 90_000), max_size=2).map(tuple),
        ),
        unique_by=lambda each: each[0],
        max_size=4,
    ),
    st.integers(1, 1 << 17),
)
def test_places_lie_in_their_tensors(tensors, size):
    outlines = [Outline(name, "F32", shape) for name, shape in tensors]
    for name, place in places_of_sketch(outlines, size).items():
        (outline,) = (each for each in outlines if each.name == name)
        assert place.shape == outline.shape
        assert list(place.rows) == sorted(set(place.rows))
        assert place.rows[0] >= 0
        assert (place.rows[-1] + 1) * place.width <= outline.elements


def test_what_two_sketches_hold_is_told_whatever_their_rows():
    long = Place((2, 65536), 8192, (0, 3))
    short = Place((2, 65536), 4096, (1, 2, 7))
    assert long.common(short).rows == (1, 7)
    assert short.common(long).rows == (1, 7)
    assert long.common(Place((4, 65536), 4096, (0,))) is None
    assert long.common(Place((2, 65536), 4096, (4,))) is None


def test_of_some_rows_a_vector_stays_a_vector():
    assert Place((100_000,), 4096, (0, 5)).seen_shape == (8192,)
    assert Place((10, 64), 64, (0, 5)).seen_shape == (2, 64)
    assert is_vector((1, 7, 1))
    assert not is_vector((2, 2))


@given(st.integers(1, 300))
def test_an_order_is_of_all_and_its_beginning_is_spread(count):
    order = spread(count)
    assert sorted(order) == list(range(count))
    if count >= 8:
        assert max(order[:4]) - min(order[:4]) >= count // 3


@pytest.mark.parametrize("shape", [(64, 64), (4096, 4096), (3, 100_000)])
def test_the_first_anchor_lies_in_the_tensor(shape):
    width, row = first_anchor("model.layers.3.mlp.up_proj.weight", shape)
    assert (row + 1) * width <= shape[0] * shape[1]
    assert (width, row) == first_anchor("layers.7.mlp.up_proj.weight", shape)


def test_names_are_sorted_by_their_numbers():
    assert sorted(["a.10.b", "a.9.b"], key=natural_order) == ["a.9.b", "a.10.b"]
