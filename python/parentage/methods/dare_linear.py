"""The base plus displacements of which some were dropped at random, the others scaled up."""

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
    """Return the sums of all sets of displacements."""
    return masks.replay_by_chance(r, elected=False, normalize=False)


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield what the masks of a sample say."""
    return masks.named(f, "dare_linear")


METHOD = Method(
    name="dare_linear",
    formula="b + lambda sum_i w_i s_i d_i m_i; m_i random, s_i = |d_i|_1 / |d_i m_i|_1",
    source="Yu et al. 2023, DARE, arXiv:2311.03099; mergekit "
    "merge_methods/generalized_task_arithmetic.py",
    parameters={
        **masks.PARAMETERS,
        "rescale": "make up for what was dropped (default true); the scale is that of L1 norms",
    },
    arithmetics=masks.ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=masks.mergekit,
)
