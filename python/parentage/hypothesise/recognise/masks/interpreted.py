"""Programs carried out in numpy, element by element, and the masks that their results tell."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_bf16
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools, Places, View
    from parentage.recipe import Recipe
    from parentage.stream import Program
    from parentage.support import Floats


def outcomes(estimates: SampleEstimates, view: View, recipe: Recipe) -> list[Bools]:
    """Return, for each result of a recipe's program, (elements,) whether the child has its bits."""
    program, results = compile_recipe(recipe, estimates.columns.indices, estimates.slices)
    values = view.sample.elements
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        values = values[finite]
    child = values[:, -1].astype(np.float32)
    numbers = [result.number for result in results]
    return [result == child for result in interpreted(program, numbers, values, view.owner)]


def interpreted(
    program: Program, results: Sequence[int], values: Floats, owner: Places
) -> list[NDArray[np.float32]]:
    """Return (elements,) the results of a program, computed in numpy's float32.

    ``results`` are numbers of operations, ``values`` (elements, columns) those of the checkpoints,
    and ``owner`` (elements,) is the slice of each element.
    """
    registers: list[NDArray[np.float32] | None] = []
    operations = program.steps
    last_use = {}
    for index, (name, operands, _) in enumerate(operations):
        if name not in ("column", "reversed", "scalar"):
            for operand in operands:
                last_use[operand] = index
    for number in results:
        last_use[number] = len(operations)
    for index, (name, operands, dtype) in enumerate(operations):
        if name == "column":
            registers.append(values[:, operands[0]].astype(np.float32))
            continue
        if name == "scalar":
            registers.append(program.scalars[operands[0]][owner])
            continue
        taken = [registers[operand] for operand in operands]
        registers.append(_operation(name, [x for x in taken if x is not None], dtype))
        for operand in operands:
            if last_use[operand] == index:
                registers[operand] = None
    return [x for x in (registers[number] for number in results) if x is not None]


def _operation(
    name: str, operands: list[NDArray[np.float32]], dtype: str | None
) -> NDArray[np.float32]:
    """Return (elements,) the result of one operation; ``dtype`` is that of a rounding."""
    a = operands[0]
    if name == "round":
        if dtype == "BF16":
            return to_bf16(a).astype(np.float32)
        with np.errstate(over="ignore"):
            return a.astype({"F16": np.float16, "F64": np.float64}[str(dtype)]).astype(np.float32)
    with np.errstate(all="ignore"):
        match name:
            case "abs":
                return np.abs(a)
            case "select":
                return np.where(a != 0, operands[1], operands[2])
            case "greater":
                return (a > operands[1]).astype(np.float32)
            case "greater_equal":
                return (a >= operands[1]).astype(np.float32)
            case "max":
                return np.where(a > operands[1], a, operands[1])
            case "min":
                return np.where(a < operands[1], a, operands[1])
        plain = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
        result: NDArray[np.float32] = plain[name](a, operands[1])
        return result


def known_masks(
    estimates: SampleEstimates, mixture: Mixture, recipe: Recipe
) -> tuple[Bools, Bools, Bools]:
    """Return which displacements are known to be kept and dropped, and which elements explained.

    (axes, elements) twice, and (elements,). A set of parents explains an element if the result of
    ``recipe`` with just those parents has the child's bits; its masks are drawn at random, so that
    any set is possible.
    """
    deltas = mixture.view.deltas[mixture.axes]
    votes = deltas * _factors(recipe)[:, None]
    # Votes that round to the same are a draw, which the positive ones win.
    spare = 1.0 - (2.0**-6 if is_bf16(mixture) else 1e-6)
    can_keep, can_drop = np.zeros(deltas.shape, bool), np.zeros(deltas.shape, bool)
    explained = np.zeros(mixture.view.size, bool)
    for kept, explains in _explaining(estimates, mixture, recipe):
        explained |= explains
        for i in range(len(deltas)):
            if i in kept:
                can_keep[i] |= explains
                continue
            can_drop[i] |= explains
            if mixture.elected and kept:
                # One of the other sign may have been kept and outvoted.
                won = votes[list(kept)].sum(axis=0)
                can_keep[i] |= (
                    explains
                    & (np.sign(won) != np.sign(votes[i]))
                    & (np.abs(won) >= np.abs(votes[i]) * spare)
                )
    known = deltas != 0.0
    return can_keep & ~can_drop & known, can_drop & ~can_keep & known, explained


def _factors(recipe: Recipe) -> Floats:
    """Return (axes,) the weights of a recipe that are numbers, and 1 for others."""
    weights = [ingredient.weight for ingredient in recipe.ingredients]
    return np.array([float(w) if isinstance(w, int | float) else 1.0 for w in weights])


def _explaining(
    estimates: SampleEstimates, mixture: Mixture, recipe: Recipe
) -> Iterator[tuple[tuple[int, ...], Bools]]:
    """Yield sets of parents, counted along the mixture's axes, and (elements,) what each explains.

    Where signs are elected, a set of several comes twice: for all positive, and all negative.
    """
    deltas = mixture.view.deltas[mixture.axes]
    # Results of different sets may be one operation; the program has them one after the other.
    matches = iter(outcomes(estimates, mixture.view, recipe))
    yield (), next(matches)
    for size in range(1, 1 + len(deltas)):
        for kept in combinations(range(len(deltas)), size):
            if not mixture.elected or size == 1:
                yield kept, next(matches)
                continue
            for sign in (1.0, -1.0):
                is_sign = (np.sign(deltas[list(kept)]) == sign).all(axis=0)
                yield kept, next(matches) & is_sign
