"""PyTorch's tensors, as they lie in memory.

PyTorch is not imported here: who has a tensor has done so.
"""

from __future__ import annotations

import sys
from math import prod
from typing import TYPE_CHECKING, Any

from parentage.checkpoint.live.arrays import Lent, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
"""By PyTorch's names without ``torch.``."""

_INTEGERS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}
"""What bits are seen as, by bytes: NumPy has no bfloat16."""


def is_torch_tensor(value: object) -> bool:
    """Return whether a value is a tensor of PyTorch.

    >>> is_torch_tensor([1.0, 2.0])
    False
    """
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return isinstance(kind, type) and isinstance(value, kind)


def lent_tensor(tensor: Any) -> Lent:
    """Return a tensor as it lies in memory, whatever its strides.

    Its storage can not be resized from then on, as after ``Tensor.numpy()``.

    Raises
    ------
    Refused
        If its numbers do not lie in the memory of this machine's CPU as a checkpoint has them.
    """
    torch: Any = sys.modules["torch"]
    kind = type(tensor)
    if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        if hasattr(tensor, "full_tensor"):
            raise Refused(f"is sharded ({kind.__name__}): give .full_tensor() of it")
        raise Refused(
            f"is a {kind.__module__}.{kind.__qualname__}, which keeps its numbers in a way of its "
            "own: give a plain tensor, as .dequantize() or the like make of it"
        )
    if tensor.layout is not torch.strided:
        raise Refused(f"is sparse ({tensor.layout}): give .to_dense() of it")
    if tensor.is_quantized:
        raise Refused(f"is quantised ({tensor.dtype}): give .dequantize() of it")
    if tensor.device.type == "meta":
        raise Refused("is on the meta device: it has a shape, and no numbers")
    if tensor.device.type != "cpu":
        raise Refused(f"is on {tensor.device}: give .cpu() of it")
    if tensor.is_conj() or tensor.is_neg():
        raise Refused("is a view that negates: give .resolve_conj().resolve_neg() of it")
    called = str(tensor.dtype).removeprefix("torch.")
    name = _DTYPES.get(called)
    if name is None:
        raise Refused(f"has dtype {tensor.dtype}, which no checkpoint has")
    if sys.byteorder != "little":
        raise Refused("is big-endian, as this machine is, and checkpoints are not")
    plain = tensor.detach().as_subclass(torch.Tensor)
    _require_storage(plain)
    width = plain.element_size()
    bits = plain.view(getattr(torch, _INTEGERS[width])).numpy()
    return Lent(name, bits.view(f"u{width}"), (plain,))


def _require_storage(tensor: Any) -> None:
    """Refuse a tensor whose storage was given back, as where parameters are sharded."""
    needed = tensor.element_size() * (
        tensor.storage_offset() + _reach(tensor.shape, tensor.stride())
    )
    held = tensor.untyped_storage().nbytes()
    if prod(tensor.shape) and needed > held:
        raise Refused(f"has {held:,} bytes of memory, and needs {needed:,}: its storage was freed")


def _reach(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Return elements from the first to the last in memory, both included."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
