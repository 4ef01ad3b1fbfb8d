"""Pickles are read as descriptions: nothing of them is called, and none is read without end."""

import os
import pickle
import pickletools
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from common.containers import Call, Cut, Named, torch_pickle
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.containers.pickles import Opaque, Storage, Strided, read_pickle
from parentage.support import CheckpointError

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def read(raw):
    return read_pickle(raw, "file.pt", 100)


def refused(raw, *parts):
    with pytest.raises(CheckpointError) as raised:
        read(raw)
    message = str(raised.value)
    assert message.startswith("file.pt: at byte ")
    for part in parts:
        assert part in message
    assert message.isprintable()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_what_they_are(protocol):
    value = {
        "none": None,
        "yes": True,
        "numbers": [0, 255, 256, 65536, -1, -(2**40), 2**62, 1.5],
        "text": "é" * 300,
        "bytes": b"x" * 300 if protocol > 2 else 0,
        "pairs": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        3: OrderedDict(a=1),
    }
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_tensor_is_a_place_in_a_storage(protocol):
    raw, _ = torch_pickle({"w": ARRAY, "v": Cut(ARRAY, 3, (3,), (1,))}, protocol)
    storage = Storage("0", "F32", 6)
    assert read(raw) == {
        "w": Strided(storage, 0, (2, 3), (3, 1), "F32"),
        "v": Strided(storage, 3, (3,), (1,), "F32"),
    }


def test_parameters_and_subclasses_are_their_tensors():
    hooks = OrderedDict()
    parameter = Call("torch._utils._rebuild_parameter", Cut(ARRAY), True, hooks)
    with_state = Call(
        "torch._utils._rebuild_parameter_with_state", Cut(ARRAY), True, hooks, {"x": 1}
    )
    rebuild = Named("torch._utils._rebuild_parameter")
    kind = Named("torch.nn.parameter.Parameter")
    given = (Cut(ARRAY), True, hooks)
    subclass = Call("torch._tensor._rebuild_from_type_v2", rebuild, kind, given, {"state": 1})
    raw, _ = torch_pickle([parameter, with_state, subclass])
    found = read(raw)
    assert {each.shape for each in found} == {(2, 3)}


def test_a_dtype_without_a_storage_of_its_own_is_the_tensors():
    raw, _ = torch_pickle(Cut(ARRAY.view(np.uint8), 0, (4,), (1,)))
    raw = raw.replace(b"ctorch\nByteStorage\n", b"ctorch.storage\nUntypedStorage\n")
    refused(raw, "no shape, strides or dtype")
    raw = raw.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3")
    # The dtype follows the hooks, the last of the arguments' tuple before it is reduced.
    end = raw.rindex(b"t", 0, raw.rindex(b"R"))
    raw = raw[:end] + b"ctorch\nfloat8_e4m3fn\n" + raw[end:]
    assert read(raw).dtype == "F8_E4M3"


@pytest.mark.parametrize(
    "value",
    [
        Call("argparse.Namespace", state={"lr": 0.1}),
        Call("numpy.core.multiarray.scalar", Call("numpy.dtype", "f8"), b"12345678"),
        Call("torch.device", "cuda", 0),
        Call("omegaconf.dictconfig.DictConfig", state={"a": 1}),
        {1, 2},
        frozenset([3]),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_stands_beside_tensors_is_not_looked_into(value, protocol):
    raw, _ = torch_pickle({"w": ARRAY, "x": value}, protocol)
    found = read(raw)
    assert isinstance(found["x"], Opaque)
    assert found["w"].shape == (2, 3)


class System:
    def __reduce__(self):
        return os.system, ("touch /tmp/parentage-was-here",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "builtins.exec",
        "builtins.getattr",
        "builtins.__import__",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch._utils._import_dotted_name",
        "torch.nn.modules.linear.Linear",
        "torch.jit._pickle.build_intlist.__globals__",
        "numpy.f2py.crackfortran.getlincoef",
        "collections.namedtuple",
        "__main__.Model",
        "functools.partial",
    ],
)
def test_a_callable_that_no_tensor_is_made_of_is_refused_by_name(name, protocol):
    raw, _ = torch_pickle({"w": ARRAY, "x": Call(name, "touch /tmp/parentage-was-here")}, protocol)
    refused(raw, f'"{name}"', "never imported")


def test_what_python_would_call_is_not_called(monkeypatch):
    called = []
    raw = pickle.dumps(System())
    monkeypatch.setattr(os, "system", called.append)
    refused(raw, "system")
    refused(b"cos\nsystem\n(S'true'\ntR.", '"os.system"')
    refused(b"(S'true'\nios\nsystem\n.", "opcode")
    assert not called


def test_names_of_python_2_are_those_of_python_3():
    refused(b"\x80\x02c__builtin__\neval\n.", '"builtins.eval"')
    assert isinstance(read(b"\x80\x02c__builtin__\nset\n]\x85R."), Opaque)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02N",
        b"\x80\x02(.",
        b"\x80\x02}K\x01s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02]K\x01K\x02s.",
        b"\x80\x02X\xff\xff\xff\xffa.",
        b"\x80\x02\x8d" + b"\xff" * 8 + b".",
        b"\x80\x02\x96" + b"\xff" * 8 + b".",
        b"\x80\x02h\x05.",
        b"\x80\x02ccollections\nOrderedDict",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        b"\x80\x02X\x03\x00\x00\x00\xed\xb2\x80.",
        b"\x80\x04\x93.",
    ],
)
def test_a_damaged_pickle_is_refused(raw):
    refused(raw, "damaged")


@pytest.mark.parametrize(
    "wrong",
    [
        ("module", Named("torch.FloatStorage"), "0", "cpu", 6),
        ("storage", Named("torch.Size"), "0", "cpu", 6),
        ("storage", Named("torch.FloatStorage"), 0, "cpu", 6),
        ("storage", Named("torch.FloatStorage"), "0", "cpu", -6),
        ("storage",),
        "storage",
    ],
)
def test_a_persistent_id_that_is_no_storage_is_refused(wrong):
    raw, _ = torch_pickle(wrong)
    refused(raw[:-1] + b"Q.", "no storage of torch's")


@pytest.mark.parametrize(
    "cut",
    [
        Cut(ARRAY, -1),
        Cut(ARRAY, 0, (2, 3), (3,)),
        Cut(ARRAY, 0, (-2, 3), (3, 1)),
        Cut(ARRAY, 0, (2, 3), (3, -1)),
        Cut(ARRAY, 0, (2.0, 3), (3, 1)),
        Cut(ARRAY, 0, (1,) * 65, (1,) * 65),
        Cut(ARRAY, True),
    ],
)
def test_a_tensor_of_no_shape_is_refused(cut):
    refused(torch_pickle(cut)[0], "no shape, strides or dtype")


def test_a_memo_of_billions_takes_no_memory():
    tracemalloc.start()
    try:
        assert read(b"\x80\x02Nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_keys_that_would_be_hashed_for_ever_are_no_keys():
    # A tuple of twice the tuple before, 200 times: its hash takes 2^200 steps.
    raw = b"\x80\x02}N" + b"2\x86" * 200 + b"K\x01s."
    (value,) = read(raw).values()
    assert value == 1
    keys = b"".join(b"\x8a\x09" + (k * (2**61 - 1)).to_bytes(9, "little") + b"N" for k in range(99))
    assert len(read(b"\x80\x02}(" + keys + b"u.")) == 99


def test_deep_nesting_takes_no_stack():
    depth = 200_000
    found = read(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    for _ in range(depth - 1):
        (found,) = found
    assert found == []
    refused(b"\x80\x02" + b"(" * depth + b"t.", "damaged")


def test_opcodes_without_end_are_refused():
    refused(b"\x80\x02" + b"N0" * (1 << 21) + b"N.", "more than 4,194,304 opcodes")


def test_calls_of_calls_end():
    raw = b"\x80\x02ccollections\nOrderedDict\n" + b")R)" * 10 + b"."
    refused(raw, "calls what is no callable")


VALID = torch_pickle({"state_dict": {"w": ARRAY, "v": Cut(ARRAY, 1, (2,), (2,))}, "epoch": 3}, 2)[0]


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6))
def test_a_mutated_pickle_is_read_or_refused(changes):
    raw = bytearray(VALID)
    for at, byte in changes:
        raw[at] = byte
    try:
        read(bytes(raw))
    except CheckpointError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        read(b"\x80\x02" + raw)
    except CheckpointError as error:
        assert str(error).isprintable()


def test_every_opcode_has_a_byte_that_pickletools_knows():
    from parentage.checkpoint.containers.pickles import _OPCODES

    known = {ord(each.code): each.name for each in pickletools.opcodes}
    assert set(_OPCODES) <= set(known)
