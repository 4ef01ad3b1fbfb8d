"""Files that are refused, with what they are and what their owner can do: pickles, and tar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import quoted
from parentage.checkpoint.containers.pickles import asked_by
from parentage.support import listed

if TYPE_CHECKING:
    from parentage.checkpoint.containers.reading import Reader

_LOOKED_AT = 1 << 20
"""Bytes of a pickle that are followed: its first arrays are named in them."""

_TAR, _AT = b"ustar", 257
_NAME = 100
"""Bytes of the name of a tar archive's first member, which it begins with."""

_OF_TORCH = ("sys_info", "pickle", "tensors", "storages")
"""Members of the tar archives that ``torch.save`` wrote first (``_legacy_load``)."""

_NUMPY = "safetensors.numpy.save_file"
_TORCH = "safetensors.torch.save_file"

_NO_NEWS = frozenset(("collections.OrderedDict", "_codecs.encode"))
"""What says nothing of what a pickle holds."""

_MOST_NAMED = 3


def refused(file: Reader) -> str | None:
    """Return what a file is, and how to convert it; ``None`` if nothing of this is known of it."""
    first = file.at(0, min(file.size, _AT + len(_TAR)))
    if first[_AT:] == _TAR:
        return _of_tar(first[:_NAME].split(b"\0", 1)[0].decode("utf-8", "replace"))
    if len(first) > 1 and first[0] == 0x80 and 2 <= first[1] <= 5:
        asked = asked_by(file.at(0, min(file.size, _LOOKED_AT), "the pickle"))
        return of_pickle(asked) if asked else None
    return None


def _of_tar(member: str) -> str:
    """Return what is said of a tar archive with this first member."""
    if member in _OF_TORCH:
        return (
            "this is a tar archive, as torch.save wrote in its first releases, and is never "
            "loaded: if you trust whoever made it, load it with torch.load(..., "
            f"weights_only=False), which may run code, and write the tensors with {_TORCH}"
        )
    return (
        f"this is a tar archive, which begins with {quoted(member)}: unpack it, and name the "
        "checkpoint that is in it"
    )


def of_pickle(asked: tuple[str, ...]) -> str:
    """Return what is said of a pickle that torch did not write, by the names that it asks for.

    >>> of_pickle(("numpy.core.multiarray._reconstruct", "numpy.ndarray")).partition(",")[0]
    'this is a Python pickle of NumPy arrays'
    """
    named = [name for name in asked if name not in _NO_NEWS]
    of, load, save = "of plain values", "pickle.load", _NUMPY
    if any(name.startswith("joblib.") for name in named):
        of, load = "of NumPy arrays that joblib wrote", "joblib.load"
    elif any(name.startswith("numpy.") for name in named):
        of = "of NumPy arrays"
    elif any(name.startswith("torch.") for name in named):
        of, save = "of PyTorch's objects that pickle.dump wrote", _TORCH
    elif named:
        shown = [quoted(name) for name in named[:_MOST_NAMED]]
        shown += [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        of = f"that asks for {listed(shown)}"
    return (
        f"this is a Python pickle {of}, not a file of torch.save, and is never loaded, for it can "
        f"run code: if you trust whoever made it, load it with {load}, and write its arrays with "
        f"{save}"
    )
