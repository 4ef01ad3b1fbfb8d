"""What containers say is checked by the core, whatever the format."""

import os

import pytest
from parentage.checkpoint.containers.contents import (
    SIZES,
    Contents,
    File,
    Stored,
    quoted,
    require_apart,
    size_of,
    together,
    wrong,
)
from parentage.support import CheckpointError, ReadError


def file(folder, name, size=16):
    path = folder / name
    path.write_bytes(bytes(size))
    return File(path, name, size, path.stat().st_mtime_ns)


def stored(name="a", dtype="F32", shape=(2,), begin=4, end=12, number=0):
    return Stored(name, dtype, shape, begin, end, number)


def test_sizes_are_those_of_shapes_and_of_the_bytes_that_dtypes_say():
    assert {name: size_of((), name) for name in SIZES} == {
        **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
        **dict.fromkeys(("F32", "I32", "U32"), 4),
        **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
        **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
        **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    }
    assert (size_of((2, 3), "F16"), size_of((2, 0), "F64")) == (12, 0)


def core(folder, *tensors):
    return Contents((file(folder, "one"),), tensors).core(folder)


def test_files_and_tensors_are_sorted_by_name(tmp_path):
    files = (file(tmp_path, "b"), file(tmp_path, "a"))
    found = Contents(files, (stored("z"), stored("y", number=1))).core(tmp_path)
    assert [each[1] for each in found.shards()] == ["a", "b"]
    assert [each[1:] for each in found.tensors()] == [
        ("y", "F32", (2,), 0, 4, 12),
        ("z", "F32", (2,), 1, 4, 12),
    ]


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (stored(end=20, shape=(4,)), "leaves the data"),
        (stored(shape=(3,)), "do not have its bytes"),
        (stored(shape=(2**40, 2**40)), "do not have its bytes"),
        (stored(begin=12, end=4), "do not have its bytes"),
        (stored(number=3), "not there"),
        (stored(shape=(1,) * 70 + (2,)), "more dimensions"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(tmp_path, tensor, why):
    with pytest.raises(CheckpointError, match=why) as raised:
        core(tmp_path, tensor)
    assert 'tensor "a": at byte' in str(raised.value)


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="only one can be meant"):
        core(tmp_path, stored(), stored(begin=8, end=16))


def test_a_file_that_was_written_to_meanwhile_is_an_error(tmp_path):
    of = file(tmp_path, "one")
    os.utime(of.path, ns=(0, 10**18))
    with pytest.raises(ReadError, match="while its header was read"):
        Contents((of,), (stored(),)).core(tmp_path)
    of.path.unlink()
    with pytest.raises(ReadError, match="one"):
        Contents((of,), (stored(),)).core(tmp_path)


def test_several_are_one(tmp_path):
    parts = [Contents((file(tmp_path, name),), (stored(name),), (name,)) for name in "ab"]
    found = together(parts)
    assert [each.file for each in found.tensors] == [0, 1]
    assert found.choices == ("a", "b")
    named = found.named("unet.", "unet/")
    assert [each.name for each in named.tensors] == ["unet.a", "unet.b"]
    assert [each.name for each in named.files] == ["unet/a", "unet/b"]


def test_bytes_that_two_have_are_refused(tmp_path):
    require_apart(tmp_path, [("a", 0, 4), ("b", 4, 8), ("c", 2, 2)])
    with pytest.raises(CheckpointError, match='"b": at byte 3: its bytes overlap those of "a"'):
        require_apart(tmp_path, [("b", 3, 8), ("a", 0, 4)])


def test_messages_are_escaped(tmp_path):
    assert quoted("x" * 1000).endswith('x..."')
    assert str(wrong(tmp_path, "a\x1b", tensor='b"\u202e\udc80', offset=3)).isprintable()
