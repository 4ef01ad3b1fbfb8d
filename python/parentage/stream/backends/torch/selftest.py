"""What a device does to numbers, tried on known answers before anything rests on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from parentage.stream.backends.torch.answers import ANSWERS
from parentage.stream.backends.torch.exact import Arithmetic, arithmetic, native
from parentage.stream.backends.torch.floats import FLOATS, binade, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

COPIES = 67
"""How often an operation is tried on the same answers: vectors of a processor, and what is left."""

OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
}


def examine(
    device: torch.device, *, compiled: bool = False
) -> tuple[Arithmetic | None, str | None]:
    """Return the arithmetic of a device, or in a sentence what it does otherwise than IEEE 754.

    A fused multiply-add of its own is used if all answers are right; else one is made of sums.
    """
    for name in ANSWERS:
        operation, *kinds = name.split()
        if operation in OPERATIONS and not agrees(device, name, OPERATIONS[operation]):
            return None, f"{operation} of {kinds[0]} does not round to nearest, ties to even"
        if operation == "cast" and not agrees(device, name, _cast(kinds[1])):
            return None, f"a cast from {kinds[0]} to {kinds[1]} does not round as IEEE 754 has it"
    numbers = [0.0, 1.0, 2.0**-149, -(2.0**-130), 1.75, -3.0e38, 2.0**-1040, 1e300]
    powers = [0.0, 1.0, 2.0**-149, 2.0**-130, 1.0, 2.0**127, 0.0, 2.0**996]
    found = binade(torch.tensor(numbers, dtype=torch.float64, device=device))
    if found.tolist() != powers:
        return None, "bits of float64 are not kept"
    made = torch.tensor([0.5, 1.5, -2.5, 2.5], dtype=torch.float64, device=device).round()
    if made.tolist() != [0.0, 2.0, -2.0, 2.0]:
        return None, "ties are not rounded to even"
    has = {kind: agrees(device, f"fma {kind}", native) for kind in ("F32", "F64")}
    how = arithmetic(native32=has["F32"], native64=has["F64"], compiled=compiled)
    for kind, fused in (("F32", how.fma32), ("F64", how.fma64)):
        if not agrees(device, f"fma {kind}", fused):
            how = arithmetic(native32=has["F32"], native64=has["F64"])
    for kind, fused in (("F32", how.fma32), ("F64", how.fma64)):
        if not agrees(device, f"fma {kind}", fused):
            return None, f"no fused multiply-add of {kind} can be made of its operations"
    return how, None


def agrees(device: torch.device, name: str, operation: Callable[..., Tensor]) -> bool:
    """Return whether an operation gives the known answers, bit for bit."""
    kinds = name.split()[1:]
    table = ANSWERS[name] * COPIES
    *given, answers = zip(*table, strict=True)
    operands = [_values(bits, kinds[0], device) for bits in given]
    expected = _values(answers, kinds[-1], device)
    found = operation(*operands)
    one, two = (each.view(FLOATS[kinds[-1]].bits) for each in (found, expected))
    return bool((one == two).all())


def _values(bits: Sequence[int], name: str, device: torch.device) -> Tensor:
    """Return numbers of a dtype from their bits."""
    kind = FLOATS[name]
    width = 8 * kind.width
    signed = [each - (1 << width) if width > 8 and each >> (width - 1) else each for each in bits]
    return torch.tensor(signed, dtype=kind.bits, device=device).view(kind.dtype)


def _cast(name: str) -> Callable[[Tensor], Tensor]:
    def cast(values: Tensor) -> Tensor:
        return encode(values, name).view(FLOATS[name].dtype)

    return cast
