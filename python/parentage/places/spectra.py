"""Changes told by the difference as a whole: low rank, units, white noise, a stranger, or moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.places.change import Change
from parentage.places.pair import ARITHMETIC, every, units

if TYPE_CHECKING:
    from parentage.places.pair import Pair
    from parentage.support import Floats

SKETCH = 80
"""Columns of the random sketch that singular values are taken from."""

MOST_RANK = 64
"""Largest rank that is called low."""

LOW = 0.25
"""Share of the smaller side from which on a rank is not called low."""

NOISE = 1.3
"""Singular values below this times the largest of rounding alone are taken for rounding."""

HELD = 0.95
"""Least share of a difference's energy, beyond rounding, that its low rank has to hold."""

DROP = 1.5
"""Least ratio of the last singular value of a low rank to the next: where spectra decay, all are
near one another."""

LEFT = 1.25
"""Most energy that a low rank leaves, in units of what rounding alone leaves."""

PARTICIPATION = 0.10
"""Least share of rows, and of columns, that take part in a difference of low rank."""

WHITE_SIDE = 32
"""Least rows and columns for a difference to be called white."""

WHITE_ROWS, WHITE_COLUMNS = 384, 1024
"""Rows and columns of a difference that its correlations are taken of, at most."""

WHITE_EXCESS = 0.02
"""How far sums of squared inner products of rows may be from those of independent numbers."""

LEAST_ROUNDED = 1024
"""Least numbers that were rounded, for how they were to show."""

OTHERWISE = 0.15
"""Least share of them that rounding to nearest does not give: a quarter where it was at random, and
half where they were cut off."""

STRANGER = 0.03
"""Most cosine of a stranger, beyond four standard errors: unrelated matrices reach 0.00."""

LEAST_FOREIGN = 1024
"""Least elements of a matrix that can be a stranger: small ones say nothing."""


def low_rank(pair: Pair) -> Change | None:
    """Return the change of a slice to which a matrix of low rank was added."""
    gap = pair.child - pair.reference
    side = min(gap.shape)
    most = min(MOST_RANK, int(LOW * side))
    if most < 1:
        return None
    noise = pair.unit**2 / 12.0
    # The largest singular value of independent errors (Bandeira and van Handel 2016, theorem 1.1).
    largest = np.sqrt(noise.sum(axis=1).max()) + np.sqrt(noise.sum(axis=0).max())
    left, values, right = _singular(gap)
    rank = int((values > NOISE * largest).sum())
    beyond = float((gap**2).sum() - noise.sum())
    if not 1 <= rank <= most or beyond <= 0:
        return None
    held = float((values[:rank] ** 2).sum())
    if held < HELD * beyond or float((gap**2).sum()) - held > LEFT * float(noise.sum()):
        return None
    if rank < len(values) and values[rank - 1] < DROP * values[rank]:
        return None
    for vectors in (left[:, :rank], right[:rank].T):
        energy = ((vectors * values[:rank]) ** 2).sum(axis=1)
        if float(energy.sum() ** 2 / (energy**2).sum()) < max(PARTICIPATION * len(energy), 2.0):
            return None
    numbers = {**pair.numbers, "rank": float(rank)}
    return Change("low rank", "a matrix of rank {rank} added, {rms:percent} of its size", numbers)


def _singular(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the largest singular values of a matrix, with their vectors (Halko et al. 2011)."""
    if min(matrix.shape) > 2 * SKETCH:
        rng = np.random.default_rng(0)
        basis = np.linalg.qr(matrix @ rng.standard_normal((matrix.shape[1], SKETCH)))[0]
        basis = np.linalg.qr(matrix @ (matrix.T @ basis))[0]
        left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
        return basis @ left, values, right
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left, values, right


def within_units(pair: Pair) -> Change | None:
    """Return the change of a slice that lies within two units in the last place throughout."""
    furthest = float((np.abs(pair.gap) / pair.unit_of_terms).max())
    if furthest > ARITHMETIC:
        return None
    steps = np.abs(pair.gap) / pair.unit
    terms = " of its terms" if steps.max() > ARITHMETIC else ""
    one = float((steps <= 1.0).mean()) - (1.0 - pair.numbers["share"])
    numbers = {**pair.numbers, "one": one, "two": pair.numbers["share"] - one}
    numbers["most"] = 1.0 if furthest <= 1.0 else 2.0
    most = "a unit" if furthest <= 1.0 else "two units"
    most = f"{most} in the last place{terms} at most"
    pattern = f"{{share:percent}} of its elements differ, by {most}"
    return Change("units", f"{pattern}, no more than arithmetic may leave", numbers)


def rounded_otherwise(pair: Pair) -> Change | None:
    """Return the change of a slice whose numbers are the reference's, cut off or rounded at random.

    Only of a reference that is finer than the child's dtype.
    """
    exact, child = pair.reference, pair.child
    unit = units(exact, pair.dtype)
    off = exact != pair.stored
    enough = off.sum() >= LEAST_ROUNDED and off.mean() >= 0.5
    if not enough or pair.count < OTHERWISE * int(off.sum()):
        return None
    step = (child - exact) / unit
    if np.abs(step).max() >= 1.0:
        return None
    if (np.abs(child) <= np.abs(exact)).all():
        pattern = "{name}cut off to {dtype}, not rounded: every value"
        return Change("quantised", pattern, pair.numbers, {"name": "", "dtype": pair.dtype})
    below = np.floor(exact / unit)
    share = (exact / unit - below)[off]
    went_up = (np.rint(child[off] / unit[off]) > below[off]).astype(np.float64)
    # Rounded at random, the chance of going up is the share of a unit that is beyond the lower.
    for place in range(10):
        inside = (share * 10.0).astype(np.intp) == place
        count = int(inside.sum())
        if count < 8:
            continue
        chance = float(share[inside].mean())
        error = np.sqrt(max(chance * (1.0 - chance), 1e-3) / count)
        if abs(float(went_up[inside].mean()) - chance) > 5.0 * error:
            return None
    pattern = "{name}rounded at random to {dtype}: every value one of the two neighbours"
    return Change("quantised", pattern, pair.numbers, {"name": "", "dtype": pair.dtype})


def foreign(pair: Pair) -> Change | None:
    """Return the change of a matrix that is like none that was offered."""
    if min(pair.child.shape) < 2 or pair.child.size < LEAST_FOREIGN:
        return None
    offered = [pair.stored, *pair.others.values()]
    own = float(np.sqrt((pair.child**2).sum()))
    sizes = [float(np.sqrt((each**2).sum())) for each in offered]
    if own == 0.0 or not all(sizes):
        return None
    cosines = [
        abs(float((pair.child * each).sum()) / own / size)
        for each, size in zip(offered, sizes, strict=True)
    ]
    if not max(cosines) <= STRANGER + 4.0 / np.sqrt(pair.child.size):
        return None
    size = own / np.sqrt(pair.child.size)
    numbers = {**pair.numbers, "cosine": max(cosines), "size": size}
    pattern = "as it lies, no relative of any checkpoint offered"
    if white(pair.child) is not None:
        pattern += ": independent numbers of {size}, as a new initialisation has"
    return Change("foreign", pattern, numbers)


def noise(pair: Pair) -> Change | None:
    """Return the change of a matrix to which white noise was added."""
    gap = pair.child - pair.reference
    if pair.numbers["share"] < 0.5:
        return None
    along = float((gap * pair.reference).sum())
    sizes = float((gap**2).sum() * (pair.reference**2).sum())
    if not sizes > 0 or abs(along) / np.sqrt(sizes) > 5.0 / np.sqrt(gap.size):
        return None
    unlike = "without structure, as no training we know"
    found = white(gap)
    if found is not None and _unrelated(gap, pair.reference):
        size = float(np.sqrt((gap**2).mean()))
        pattern = f"differs as by {found}noise of {{size}}, of one size and {unlike}"
        return Change("noise", pattern, {**pair.numbers, "size": size})
    steps = gap / units(pair.reference, pair.dtype)
    if white(steps) is not None and _unrelated(steps, pair.reference, tolerance=0.2):
        size = float(np.sqrt((steps**2).mean()))
        pattern = f"differs as by noise of {{units}} units in the last place, {unlike}"
        return Change("noise", pattern, {**pair.numbers, "units": size})
    return None


def _unrelated(gap: Floats, reference: Floats, tolerance: float = 0.05) -> bool:
    """Return whether differences are as large where the reference is large as elsewhere."""
    one, other = gap**2, reference**2
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if spread == 0.0:
        return True
    return bool(abs(float((one * other).sum())) / spread <= tolerance + 5.0 / np.sqrt(gap.size))


def white(values: Floats) -> str | None:
    """Return ``"normal "``, ``"uniform "`` or ``""`` if numbers of a matrix look independent.

    Rows and columns have to be of equal size, rows uncorrelated; ``None`` if they are not, or there
    are too few to say.

    >>> rng = np.random.default_rng(0)
    >>> white(rng.normal(0, 0.02, (64, 64)))
    'normal '
    >>> white(np.outer(rng.normal(size=64), rng.normal(size=64))) is None
    True
    """
    height, width = values.shape
    if height < WHITE_SIDE or width < WHITE_SIDE:
        return None
    squares = values**2
    mean = float(squares.mean())
    if not 0.0 < mean < np.inf:
        return None
    kurtosis = float((squares**2).mean()) / mean**2
    if not 1.5 <= kurtosis <= 6.0 or abs(float(values.mean())) > 5.0 * np.sqrt(mean / values.size):
        return None
    for axis, count in ((1, width), (0, height)):
        lines = squares.mean(axis=axis) / mean
        expected = (kurtosis - 1.0) / count
        spread = float(lines.var())
        if spread > expected * (1.0 + 6.0 * np.sqrt(2.0 / len(lines))) + 0.01**2:
            return None
    part = values[every(height, WHITE_ROWS)][:, every(width, WHITE_COLUMNS)]
    for matrix in (part, part.T):
        if len(matrix) > WHITE_ROWS:
            matrix = matrix[every(len(matrix), WHITE_ROWS)]
        gram = matrix @ matrix.T
        rows, columns = matrix.shape
        off = float((gram**2).sum() - (np.diag(gram) ** 2).sum())
        expected = rows * (rows - 1) * columns * float((matrix**2).mean()) ** 2
        # For independent numbers the ratio is 1, give or take 2 by the rows, and more if columns
        # are few.
        error = 2.0 / rows + 2.0 / np.sqrt(float(rows * columns))
        if abs(off / expected - 1.0) > WHITE_EXCESS + 4.0 * error:
            return None
    if abs(kurtosis - 3.0) < 0.2 + 10.0 / np.sqrt(values.size):
        return "normal "
    return "uniform " if abs(kurtosis - 1.8) < 0.1 else ""


def moved(pair: Pair) -> Change:
    """Return the change of which nothing more is known than its size."""
    if pair.numbers["share"] >= 0.5:
        return Change(
            "moved",
            "differs throughout, by {rms:ratio} of the size of what it is compared with",
            pair.numbers,
        )
    pattern = "{share:percent} of its elements differ, by {rms:ratio} of the size of all in all"
    return Change("moved", pattern, pair.numbers)
