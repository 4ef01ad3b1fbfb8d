"""Programs carried out in numpy, and the masks that their results tell."""

import numpy as np
import pytest
from common.carried import LITTLE, recipe_of
from common.families import stored
from common.masked import BOTH, Case, findings, found, merged
from conftest import opened
from parentage.hypothesise import count_matches
from parentage.hypothesise.recognise.masks.interpreted import interpreted, known_masks, outcomes
from parentage.hypothesise.recognise.masks.mixture import find_mixture
from parentage.hypothesise.recognise.masks.view import View
from parentage.hypothesise.recognise.masks.weights import unscaled_recipe
from parentage.stream import Program

METHODS = {
    "ties": ({"one": 0.6, "two": 0.3}, {"lambda": 0.8}),
    "dare_ties": ({"one": 0.6, "two": 0.3}, {"normalize": True}),
    "dare_linear": ({"one": 0.6, "two": 0.3}, {}),
    "breadcrumbs": ({"one": 0.6, "two": 0.3}, {}),
    "sce": ({"one": None, "two": None}, {}),
    "ram": ({"one": None, "two": None}, {}),
    "nearswap": ({"one": None}, {"t": 0.01}),
    "arcee_fusion": ({"one": None}, {}),
}


@pytest.mark.parametrize("arithmetic", BOTH)
@pytest.mark.parametrize("method", METHODS)
def test_the_interpreter_finds_as_many_as_the_core(tmp_path, method, arithmetic):
    weights, parameters = METHODS[method]
    names = ("base", "one", "two")
    # A child of whose elements some are reproduced, some by one choice alone, and some are not.
    rng = np.random.default_rng(3)
    child = {
        tensor: np.where(rng.random(x.shape) < 0.5, x, LITTLE["two"][tensor])
        for tensor, x in LITTLE["one"].items()
    }
    checkpoints = [opened(tmp_path, "child", stored(child))]
    checkpoints += [opened(tmp_path, name, stored(LITTLE[name])) for name in names]
    f = found(checkpoints, names)
    edges = {f"{edge}:{name}": 0.01 for edge in ("low", "high") for name in weights}
    fitted = {name: dict.fromkeys(LITTLE["base"], x) for name, x in edges.items()}
    recipe = recipe_of(
        method,
        weights,
        "base",
        parameters=parameters,
        arithmetic=arithmetic,
        fitted=fitted if method in ("ties", "breadcrumbs") else {},
    )
    view = View(f, f.sample, arithmetic)
    ours = np.any(outcomes(f, view, recipe), axis=0)
    (theirs,) = count_matches([recipe], f.sample, f)
    by_slice = np.bincount(view.owner[~ours], minlength=view.slices)
    assert by_slice.tolist() == theirs.mismatched[:, 0].tolist()
    assert len(ours) == sum(x.size for x in child.values())


def test_every_operation_is_one_of_float32():
    program = Program(2)
    a, b = program.column(0), program.column(1)
    scalar = program.scalar([0.1, 0.3])
    results = [
        *(a + b, a - b, a * b, a / b, abs(a), a > b, a >= b),
        *(program.maximum(a, b), program.minimum(a, b), program.select(a - b, a, scalar)),
        *((a * scalar).round("BF16"), (a * scalar).round("F16")),
    ]
    values = np.array([[1.25, 3.1], [-2.0, -2.0], [7.1, 0.5]])
    x, y = values.astype(np.float32).T
    s = np.array([0.1, 0.3, 0.3], np.float32)
    found_ = interpreted(program, [each.number for each in results], values, np.array([0, 1, 1]))
    expected = [
        *(x + y, x - y, x * y, x / y, np.abs(x), x > y, x >= y),
        *(np.maximum(x, y), np.minimum(x, y), np.where(x != y, x, s)),
    ]
    for one, two in zip(found_, expected, strict=False):
        assert one.dtype == np.float32
        assert one.tolist() == two.astype(np.float32).tolist()
    assert found_[11].tolist() == (x * s).astype(np.float16).astype(np.float32).tolist()
    assert found_[10] == pytest.approx(x * s, rel=2**-8)


def test_masks_that_are_known_follow_their_thresholds(tmp_path):
    case = Case("breadcrumbs", (0.6, 0.4), 0.5, parameters={"gamma": 0.0})
    f = findings(tmp_path, merged(case), ("base", "one", "two"))
    mixture = find_mixture(f)
    kept, dropped, explained = known_masks(f, mixture, unscaled_recipe(f, mixture))
    assert explained.mean() > 0.999
    assert not (kept & dropped).any()
    sizes = np.abs(mixture.view.deltas[mixture.axes])
    for size, yes, no in zip(sizes, kept, dropped, strict=True):
        # Half of the displacements, the larger ones, were kept.
        middle = np.median(size)
        assert (size[yes] > 0.9 * middle).mean() > 0.98
        assert (size[no] < 1.1 * middle).mean() > 0.98
