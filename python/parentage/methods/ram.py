"""The base plus displacements, a mean of them where several parents changed an element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint import to_bf16
from parentage.methods.masked_sums import sum_in_order
from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "d_i, quotients, sums in order and b plus that rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once",
}

EPSILON = 1e-5
"""Displacements up to this are none."""


def contributions(replaying: Replaying) -> tuple[Value, list[Value], list[Value], Value]:
    """Return the base, displacements that count, the same over their number, and that number."""
    base = replaying.base()
    dtype = replaying.dtype
    zero, one = replaying.scalar(0.0), replaying.scalar(1.0)
    least = replaying.parameter("epsilon", EPSILON)
    epsilon = replaying.scalar(to_bf16(least) if dtype else least)
    deltas = [(parent - base).round(dtype) for parent in replaying.parents()]
    count = sum_in_order([abs(delta) > epsilon for delta in deltas])
    held = [replaying.program.select(abs(delta) > epsilon, delta, zero) for delta in deltas]
    number = replaying.program.maximum(count, one)
    return base, held, [(each / number).round(dtype) for each in held], count


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the base plus the mean of the displacements that count."""
    base, _, parts, _ = contributions(replaying)
    return [(base + sum_in_order(parts).round(replaying.dtype)).round(replaying.dtype)]


METHOD = Method(
    name="ram",
    formula="b + sum_i d_i m_i / sum_i m_i; m_i: |d_i| > epsilon",
    source="Reinforced agent merging 2026, arXiv:2601.13572; mergekit merge_methods/ram.py",
    parameters={"epsilon": Parameter("displacements up to this are none", default=EPSILON)},
    arithmetics=ARITHMETICS,
    replay=replay,
    mergekit=configuration,
    needs_base=True,
)
