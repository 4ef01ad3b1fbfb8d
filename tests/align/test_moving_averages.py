"""Of weights that are stored twice, those are compared that the child has."""

import numpy as np
import parentage
import pytest
from conftest import BF16, write_checkpoint
from parentage.align.moving_averages import averaged_of, seen_averaged
from parentage.checkpoint import Checkpoint
from parentage.stream import Options

BLOCKS = [f"model.diffusion_model.input_blocks.{i}.0.weight" for i in range(1, 6)]
TEXT = "cond_stage_model.transformer.final_layer_norm.weight"


def flat(name):
    return "model_ema." + name.removeprefix("model.").replace(".", "")


@pytest.fixture
def stored():
    """Weights as they were trained, and their averages; what is no model has none."""
    random = np.random.default_rng(4)
    trained = {name: random.normal(0, 1, (48, 64)) for name in BLOCKS}
    averaged = {name: x + random.normal(0, 0.01, x.shape) for name, x in trained.items()}
    text = {TEXT: random.normal(0, 1, (32, 64))}
    return trained, averaged, text


def f32(tensors):
    return {name: np.asarray(values, np.float32) for name, values in tensors.items()}


def full(trained, averaged, text):
    of_average = {flat(name): values for name, values in averaged.items()}
    counters = {"model_ema.decay": np.float32(0.9999), "model_ema.num_updates": np.int32(7)}
    return {**f32({**trained, **of_average, **text}), **counters}


@pytest.mark.parametrize("chosen", ["trained", "averaged"])
def test_what_was_pruned_is_told_by_values(tmp_path, stored, chosen):
    trained, averaged, text = stored
    parent = write_checkpoint(tmp_path / "full", full(*stored))
    kept = {"trained": trained, "averaged": averaged}[chosen]
    child = {name: x.astype(np.float16) for name, x in f32({**kept, **text}).items()}
    child = write_checkpoint(tmp_path / "child", child)
    said = parentage.trace(child, base=parent).verdict
    assert (said.kind, said.level) == ("assembled", "exact")
    assert "all 6 tensors of child are full's, cast to the child's dtype" in said.text
    is_averaged = chosen == "averaged"
    remark = "in 5 of 5 that were looked at the child has the average's numbers"
    assert (remark in said.text) == is_averaged
    assert ("(not averaged) model.diffusion_model" in said.text) == is_averaged
    if is_averaged:
        assert "model_ema.decay and model_ema.num_updates" in said.text


def test_a_blend_of_trained_weights_is_not_seen_as_one_of_averages(tmp_path):
    """An average may lean to the other parent, so that the blend is nearer to it."""
    random = np.random.default_rng(6)
    one = {name: random.normal(0, 1, (48, 64)).astype(BF16) for name in BLOCKS}
    two = {
        name: (x.astype(np.float64) + random.normal(0, 0.1, x.shape)).astype(BF16)
        for name, x in one.items()
    }
    child = {
        name: (
            np.float32(0.6) * two[name].astype(np.float32) + np.float32(0.4) * x.astype(np.float32)
        ).astype(BF16)
        for name, x in one.items()
    }

    def both(trained, averaged):
        return {**trained, **{flat(name): x for name, x in averaged.items()}}

    paths = {
        name: write_checkpoint(tmp_path / name, tensors)
        for name, tensors in {
            "child": child, "base": both(one, two), "parent": both(two, one)
        }.items()
    }  # fmt: skip
    said = parentage.trace(paths["child"], base=paths["base"], parents=[paths["parent"]]).verdict
    assert (said.kind, said.level) == ("merge", "exact")


def test_names_are_those_of_the_same_shape():
    class Named:
        def __init__(self, name, shape):
            self.name, self.shape = name, shape

    names = {
        name: Named(name, shape)
        for name, shape in {
            "model.a.b.weight": (2, 3),
            "model_ema.abweight": (2, 3),
            "model_ema.decay": (),
            "model.d": (1,),
            "other.abweight": (2, 3),
        }.items()
    }
    assert averaged_of(names) == {"model.a.b.weight": "model_ema.abweight"}
    # All of it or nothing: of a part, both kinds would be mixed.
    names["model.c.weight"] = Named("model.c.weight", (2, 3))
    names["model_ema.cweight"] = Named("model_ema.cweight", (3, 2))
    assert averaged_of(names) == {}


def test_nothing_is_seen_otherwise_without_reason(tmp_path, stored):
    _, averaged, text = stored
    options = Options(1)

    def opened(name, tensors):
        return Checkpoint.open(write_checkpoint(tmp_path / name, tensors))

    both = opened("both", full(*stored))
    plain = opened("plain", f32({**averaged, **text}))
    # Whoever holds both is compared under the names that there are.
    assert seen_averaged(both, both, options) is None
    assert seen_averaged(both, plain, options) is None
    assert seen_averaged(plain, plain, options) is None
    # Nothing is told where nothing is shared, or both are the child's.
    assert seen_averaged(opened("alien", f32({TEXT: text[TEXT]})), both, options) is None
    twice = opened("twice", full(averaged, averaged, text))
    assert seen_averaged(plain, twice, options) is None
    found = seen_averaged(plain, both, options)
    assert (found.tensors, found.equal, found.looked_at) == (5, 5, 5)
    nothing = {name: np.full_like(x, np.nan) for name, x in f32({**averaged, **text}).items()}
    assert seen_averaged(opened("nan", nothing), both, options) is None
