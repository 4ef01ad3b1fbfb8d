"""Results of a program element by element, and the masks that they tell, bit for bit."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_bf16
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools, Places, View
    from parentage.recipe import Recipe
    from parentage.stream import Program
    from parentage.support import Floats


def outcomes(estimates: SampleEstimates, view: View, recipe: Recipe) -> list[Bools]:
    """Return, for each result of a recipe's program, which sampled elements have its bits."""
    program, results = compile_recipe(recipe, estimates.columns.indices, estimates.slices)
    values = view.sample.elements
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        values = values[finite]
    child = values[:, -1].astype(np.float32)
    found = interpreted(program, [each.number for each in results], values, view.owner)
    return [each == child for each in found]


def interpreted(
    program: Program, results: Sequence[int], values: Floats, owner: Places
) -> list[NDArray[np.float32]]:
    """Return results of a program, element by element, in numpy's float32."""
    registers: list[NDArray[np.float32] | None] = []
    operations = program._operations
    last = {}
    for index, (name, operands, _) in enumerate(operations):
        if name not in ("column", "reversed", "scalar"):
            for operand in operands:
                last[operand] = index
    for each in results:
        last[each] = len(operations)
    for index, (name, operands, dtype) in enumerate(operations):
        if name == "column":
            registers.append(values[:, operands[0]].astype(np.float32))
            continue
        if name == "scalar":
            registers.append(program._scalars[operands[0]][owner])
            continue
        taken = [registers[operand] for operand in operands]
        registers.append(_operation(name, [each for each in taken if each is not None], dtype))
        for operand in operands:
            if last[operand] == index:
                registers[operand] = None
    out = [registers[each] for each in results]
    return [each for each in out if each is not None]


def _operation(
    name: str, operands: list[NDArray[np.float32]], dtype: str | None
) -> NDArray[np.float32]:
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
        out: NDArray[np.float32] = plain[name](a, operands[1])
        return out


def known_masks(
    estimates: SampleEstimates, found: Mixture, recipe: Recipe
) -> tuple[Bools, Bools, Bools]:
    """Return which displacements are known to be kept and dropped, by bits, and what is explained.

    ``recipe`` is one whose masks are drawn at random.
    """
    view = found.view
    count = len(found.axes)
    matches = outcomes(estimates, view, recipe)
    deltas = view.deltas[found.axes]
    weights = [each.weight for each in recipe.ingredients]
    factors = np.array([float(w) if isinstance(w, int | float) else 1.0 for w in weights])
    votes = deltas * factors[:, None]
    # Votes that round to the same are a draw, which the positive ones win.
    spare = 1.0 - (2.0**-6 if is_bf16(found) else 1e-6)
    can_keep, can_drop = np.zeros(deltas.shape, bool), np.zeros(deltas.shape, bool)
    explained = np.zeros(view.size, bool)
    at = 0

    def record(inside: Sequence[int], ok: Bools) -> None:
        nonlocal explained
        explained |= ok
        for i in range(count):
            if i in inside:
                can_keep[i] |= ok
                continue
            can_drop[i] |= ok
            if found.elected and inside:
                won = votes[list(inside)].sum(axis=0)
                can_keep[i] |= (
                    ok
                    & (np.sign(won) != np.sign(votes[i]))
                    & (np.abs(won) >= np.abs(votes[i]) * spare)
                )

    record((), matches[0])
    # Results of different sets may be one operation; the program has them one after the other.
    for number_ in range(1, 1 + count):
        for chosen in combinations(range(count), number_):
            if not found.elected or number_ == 1:
                at += 1
                record(chosen, matches[at])
                continue
            part = deltas[list(chosen)]
            for sign in (1.0, -1.0):
                at += 1
                record(chosen, matches[at] & (np.sign(part) == sign).all(axis=0))
    known = deltas != 0.0
    return can_keep & ~can_drop & known, can_drop & ~can_keep & known, explained
