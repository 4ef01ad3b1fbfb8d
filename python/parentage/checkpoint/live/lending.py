"""The tensors of a mapping, each lent where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from parentage.checkpoint.containers.contents import MOST_DIMENSIONS, MOST_TENSORS, quoted, wrong
from parentage.checkpoint.live.arrays import Lent, Refused, lent_array
from parentage.checkpoint.live.torch_tensors import is_torch_tensor, lent_tensor
from parentage.support import CheckpointError, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESERVED = "__metadata__"
"""What headers of safetensors have for no tensor."""

_EXTRA = "_extra_state"
"""How names of a state dict end whose values are a module's own affair."""


class Lending(NamedTuple):
    """What a mapping holds."""

    tensors: list[tuple[str, str, Any, tuple[object, ...]]]
    """Name, dtype, array of bits, and what keeps its memory where it is."""
    left: tuple[str, ...]
    """Names of a state dict that are of no tensors."""


def lend(where: str, tensors: Mapping[Any, Any]) -> Lending:
    """Return the tensors of a mapping as they lie in memory; ``where`` begins messages.

    Raises
    ------
    CheckpointError
        If it raises, or a name or value is none of a checkpoint.
    """
    found: list[tuple[str, str, Any, tuple[object, ...]]] = []
    left: list[str] = []
    for name, value in _items(where, tensors):
        _require_name(where, name)
        try:
            lent = _lent(value)
        except Refused as refused:
            if name.rpartition(".")[2] == _EXTRA and not _is_tensor(value):
                left.append(name)
                continue
            raise wrong(where, f"it {refused}", tensor=name) from refused
        found.append((name, lent.dtype, lent.bits, lent.keepers))
    return Lending(found, tuple(left))


def _items(where: str, tensors: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield what a mapping holds; whatever it raises is an error of ours."""
    try:
        for number, (name, value) in enumerate(tensors.items()):
            if number == MOST_TENSORS:
                raise CheckpointError(f"{where}: it has more than {MOST_TENSORS:,} tensors")
            yield name, value
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(printable(f"{where}: the mapping raised {_told(error)}")) from error


def _require_name(where: str, name: object) -> None:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise CheckpointError(
            printable(f"{where}: names of tensors are text, and {_brief(name)} is of type {kind}")
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(f"{where}: the name {quoted(name)} is no Unicode text") from error
    if name == _RESERVED:
        raise wrong(where, "no tensor of a checkpoint is called so", tensor=name)


def _is_tensor(value: object) -> bool:
    return isinstance(value, np.ndarray) or is_torch_tensor(value)


def _lent(value: object) -> Lent:
    """Return a value of a mapping as it lies in memory.

    Raises
    ------
    Refused
        If it is none that can be read there.
    """
    if is_torch_tensor(value):
        try:
            found = lent_tensor(value)
        except Refused:
            raise
        except Exception as error:
            # Tensors come in kinds that know of no storage, and say so in many ways.
            raise Refused(f"can not be read in place: {_told(error)}") from error
    elif isinstance(value, np.ndarray):
        found = lent_array(value)
    else:
        raise Refused(_no_tensor(value))
    if found.bits.ndim > MOST_DIMENSIONS:
        raise Refused(f"has {found.bits.ndim} dimensions, and {MOST_DIMENSIONS} are the most")
    return found


def _no_tensor(value: object) -> str:
    """Return what is said of a value that is no tensor."""
    kind = type(value)
    if isinstance(value, Mapping):
        names = listed(_brief(each) for each in list(value)[:3])
        return f"is a mapping itself, of {names or 'nothing'}: give the one that holds the tensors"
    said = f"is no tensor, but of type {kind.__module__}.{kind.__qualname__}"
    if any(hasattr(kind, each) for each in ("__dlpack__", "__array__")):
        return f"{said}: give numpy.asarray of it"
    return said


def _brief(value: object) -> str:
    """Return a few words of whatever it is."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"what raises {type(error).__name__}"
    return printable(text if len(text) <= 80 else f"{text[:77]}...")


def _told(error: Exception) -> str:
    """Return an exception in one line."""
    try:
        text = str(error)
    except Exception:
        text = ""
    words = " ".join(text.split())
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
