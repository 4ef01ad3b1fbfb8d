from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.torch

SINGLES = st.integers(0, (1 << 32) - 1).map(
    lambda bits: np.array(bits, dtype=np.uint32).view(np.float32).item()
)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(
    lambda x: x == 0 or 2.0**-250 < abs(x) < 2.0**250
)


def nearest(value, mantissa, lowest):
    """The nearest number to a fraction, ties to even, as a fraction."""
    if value == 0:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, lowest) - mantissa)
    return round(value / unit) * unit


def fused(function, torch, dtype, numbers):
    return function(*(torch.tensor([x], dtype=dtype) for x in numbers)).item()


@given(st.tuples(SINGLES, SINGLES, SINGLES))
def test_float32_is_rounded_once(exact, torch, numbers):
    found = fused(exact.fused32, torch, torch.float32, numbers)
    if not np.isfinite(numbers).all():
        with np.errstate(all="ignore"):
            expected = np.float64(numbers[0]) * np.float64(numbers[1]) + np.float64(numbers[2])
        assert np.array_equal(found, expected, equal_nan=True)
        return
    a, b, c = map(Fraction, numbers)
    expected = nearest(a * b + c, 23, -126)
    if abs(expected) >= Fraction(2) ** 128:
        assert found == (np.inf if expected > 0 else -np.inf)
    else:
        assert Fraction(found) == expected


@given(st.tuples(DOUBLES, DOUBLES, DOUBLES), st.sampled_from([None, 0, 1, -1]))
def test_float64_is_rounded_once(exact, torch, numbers, near):
    a, b, c = numbers
    if near is not None:
        # A sum that cancels but for a last place or two.
        c = -a * b * (1 + near * 2.0**-52)
    expected = nearest(Fraction(a) * Fraction(b) + Fraction(c), 52, -1022)
    assert Fraction(fused(exact.fused64, torch, torch.float64, (a, b, c))) == expected


@given(DOUBLES, DOUBLES)
def test_a_sum_and_its_error_are_exact(exact, torch, a, b):
    total, error = exact.two_sum(*(torch.tensor([x], dtype=torch.float64) for x in (a, b)))
    assert Fraction(total.item()) + Fraction(error.item()) == Fraction(a) + Fraction(b)


def test_ties_are_told_from_what_is_next_to_them(exact, torch):
    """1 + (1 - 2^-46) 2^-24 is below the tie that float64 rounds it to."""
    a = torch.tensor([2.0**-24 * (1 + 2.0**-23), -(2.0**-24) * (1 + 2.0**-23), 2.0**-24])
    b = torch.tensor([1 - 2.0**-23, 1 - 2.0**-23, 1.0])
    c = torch.tensor([1.0 + 2.0**-23, 1.0 + 2.0**-23, 1.0 + 2.0**-23])
    found = [1 + 2.0**-23, 1 + 2.0**-23, 1 + 2.0**-22]
    assert exact.fused32(a, b, c).tolist() == found
    # What rounding twice gives.
    assert (a.double() * b.double() + c.double()).float().tolist() != found


def test_what_is_written_over_is_the_third(exact, torch):
    for how in (
        exact.arithmetic(native32=True, native64=True),
        exact.arithmetic(native32=False, native64=False),
    ):
        total = torch.tensor([3.0, 4.0])
        how.into32(torch.tensor([2.0, 0.5]), torch.tensor([5.0, 8.0]), total)
        assert total.tolist() == [13.0, 8.0]
        total = total.double()
        how.into64(total.clone(), total.clone(), total)
        assert total.tolist() == [182.0, 72.0]


def test_a_name_says_what_is_used(exact):
    assert exact.arithmetic(native32=True, native64=False).name == (
        "float32 fused, float64 emulated"
    )


@pytest.mark.slow
def test_compiled_sums_have_the_same_bits(tmp_path, exact):
    """What inductor makes of an emulated fused multiply-add keeps every bit of a pass."""
    from common.devices import gram_differences, related, replays_of
    from parentage.stream.backends.torch import Torch

    backend = Torch("cpu", least=0, compiled=True)
    backend.open().arithmetic = exact.arithmetic(native32=False, native64=False, compiled=True)
    for kinds, mode in ((["BF16"] * 3, "near"), (["F32", "BF16", "F16"], "bits")):
        folder = tmp_path / kinds[0]
        alignment = related(folder, kinds, [5, 4097, 530_003], mode, seed=1)
        assert gram_differences(backend, alignment, replays_of(alignment, kinds[-1])) == []
