"""Numbers are encoded as they were stored, whatever the dtype."""

import numpy as np
import pytest
from conftest import DTYPES
from hypothesis import given
from hypothesis import strategies as st
from parentage.library.bits import ENCODED, decoded_bytes, encode


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_every_byte_is_decoded_as_ml_dtypes_has_it(dtype):
    expected = np.arange(256, dtype=np.uint8).view(DTYPES[dtype]).astype(np.float64)
    np.testing.assert_array_equal(decoded_bytes(dtype), expected)


@pytest.mark.parametrize("dtype", ENCODED)
@given(raw=st.binary(min_size=64, max_size=64))
def test_what_was_decoded_is_encoded_to_the_same_bytes_but_for_nan(dtype, raw):
    stored = np.frombuffer(raw, DTYPES[dtype])
    with np.errstate(invalid="ignore"):
        values = stored.astype(np.float64)
    found = np.frombuffer(encode(values, dtype), DTYPES[dtype])
    known = ~np.isnan(values)
    assert found[known].tobytes() == stored[known].tobytes()
    with np.errstate(invalid="ignore"):
        assert np.isnan(found.astype(np.float64)).tolist() == np.isnan(values).tolist()
