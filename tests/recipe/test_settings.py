"""Numbers of a recipe that vary, resolved for slices."""

import math

from parentage.align import Slice
from parentage.checkpoint import component_of, layer_of
from parentage.recipe import gradient, resolve, show


def slices(*names):
    return [
        Slice(name, component_of(name), layer_of(name), None, (2,), "BF16", 2, ()) for name in names
    ]


def test_a_gradient_is_piecewise_linear_over_the_layers_of_the_body():
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(5)]
    found = resolve({"gradient": [0.0, 1.0, 0.5]}, slices(*names))
    assert found.tolist() == [0.0, 0.5, 1.0, 0.75, 0.5]
    assert resolve({"gradient": [0.3]}, slices(*names)).tolist() == [0.3] * 5
    # What is in no layer, and towers beside the language model, are at the beginning.
    outside = slices("lm_head.weight", "model.norm.weight", "visual.blocks.7.mlp.fc1.weight")
    assert resolve({"gradient": [0.1, 0.9]}, outside).tolist() == [0.1] * 3
    # mergekit takes the only layer of a model for its last.
    assert resolve({"gradient": [0.1, 0.9]}, slices("h.0.mlp.c_fc.weight")).tolist() == [0.9]


def test_gradients_are_evaluated_in_mergekit_s_operations():
    assert gradient([0.1, 0.9], 1 / 3) == (1 - 1 / 3) * 0.1 + 1 / 3 * 0.9
    assert gradient([0.1, 0.9], 1.0) == 0.9


def test_settings_by_component_and_by_slice_leave_the_rest_open():
    known = slices("model.layers.0.mlp.up_proj.weight", "model.norm.weight")
    for setting in ({"components": {"mlp": 0.5}}, {"slices": {known[0].name: 0.5}}):
        first, second = resolve(setting, known)
        assert first == 0.5
        assert math.isnan(second)


def test_settings_are_shown_in_few_characters():
    assert show(0.6) == "0.6"
    assert show(True) == "true"
    assert show({"gradient": [0.1, 0.9]}) == "(0.1 to 0.9 over the layers)"
    assert show({"components": {"mlp": 0.5}}) == "{mlp 0.5}"
    assert show({"slices": {"a": 0.1, "b": 0.9}}) == "0.1 to 0.9 by slice"
