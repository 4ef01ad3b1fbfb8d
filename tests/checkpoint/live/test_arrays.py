"""NumPy arrays, as they lie in memory."""

import ml_dtypes
import numpy as np
import pytest
from parentage.checkpoint.live.arrays import Refused, lent_array

ACCEPTED = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz, "I8": np.int8, "U8": np.uint8, "I16": np.int16,
    "U16": np.uint16, "I32": np.int32, "U32": np.uint32, "I64": np.int64, "U64": np.uint64,
    "BOOL": np.bool_, "C64": np.complex64,
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_bits_of_an_array_are_seen_in_place(name):
    array = np.arange(24).reshape(2, 3, 4).astype(ACCEPTED[name])
    for view in (array, array[:, ::-1, ::2], array.T, array[0, 0, 0:1].reshape(()), array[:0]):
        lent = lent_array(view)
        assert lent.dtype == name
        assert lent.bits.dtype.kind == "u"
        assert (lent.bits.shape, lent.bits.strides) == (view.shape, view.strides)
        assert lent.bits.tobytes() == view.tobytes()
        assert lent.bits.size == 0 or np.shares_memory(lent.bits, array)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(2, ">f4"), "big-endian: give .astype"),
        (np.zeros(2, ">i8"), "big-endian"),
        (np.zeros(2, object), "dtype object, which no checkpoint has"),
        (np.zeros(2, complex), "dtype complex128"),
        (np.zeros(2, np.longdouble), "which no checkpoint has"),
        (np.zeros(2, "U3"), "dtype <U3"),
        (np.zeros(2, "S3"), "which no checkpoint has"),
        (np.zeros(2, "datetime64[s]"), "which no checkpoint has"),
        (np.zeros(2, [("a", "f4")]), "which no checkpoint has"),
        (np.zeros(2, "V2"), "which no checkpoint has"),
        (np.zeros(2, ml_dtypes.int4), "dtype int4"),
        (np.zeros(2, ml_dtypes.float4_e2m1fn), "dtype float4_e2m1fn"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "masked array: give .filled()"),
    ],
    ids=lambda each: each if isinstance(each, str) else str(each.dtype),
)
def test_what_no_checkpoint_has_is_refused_with_what_to_do(array, said):
    with pytest.raises(Refused, match=said.replace("(", r"\(").replace(")", r"\)")):
        lent_array(array)


def test_subclasses_are_what_they_are_derived_from(tmp_path):
    mapped = np.memmap(tmp_path / "a", np.float32, "w+", shape=(3, 4))
    mapped[:] = 1.0
    lent = lent_array(mapped)
    assert type(lent.bits) is np.ndarray
    assert np.shares_memory(lent.bits, mapped)
    read_only = np.broadcast_to(np.float32(1.0), (5, 7))
    assert lent_array(read_only).bits.strides == (0, 0)


def test_an_array_that_is_lent_is_not_given_other_memory():
    array = np.ones(1000, np.float32)
    part = array[10:20]
    for each in (array, part):
        lent = lent_array(each)
        with pytest.raises(ValueError, match="resize"):
            array.resize(5)
        # Not even by who says that nobody looks.
        with pytest.raises(ValueError, match="resize"):
            array.resize(5, refcheck=False)
        assert (lent.bits == 0x3F800000).all()
        del lent
    del part, each
    array.resize(5, refcheck=False)
    assert array.shape == (5,)
