"""Fused multiply-adds that round once, on devices that have them and on those that have not.

Float32: the product of two float32 is exact in float64; the sum is rounded to odd in float64 and
then to float32, which rounds once (Boldo and Melquiond, IEEE Transactions on Computers 57(4), 2008,
doi 10.1109/TC.2007.70819). Float64: the product and its error are exact by Dekker's splitting, and
the three numbers are added with one rounding in the same way. That needs products that neither
overflow nor fall below 2^-1022, and so do their errors: true of all that is at most float32, and
not asked of what is stored as float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Fused = Callable[[Tensor, Tensor, Tensor], Tensor]

SPLITTER = float((1 << 27) + 1)
"""Splits a float64 into halves of 26 bits (Veltkamp)."""


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rounded sum of two tensors and, exactly, what rounding took (Knuth)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def add_to_odd(a: Tensor, b: Tensor) -> Tensor:
    """Return float64 sums, those that are not exact rounded to the neighbour with an odd last bit.

    >>> import torch
    >>> one, tiny = (torch.tensor([x], dtype=torch.float64) for x in (1.0, 2.0**-80))
    >>> (add_to_odd(one, tiny) - one).item() == 2.0**-52
    True
    """
    total, error = two_sum(a, b)
    bits = total.view(torch.int64)
    # Beside a NaN or an infinity the error is NaN, and nothing is moved.
    is_even_and_off = (error.abs() > 0) & ((bits & 1) == 0)
    outwards = (error > 0) == (total > 0)
    moved = bits + torch.where(outwards, 1, -1)
    return torch.where(is_even_and_off, moved, bits).view(torch.float64)


def fused32(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return a b + c of float32 tensors, rounded once."""
    return add_to_odd(a.double() * b.double(), c.double()).float()


def fused64(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return a b + c of float64 tensors, rounded once; of products in range."""
    product = a * b
    a_high, b_high = split(a), split(b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    high, low = two_sum(c, error)
    total, rest = two_sum(product, high)
    # Of zeros, the sign is that of the plain sum.
    return torch.where((product == 0) & (c == 0), product + c, total + add_to_odd(rest, low))


def split(x: Tensor) -> Tensor:
    """Return the upper half of the significands of float64 numbers."""
    scaled = SPLITTER * x
    return scaled - (scaled - x)


def native(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return a b + c as the device does it in one operation: fused or not, a test says."""
    return torch.addcmul(c, a, b)


def _native_into(a: Tensor, b: Tensor, c: Tensor) -> None:
    c.addcmul_(a, b)


@dataclass(frozen=True)
class Arithmetic:
    """How a device multiplies and adds with one rounding."""

    fma32: Fused
    """Of float32 tensors of one shape, or such as broadcast to it."""
    fma64: Fused
    """Of float64 tensors."""
    has_fma64: bool
    """Whether that is right for every float64, and not only for products that are in range."""
    name: str
    """What is used, for people."""
    into32: Callable[[Tensor, Tensor, Tensor], None]
    """The float32 one, written over its third operand."""
    into64: Callable[[Tensor, Tensor, Tensor], None]
    """The float64 one, written over its third operand."""


def arithmetic(*, native32: bool, native64: bool, compiled: bool = False) -> Arithmetic:
    """Return the arithmetic of a device, given which of its own operations round once.

    With ``compiled``, what takes many operations is compiled into one.
    """
    wrap: Callable[[Any], Any] = torch.compile(dynamic=True) if compiled else _as_it_is
    single = native if native32 else wrap(fused32)
    double = native if native64 else wrap(fused64)

    def into(fused: Fused) -> Callable[[Tensor, Tensor, Tensor], None]:
        if fused is native:
            return _native_into

        def write(a: Tensor, b: Tensor, c: Tensor) -> None:
            c.copy_(fused(a, b, c))

        return write

    names = [
        f"{width} {'fused' if is_native else 'compiled' if compiled else 'emulated'}"
        for width, is_native in (("float32", native32), ("float64", native64))
    ]
    return Arithmetic(single, double, native64, ", ".join(names), into(single), into(double))


def _as_it_is(function: Any) -> Any:
    return function
