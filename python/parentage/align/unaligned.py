"""Tables of what takes no part, with the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from parentage.align.slices import Unaligned

UNALIGNED = {
    "checkpoint": pl.String,
    "tensor": pl.String,
    "reason": pl.String,
    "elements": pl.Int64,
}
"""Columns of such tables."""


def unaligned_frame(left: Iterable[Unaligned]) -> pl.DataFrame:
    """Return one row per tensor or slice that takes no part: checkpoint, tensor, reason, elements.

    >>> from parentage.align.slices import Unaligned
    >>> unaligned_frame([Unaligned("child", "lm_head.weight", "not in base", 64)]).rows()
    [('child', 'lm_head.weight', 'not in base', 64)]
    """
    rows = [(each.checkpoint, each.tensor, each.reason, each.elements) for each in left]
    return pl.DataFrame(rows, schema=UNALIGNED, orient="row")
