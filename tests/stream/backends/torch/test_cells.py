import numpy as np
import pytest
from common.devices import MODES, related
from parentage import _core

pytestmark = pytest.mark.torch


def spectra(alignment, backend, **changes):
    slices, others = alignment.plan.slices, alignment.plan.columns - 1
    weights = np.random.default_rng(0).normal(0, 0.5, (slices, others))
    weights[0] = 0.0
    asked = {
        "weights": weights,
        "axis": 1,
        "groups": [row % 2 for row in range(slices)],
        "windows": np.array([[-0.5, 1.5], [0.1, 0.7]]),
        "bins": 500,
        "threads": 2,
    }
    found = backend.spectrum(alignment.plan, 0, slices, **(asked | changes))
    names = ["coverage", "intervals", "fixed", "fixed_admitted"]
    return [(n, getattr(found, n).dtype, getattr(found, n).tobytes()) for n in names]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "kinds", [["BF16"] * 4, ["F16"] * 3, ["F32", "BF16", "BF16"], ["F64", "F32", "F8_E4M3"]]
)
def test_spectra_are_the_core_s(tmp_path, backend, kinds, mode):
    alignment = related(tmp_path, kinds, [1, 77, 5000, 100_003], mode, seed=2)
    for changes in ({}, {"axis": 0}, {"widen": 0.25}, {"dtype": "BF16"}, {"axis": 2, "bins": 7}):
        if changes.get("axis", 0) < len(kinds) - 1:
            found, expected = (spectra(alignment, x, **changes) for x in (backend, _core))
            assert found == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"axis": 9},
        {"bins": 0},
        {"windows": np.array([[1.0, 0.0], [0.0, 1.0]])},
        {"groups": [0, 5]},
        {"weights": np.zeros((3, 1))},
    ],
)
def test_what_does_not_fit_is_the_core_s_error(tmp_path, backend, changes):
    alignment = related(tmp_path, ["BF16"] * 3, [70_000, 5], "near", seed=2)
    raised = []
    for each in (backend, _core):
        with pytest.raises((_core.ParentageError, ValueError)) as error:
            spectra(alignment, each, **changes)
        raised.append((type(error.value), str(error.value)))
    assert raised[0] == raised[1]


def test_weights_that_are_no_numbers_are_the_core_s(tmp_path, backend):
    alignment = related(tmp_path, ["BF16"] * 3, [70_000, 5], "near", seed=2)
    weights = np.array([[0.0, np.nan], [1e-250, 1e250]])
    found, expected = (spectra(alignment, x, weights=weights) for x in (backend, _core))
    assert found == expected
