"""The residual of a blend, what it leaves of the child: in which layers, and of what rank.

A residual of low rank is a LoRA that was added to a merge; one of rank one in output projections is
what removing a direction (an ablation) leaves; training leaves a residual of full rank.
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
"""Matrices whose residual's rank is determined: those with the largest residuals."""

MOST_ELEMENTS = 1 << 22
"""Elements of a matrix that are read, by whole rows: the rank of some rows tells that of all."""

SKETCH = 128
"""Singular values that are computed of a matrix too large for all of them."""

SMALL_SIDE = 512
"""Smaller side of a matrix up to which all singular values are computed."""

FLOORS = 2.0
"""Least residual of a matrix, in units of its rounding, for its rank to mean something."""

NOISE = 1.3
"""Singular values below this times the largest of rounding alone are taken for rounding, as in
recognising a LoRA."""

LOW = 0.25
"""Share of the smaller side from which on a rank is not called low."""

HELD = 0.9
"""Least share of a residual's energy, beyond rounding, that its low rank has to hold."""

MOSTLY = 0.8
"""Least share of the matrices looked at that have residuals of low rank, for one to be named."""

OUTPUTS = ("o_proj", "down_proj", "out_proj", "wo", "w2", "c_proj", "fc2", "linear_fc2", "dense")
"""Names of projections that write into the residual stream."""


@dataclass(frozen=True, slots=True)
class Residual:
    """In which layers the residual of a blend lies, and of what rank it is."""

    layers: Mapping[int, float]
    """Share of the residual by layer, the largest first; what is in no layer is missing."""
    matrices: int
    """Matrices that were looked at."""
    low: int
    """Those whose residual is of low rank."""
    rank: int | None
    """The largest of those ranks, if nearly all are low; ``None`` if it is of full rank."""
    outputs: int
    """Matrices looked at that are output projections."""

    def __str__(self) -> str:
        """Return the residual described in a sentence or two."""
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
                    "projections: an ablation of a direction leaves that."
                )
            elif self.rank is not None:
                parts.append(
                    f"It is of rank {self.rank} or less in {self.low} of {looked}: a LoRA leaves "
                    "that, and so do few steps on few examples."
                )
            elif not self.low:
                parts.append(f"It is of no low rank in the {looked}.")
        return " ".join(parts)


def describe_residual(
    estimates: SampleEstimates,
    weights: Floats,
    residual: Floats,
    energy: Floats,
    layers: Mapping[int, float],
) -> Residual:
    """Return in which layers the residual of a blend lies, and of what rank it is.

    Parameters
    ----------
    weights
        (S, columns - 1) those of the blend: of the base beyond what makes the sum one, and parents.
    residual, energy
        (S,) sums of squares: of every slice's residual, and of what rounding alone would leave.
    layers
        Share of the residual by layer.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        floors = np.sqrt(np.where(energy > 0, residual / energy, 0.0))
    is_telling = is_matrix(estimates.slices) & (floors >= FLOORS)
    is_telling &= np.array([is_replayed(slice_) for slice_ in estimates.slices])
    order = [int(i) for i in np.argsort(-residual, kind="stable") if is_telling[i]]
    chosen = order[:LOOKED_AT]
    ranks = [_rank(estimates, i, weights[i]) for i in chosen]
    low = [rank for rank in ranks if rank is not None]
    outputs = sum(
        any(part in OUTPUTS for part in estimates.slices[i].name.split(".")) for i in chosen
    )
    is_low = bool(low) and len(low) >= MOSTLY * len(ranks)
    by_share = dict(sorted(layers.items(), key=lambda pair: -pair[1]))
    return Residual(by_share, len(ranks), len(low), max(low) if is_low else None, outputs)


def _rank(estimates: SampleEstimates, index: int, weights: Floats) -> int | None:
    """Return the rank of a matrix's residual; ``None`` if it is not low.

    ``index`` is that of the slice, ``weights`` (columns - 1,) are those of the blend in it.
    """
    matrix = estimates.slices[index]
    columns = matrix.shape[-1]
    rows = min(matrix.elements // columns, max(MOST_ELEMENTS // columns, 1))
    used = [i for i in range(1, len(weights)) if weights[i] != 0.0]
    values = estimates.whole(index, (0, *used), rows * columns)
    values = np.where(np.isfinite(values), values, np.nan)
    base, child = values[:, 0], values[:, -1]
    blend = base * (1.0 + weights[0])
    for place, i in enumerate(used):
        blend += (values[:, 1 + place] - base) * weights[i]
    left = (child - blend).reshape(rows, columns)
    noise = (np.add(*half_cells(child, estimates.out_dtype)) ** 2 / 12.0).reshape(rows, columns)
    # The rank of most rows is that of all; where few are finite, other elements count as zero.
    finite = np.isfinite(left)
    whole = finite.all(axis=1)
    if whole.mean() >= 0.5:
        left, noise = left[whole], noise[whole]
    else:
        left, noise = np.where(finite, left, 0.0), np.where(finite, noise, 0.0)
    # The largest singular value of independent errors (Bandeira and van Handel 2016, theorem 1.1).
    largest = np.sqrt(noise.sum(axis=1).max()) + np.sqrt(noise.sum(axis=0).max())
    spectrum = _singular_values(left)
    rank = int((spectrum > NOISE * largest).sum())
    beyond = float((left**2).sum() - noise.sum())
    if rank == 0 or rank > LOW * min(left.shape) or rank >= len(spectrum) or beyond <= 0:
        return None
    return rank if float((spectrum[:rank] ** 2).sum()) >= HELD * beyond else None


def _singular_values(matrix: Floats) -> Floats:
    """Return all singular values, or the largest of a large matrix (Halko et al. 2011)."""
    if min(matrix.shape) > SMALL_SIDE:
        rng = np.random.default_rng(0)
        start = matrix @ (matrix.T @ (matrix @ rng.standard_normal((matrix.shape[1], SKETCH))))
        matrix = np.linalg.qr(start)[0].T @ matrix
    values: Floats = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
    return values
