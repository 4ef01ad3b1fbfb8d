"""What a change of basis leaves as it is."""

import numpy as np
import pytest
from common.shipped import trace
from conftest import BF16

pytestmark = pytest.mark.levels


def in_basis(tensors, change):
    """Change the basis of the residual stream, ``change`` being orthogonal, (width, width)."""
    width = len(change)
    out = {}
    for name, array in tensors.items():
        values = array.astype(np.float64)
        if values.ndim == 2 and values.shape[1] == width:
            values = values @ change
        elif values.ndim == 2 and values.shape[0] == width:
            values = change.T @ values
        out[name] = values.astype(BF16)
    return out


def width_of(tensors):
    return next(len(x) for name, x in tensors.items() if "input_layernorm" in name)


@pytest.mark.parametrize("kind", ["signed permutation", "rotation"])
def test_a_change_of_basis_is_no_stranger(tmp_path, family, weights, kind):
    random = np.random.default_rng(5)
    width = width_of(weights["parent"])
    if kind == "rotation":
        change = np.linalg.qr(random.normal(size=(width, width)))[0]
    else:
        change = np.eye(width)[random.permutation(width)] * random.choice([-1.0, 1.0], width)
    found = trace(tmp_path, family, in_basis(weights["parent"], change))
    assert (found.verdict.kind, found.verdict.rule) == ("related", "disguised")
    assert "was not tested" in found.verdict.text


def test_strangers_have_nothing_in_common(tmp_path, family, weights):
    random = np.random.default_rng(2)
    child = {
        name: random.normal(array.mean(), array.std() + 1e-6, array.shape).astype(BF16)
        for name, array in ((name, x.astype(np.float64)) for name, x in weights["base"].items())
    }
    assert trace(tmp_path, family, child).verdict.kind == "unrelated"
