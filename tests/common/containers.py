"""Files as PyTorch, NumPy, llama.cpp and ONNX write them, made without those libraries."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BF16, NAMES
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint
from parentage.support import CheckpointError, ReadError

STORAGES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}
ONNX_TYPES = {"F32": 1, "U8": 2, "I8": 3, "I64": 7, "BOOL": 9, "F16": 10, "F64": 11, "BF16": 16}
GGUF_TYPES = {"F32": 0, "F16": 1, "I8": 24, "I64": 27, "F64": 28, "BF16": 30}


class Named:
    """A callable or class, by its module and name."""

    def __init__(self, name: str) -> None:
        self.module, _, self.name = name.rpartition(".")

    def __call__(self) -> None:
        raise AssertionError("nothing is called")


class Call:
    """What a pickle says that a callable returns."""

    def __init__(self, name: str, *arguments: Any, state: Any = None) -> None:
        self.called, self.arguments, self.state = Named(name), arguments, state


class Cut:
    """A tensor that torch would save: elements of a storage."""

    def __init__(
        self, storage: np.ndarray, first=0, shape=None, strides=None, view: Any = None
    ) -> None:
        self.storage = storage
        self.view = view
        """What the oldest files say of a part of a storage: (name, first, elements)."""
        self.first = first
        self.shape = storage.shape if shape is None else shape
        self.strides = steps(self.shape) if strides is None else strides


def steps(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides, in elements, of a contiguous array."""
    return tuple(int(np.prod(shape[i + 1 :], dtype=int)) for i in range(len(shape)))


class _Pickler(pickle._Pickler):
    """Writes names of callables as they are given, and storages by number."""

    def __init__(self, file: io.BytesIO, protocol: int, is_legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self.is_legacy = is_legacy
        self.storages: dict[int, tuple[str, np.ndarray]] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            if self.proto >= 4:
                super().save(obj.module)
                super().save(obj.name)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save_reduce(obj.called, obj.arguments, obj.state)
        elif isinstance(obj, Cut):
            given = (
                _Storage(obj.storage, obj.view),
                obj.first,
                obj.shape,
                obj.strides,
                False,
                OrderedDict(),
            )
            self.save(Call("torch._utils._rebuild_tensor_v2", *given))
        elif isinstance(obj, np.ndarray):
            self.save(Cut(obj))
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        key, _ = self.storages.setdefault(id(obj.array), (str(len(self.storages)), obj.array))
        kind = Named(f"torch.{STORAGES[NAMES[obj.array.dtype]]}")
        more = (obj.view,) if self.is_legacy else ()
        return ("storage", kind, key, "cpu", obj.array.size, *more)


class _Storage:
    def __init__(self, array: np.ndarray, view: Any) -> None:
        self.array, self.view = array, view


def torch_pickle(value: Any, protocol: int = 2) -> tuple[bytes, dict[str, bytes]]:
    """Return the pickle of a value, and the bytes of its storages by key."""
    file = io.BytesIO()
    pickler = _Pickler(file, protocol)
    pickler.dump(value)
    return file.getvalue(), {key: each.tobytes() for key, each in pickler.storages.values()}


def write_torch(path: Path, value: Any, protocol: int = 2, method=zipfile.ZIP_STORED) -> Path:
    """Write what ``torch.save`` writes of a value, whose arrays are tensors."""
    raw, storages = torch_pickle(value, protocol)
    entries = {"data.pkl": raw, "byteorder": b"little"}
    entries |= {f"data/{key}": each for key, each in storages.items()}
    return write_zip(path, {f"archive/{name}": each for name, each in entries.items()}, method)


TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def torch_legacy(value: Any, protocol: int = 2, **changed: Any) -> bytes:
    """Return what ``torch.save`` wrote of a value before version 1.6.

    ``changed`` replaces the ``magic``, the ``version``, the ``system`` or the ``keys``, or
    ``storages`` by key: pairs of their number of elements and their bytes.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, protocol, is_legacy=True)
    pickler.dump(value)
    found = {key: (each.size, each.tobytes()) for key, each in pickler.storages.values()}
    found |= changed.get("storages", {})
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    head = (
        changed.get("magic", TORCH_MAGIC),
        changed.get("version", 1001),
        changed.get("system", system),
    )
    out = b"".join(pickle.dumps(each, protocol) for each in head) + file.getvalue()
    out += pickle.dumps(changed.get("keys", sorted(found)), protocol)
    return out + b"".join(struct.pack("<q", found[key][0]) + found[key][1] for key in sorted(found))


def write_torch_legacy(path: Path, value: Any, protocol: int = 2, **changed: Any) -> Path:
    """Write what ``torch.save`` wrote of a value before version 1.6."""
    path.write_bytes(torch_legacy(value, protocol, **changed))
    return path


def write_zip(path: Path, entries: Mapping[str, bytes], method=zipfile.ZIP_STORED) -> Path:
    """Write an archive whose local headers are padded, as torch's are to align the data."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, raw in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.extra = struct.pack("<2H", 0x4246, 3) + b"ZZZ"
            archive.writestr(info, raw)
    return path


def gguf_text(text: str) -> bytes:
    """Return a text as GGUF has it."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value: Any) -> bytes:
    """Return a value with its type: a text, a number, or a list of either."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, int):
        return struct.pack("<2I", 4, value)
    inner = [gguf_value(each) for each in value]
    kind = inner[0][:4] if inner else struct.pack("<I", 4)
    return (
        struct.pack("<I", 9)
        + kind
        + struct.pack("<Q", len(inner))
        + b"".join(each[4:] for each in inner)
    )


def gguf_bytes(
    tensors: Mapping[str, np.ndarray | tuple[int, Sequence[int], bytes]],
    metadata: Mapping[str, Any] | None = None,
    version: int = 3,
) -> bytes:
    """Return a GGUF file; a tensor is an array, or its type, shape and bytes."""
    metadata = {"general.architecture": "llama"} | dict(metadata or {})
    alignment = metadata.get("general.alignment", 32)
    head = b"GGUF" + struct.pack("<I2Q", version, len(tensors), len(metadata))
    head += b"".join(gguf_text(key) + gguf_value(value) for key, value in metadata.items())
    data = b""
    for name, each in tensors.items():
        kind, shape, raw = (
            (GGUF_TYPES[NAMES[each.dtype]], each.shape, each.tobytes())
            if isinstance(each, np.ndarray)
            else each
        )
        data += bytes(-len(data) % alignment)
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", kind, len(data))
        data += raw
    return head + bytes(-len(head) % alignment) + data


def varint(value: int) -> bytes:
    """Return a number as protocol buffers have it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """Return a field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def onnx_tensor(name: str, array: np.ndarray, *more: bytes, raw: bool = True) -> bytes:
    """Return a TensorProto, its numbers as raw data unless told otherwise."""
    out = field(1, b"".join(map(varint, array.shape))) if array.ndim else b""
    out += field(2, ONNX_TYPES[NAMES[array.dtype]]) + field(8, name)
    return out + (field(9, array.tobytes()) if raw else b"") + b"".join(more)


def onnx_external(location: str, offset: int | None = None, length: int | None = None) -> bytes:
    """Return the fields of a tensor whose numbers lie in a file beside the model."""
    said = {"location": location, "offset": offset, "length": length}
    pairs = [(k, str(v)) for k, v in said.items() if v is not None]
    return field(14, 1) + b"".join(field(13, field(1, k) + field(2, v)) for k, v in pairs)


def onnx_model(graph: bytes) -> bytes:
    """Return a ModelProto of a graph."""
    return field(1, 8) + field(2, "made") + field(7, graph) + field(8, field(2, 17))


def onnx_bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return a model whose graph has these initialisers, and a node."""
    node = field(1, "x") + field(2, "y") + field(4, "Relu")
    initialisers = [field(5, onnx_tensor(name, each)) for name, each in tensors.items()]
    return onnx_model(field(1, node) + field(2, "graph") + b"".join(initialisers))


def weights(seed: int = 0, dtype=np.float32) -> dict[str, np.ndarray]:
    """Return the tensors of a small model."""
    rng = np.random.default_rng(seed)
    shapes = {
        "model.embed_tokens.weight": (64, 32),
        "model.layers.0.self_attn.q_proj.weight": (32, 32),
        "model.layers.0.mlp.up_proj.weight": (48, 32),
        "model.layers.0.input_layernorm.weight": (32,),
        "lm_head.weight": (64, 32),
    }
    return {name: rng.normal(0, 1, shape).astype(dtype) for name, shape in shapes.items()}


def held(checkpoint, name: str) -> np.ndarray:
    """Return the numbers of a tensor, from where a checkpoint says that they lie."""
    tensor = checkpoint.tensors[name]
    raw = checkpoint.shards[tensor.shard].path.read_bytes()[tensor.begin : tensor.end]
    dtypes = {"F32": np.float32, "F16": np.float16, "BF16": BF16, "F64": np.float64}
    dtypes |= {"I8": np.int8, "U8": np.uint8, "I64": np.int64, "BOOL": bool}
    return np.frombuffer(raw, dtypes[tensor.dtype]).reshape(tensor.shape)


def holds(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Make sure that a checkpoint holds these tensors, bit for bit, and no others."""
    found = Checkpoint.open(path)
    assert list(found.tensors) == sorted(tensors)
    assert not found.encodings
    for name, each in tensors.items():
        assert found.tensors[name].dtype == NAMES[each.dtype]
        assert found.tensors[name].shape == each.shape
        assert held(found, name).tobytes() == each.tobytes()


def refused(path: Path, *parts: str) -> None:
    """Make sure that a path is no checkpoint, and that the error says where and why."""
    with pytest.raises(CheckpointError) as raised:
        Checkpoint.open(path)
    message = str(raised.value)
    for part in parts:
        assert part in message
    assert message.isprintable()


def mutated(data: st.DataObject, raw: bytes) -> bytes:
    """Return a file of which some bytes were changed, and the end cut off, perhaps."""
    changed = bytearray(raw)
    places = st.integers(0, len(raw) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        changed[at] = byte
    return bytes(changed[: data.draw(st.integers(0, len(raw)) | st.none())])


def opened_or_refused(path: Path, raw: bytes) -> None:
    """Check that a file of these bytes is opened, or ends in an error that can be printed."""
    path.write_bytes(raw)
    try:
        Checkpoint.open(path)
    except (CheckpointError, ReadError) as error:
        assert str(error).isprintable()
