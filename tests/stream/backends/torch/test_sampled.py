import numpy as np
import pytest
from common.devices import gram_differences, related

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("kinds", [["BF16"] * 4, ["F32", "F16", "BF16"], ["BF16", "F32", "F64"]])
@pytest.mark.parametrize("mode", ["bits", "near", "far"])
def test_what_first_elements_show_has_the_core_s_bits(tmp_path, backend, kinds, mode):
    # Blocks shorter than what is looked at, and slices of one, four and sixteen that are.
    alignment = related(tmp_path, kinds, [3, 1000, 8192, 20_001, 70_000], mode, seed=7)
    assert gram_differences(backend, alignment) == []


def test_bins_are_those_of_whole_units_and_of_binades(torch, sampled):
    ratios = [0.0, 0.4999, 0.5, 1.49, 1.5, 32.4, 32.5, 63.9, 64.0, 128.0, 1e300, np.inf]
    found = sampled._bins(torch.tensor(ratios, dtype=torch.float64)).tolist()
    assert found == [0, 1, 2, 2, 3, 33, 34, 34, 35, 36, 47, 47]


def test_precision_is_of_bits_after_the_leading_one(torch, sampled):
    values = torch.tensor([[1.0, 2.0, 0.0], [1.5, 1.0, 0.0], [1.0, 1 + 2.0**-52, 0.0]]).double()
    values[2, 1] = 1 + 2.0**-52
    assert sampled._precision(values).tolist() == [0, 1, 52]
