import ml_dtypes
import numpy as np
import pytest
from conftest import DTYPES
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.torch

NARROW = ["BF16", "F16", "F8_E4M3", "F8_E5M2"]


@pytest.mark.parametrize("name", NARROW)
def test_every_number_is_decoded_and_rounded_to_itself(torch, floats, name):
    kind = floats.FLOATS[name]
    bits = np.arange(1 << (8 * kind.width)).astype(f"u{kind.width}")
    raw = torch.from_numpy(bits.view(f"i{kind.width}" if kind.width > 1 else "u1").copy())
    values = floats.decode(raw, name)
    expected = bits.view(DTYPES[name]).astype(np.float32)
    assert np.array_equal(values.numpy(), expected, equal_nan=True)
    is_number = ~np.isnan(expected)
    again = floats.encode(values, name)
    assert (again == raw).numpy()[is_number].all()
    assert floats.rounded(values, name).isnan().numpy().tolist() == (~is_number).tolist()


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=50))
@pytest.mark.parametrize("name", ["BF16", "F16", "F8_E5M2"])
def test_numbers_are_rounded_to_the_nearest(torch, floats, name, bits):
    values = np.array(bits, dtype=np.uint32).view(np.float32)
    values = values[~np.isnan(values)]
    with np.errstate(all="ignore"):
        expected = values.astype(DTYPES[name]).astype(np.float32)
    found = floats.rounded(torch.from_numpy(values), name).numpy()
    assert found.tobytes() == expected.tobytes()


def test_what_is_beyond_f8_e4m3_is_nan_whatever_torch_makes_of_it(torch, floats):
    values = torch.tensor([448.0, 464.0, 464.1, -465.0, 1e9, torch.inf])
    assert floats.encode(values, "F8_E4M3").tolist() == [0x7E, 0x7E, 0x7F, 0xFF, 0x7F, 0x7F]
    assert np.isnan(np.float32(465).astype(ml_dtypes.float8_e4m3fn))


def test_order_has_no_gaps(torch, floats):
    for name in NARROW:
        kind = floats.FLOATS[name]
        bits = torch.arange(1 << (8 * kind.width))
        bits = bits.to(torch.uint8) if kind.width == 1 else bits.to(torch.int16)
        found = floats.order(bits, name)
        half = 1 << (8 * kind.width - 1)
        assert sorted(set(found.tolist())) == list(range(1 - half, half))


def test_magnitudes_beyond_the_limit_are_infinite(torch, floats):
    values = torch.tensor([2.0**499, -(2.0**500), 1e300, torch.nan], dtype=torch.float64)
    found = floats.limited(values).tolist()
    assert found[:3] == [2.0**499, -np.inf, np.inf]
    assert np.isnan(found[3])


def test_the_last_place_is_that_of_the_smallest_normal_number_at_least(torch, floats):
    values = torch.tensor([0.0, 1.0, -3.9, 2.0**-140], dtype=torch.float64)
    assert floats.ulp(values, "BF16").tolist() == [2.0**-133, 2.0**-7, 2.0**-6, 2.0**-133]
