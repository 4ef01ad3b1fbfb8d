"""Each element is the base's or the parent's, whichever importance says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.methods.mergekit import configuration
from parentage.recipe import Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "p - b and b plus that rounded to float32",
    "bfloat16": "p - b rounded to bf16, b plus that to the dtype of the file",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the base and the parent, as alternatives."""
    base = replaying.base()
    (parent,) = replaying.parents()
    delta = (parent - base).round(replaying.dtype)
    return [base, base + delta]


METHOD = Method(
    name="arcee_fusion",
    formula="b + d m; m: |d| KL(softmax(p) || softmax(b)) by row is above median + 1.5 IQR",
    source="Arcee fusion; mergekit merge_methods/arcee_fusion.py",
    parameters={},
    arithmetics=ARITHMETICS,
    replay=replay,
    mergekit=configuration,
    parents=1,
    needs_base=True,
)
