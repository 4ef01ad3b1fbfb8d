"""One table of dtypes: what their bits hold."""

import numpy as np
import pytest
from conftest import DTYPES as NUMPY
from parentage.checkpoint import DTYPES, digits_of, dtype_class, narrowest, rounding_of


def test_it_has_every_dtype_with_arithmetic():
    assert set(DTYPES) == set(NUMPY)


@pytest.mark.parametrize("name", NUMPY)
def test_it_says_what_numpy_says(name):
    kind = np.dtype(NUMPY[name])
    assert DTYPES[name].bytes == kind.itemsize
    assert dtype_class(name) == ("integer" if kind.kind in "iu" else "float")
    digits = digits_of(name)
    if digits is not None:
        one = np.ones((), kind)
        above = (one.view(f"u{kind.itemsize}") + 1).astype(f"u{kind.itemsize}").view(kind)
        assert float(above) == 1.0 + 2.0**-digits
        least = np.array(2.0 ** DTYPES[name].lowest).astype(kind)
        # The stored significand of a power of two is zero, unless it is subnormal.
        stored = (1 << digits) - 1
        assert int(least.view(f"u{kind.itemsize}")) & stored == 0
        assert int((least / 2).astype(kind).view(f"u{kind.itemsize}")) & stored != 0


def test_what_is_not_in_it_has_no_arithmetic():
    for name in ("BOOL", "F4", "C64", "F8_E4M3FNUZ", ""):
        assert dtype_class(name) is None
        assert digits_of(name) is None


@pytest.mark.parametrize(
    ("digits", "name"),
    [(0, "BF16"), (7, "BF16"), (8, "F16"), (10, "F16"), (11, "F32"), (23, "F32"), (52, "F64")],
)
def test_the_narrowest_that_holds_so_many_digits(digits, name):
    assert narrowest(digits) == name


def test_what_no_element_tells_is_rounded_as_it_is_stored():
    assert rounding_of("F32", 0) == "F32"
    assert rounding_of("F32", 7) == "BF16"
    assert rounding_of("F16", 7) == "BF16"
    assert rounding_of("BF16", 10) == "BF16"
