"""Reads the pickles that PyTorch writes as descriptions: nothing in them is imported or called.

This is a machine of its own for the opcodes of protocols 2 to 5 (``pickletools`` documents them). A
callable is its name; what it would return is known for the few that tensors are made of, and any
other is refused by name. The library's own unpickler is not used even with its callables barred: a
memo index of four bytes has it ask for gigabytes, and keys that are nested tuples have it hash for
ever.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from parentage.checkpoint.containers.contents import MOST_DIMENSIONS, quoted, wrong
from parentage.support import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_OPCODES = 1 << 22
"""Opcodes of a pickle that are carried out, at most: a tensor takes some 40 of them."""

_LARGEST_KEY = 1 << 60
"""Integers from here on are no keys: they can be chosen so that all have one hash."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Elements that tensors are cut from, which lie behind the pickle or beside it."""

    key: str
    dtype: str | None
    """By its safetensors name; ``None`` for bytes that only tensors have a dtype for."""
    elements: int
    first: int | None = None
    """Its first element in the storage of that key, if it is a part of it: files of before the
    archives have such views."""


@dataclass(frozen=True, slots=True)
class Strided:
    """A tensor: elements of a storage."""

    storage: Storage
    first: int
    """Its first element in the storage."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements from one to the next along each dimension."""
    dtype: str
    """By its safetensors name, or by torch's where safetensors has none."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that no tensor is made of; it is not looked into."""

    what: str


class Attributes(dict[Any, Any]):
    """What a TorchScript module holds, by name."""


@dataclass(frozen=True, slots=True)
class _Global:
    """A callable or class, by its name; never imported."""

    name: str


_DTYPES = {
    "float64": "F64",
    "double": "F64",
    "float32": "F32",
    "float": "F32",
    "float16": "F16",
    "half": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "long": "I64",
    "int32": "I32",
    "int": "I32",
    "int16": "I16",
    "short": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "complex64": "C64",
    "cfloat": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    **{name: name for name in ("complex128", "complex32", "qint8", "quint8", "qint32")},
    **{name: name for name in ("quint4x2", "quint2x4", "float4_e2m1fn_x2")},
}
"""torch's names of dtypes; those without one of safetensors' stand for themselves."""

_STORAGES = {
    f"torch.{kind}Storage": _DTYPES[name]
    for kind, name in {
        "Double": "double",
        "Float": "float",
        "Half": "half",
        "BFloat16": "bfloat16",
        "Long": "long",
        "Int": "int",
        "Short": "short",
        "Char": "int8",
        "Byte": "uint8",
        "Bool": "bool",
        "ComplexFloat": "complex64",
        "ComplexDouble": "complex128",
        "QInt8": "qint8",
        "QUInt8": "quint8",
        "QInt32": "qint32",
        "QUInt4x2": "quint4x2",
        "QUInt2x4": "quint2x4",
    }.items()
}
"""Classes of storages: ``torch/storage.py``, ``_dtype_to_storage_type_map``."""

_UNTYPED = {"torch.storage.UntypedStorage", "torch.UntypedStorage"}

_TENSORS = {
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
}
"""Functions of ``torch/_utils.py`` whose arguments say where a tensor lies."""

_WRAPPED = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.jit._pickle.restore_type_tag",
    "torch.nn.parameter.Buffer",
    "torch.nn.parameter.Parameter",
}
"""Callables that return their first argument, as far as its numbers go."""

_DICTS = {"builtins.dict", "collections.OrderedDict", "collections.defaultdict"}

_SEQUENCES = {
    "builtins.list",
    "builtins.tuple",
    "torch.Size",
    "torch.jit._pickle.build_tensorlist",
}

_OPAQUE = {
    "_codecs.encode",
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.frozenset",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "collections.Counter",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "decimal.Decimal",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "torch.Generator",
    "torch.Tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch.device",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_intlist",
    "torch.serialization._get_layout",
    "types.SimpleNamespace",
    "uuid.UUID",
}
"""What may stand beside tensors, in settings and counters of a training."""

_OPAQUE_PACKAGES = (
    "lightning.",
    "lightning_fabric.",
    "omegaconf.",
    "pytorch_lightning.",
    "torch.optim.",
    "typing.",
)
"""Packages whose objects are settings of a training: their names are read, and nothing else."""

_MODULES = "__torch__."
"""What begins the names of a TorchScript archive's classes."""

_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules that protocol 2 calls as Python 2 did (``_compat_pickle``)."""


class Pickle(NamedTuple):
    """What the first of the pickles says that lie one behind the other."""

    value: object
    bytes: int
    """How long the pickle is."""
    storages: dict[str, Storage]
    """The storages that it names, whole, by key, as it first says of each."""
    asked: tuple[str, ...]
    """Names of the callables and classes that it asks for, in order, each once."""


class CutShortError(IndexError):
    """The bytes end within the pickle."""


def first_pickle(raw: bytes, path: Path, start: int, *, is_whole: bool = True) -> Pickle:
    """Return what the pickle describes that ``raw`` begins with, and how long it is.

    ``start`` is where it begins in the file at ``path``; ``is_whole`` says that there are no more
    bytes of it than ``raw``.

    Raises
    ------
    CheckpointError
        As :func:`read_pickle`.
    CutShortError
        If more bytes are needed, and there are more.
    """
    machine = _Machine(raw, path, start)
    try:
        value = machine.run()
    except (IndexError, struct.error, UnicodeError, ValueError, OverflowError) as error:
        if isinstance(error, CutShortError) and not is_whole:
            raise
        raise machine.wrong("the pickle is damaged") from error
    return Pickle(value, machine.read, machine.storages, tuple(machine.asked))


def asked_by(raw: bytes) -> tuple[str, ...]:
    """Return the callables that a pickle asks for, by name, as far as it can be followed.

    The first that is not known is the last.

    >>> asked_by(b"ccollections\\nOrderedDict\\n)Rcos\\nsystem\\n.")
    ('collections.OrderedDict', 'os.system')
    """
    machine = _Machine(raw, Path("-"), 0)
    # What is damaged, cut short or unknown ends the list.
    with suppress(CheckpointError, ValueError, IndexError, struct.error, OverflowError):
        machine.run()
    return tuple(machine.asked)


def read_pickle(raw: bytes, path: Path, start: int) -> object:
    """Return what a pickle describes: dicts, lists, tuples, plain values, and tensors as places.

    ``start`` is where it begins in the file at ``path``.

    Raises
    ------
    CheckpointError
        If it names a callable that tensors are not made of, or is no whole pickle.
    """
    return first_pickle(raw, path, start).value


class _Machine:
    """The state of reading one pickle: a stack, marks in it, and what was memoised."""

    def __init__(self, raw: bytes, path: Path, start: int) -> None:
        self._raw, self._path, self._start = raw, path, start
        self._at = 0
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.asked: dict[str, None] = {}

    @property
    def read(self) -> int:
        """How many bytes were read."""
        return self._at

    def wrong(self, message: str) -> CheckpointError:
        """Return the error at the byte that was reached."""
        return wrong(self._path, message, offset=self._start + self._at)

    def run(self) -> object:
        """Carry out the opcodes up to the one that ends the pickle."""
        raw, opcodes = self._raw, _OPCODES
        for _ in range(MOST_OPCODES):
            if self._at >= len(raw):
                raise CutShortError
            code = raw[self._at]
            self._at += 1
            if code == _STOP:
                found = self._stack.pop()
                if self._stack or self._marked:
                    raise ValueError
                return found
            act = opcodes.get(code)
            if act is None:
                self._at -= 1
                raise self.wrong(f"the pickle has opcode {code:#x}, which no tensor is saved with")
            act(self)
        raise self.wrong(f"the pickle has more than {MOST_OPCODES:,} opcodes")

    def take(self, count: int) -> bytes:
        """Return the next bytes of the pickle."""
        found = self._raw[self._at : self._at + count]
        if len(found) < count:
            raise CutShortError
        self._at += count
        return found

    def number(self, count: int) -> int:
        """Return the next bytes as an unsigned number, the lowest first."""
        return int.from_bytes(self.take(count), "little")

    def text(self, count: int) -> str:
        """Return as many bytes of text as the next ``count`` bytes say."""
        return self.take(self.number(count)).decode("utf-8")

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Any:
        """Take the last value off the stack."""
        return self._stack.pop()

    def mark(self) -> None:
        """Begin a new stack, until what is on it becomes one value."""
        self._marked.append(self._stack)
        self._stack = []

    def to_mark(self) -> list[Any]:
        """Return what was put on the stack since the last mark."""
        found = self._stack
        self._stack = self._marked.pop()
        return found

    def pop_mark(self) -> None:
        """Forget what was put on the stack since the last mark."""
        self.to_mark()

    def pop_any(self) -> None:
        """Forget the last value, or the last mark if nothing follows it."""
        if self._stack:
            self._stack.pop()
        else:
            self.to_mark()

    def memoise(self, index: int | None = None) -> None:
        """Remember the last value by a number, or by how many are remembered so far."""
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def remembered(self, index: int) -> None:
        """Put a remembered value on the stack."""
        if index not in self._memo:
            raise ValueError
        self._stack.append(self._memo[index])

    def line(self) -> str:
        """Return the text up to the end of the line."""
        end = self._raw.find(b"\n", self._at)
        if end < 0:
            raise CutShortError
        found = self._raw[self._at : end]
        self._at = end + 1
        return found.decode("utf-8")

    def named(self) -> None:
        """Put the callable on the stack that two lines name."""
        module, name = self.line(), self.line()
        self.find(module, name)

    def named_on_stack(self) -> None:
        """Put the callable on the stack that two texts on it name."""
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError
        self.find(module, name)

    def find(self, module: str, name: str) -> None:
        """Put a callable on the stack, by name, if it is one of those that are known."""
        called = f"{_PYTHON_2.get(module, module)}.{name}"
        self.asked[called] = None
        if called.startswith("torch.") and called[6:] in _DTYPES:
            self.push(_Dtype(_DTYPES[called[6:]]))
        elif called in _KNOWN or called.startswith((_MODULES, *_OPAQUE_PACKAGES)):
            self.push(_Global(called))
        else:
            raise self.wrong(
                f"the pickle asks for {quoted(called)}, which is none of what tensors are made of, "
                "and is never imported: save the state_dict alone"
            )

    def storage(self) -> None:
        """Put the storage on the stack that a persistent id describes.

        It is ``("storage", class, key, location, elements)``; before the archives there is one
        more, ``None`` or ``(key of the view, first element, elements)``.
        """
        given = self.pop()
        if not isinstance(given, tuple) or len(given) not in (5, 6) or given[0] != "storage":
            raise self.wrong("the pickle has a persistent id that is no storage of torch's")
        kind, key, elements = given[1], given[2], given[4]
        if isinstance(kind, _Dtype):
            kind = _Global(f"torch.{kind.name}")
        is_known = isinstance(kind, _Global) and (kind.name in _STORAGES or kind.name in _UNTYPED)
        if not is_known or not isinstance(key, str) or not _is_size(elements):
            raise self.wrong("the pickle has a persistent id that is no storage of torch's")
        whole = Storage(key, _STORAGES.get(kind.name), elements)
        self.storages.setdefault(key, whole)
        self.push(whole if len(given) == 5 or given[5] is None else self.view(whole, given[5]))

    def view(self, whole: Storage, given: object) -> Storage:
        """Return the part of a storage that is a view of it; views of views are not nested."""
        is_view = isinstance(given, tuple) and len(given) == 3 and all(map(_is_size, given[1:]))
        if not is_view or not isinstance(given, tuple):
            raise self.wrong(
                f"the pickle has a view of {quoted(whole.key)} that is none of torch's"
            )
        _, first, elements = given
        if first + elements > whole.elements:
            raise self.wrong(
                f"the pickle has a view of {elements:,} elements from element {first:,} on of the "
                f"storage {quoted(whole.key)}, which has {whole.elements:,}"
            )
        return replace(whole, elements=elements, first=first)

    def reduce(self) -> None:
        """Put on the stack what a known callable returns for a tuple of arguments."""
        arguments, called = self.pop(), self.pop()
        self.push(self.returned(called, arguments))

    def returned(self, called: object, arguments: object) -> object:
        """Return what a known callable returns, as far as it says where tensors lie."""
        if not isinstance(called, _Global) or not isinstance(arguments, tuple):
            raise self.wrong("the pickle calls what is no callable")
        name = called.name
        if name in _TENSORS:
            return self.tensor(name, arguments)
        if name in _WRAPPED:
            return arguments[0]
        if name == "torch._tensor._rebuild_from_type_v2":
            return self.returned(arguments[0], arguments[2])
        if name in _DICTS:
            return self.dictionary(arguments)
        if name in _SEQUENCES and arguments and isinstance(arguments[0], (list, tuple)):
            return tuple(arguments[0])
        if name.startswith(_MODULES):
            return Attributes()
        return Opaque(name)

    def dictionary(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """Return the dict of pairs, or an empty one."""
        out: dict[Any, Any] = {}
        pairs = arguments[0] if arguments and isinstance(arguments[0], (list, tuple)) else ()
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise ValueError
            out[_key(pair[0])] = pair[1]
        return out

    def tensor(self, name: str, arguments: tuple[Any, ...]) -> Strided:
        """Return where a tensor lies: storage, first element, shape, strides, and v3's dtype."""
        if len(arguments) < 4 or not isinstance(arguments[0], Storage):
            raise self.wrong("the pickle has a tensor without a storage")
        storage, first, shape, strides = arguments[:4]
        dtype = storage.dtype
        if name.endswith("_v3") and len(arguments) > 6 and isinstance(arguments[6], _Dtype):
            dtype = arguments[6].name
        is_sound = (
            _is_size(first)
            and all(isinstance(each, (tuple, list)) for each in (shape, strides))
            and len(shape) == len(strides) <= MOST_DIMENSIONS
            and all(map(_is_size, shape))
            and all(map(_is_size, strides))
        )
        if not is_sound or dtype is None:
            raise self.wrong("the pickle has a tensor of no shape, strides or dtype")
        return Strided(storage, first, tuple(shape), tuple(strides), dtype)

    def made(self) -> None:
        """Put an object on the stack that has no attributes yet."""
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, _Global):
            raise self.wrong("the pickle makes an object of what is no class")
        is_plain = called.name.startswith(_MODULES) or called.name in _DICTS | _SEQUENCES
        self.push(self.returned(called, arguments) if is_plain else Opaque(called.name))

    def made_with_keywords(self) -> None:
        """As :meth:`made`; what keywords say is of no tensor."""
        self.pop()
        self.made()

    def built(self) -> None:
        """Give attributes to the last object; only those of TorchScript's modules are tensors."""
        state, of = self.pop(), self._stack[-1]
        if isinstance(of, Attributes) and isinstance(state, dict):
            of.update(state)

    def append(self) -> None:
        """Add a value to the last list."""
        value = self.pop()
        self._add([value])

    def appends(self) -> None:
        """Add all since the mark to the last list."""
        self._add(self.to_mark())

    def _add(self, values: list[Any]) -> None:
        of = self._stack[-1]
        if isinstance(of, list):
            of.extend(values)
        elif not isinstance(of, Opaque):
            raise ValueError

    def item(self) -> None:
        """Set an item of the last dict."""
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def items(self) -> None:
        """Set all since the mark, keys and values by turns, in the last dict."""
        self._set(self.to_mark())

    def _set(self, values: list[Any]) -> None:
        of = self._stack[-1]
        if isinstance(of, dict):
            of.update(zip(map(_key, values[::2]), values[1::2], strict=True))
        elif not isinstance(of, Opaque):
            raise ValueError

    def last(self, count: int) -> None:
        """Make one tuple of the last values."""
        if len(self._stack) < count:
            raise IndexError
        found = tuple(self._stack[-count:])
        del self._stack[-count:]
        self.push(found)


@dataclass(frozen=True, slots=True)
class _Dtype:
    """A dtype, by its safetensors name."""

    name: str


_KNOWN = frozenset(
    {
        *_STORAGES,
        *_UNTYPED,
        *_TENSORS,
        *_WRAPPED,
        *_DICTS,
        *_SEQUENCES,
        *_OPAQUE,
        "torch._tensor._rebuild_from_type_v2",
    }
)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _key(value: object) -> object:
    """Return a key as it is if it is text or a small number, and else one that is only itself."""
    if isinstance(value, str) or (isinstance(value, int) and abs(value) < _LARGEST_KEY):
        return value
    return _Key()


class _Key:
    """A key that names no tensor."""


def _signed(machine: _Machine, count: int) -> int:
    return int.from_bytes(machine.take(count), "little", signed=True)


def _of_python_2(raw: bytes) -> str | bytes:
    """Return what Python 2 had one type for: text, as ``torch.load`` takes it for, or bytes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


_STOP = ord(".")

_OPCODES: dict[int, Callable[[_Machine], object]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): _Machine.mark,
    ord("0"): _Machine.pop_any,
    ord("1"): _Machine.pop_mark,
    ord("2"): lambda m: m.push(m._stack[-1]),  # DUP
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("J"): lambda m: m.push(_signed(m, 4)),  # BININT
    ord("K"): lambda m: m.push(m.number(1)),  # BININT1
    ord("M"): lambda m: m.push(m.number(2)),  # BININT2
    0x8A: lambda m: m.push(_signed(m, m.number(1))),  # LONG1
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),  # BINFLOAT
    ord("X"): lambda m: m.push(m.text(4)),  # BINUNICODE
    0x8C: lambda m: m.push(m.text(1)),  # SHORT_BINUNICODE
    0x8D: lambda m: m.push(m.text(8)),  # BINUNICODE8
    ord("T"): lambda m: m.push(_of_python_2(m.take(m.number(4)))),  # BINSTRING
    ord("U"): lambda m: m.push(_of_python_2(m.take(m.number(1)))),  # SHORT_BINSTRING
    ord("B"): lambda m: m.push(m.take(m.number(4))),  # BINBYTES
    ord("C"): lambda m: m.push(m.take(m.number(1))),  # SHORT_BINBYTES
    0x8E: lambda m: m.push(m.take(m.number(8))),  # BINBYTES8
    0x96: lambda m: m.push(m.take(m.number(8))),  # BYTEARRAY8
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.to_mark())),
    0x85: lambda m: m.last(1),
    0x86: lambda m: m.last(2),
    0x87: lambda m: m.last(3),
    ord("]"): lambda m: m.push([]),
    ord("l"): lambda m: m.push(m.to_mark()),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda m: m.push({}),
    ord("s"): _Machine.item,
    ord("u"): _Machine.items,
    0x8F: lambda m: m.push(Opaque("builtins.set")),  # EMPTY_SET
    0x90: _Machine.appends,  # ADDITEMS
    0x91: lambda m: m.push(Opaque(f"frozenset of {len(m.to_mark())}")),  # FROZENSET
    ord("q"): lambda m: m.memoise(m.number(1)),  # BINPUT
    ord("r"): lambda m: m.memoise(m.number(4)),  # LONG_BINPUT
    0x94: lambda m: m.memoise(),
    ord("h"): lambda m: m.remembered(m.number(1)),  # BINGET
    ord("j"): lambda m: m.remembered(m.number(4)),  # LONG_BINGET
    ord("c"): _Machine.named,  # GLOBAL
    0x93: _Machine.named_on_stack,  # STACK_GLOBAL
    ord("R"): _Machine.reduce,
    0x81: _Machine.made,  # NEWOBJ
    0x92: _Machine.made_with_keywords,  # NEWOBJ_EX
    ord("b"): _Machine.built,  # BUILD
    ord("Q"): _Machine.storage,  # BINPERSID
}
