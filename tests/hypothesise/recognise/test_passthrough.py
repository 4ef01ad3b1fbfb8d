"""Copies: layers put elsewhere, and scales of a tensor, a layer or a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import parentage
import pytest
import yaml
from common.families import F32, SHAPES, Array, Tensors, found_in, made, stored
from common.recognised import same_when_read_again
from common.spheres import FAMILY, SMALL
from conftest import BF16, write_checkpoint
from parentage.hypothesise import (
    COPY_DISTANCE,
    RECOGNISERS,
    SampleEstimates,
    hypothesise,
)
from parentage.methods import to_mergekit
from parentage.recipe import Recipe, resolve
from parentage.support import RecipeError

TUNED = made({"one": 0.004}, seed=23)


def rearranged(places: Mapping[int, tuple[str, int]], family: Any, rest: str) -> Tensors:
    """Return a child whose layers are those of checkpoints, other tensors those of ``rest``."""
    out = {}
    names = [name for name in SHAPES if ".layers.0." in name]
    for layer, (source, at) in places.items():
        for name in names:
            found = family[source][name.replace(".0.", f".{at}.")]
            out[name.replace(".0.", f".{layer}.")] = found.astype(BF16)
    for name, x in family[rest].items():
        if ".layers." not in name:
            out[name] = x.astype(BF16)
    return out


@pytest.mark.parametrize(
    ("places", "ranges"),
    [
        (
            [("one", 0), ("one", 1), ("base", 1), ("base", 2), ("one", 3)],
            [("one", 0, 2), ("base", 1, 3), ("one", 3, 4)],
        ),
        (
            [("one", 0), ("base", 2), ("base", 1), ("one", 3)],
            [("one", 0, 1), ("base", 2, 3), ("base", 1, 2), ("one", 3, 4)],
        ),
        ([("base", 0), ("one", 1), ("one", 2), ("base", 3)], [("base", 0, 1), ("one", 1, 3)]),
    ],
    ids=["more layers", "swapped", "in place"],
)
def test_layers_of_two_parents_are_assembled(tmp_path, places, ranges):
    child = rearranged(dict(enumerate(places)), TUNED, "one")
    folders = {
        name: write_checkpoint(tmp_path / name, stored(TUNED[name])) for name in ("base", "one")
    }
    folder = write_checkpoint(tmp_path / "child", child)
    trace = parentage.trace(folder, base=folders["base"], parents=[folders["one"]])
    assert (trace.verdict.kind, trace.verdict.level) == ("assembled", "exact")
    assert trace.recipe is not None
    assert trace.recipe.method == "passthrough"
    elements = sum(x.size for x in child.values())
    assert trace.elements == trace.outcome.elements == trace.outcome.reproduced == elements
    if trace.recipe.sources.get("model.embed_tokens.weight", ranges[0][0]) != ranges[0][0]:
        # mergekit takes what is in no layer from the first slice, or from the last.
        with pytest.raises(RecipeError, match="mergekit takes it from"):
            trace.recipe.to_mergekit()
        return
    text = trace.recipe.to_mergekit()
    assert "merge_method: passthrough" in text
    at = 0
    for name, first, last in ranges:
        source = f"model: {name}\n    layer_range: [{first}, {last}]"
        assert source in text[at:], text
        at = text.index(source, at) + len(source)
    assert text.count("layer_range") >= len(ranges)


# Copies times a scale.

SCALES: dict[str, tuple[Callable[[str], float | None], dict[str, float] | float]] = {
    "of a module": (lambda tensor: 0.7 if "q_proj" in tensor else None, {"self_attn": 0.7}),
    "of two modules": (
        lambda tensor: 0.7 if "q_proj" in tensor else 1.25 if "mlp" in tensor else None,
        {"self_attn": 0.7, "mlp": 1.25},
    ),
    "of all but what is in no layer": (
        lambda tensor: 0.7312 if ".layers." in tensor else None,
        {"model.layers": 0.7312},
    ),
    "of all": (lambda _: 0.7, 0.7),
}


def scaled(
    tensors: Mapping[str, Array], factor_of: Callable[[str], float | None]
) -> tuple[Tensors, dict[str, float]]:
    """Return tensors times a factor in bf16, or copied, and the factors."""
    out, factors = {}, {}
    for tensor, x in tensors.items():
        factor = factor_of(tensor)
        factors[tensor] = 1.0 if factor is None else factor
        out[tensor] = (x if factor is None else F32(x * F32(factor))).astype(BF16)
    return out, factors


def resolved(recipe: Recipe, estimates: SampleEstimates) -> dict[str, float]:
    values = resolve(recipe.parameters["scale"], estimates.slices)
    return dict(zip((each.name for each in estimates.slices), values.tolist(), strict=True))


@pytest.mark.parametrize("case", SCALES)
@pytest.mark.parametrize("source", ["one", "base"])
def test_copies_times_a_scale_are_passed_through(tmp_path, source, case):
    factor_of, expected = SCALES[case]
    child, factors = scaled(FAMILY[source], factor_of)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic) == ("passthrough", "copy")
    assert (best.mismatched, best.share) == (0, 1.0)
    assert recipe.checkpoints == (source,)
    assert set(recipe.sources.values()) == {source}
    assert resolved(recipe, f) == factors
    if isinstance(expected, float):
        assert recipe.parameters == {"scale": expected}
        scale: Any = expected
    else:
        filters = {**expected, "*": 1.0}
        assert recipe.parameters == {"scale": {"filters": filters}}
        scale = [{"filter": key, "value": value} for key, value in expected.items()]
        scale.append({"value": 1.0})
    assert yaml.safe_load(to_mergekit(recipe))["slices"] == [
        {"sources": [{"model": source, "layer_range": [0, 2], "parameters": {"scale": scale}}]}
    ]
    assert same_when_read_again(recipe, f)


def test_a_scale_of_one_tensor_of_a_module_is_a_filter_by_tensor(tmp_path):
    shapes = {f"model.layers.{i}.self_attn.{x}_proj.weight": (64, 64) for i in (0, 1) for x in "qk"}
    family = made({"one": 0.01}, 3, shapes)
    child, factors = scaled(family["one"], lambda tensor: 0.7 if "k_proj" in tensor else None)
    f = found_in(tmp_path, family, child, ["one"])
    best = hypothesise(f)[0]
    assert best.mismatched == 0
    assert resolved(best.recipe, f) == factors
    filters = best.recipe.parameters["scale"]["filters"]
    assert filters in ({"k_proj": 0.7, "*": 1.0}, {"q_proj": 1.0, "*": 0.7})


def test_a_scale_of_one_layer_is_one_by_slice(tmp_path):
    child, factors = scaled(FAMILY["one"], lambda tensor: 0.7 if ".1.self_attn" in tensor else None)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert best.mismatched == 0
    assert best.recipe.parameters == {"scale": {"slices": factors}}


def test_scaled_copies_of_several_checkpoints_have_their_sources(tmp_path):
    one, _ = scaled(FAMILY["one"], lambda tensor: 0.7 if "q_proj" in tensor else None)
    two, _ = scaled(FAMILY["two"], lambda tensor: 1.3 if "q_proj" in tensor else None)
    # What follows the layers is taken from the last slice, by mergekit as here.
    later = {each for each in SMALL if ".0." not in each and "embed" not in each}
    child = {tensor: (two if tensor in later else one)[tensor] for tensor in SMALL}
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.mismatched) == ("passthrough", 0)
    assert best.recipe.sources == {t: "two" if t in later else "one" for t in SMALL}
    for tensor, scale in resolved(best.recipe, f).items():
        expected = (1.3 if ".1." in tensor else 0.7) if "q_proj" in tensor else 1.0
        assert scale == expected, tensor
    text = to_mergekit(best.recipe)
    assert "model: one\n    layer_range: [0, 1]" in text
    assert "model: two\n    layer_range: [1, 2]" in text


def test_a_trace_says_that_a_scaled_copy_is_one(tmp_path):
    child, _ = scaled(FAMILY["one"], SCALES["of a module"][0])
    folders = {
        name: write_checkpoint(tmp_path / name, stored(FAMILY[name])) for name in ("base", "one")
    }
    trace = parentage.trace(
        write_checkpoint(tmp_path / "child", child), base=folders["base"], parents=[folders["one"]]
    )
    assert (trace.verdict.kind, trace.verdict.level) == ("re-encoded", "exact")
    assert trace.verdict.rule == "replayed"
    assert "rescaled copy of one" in trace.verdict.text
    assert trace.outcome.mismatched == 0
    assert trace.recipe.parameters == {"scale": {"filters": {"self_attn": 0.7, "*": 1.0}}}


@pytest.mark.parametrize("scale", [1.0 + 0.9 * COPY_DISTANCE, None])
def test_a_scale_next_to_one_is_not_claimed(tmp_path, scale):
    """A tiny fine-tune is nearly a copy, and so is what some factor near 1 gives."""
    rng = np.random.default_rng(37)
    child, _ = scaled(FAMILY["one"], lambda tensor: scale if "q_proj" in tensor else None)
    if scale is None:
        for tensor, x in child.items():
            if "q_proj" in tensor:
                child[tensor] = (x.astype(F32) + F32(rng.normal(0, 2e-5, x.shape))).astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert any(not np.array_equal(child[t].astype(F32), FAMILY["one"][t]) for t in SMALL)
    assert list(RECOGNISERS["passthrough"].estimate(f)) == []


@pytest.mark.parametrize("what", ["noise", "blend"])
def test_what_is_no_multiple_of_a_checkpoint_has_no_scale(tmp_path, what):
    child, _ = scaled(FAMILY["one"], lambda tensor: 0.7 if "q_proj" in tensor else None)
    rng = np.random.default_rng(41)
    for tensor in SMALL:
        if "q_proj" in tensor:
            other = 0.01 * rng.normal(0, 1, SMALL[tensor])
            if what == "blend":
                other = 0.3 * FAMILY["two"][tensor]
            child[tensor] = F32(child[tensor].astype(F32) + F32(other)).astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert list(RECOGNISERS["passthrough"].estimate(f)) == []


def test_a_scale_of_zero_is_one_of_the_checkpoint_that_the_rest_is_of(tmp_path):
    """New layers that do nothing at first: their output projections are times 0."""
    child, factors = scaled(FAMILY["one"], lambda tensor: 0.0 if "down_proj" in tensor else None)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.mismatched) == ("passthrough", 0)
    assert resolved(best.recipe, f) == factors
    assert set(best.recipe.sources.values()) == {"one"}
    assert "merge_method: passthrough" in to_mergekit(best.recipe)


def test_what_two_have_in_common_is_of_the_one_that_the_rest_is_of(tmp_path):
    """As of a fine-tune with frozen embeddings, times a factor."""
    family = made({"one": 0.004}, seed=29)
    frozen = next(name for name in SHAPES if ".layers." not in name)
    family["one"][frozen] = family["base"][frozen]
    child = {
        name: (0.99 * x.astype(BF16).astype(float)).astype(BF16)
        for name, x in family["one"].items()
    }
    recipes = list(RECOGNISERS["passthrough"].estimate(found_in(tmp_path, family, child, ["one"])))
    assert [set(each.sources.values()) for each in recipes] == [{"one"}]
