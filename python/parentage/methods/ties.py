"""The base plus the mean of the largest displacements of the prevailing sign."""

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
    """Return the mean of what is large enough and of the elected sign."""
    return masks.replay_by_size(r, elected=True, normalize=True)


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield what the masks of a sample say."""
    return masks.named(f, "ties")


METHOD = Method(
    name="ties",
    formula="b + lambda sum_i w_i d_i m_i / sum_i w_i m_i; m_i: |d_i| is among the "
    "largest, and the sign is that of the sum",
    source="Yadav et al. 2023, TIES-merging, arXiv:2306.01708; mergekit "
    "merge_methods/generalized_task_arithmetic.py",
    parameters={**masks.PARAMETERS},
    arithmetics=masks.ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=masks.mergekit,
)
