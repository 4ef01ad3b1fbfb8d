"""ONNX: tensors of a model's graph, in the file or in files beside it.

Format: ``onnx/onnx.proto3``, read as protocol buffers are encoded (protobuf.dev, "Encoding"):
fields of a number and a wire type. Only what leads to tensors is looked into.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint.containers.contents import (
    MOST_DIMENSIONS,
    MOST_TENSORS,
    Contents,
    File,
    Stored,
    of_another_size,
    quoted,
    size_of,
)
from parentage.checkpoint.containers.places import inside
from parentage.checkpoint.containers.reading import Reader
from parentage.checkpoint.encodings import Encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_MODEL = {
    1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES, 8: _BYTES,
    14: _BYTES, 20: _BYTES, 25: _BYTES, 26: _BYTES,
}  # fmt: skip
"""Wire types of ModelProto's fields."""

_GRAPH, _VERSION, _PROPERTIES = 7, 1, 14

DTYPES = {
    1: "F32",
    2: "U8",
    3: "I8",
    4: "U16",
    5: "I16",
    6: "I32",
    7: "I64",
    9: "BOOL",
    10: "F16",
    11: "F64",
    12: "U32",
    13: "U64",
    14: "C64",
    16: "BF16",
    17: "F8_E4M3",
    18: "F8_E4M3FNUZ",
    19: "F8_E5M2",
    20: "F8_E5M2FNUZ",
    24: "F8_E8M0",
}
"""TensorProto.DataType, by safetensors names."""

_ENCODED = {
    8: "STRING", 15: "COMPLEX128", 21: "UINT4", 22: "INT4", 23: "FLOAT4E2M1", 25: "UINT2",
    26: "INT2",
}  # fmt: skip
"""Types of ONNX that have no dtype here."""

_IN_PLACE = {(4, 1), (4, 14), (10, 11)}
"""Typed fields whose bytes, if packed, are the numbers, by field and data type."""

_TYPED = {4: "float_data", 5: "int32_data", 6: "string_data", 7: "int64_data", 10: "double_data",
          11: "uint64_data"}  # fmt: skip

_OF_OPERATORS = {6, 7, 9}
"""Types of constants that say what operators do, as shapes, axes and indices: integers of 32 and 64
bits, and truth values."""

MOST_FIELDS = 1 << 22
"""Fields that are looked at, at most: a graph of 100,000 nodes has some 2 million."""

_MOST_HELD = 1 << 12
"""Attributes of a node, and tensors or graphs of an attribute, at most."""

_MOST_PAIRS = 1 << 10
"""Entries of metadata that are kept."""

_MOST_NESTED = 16
"""Graphs within each other, at most."""

_MOST_TEXT = 1 << 16


class _Field(NamedTuple):
    """A field of a message: its number, and its value or where its bytes lie."""

    number: int
    wire: int
    value: int
    """Of a number; of bytes, the first of them in the file."""
    end: int
    """The byte past it."""


def serves(file: Reader) -> bool:
    """Return whether a file reads as a model of ONNX from its first byte to its last."""
    if not file.size or file.at(0, 1)[0] not in (0x08, 0x3A, 0x12):
        return False
    seen = set()
    try:
        for field in _Walk(file, most=256).fields(0, file.size):
            if _MODEL.get(field.number) != field.wire:
                return False
            seen.add(field.number)
    except _Damaged:
        return False
    return {_VERSION, _GRAPH} <= seen


def read(file: Reader) -> Contents:
    """Return the initialisers of a model's graph, and of graphs within it, and constants of nodes.

    Tensors of a graph within another begin with the name of the node that holds it; a constant is
    called as the output of its node.

    Raises
    ------
    CheckpointError
        If it is damaged, or a file that holds a tensor of it is not there or leaves the folder.
    """
    return _Model(file).contents()


class _Damaged(Exception):  # noqa: N818
    """A message that does not read as one; where, and what is wrong."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at, self.message = at, message


class _Walk:
    """Goes through the fields of messages, some at most."""

    def __init__(self, file: Reader, most: int | None = None) -> None:
        self.file, self._left = file, MOST_FIELDS if most is None else most

    def fields(self, at: int, end: int) -> Iterator[_Field]:
        """Yield the fields of the message that lies in a range of bytes."""
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise _Damaged(at, "it has more fields than any model")
            start = at
            tag, at = self._varint(at, end)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                value, at = self._varint(at, end)
                yield _Field(number, wire, value, at)
                continue
            if wire == _BYTES:
                size, at = self._varint(at, end)
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
            else:
                raise _Damaged(start, f"a field has the unknown wire type {wire}")
            if at + size > end:
                raise _Damaged(start, f"a field of {size:,} bytes leaves its message")
            yield _Field(number, wire, at, at + size)
            at += size

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        raw = self.file.at(at, min(10, end - at))
        value = 0
        for position, byte in enumerate(raw):
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + position + 1
        raise _Damaged(at, "a number does not end")

    def text(self, field: _Field) -> str:
        """Return the text that a field holds."""
        size = field.end - field.value
        if field.wire != _BYTES or size > _MOST_TEXT:
            raise _Damaged(field.value, f"a name has {size:,} bytes")
        return self.file.at(field.value, size).decode("utf-8", "backslashreplace")

    def numbers(self, field: _Field) -> list[int]:
        """Return the numbers that a field holds, one or packed."""
        if field.wire == _VARINT:
            return [field.value]
        out: list[int] = []
        at = field.value
        while at < field.end:
            value, at = self._varint(at, field.end)
            out.append(value)
            if len(out) > MOST_DIMENSIONS:
                raise _Damaged(field.value, f"it has more than {MOST_DIMENSIONS} dimensions")
        return out


class _Model:
    """Collects the tensors of a model."""

    def __init__(self, file: Reader) -> None:
        self.file, self.walk = file, _Walk(file)
        self.tensors: list[Stored] = []
        self.metadata: list[tuple[str, str]] = []
        self.left = 0
        """Constants of nodes that are left out."""
        self.files: list[File] = []
        self.beside: dict[str, int] = {}
        """Numbers of the files that hold tensors of it, by location."""

    def contents(self) -> Contents:
        try:
            for field in self.walk.fields(0, self.file.size):
                if field.number == _GRAPH:
                    self.graph(field, "", 0)
                elif field.number == _PROPERTIES and len(self.metadata) < _MOST_PAIRS:
                    self.metadata.append(self.pair(field))
        except _Damaged as error:
            raise self.file.wrong(error.message, error.at) from error
        main = self.file.as_file(self.file.path.name, tuple(self.metadata))
        said = (
            "constants of nodes that are integers, as shapes and axes, or that fill a shape, are "
            f"not read ({self.left:,})"
        )
        choices = (said,) if self.left else ()
        return Contents((main, *self.files), tuple(self.tensors), choices)

    def graph(self, field: _Field, prefix: str, depth: int) -> None:
        """Collect the tensors of a graph."""
        if depth > _MOST_NESTED:
            raise _Damaged(field.value, f"more than {_MOST_NESTED} graphs lie within each other")
        for each in self.walk.fields(field.value, field.end):
            if each.wire != _BYTES:
                continue
            if each.number == 5:
                self.tensors.append(self.tensor(each, prefix, None)[0])
            elif each.number == 1:
                self.node(each, prefix, depth)
            elif each.number == 15:
                self.sparse(each, prefix)

    def node(self, field: _Field, prefix: str, depth: int) -> None:
        """Collect the tensors that a node holds: its graphs', and that of a constant."""
        output = name = kind = ""
        attributes: list[_Field] = []
        for each in self.walk.fields(field.value, field.end):
            if each.number == 2 and not output:
                output = self.walk.text(each)
            elif each.number == 3:
                name = self.walk.text(each)
            elif each.number == 4:
                kind = self.walk.text(each)
            elif each.number == 5 and each.wire == _BYTES:
                attributes.append(each)
            if len(attributes) > _MOST_HELD:
                raise _Damaged(field.value, f"a node has more than {_MOST_HELD:,} attributes")
        for attribute in attributes:
            called = ""
            held: list[_Field] = []
            for each in self.walk.fields(attribute.value, attribute.end):
                if each.number == 1:
                    called = self.walk.text(each)
                elif each.number in (5, 6, 10, 11) and each.wire == _BYTES:
                    held.append(each)
                if len(held) > _MOST_HELD:
                    raise _Damaged(attribute.value, f"it holds more than {_MOST_HELD:,} tensors")
            for each in held:
                within = f"{prefix}{name or output or kind}.{called}"
                if each.number in (6, 11):
                    self.graph(each, f"{within}.", depth + 1)
                else:
                    is_constant = kind == "Constant" and each.number == 5
                    called = f"{prefix}{output}" if is_constant else within
                    stored, data = self.tensor(each, "", called)
                    if data in _OF_OPERATORS or kind == "ConstantOfShape":
                        self.left += 1
                    else:
                        self.tensors.append(stored)

    def sparse(self, field: _Field, prefix: str) -> None:
        """Collect the values and indices of a sparse tensor, which say nothing by themselves."""
        shape: list[int] = []
        for each in self.walk.fields(field.value, field.end):
            if each.number == 3:
                shape += self.walk.numbers(each)
        for each in self.walk.fields(field.value, field.end):
            if each.number in (1, 2) and each.wire == _BYTES:
                ending = ".indices" if each.number == 2 else ""
                found, _ = self.tensor(each, prefix, None, ending)
                encoding = Encoding("a sparse tensor", tuple(shape))
                self.tensors.append(
                    Stored.as_bytes(found.name, found.begin, found.end, encoding, found.file)
                )

    def tensor(
        self, field: _Field, prefix: str, called: str | None, ending: str = ""
    ) -> tuple[Stored, int]:
        """Return a tensor, and its data type.

        Its name is ``called``, or its own with what is before and after.
        """
        walk, kind, name, location = self.walk, 0, "", 0
        sizes: list[int] = []
        beside: dict[str, str] = {}
        data: list[_Field] = []
        for each in walk.fields(field.value, field.end):
            if each.number == 1 and len(sizes) <= MOST_DIMENSIONS:
                sizes += walk.numbers(each)
            elif each.number == 2 and each.wire == _VARINT:
                kind = each.value
            elif each.number == 8:
                name = walk.text(each)
            elif each.number == 13 and each.wire == _BYTES and len(beside) < _MOST_HELD:
                beside.update([self.pair(each)])
            elif each.number == 14 and each.wire == _VARINT:
                location = each.value
            elif len(data) < 2 and (each.number in _TYPED or each[:2] == (9, _BYTES)):
                data.append(each)
        name = f"{prefix}{name}{ending}" if called is None else called
        if len(sizes) > MOST_DIMENSIONS or len(self.tensors) >= MOST_TENSORS:
            raise self.file.wrong("it has too many dimensions, or tensors", field.value, name)
        shape = tuple(sizes)
        if any(each >= 1 << 63 for each in shape):
            raise self.file.wrong("a dimension is negative", field.value, name)
        if kind not in DTYPES and kind not in _ENCODED:
            raise self.file.wrong(f"its data type {kind:,} is none of ONNX's", field.value, name)
        stored = (
            self.external(name, kind, shape, beside, field.value)
            if location == 1
            else self.internal(name, kind, shape, data, field.value)
        )
        return stored, kind

    def internal(
        self, name: str, kind: int, shape: tuple[int, ...], data: list[_Field], at: int
    ) -> Stored:
        """Return where the bytes of a tensor lie that is held in the file."""
        dtype = DTYPES.get(kind)
        if not data:
            if prod(shape) and dtype is not None:
                raise self.file.wrong(f"its shape {list(shape)} has no data", at, name)
            return Stored(name, dtype or "U8", shape if dtype else (0,), at, at)
        first = data[0]
        begin, end = first.value, first.end
        if first.wire != _BYTES:
            # One number that is not packed lies before the end of its field.
            begin = end
        is_in_place = first.number == 9 or (first.number, kind) in _IN_PLACE
        if dtype is None:
            encoding = Encoding(_ENCODED[kind], shape)
        elif len(data) > 1 or not is_in_place or first.wire != _BYTES:
            encoding = Encoding(f"ONNX's {_TYPED.get(first.number, 'raw_data')}", shape)
        elif end - begin != size_of(shape, dtype):
            has = f"it has {end - begin:,} bytes"
            raise self.file.wrong(of_another_size(has, shape, dtype), begin, name)
        else:
            return Stored(name, dtype, shape, begin, end)
        return Stored.as_bytes(name, begin, end, encoding)

    def external(
        self, name: str, kind: int, shape: tuple[int, ...], beside: dict[str, str], at: int
    ) -> Stored:
        """Return where the bytes of a tensor lie that is held in a file beside the model."""
        location = beside.get("location", "")
        if location not in self.beside:
            path = inside(self.file.path, location, name)
            with Reader(path) as found:
                self.files.append(found.as_file(location))
            self.beside[location] = len(self.files)
        number = self.beside[location]
        size = self.files[number - 1].bytes
        begin = self.said_size(beside.get("offset", "0"), name, at)
        dtype = DTYPES.get(kind)
        needed = 0 if dtype is None else size_of(shape, dtype)
        said = beside.get("length")
        length = needed if said is None else self.said_size(said, name, at)
        if dtype is not None and length != needed:
            has = f"it has {length:,} bytes in {quoted(location)}"
            raise self.file.wrong(of_another_size(has, shape, dtype), at, name)
        end = begin + length
        if end > size:
            raise self.file.wrong(
                f"it ends at byte {end:,} of {quoted(location)}, which has {size:,}", at, name
            )
        if dtype is not None:
            return Stored(name, dtype, shape, begin, end, number)
        return Stored.as_bytes(name, begin, end, Encoding(_ENCODED[kind], shape), number)

    def said_size(self, text: str, name: str, at: int) -> int:
        """Return a number of bytes that a text says."""
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise self.file.wrong(f"{quoted(text)} is no number of bytes", at, name)
        return int(text)

    def pair(self, field: _Field) -> tuple[str, str]:
        """Return key and value of a StringStringEntryProto."""
        key = value = ""
        for each in self.walk.fields(field.value, field.end):
            if each.number == 1:
                key = self.walk.text(each)
            elif each.number == 2:
                value = self.walk.text(each)
        return key, value
