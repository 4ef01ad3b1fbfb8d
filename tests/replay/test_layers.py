"""Recipes whose layers come from other places: compared, written and told what they make."""

import numpy as np
import pytest
from common.families import FAR, LAYERS, bf16, fma, made, stored
from conftest import opened
from hypothesis import given
from hypothesis import strategies as st
from parentage import Recipe
from parentage.recipe import Ingredient
from parentage.replay.layers import layer_maps, layers_of, made_alignment, made_of

FAMILY = made({"one": FAR["one"]})
LINEAR = ("linear", (Ingredient("one", 0.6), Ingredient("base", 0.4)))


def recipe(**layers):
    return Recipe(*LINEAR, arithmetic="float32-fma", layers=layers)


def taken(tensors, order):
    """Return tensors with the layers of these numbers, in this order."""
    out = {name: x for name, x in tensors.items() if ".layers." not in name}
    for layer, source in enumerate(order):
        old, new = f".layers.{source}.", f".layers.{layer}."
        out |= {name.replace(old, new): x for name, x in tensors.items() if old in name}
    return out


def blend(one, base):
    """Return the linear merge as mergekit fuses it."""
    weights = np.float32(0.6), np.float32(0.4)
    total = weights[0] + weights[1]
    return {
        name: bf16(fma(base[name], weights[1], fma(x, weights[0], np.zeros_like(x))) / total)
        for name, x in one.items()
    }


@pytest.fixture
def family(tmp_path):
    return {name: opened(tmp_path, name, stored(x)) for name, x in FAMILY.items()}


ORDERS = {
    "dropped": (0, 2, 3),
    "exchanged": (0, 2, 1, 3),
    "reversed": (3, 2, 1, 0),
    "repeated": (0, 1, 1, 2, 1, 3),
    "cut": (0, 1),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_what_a_recipe_writes_is_the_child_whose_layers_it_moves(tmp_path, family, order):
    child = opened(tmp_path, "child", stored(taken(blend(FAMILY["one"], FAMILY["base"]), order)))
    moving = recipe(one=order, base=order)
    found = moving.replay(family, child)
    assert (found.mismatched, found.elements, found.agrees) == (0, child.elements, True)
    written = moving.write(family, tmp_path / "out", against=child)
    assert written.agrees
    assert set(written.tensors["tensor"]) == set(child.tensors)


def test_each_checkpoint_has_layers_of_its_own(tmp_path, family):
    order = (0, 2, 3)
    pruned = taken(FAMILY["one"], order)
    family["one"] = opened(tmp_path, "pruned", stored(pruned))
    child = opened(tmp_path, "child", stored(blend(pruned, taken(FAMILY["base"], order))))
    moving = recipe(base=order)
    assert moving.replay(family, child).agrees
    assert moving.write(family, tmp_path / "out", against=child).agrees
    assert not recipe().replay(family, child).agrees


def test_a_child_that_was_not_moved_so_is_not_reproduced(tmp_path, family):
    child = opened(tmp_path, "child", stored(blend(FAMILY["one"], FAMILY["base"])))
    found = recipe(one=(0, 2, 1, 3), base=(0, 2, 1, 3)).replay(family, child)
    assert found.exact_share < 0.7
    shorter = recipe(one=(0, 1, 2), base=(0, 1, 2)).replay(family, child)
    assert (shorter.mismatched, shorter.agrees) == (0, False)
    assert {each.tensor for each in shorter.coverage.left} == {
        name for name in child.tensors if ".layers.3." in name
    }
    longer = recipe(one=(0, 1, 2, 3, 3), base=(0, 1, 2, 3, 3)).replay(family, child)
    assert (longer.mismatched, longer.agrees) == (0, False)
    assert {each.tensor for each in longer.coverage.missing} == {
        name.replace(".3.", ".4.") for name in child.tensors if ".layers.3." in name
    }


def test_integers_of_moved_layers_are_copied_from_where_they_were(tmp_path):
    tensors = {
        f"model.layers.{i}.{name}": x
        for i in range(2)
        for name, x in {
            "w.weight": np.full((8, 8), i, np.float32),
            "ids": np.full(4, i, np.int64),
        }.items()
    }
    one = opened(tmp_path, "one", tensors)
    copy = Recipe("linear", (Ingredient("one", 1.0),), out_dtype="F32", layers={"one": (1, 1, 0)})
    child = opened(tmp_path, "child", taken(tensors, (1, 1, 0)))
    assert copy.replay({"one": one}, child).agrees
    assert copy.write({"one": one}, tmp_path / "out", against=child).agrees


def test_without_layers_nothing_moves(family):
    assert layers_of(recipe()) == {}
    assert layer_maps(recipe(), ["one", "base"], family["one"]) == []
    assert [name for name, _ in made_of(recipe(), family["one"])] == list(family["one"].tensors)


def test_layers_by_slice_are_read_as_they_were_written_before():
    name = "model.layers.{}.mlp.down_proj.weight".format
    old = Recipe(
        "passthrough", (Ingredient("one"),), fitted={"layer": {name(1): 2.0, name(2): 3.0}},
        sources={name(i): "one" for i in range(3)},
    )  # fmt: skip
    assert layers_of(old) == {"one": (0, 2, 3)}


@given(st.lists(st.none() | st.integers(0, LAYERS - 1), min_size=1, max_size=8))
def test_every_layer_that_is_taken_is_made_once(tmp_path_factory, order):
    base = opened(tmp_path_factory.mktemp("made"), "base", stored(FAMILY["base"]))
    moving = Recipe("linear", (Ingredient("base", 1.0),), layers={"base": tuple(order)})
    names = [name for name, _ in made_of(moving, base)]
    assert len(set(names)) == len(names)
    layers = {i for i, source in enumerate(order) if source is not None}
    assert {int(name.split(".")[2]) for name in names if ".layers." in name} == layers
    found = made_alignment(moving, base, [])
    assert sorted(found.owners) == sorted(names)
    for each, owner in zip(found.alignment.slices, found.owners, strict=True):
        assert each.name == owner
        assert each.layer is None or order[each.layer] == int(
            list(base.tensors)[each.extents[0].tensor].split(".")[2]
        )
