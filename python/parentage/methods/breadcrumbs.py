"""The base plus displacements that are neither small nor among the very largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.methods import masks
from parentage.methods.method import Method, Replaying

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings
    from parentage.recipe import Recipe
    from parentage.replay import Value


def replay(r: Replaying) -> Sequence[Value]:
    """Return the sum of what is in the band of sizes."""
    return masks.replay_by_size(r, elected=False, normalize=False)


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield what the masks of a sample say."""
    return masks.named(f, "breadcrumbs")


METHOD = Method(
    name="breadcrumbs",
    formula="b + lambda sum_i w_i d_i m_i; m_i: |d_i| among the largest, the very largest left out",
    source="Davari and Belilovsky 2023, Model breadcrumbs, arXiv:2312.06795; mergekit "
    "merge_methods/generalized_task_arithmetic.py",
    parameters={
        **masks.PARAMETERS,
        "gamma": "share of the largest displacements that is dropped (default 0.01)",
    },
    arithmetics=masks.ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=masks.mergekit,
)
