"""Values decide in which of several orders a tensor is stored, where names and shapes do not."""

from __future__ import annotations

from collections import defaultdict
from math import prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.strides import Composed
from parentage.align.layouts.whole import without_numbers
from parentage.align.orders.matching import CLEAR, LEAST_LIKE
from parentage.align.orders.reading import runs
from parentage.checkpoint import dtype_class
from parentage.stream import Options
from parentage.support import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align.layouts.strides import Reading
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.support import Floats

CHANCE = 6.0
"""Standard deviations of the correlation of independent values that one has to exceed."""

NEAR = 0.25
"""Most that the squared distance to the nearest is of that to the next."""

TENSORS = 4
"""Tensors of one kind that are looked at: layers are stored alike."""

PIECES = 6
"""Pieces of each that are looked at, at most."""

RUNS = 32
"""Places of a piece that are looked at."""

LENGTH = 64
"""Elements of each, at most."""

_READ = Options(1)


class Question(NamedTuple):
    """In which order a tensor is stored, as its counterparts tell."""

    key: str
    """Its name; those that differ in numbers alone are asked together."""
    tensor: Tensor
    readings: Sequence[Reading]
    mates: Sequence[Tensor]
    """What the pieces of each reading are, in another checkpoint."""
    is_documented: bool
    """Whether the first reading is taken where values tell none."""
    is_free: bool = True
    """Whether any reading will do where all give the same numbers, as of a constant."""


def decided(
    checkpoint: Checkpoint, other: Checkpoint, questions: Sequence[Question]
) -> list[Reading | None]:
    """Return the reading of each tensor of a checkpoint under which it is like the other's.

    It is ``None`` where values are not clear and no order is documented.
    """
    kinds: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, each in enumerate(questions):
        kind = (without_numbers(each.key), each.tensor.shape, len(each.readings))
        kinds[kind].append(number)
    answers: dict[int, int | None] = {}
    for among in kinds.values():
        first = questions[among[0]]
        if len(first.readings) == 1 and first.is_documented:
            answers |= dict.fromkeys(among, 0)
            continue
        chosen = spread(among, TENSORS)
        answer = _answer(checkpoint, other, [questions[number] for number in chosen])
        if answer is None and first.is_documented:
            answer = 0
        answers |= dict.fromkeys(among, answer)
    _follow(questions, answers)
    return [
        None if (answer := answers[number]) is None else each.readings[answer]
        for number, each in enumerate(questions)
    ]


def _follow(questions: Sequence[Question], answers: dict[int, int | None]) -> None:
    """Let biases lie as the matrices do that they belong to: few elements tell less."""
    matrices = {
        each.key.removesuffix(".weight"): number
        for number, each in enumerate(questions)
        if each.key.endswith(".weight")
    }
    for number, each in enumerate(questions):
        matrix = matrices.get(each.key.removesuffix(".bias"))
        answer = None if matrix is None else answers[matrix]
        if matrix is None or answer is None or not each.key.endswith(".bias"):
            continue
        order = questions[matrix].readings[answer].order.removeprefix("transposed, ")
        order = "" if order == "transposed" else order
        orders = [reading.order for reading in each.readings]
        if order in orders:
            answers[number] = orders.index(order)


def _answer(checkpoint: Checkpoint, other: Checkpoint, asked: Sequence[Question]) -> int | None:
    """Return which reading of some tensors of one kind is clearly the likest."""
    if checkpoint.is_outline or other.is_outline:
        return None  # there are no values to ask
    if any(
        dtype_class(each.dtype) != "float"
        for question in asked
        for each in (question.tensor, *question.mates)
    ):
        return None
    composed = Composed(checkpoint)
    mates: list[Tensor] = []
    count = len(asked[0].readings)
    for number, question in enumerate(asked):
        chosen = spread(range(len(question.mates)), PIECES)
        mates += [question.mates[piece] for piece in chosen]
        for reading in range(count):
            for piece in chosen:
                composed.add(
                    question.tensor,
                    question.readings[reading].pieces[piece],
                    f"{reading:04}.{number:02}.{piece:06}",
                )
    view = composed.view()
    theirs = _sample(other, mates)
    mine = _sample(view, list(view.tensors.values())).reshape(count, -1)
    if any(piece.shift for reading in asked[0].readings for piece in reading.pieces):
        return nearest(mine, theirs)
    if not asked[0].is_free and (mine == mine[0]).all():
        return None
    return clearest(mine, theirs)


def clearest(mine: Floats, theirs: Floats) -> int | None:
    """Return which row of (R, n) is clearly the likest (n,); ``None`` if none is.

    >>> theirs = np.array([1.0, -2.0, 3.0, 0.5] * 40)
    >>> clearest(np.array([theirs[::-1], theirs]), theirs)
    1
    >>> clearest(np.array([theirs + 3.0, theirs + 2.0]), theirs) is None
    True
    """
    if (mine == mine[0]).all():
        return 0  # as good as one another: all give the same numbers
    alike = _correlations(mine, theirs)
    best = int(alike.argmax())
    least = max(LEAST_LIKE, min(CHANCE / sqrt(max(theirs.size, 1)), 0.98))
    others = [i for i in range(len(mine)) if not np.array_equal(mine[i], mine[best])]
    following = max((float(alike[i]) for i in others), default=-1.0)
    is_clear = following < alike[best] and 1.0 - alike[best] <= CLEAR * (1.0 - following)
    return best if is_clear and alike[best] >= least else None


def nearest(mine: Floats, theirs: Floats) -> int | None:
    """Return which row of (R, n) is clearly nearest to (n,); ``None`` if none is.

    What differs by a number that is the same everywhere is as well correlated as what does not.

    >>> theirs = np.array([1.0, 1.1, 0.9, 1.05])
    >>> nearest(np.array([theirs - 1.0, theirs + 0.01]), theirs)
    1
    """
    distances = ((mine - theirs) ** 2).sum(axis=1)
    best = int(distances.argmin())
    others = np.delete(distances, best)
    return best if distances[best] <= NEAR * others.min(initial=np.inf) else None


def _correlations(mine: Floats, theirs: Floats) -> Floats:
    """Return (R,) correlations of rows with a vector; 0 where either is constant."""
    one = mine - mine.mean(axis=1, keepdims=True)
    two = theirs - theirs.mean()
    scale = np.sqrt((one * one).sum(axis=1) * (two * two).sum())
    inner = (one * two).sum(axis=1)
    found: Floats = np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0.0)
    return found


def _sample(checkpoint: Checkpoint, tensors: Sequence[Tensor]) -> Floats:
    """Return (n,) elements of tensors, of each as many as its size says, one after the other."""
    out = [np.zeros(0)] * len(tensors)
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, each in enumerate(tensors):
        by_size[prod(each.shape)].append(number)
    for size, among in by_size.items():
        length = min(LENGTH, size)
        count = min(RUNS, -(-size // length))
        starts = [(size - length) * run // max(count - 1, 1) for run in range(count)]
        places = [(tensors[number].index, start) for number in among for start in starts]
        found = runs(checkpoint, places, length, _READ).reshape(len(among), -1)
        for number, values in zip(among, found, strict=True):
            out[number] = values
    return np.concatenate(out)
