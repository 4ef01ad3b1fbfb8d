from dataclasses import replace
from fractions import Fraction

import pytest

pytestmark = pytest.mark.torch

SHAPES = {
    "F32": (32, 23), "F64": (64, 52), "BF16": (16, 7), "F16": (16, 10), "F8_E4M3": (8, 3),
    "F8_E5M2": (8, 2),
}  # fmt: skip
"""Bits of dtypes, and those of their significands."""

FORMULAS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "fma": lambda a, b, c: a * b + c,
    "cast": lambda a: a,
}


def value(bits, name):
    width, mantissa = SHAPES[name]
    exponent = bits >> mantissa & ((1 << (width - 1 - mantissa)) - 1)
    bias = (1 << (width - 2 - mantissa)) - 1
    digits = (bits & ((1 << mantissa) - 1)) + ((exponent > 0) << mantissa)
    sign = -1 if bits >> (width - 1) else 1
    return sign * digits * Fraction(2) ** (max(exponent, 1) - bias - mantissa)


def code(number, name):
    """The bits of the nearest number to a fraction, of which the sign of a zero is left open."""
    width, mantissa = SHAPES[name]
    bias = (1 << (width - 2 - mantissa)) - 1
    size, exponent = abs(number), 1 - bias
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    digits = round(size / Fraction(2) ** (exponent - mantissa))
    found = ((exponent + bias - 1) << mantissa) + digits
    top = ((1 << (width - 1 - mantissa)) - 1) << mantissa
    found = min(found, 0x7F if name == "F8_E4M3" else top)
    return found | (number < 0) << (width - 1)


def test_answers_are_those_of_fractions(selftest):
    for name, rows in selftest.ANSWERS.items():
        operation, *kinds = name.split()
        width = SHAPES[kinds[-1]][0]
        for *operands, answer in rows:
            result = FORMULAS[operation](*(value(each, kinds[0]) for each in operands))
            if result == 0:
                assert answer & ((1 << (width - 1)) - 1) == 0
            else:
                assert code(result, kinds[-1]) == answer, (name, operands)


def test_this_processor_is_used_or_what_it_lacks_is_told(selftest, torch):
    how, problem = selftest.examine(torch.device("cpu"))
    assert (how is None) == (problem is not None)
    assert how is not None


def test_an_operation_that_is_not_fused_is_not_taken_for_one(selftest, torch, monkeypatch):
    monkeypatch.setattr(selftest, "native", lambda a, b, c: a * b + c)
    how, problem = selftest.examine(torch.device("cpu"))
    assert problem is None
    assert how.name == "float32 emulated, float64 emulated"
    assert not how.has_fma64


@pytest.mark.parametrize("name", ["add", "mul", "div"])
def test_a_device_that_flushes_subnormal_numbers_is_refused(selftest, torch, monkeypatch, name):
    right = selftest.OPERATIONS[name]

    def flushing(a, b):
        found = right(a, b)
        return torch.where(found.abs() < 2.0**-126, 0 * found, found)

    monkeypatch.setitem(selftest.OPERATIONS, name, flushing)
    how, problem = selftest.examine(torch.device("cpu"))
    assert how is None
    assert problem == f"{name} of F32 does not round to nearest, ties to even"


def test_casts_that_cut_are_refused(selftest, torch, monkeypatch):
    def cutting(values, name):
        kind = selftest.FLOATS[name]
        if name == "BF16":
            return (values.view(torch.int32) >> 16).to(torch.int16)
        return values.to(kind.dtype).view(kind.bits)

    monkeypatch.setattr(selftest, "encode", cutting)
    assert selftest.examine(torch.device("cpu")) == (
        None,
        "a cast from F32 to BF16 does not round as IEEE 754 has it",
    )


def test_a_device_that_has_neither_is_refused(selftest, torch, monkeypatch):
    made = selftest.arithmetic(native32=True, native64=True)
    wrong = replace(made, fma32=lambda a, b, c: a * b + c)
    monkeypatch.setattr(selftest, "arithmetic", lambda **_: wrong)
    how, problem = selftest.examine(torch.device("cpu"))
    assert how is None
    assert problem == "no fused multiply-add of F32 can be made of its operations"
