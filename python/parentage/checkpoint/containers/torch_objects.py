"""What PyTorch's pickles describe, whichever file they lie in: the model of it, and its tensors."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from parentage.checkpoint.containers.contents import MOST_TENSORS, SIZES, Stored, quoted
from parentage.checkpoint.containers.pickles import Attributes, Strided
from parentage.checkpoint.encodings import Encoding
from parentage.support import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parentage.checkpoint.containers.pickles import Pickle, Storage
    from parentage.checkpoint.containers.reading import Reader

PREFERRED = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "params",
    "net",
    "model_ema",
    "ema_state_dict",
    "params_ema",
    "ema",
)
"""Names of a dictionary that is the model, in a file that holds others as well; the first that
holds tensors is taken, and in it the same is asked again. Averages (``ema``) are taken if nothing
else is there."""

TRAINING = ("optim", "lr_scheduler", "scheduler", "scaler", "rng", "amp", "callbacks", "loops")
"""What begins names of what a training keeps for itself, beside a model."""

_MOST_NESTED = 32
"""Dictionaries within each other, at most."""

_TOLD = 4
"""Names that a sentence gives, at most."""

_WIDE = {"complex128": 16, "complex32": 4, "qint32": 4}
"""Bytes of an element of torch's dtypes that safetensors has no name for, where it is not one."""


def stored_in(
    file: Reader, pickle: Pickle, begin: int, place: Callable[[Storage, str], tuple[int, int]]
) -> tuple[tuple[Stored, ...], tuple[str, ...]]:
    """Return the tensors of the model that a pickle describes, and clauses on what was left.

    ``begin`` is where the pickle begins in the file; ``place`` says, for the tensor of a name,
    where a storage's bytes begin and end.

    Raises
    ------
    CheckpointError
        If it describes no tensor or too many, or one leaves its storage.
    """
    chosen, choices = picked(pickle.value)
    try:
        described = list(tensors_of(chosen))
    except ValueError as error:
        raise file.wrong(str(error), begin) from error
    if len(described) > MOST_TENSORS:
        raise file.wrong(f"it holds {len(described):,} tensors; {MOST_TENSORS:,} is the most")
    if not described:
        raise file.wrong(nothing_in(pickle), begin)
    tensors = tuple(
        _stored(file, name, tensor, place(tensor.storage, name)) for name, tensor in described
    )
    return tensors, tuple(choices)


def nothing_in(pickle: Pickle) -> str:
    """Return the message on a pickle of torch's that describes no tensor.

    >>> from parentage.checkpoint.containers.pickles import Pickle
    >>> nothing_in(Pickle({"epoch": 3}, 20, {}, ()))
    'the pickle describes no tensor'
    """
    if not any(name.startswith("numpy.") for name in pickle.asked):
        return "the pickle describes no tensor"
    return (
        "the pickle describes no tensor, but NumPy arrays, which lie in the pickle itself and are "
        "not read: if you trust whoever made it, load it with torch.load(..., weights_only=False), "
        "which may run code, and write the arrays with safetensors.numpy.save_file"
    )


def picked(value: object) -> tuple[object, list[str]]:
    """Return the part of what a file holds that is the model, and clauses on what was left.

    >>> w = Strided(None, 0, (2,), (1,), "F32")
    >>> chosen, said = picked({"epoch": 3, "state_dict": {"a": w}, "optimizer": {"s": w}})
    >>> list(chosen), said
    (['a'], ['the tensors of "state_dict" are read, and those of "optimizer" are not'])
    """
    path: list[str] = []
    left: list[str] = []
    holds = _Holds()
    while isinstance(value, dict) and len(path) < _MOST_NESTED:
        inside = value
        found = next(
            (k for k in PREFERRED if isinstance(inside.get(k), dict) and holds(inside[k])), None
        )
        if found is None:
            break
        left += [_as_text(k) for k in inside if k != found and holds(inside[k])]
        path.append(found)
        value = inside[found]
    if isinstance(value, dict) and not path and not isinstance(value, Attributes):
        kept = {
            key: each
            for key, each in value.items()
            if not (isinstance(key, str) and key.startswith(TRAINING) and not _is_tensor(each))
        }
        if len(kept) < len(value) and holds(kept):
            left += [_as_text(key) for key in value if key not in kept and holds(value[key])]
            value = kept
    named = ".".join(path)
    read = f"the tensors of {quoted(named)} are read" if path else "not all tensors are read"
    if left:
        told = [quoted(each) for each in left[:_TOLD]]
        told += [f"{len(left) - _TOLD:,} more"] if len(left) > _TOLD else []
        are = f"those of {listed(told)} are not"
        return value, [f"{read}, and {are}" if path else are]
    return value, [read] if path else []


def _as_text(key: object) -> str:
    return key if isinstance(key, str) else str(key) if isinstance(key, int) else "a key"


def _is_tensor(value: object) -> bool:
    return isinstance(value, Strided)


class _Holds:
    """Whether there is a tensor somewhere in a value; each dict and list is looked into once."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def __call__(self, value: Any) -> bool:
        if not isinstance(value, (dict, list, tuple)) or _is_tensor(value):
            return _is_tensor(value)
        if id(value) in self._known:
            return self._known[id(value)]
        found, waiting, seen = False, [value], {id(value)}
        while waiting and not found:
            each = waiting.pop()
            for inner in each.values() if isinstance(each, dict) else each:
                if _is_tensor(inner):
                    found = True
                    break
                if isinstance(inner, (dict, list, tuple)) and id(inner) not in seen:
                    seen.add(id(inner))
                    waiting.append(inner)
        self._known[id(value)] = found
        return found


def tensors_of(value: object) -> Iterator[tuple[str, Strided]]:
    """Yield every tensor with its name: the keys that lead to it, joined by dots.

    What is held twice has two names.

    Raises
    ------
    ValueError
        If dictionaries are nested too deeply, as in themselves, or name too much.
    """
    holds = _Holds()
    waiting: list[tuple[str, object, int]] = [("", value, 0)]
    looked = 0
    while waiting:
        name, each, depth = waiting.pop()
        if isinstance(each, Strided):
            yield name or "tensor", each
            continue
        if not isinstance(each, (dict, list, tuple)) or not holds(each):
            continue
        if depth == _MOST_NESTED:
            raise ValueError(f"its tensors lie in more than {_MOST_NESTED} dictionaries")
        items = each.items() if isinstance(each, dict) else enumerate(each)
        inner = [
            (f"{name}.{key}" if name else str(key), what, depth + 1)
            for key, what in items
            if isinstance(key, (str, int)) and isinstance(what, (dict, list, tuple, Strided))
        ]
        looked += len(inner)
        if looked > MOST_TENSORS:
            raise ValueError(f"its dictionaries name more than {MOST_TENSORS:,} values")
        waiting.extend(reversed(inner))


def width_of(dtype: str | None) -> int:
    """Return the bytes of an element of a dtype; one, of bytes that have none.

    >>> width_of("F32"), width_of("complex128"), width_of(None)
    (4, 16, 1)
    """
    return 1 if dtype is None else SIZES.get(dtype, _WIDE.get(dtype, 1))


def _stored(file: Reader, name: str, tensor: Strided, place: tuple[int, int]) -> Stored:
    """Return where a tensor's bytes lie; those of one that is not contiguous as bytes.

    Raises
    ------
    CheckpointError
        If it leaves its storage.
    """
    dtype, shape, strides = tensor.dtype, tensor.shape, tensor.strides
    width = width_of(dtype)
    part = tensor.storage
    if part.first is not None:
        begin = place[0] + part.first * width_of(part.dtype)
        end = begin + part.elements * width_of(part.dtype)
        if end > place[1]:
            message = f"its view ends at byte {end:,}, and its storage at byte {place[1]:,}"
            raise file.wrong(message, begin, tensor=name)
        place = begin, end
    first = place[0] + tensor.first * width
    elements = prod(shape)
    # Elements from the first to the last, in the storage.
    reach = (
        0 if elements == 0 else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    )
    end = first + reach * width
    if first > place[1] or end > place[1]:
        raise file.wrong(
            f"it ends at byte {end:,}, and its storage at byte {place[1]:,}", first, tensor=name
        )
    if dtype not in SIZES:
        return Stored.as_bytes(name, first, end, Encoding(f"torch's {dtype}", shape))
    if not _is_contiguous(shape, strides):
        encoding = Encoding(f"strided elements {list(strides)}", shape)
        return Stored.as_bytes(name, first, end, encoding)
    return Stored(name, dtype, shape, first, end)


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether elements follow each other, the last dimension first.

    >>> [_is_contiguous((2, 3), strides) for strides in ((3, 1), (1, 2), (0, 1))]
    [True, False, False]
    >>> _is_contiguous((1, 3), (9, 1))
    True
    """
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != step:
            return 0 in shape
        step *= size
    return True
