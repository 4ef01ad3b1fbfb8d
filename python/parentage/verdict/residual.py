"""What a blend leaves over: in which layers, and of what rank.

A low-rank remainder is a LoRA that was added to a merge; one of rank one in output projections is
what removing a direction (an ablation) leaves; training leaves a remainder of full rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_matrix, is_replayed
from parentage.checkpoint import half_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.hypothesise import SampleEstimates
    from parentage.support import Floats

LOOKED_AT = 12
"""Matrices whose rank is found: those with the most left over, one by one."""

MOST_ELEMENTS = 1 << 22
"""Elements of a matrix that are taken, by whole rows: the rank of some rows tells that of all."""

SKETCH = 128
"""Largest rank that is looked for where a matrix is too large for all of its singular values."""

SMALL_SIDE = 512
"""Smaller side up to which all singular values are found."""

FLOORS = 2.0
"""Least that is left over in a matrix, in units of its rounding, for its rank to mean something."""

NOISE = 1.3
"""Singular values below this times the largest of rounding alone are rounding; lora.py has it so,
too."""

LOW = 0.25
"""Share of the smaller side from which on a rank is not called low."""

HELD = 0.9
"""Least share of what is left over, beyond rounding, that a low rank has to hold."""

MOSTLY = 0.8
"""Least share of the matrices looked at that have to be of low rank for the remainder to be."""

OUTPUTS = ("o_proj", "down_proj", "out_proj", "wo", "w2", "c_proj", "fc2", "linear_fc2", "dense")
"""Names of projections that write into the residual stream."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What is left over of a child beyond a blend."""

    layers: Mapping[int, float]
    """Share of it by layer, the largest first; what is in no layer is missing."""
    matrices: int
    """Matrices that were looked at."""
    low: int
    """Those in which it is of low rank."""
    rank: int | None
    """The largest of those ranks, if nearly all are low; None if it is of full rank."""
    outputs: int
    """Those that are output projections."""

    def __str__(self) -> str:
        """Return it in a sentence or two."""
        parts = []
        held = {layer: share for layer, share in self.layers.items() if share >= 0.02}
        if sum(self.layers.values()) >= 0.5 and held:
            first, share = next(iter(held.items()))
            if len(held) == 1 or (share >= 2.0 / len(held) and len(held) > 2):
                parts.append(f"Layer {first} holds {share:.0%} of it.")
            else:
                parts.append(f"It is spread over {len(held)} layers.")
        if self.matrices:
            looked = f"{self.matrices} matrices looked at"
            if self.rank == 1 and self.outputs == self.matrices:
                parts.append(
                    f"It is of rank one in {self.low} of {looked}, all of them output "
                    "projections: an ablation of a direction."
                )
            elif self.rank is not None:
                parts.append(
                    f"It is of rank {self.rank} or less in {self.low} of {looked}: a LoRA."
                )
            elif self.low:
                parts.append(
                    f"It is of low rank in {self.low} of {looked}, and full in the others."
                )
            else:
                parts.append(f"It is of full rank in the {looked}.")
        return " ".join(parts)


def describe_residual(
    estimates: SampleEstimates,
    weights: Floats,
    residual: Floats,
    energy: Floats,
    layers: Mapping[int, float],
) -> Residual:
    """Find the rank of what is left over.

    Parameters
    ----------
    weights
        (S, columns - 1) those of the blend: of the base beyond what makes the sum one, and parents.
    residual, energy
        (S,) what is left over of every slice, and what rounding alone would leave.
    layers
        Share of the remainder by layer.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        floors = np.sqrt(np.where(energy > 0, residual / energy, 0.0))
    is_telling = is_matrix(estimates.slices) & (floors >= FLOORS)
    is_telling &= np.array([is_replayed(each) for each in estimates.slices])
    order = [int(i) for i in np.argsort(-residual, kind="stable") if is_telling[i]]
    chosen = order[:LOOKED_AT]
    ranks = [_rank(estimates, i, weights[i]) for i in chosen]
    low = [rank for rank in ranks if rank is not None]
    outputs = sum(
        any(part in OUTPUTS for part in estimates.slices[i].name.split(".")) for i in chosen
    )
    is_low = bool(low) and len(low) >= MOSTLY * len(ranks)
    ordered = dict(sorted(layers.items(), key=lambda each: -each[1]))
    return Residual(ordered, len(ranks), len(low), max(low) if is_low else None, outputs)


def _rank(estimates: SampleEstimates, index: int, weights: Floats) -> int | None:
    """Return the rank of what a blend leaves of a matrix; None if it is not low."""
    each = estimates.slices[index]
    columns = each.shape[-1]
    rows = min(each.elements // columns, max(MOST_ELEMENTS // columns, 1))
    used = [i for i in range(1, len(weights)) if weights[i] != 0.0]
    values = estimates.whole(index, (0, *used), rows * columns)
    values = np.where(np.isfinite(values), values, np.nan)
    base, child = values[:, 0], values[:, -1]
    blend = base * (1.0 + weights[0])
    for place, i in enumerate(used):
        blend += (values[:, 1 + place] - base) * weights[i]
    left = (child - blend).reshape(rows, columns)
    noise = (np.add(*half_cells(child, estimates.out_dtype)) ** 2 / 12.0).reshape(rows, columns)
    # The rank of most rows is that of all; elsewhere nothing is left over of what is not finite.
    finite = np.isfinite(left)
    whole = finite.all(axis=1)
    if whole.mean() >= 0.5:
        left, noise = left[whole], noise[whole]
    else:
        left, noise = np.where(finite, left, 0.0), np.where(finite, noise, 0.0)
    # The largest singular value of independent errors (Bandeira and van Handel 2016, theorem 1.1).
    largest = np.sqrt(noise.sum(axis=1).max()) + np.sqrt(noise.sum(axis=0).max())
    found = _singular_values(left)
    rank = int((found > NOISE * largest).sum())
    beyond = float((left**2).sum() - noise.sum())
    if rank == 0 or rank > LOW * min(left.shape) or rank >= len(found) or beyond <= 0:
        return None
    return rank if float((found[:rank] ** 2).sum()) >= HELD * beyond else None


def _singular_values(matrix: Floats) -> Floats:
    """Return all singular values, or the largest of a large matrix (Halko et al. 2011)."""
    if min(matrix.shape) > SMALL_SIDE:
        rng = np.random.default_rng(0)
        start = matrix @ (matrix.T @ (matrix @ rng.standard_normal((matrix.shape[1], SKETCH))))
        matrix = np.linalg.qr(start)[0].T @ matrix
    out: Floats = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
    return out
