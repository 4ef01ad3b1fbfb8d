"""What the first elements of some chunks show: displacements in last places, and bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from parentage import _core
from parentage.stream.backends.torch.floats import ulp
from parentage.stream.backends.torch.sums import Columns, decoded, not_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.support import Counts, Floats

SAMPLED = 256
"""Elements at the start of a chunk that are looked at."""


@dataclass(frozen=True)
class Seen:
    """What M sampled chunks show, on the host."""

    histogram: Counts
    """(M, C - 2, BINS) displacements in units of the child's last place."""
    bias: Floats
    """(M, C - 2, WEIGHTS + 1) what rounding adds to simulated blends, and squares."""
    precision: Counts
    """(M,) most bits after the leading one of a value of the child."""


def look(columns: Columns, rows: NDArray[np.intp], how: Arithmetic) -> Seen:
    """Return what the first elements of the chunks ``rows`` show."""
    device, kind = columns.raw[0].device, columns.dtypes[-1]
    index = torch.from_numpy(rows).to(device)
    raw = [each[:, :SAMPLED].index_select(0, index) for each in columns.raw]
    lengths = columns.lengths.index_select(0, index)
    values = decoded(Columns(raw, columns.dtypes, None, lengths, lengths))
    out = not_finite(values)
    x = [each.masked_fill(out, 0.0).double() for each in values]
    is_there = torch.arange(x[0].shape[1], device=device) < lengths[:, None]
    child = x[-1]
    unit = ulp(child, kind)
    parents = len(values) - 2
    weights = torch.arange(_core.WEIGHTS, device=device, dtype=torch.float64)
    weights = (2 * weights + 1) * 2.0**-5
    histogram = torch.zeros(parents, len(rows), _core.BINS, dtype=torch.int64, device=device)
    shape = parents, len(rows), _core.WEIGHTS + 1
    bias = torch.zeros(shape, dtype=torch.float64, device=device)
    for column in range(parents):
        displacement = x[1 + column] - x[0]
        bins = _bins(displacement.abs() / unit)
        histogram[column].scatter_add_(1, bins, is_there.long())
        blends = how.fma64(weights.expand(*displacement.shape, -1).contiguous(),
                           _spread(displacement), _spread(x[0]))  # fmt: skip
        steps = ulp(blends, kind)
        errors = (blends / steps).round() * steps - blends
        # The last sum is of squares.
        factors = torch.cat([errors, displacement[..., None]], dim=-1)
        for k in range(displacement.shape[1]):
            one = displacement[:, k, None].expand(-1, _core.WEIGHTS + 1).contiguous()
            # Zeros behind the end of a chunk add nothing to sums that are never -0.
            how.into64(one, factors[:, k].contiguous(), bias[column])
    return Seen(
        histogram.transpose(0, 1).cpu().numpy().astype(np.uint64),
        np.ascontiguousarray(bias.transpose(0, 1).cpu().numpy()),
        _precision(child).cpu().numpy().astype(np.uint64),
    )


def _spread(values: Tensor) -> Tensor:
    return values[..., None].expand(*values.shape, _core.WEIGHTS).contiguous()


def _bins(ratio: Tensor) -> Tensor:
    """Return the bins of displacements of so many units in the last place, as the core has them."""
    exponent = (ratio.view(torch.int64) >> 52) - 1023
    large = (34 + (exponent - 5).clamp_min(0)).clamp_max(_core.BINS - 1)
    middle = 1 + (ratio.clamp_max(64.0) + 0.5).long()
    found = torch.where(ratio < 32.5, middle, large)
    found = torch.where(ratio < 0.5, 1, found)
    return torch.where(ratio == 0.0, 0, found)


def _precision(child: Tensor) -> Tensor:
    """Return (M,) most bits of significands after the leading one that are used."""
    mantissa = child.view(torch.int64) & ((1 << 52) - 1)
    lowest = mantissa & -mantissa
    # A power of two as float64 has its logarithm in its exponent.
    exponent = (lowest.double().view(torch.int64) >> 52) - 1023
    return torch.where(mantissa == 0, 0, 52 - exponent).amax(dim=1)
