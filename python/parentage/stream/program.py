"""Recipes as programs of the core: written down as formulas, carried out in Rust.

A :class:`Program` collects operations while a formula is evaluated on :class:`Value` objects:

>>> import numpy as np
>>> program = Program(slices=3)
>>> base, parent = program.column(0), program.column(1)
>>> blend = program.fma(parent, program.scalar(0.6), base * program.scalar(0.4))
>>> program.operations[-2:]
[('mul', [0, 3]), ('fma', [1, 2, 4])]

Every operation is one float32 operation, rounded once; ``round`` adds a rounding to a narrower
dtype.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

Float32s = NDArray[np.float32]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Value:
    """A number per element, as float32."""

    program: Program
    number: int

    def __add__(self, other: Value) -> Value:
        return self.program.operation("add", self, other)

    def __sub__(self, other: Value) -> Value:
        return self.program.operation("sub", self, other)

    def __mul__(self, other: Value) -> Value:
        return self.program.operation("mul", self, other)

    def __truediv__(self, other: Value) -> Value:
        return self.program.operation("div", self, other)

    def __abs__(self) -> Value:
        return self.program.operation("abs", self)

    def __gt__(self, other: Value) -> Value:
        return self.program.operation("greater", self, other)

    def __ge__(self, other: Value) -> Value:
        return self.program.operation("greater_equal", self, other)

    def round(self, dtype: str | None) -> Value:
        """Round to a dtype by its safetensors name; ``None`` and ``"F32"`` leave it as it is."""
        if dtype in (None, "F32"):
            return self
        return self.program.operation("round", self, dtype=dtype)


class Program:
    """Operations on the columns of a plan, the same for all its slices but for their scalars."""

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self._operations: list[tuple[str, list[int], str | None]] = []
        self._numbers: dict[tuple[str, tuple[int, ...], str | None], Value] = {}
        self._scalars: list[Float32s] = []
        self._scalar_numbers: dict[bytes, int] = {}
        self._matrices: list[Sequence[tuple[Floats, Floats] | None]] = []
        self.decoys: frozenset[int] = frozenset()
        """Columns whose displacements are reversed, block by block, as decoys of themselves."""
        self.decoy_dtype: str | None = None
        """The dtype that decoys are rounded to."""

    @property
    def operations(self) -> list[tuple[str, list[int]]]:
        """Name and operands of every operation so far."""
        return [(name, operands) for name, operands, _ in self._operations]

    @property
    def steps(self) -> list[tuple[str, list[int], str | None]]:
        """Name, operands and dtype of every operation so far, as :meth:`replay` hands them over."""
        return self._operations

    @property
    def scalars(self) -> list[Float32s]:
        """The numbers that operations ``scalar`` name by their place, (S,) each."""
        return self._scalars

    def operation(self, name: str, *operands: Value, dtype: str | None = None) -> Value:
        """Add an operation, unless there is one like it, and return its value."""
        return self._add(name, tuple(operand.number for operand in operands), dtype)

    def _add(self, name: str, operands: tuple[int, ...], dtype: str | None = None) -> Value:
        key = (name, operands, dtype)
        if key not in self._numbers:
            self._numbers[key] = Value(self, len(self._operations))
            self._operations.append((name, list(operands), dtype))
        return self._numbers[key]

    def column(self, column: int) -> Value:
        """Return the elements of a checkpoint: 0 is the base, then parents and controls.

        Those of a decoy are the base's with the decoy's displacements in another order.
        """
        if column not in self.decoys:
            return self._add("column", (column,))
        delta = self._add("reversed", (column,)) - self._add("reversed", (0,))
        return (self._add("column", (0,)) + delta).round(self.decoy_dtype)

    def scalar(self, value: float | Sequence[float] | NDArray[np.floating]) -> Value:
        """Return a number, one for all slices or (S,) one for each, rounded to float32."""
        values = np.broadcast_to(np.asarray(value, dtype=np.float32), (self.slices,))
        key = values.tobytes()
        if key not in self._scalar_numbers:
            self._scalar_numbers[key] = len(self._scalars)
            self._scalars.append(values)
        return self._add("scalar", (self._scalar_numbers[key],))

    def low_rank(self, matrices: Sequence[tuple[Floats, Floats] | None]) -> Value:
        """Return the elements of ``left @ right``, (rows, rank) and (rank, columns) by slice."""
        self._matrices.append(matrices)
        return self._add("low_rank", (len(self._matrices) - 1,))

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a b + c, rounded once."""
        return self.operation("fma", a, b, c)

    def maximum(self, a: Value, b: Value) -> Value:
        """Return the larger."""
        return self.operation("max", a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        """Return the smaller."""
        return self.operation("min", a, b)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """Return a where the condition is not 0, else b."""
        return self.operation("select", condition, a, b)

    def rounded(self, value: Value, dtypes: Sequence[str]) -> Value:
        """Return a value rounded to a dtype for each slice, by their safetensors names."""
        first, *others = sorted(set(dtypes))
        out = value.round(first)
        for dtype in others:
            is_there = self.scalar([float(each == dtype) for each in dtypes])
            out = self.select(is_there, value.round(dtype), out)
        return out

    def digest(self, results: Sequence[Value]) -> str:
        """Return the SHA-256 of all that :meth:`replay` hands to the core, for all slices."""
        numbers = [result.number for result in results]
        out = hashlib.sha256(json.dumps([self._operations, numbers, self.slices]).encode())
        for values in self._scalars:
            out.update(values.tobytes())
        for matrices in self._matrices:
            for pair in matrices:
                shapes = [] if pair is None else [each.shape for each in pair]
                out.update(json.dumps(shapes).encode())
                for each in pair or ():
                    out.update(np.ascontiguousarray(each).tobytes())
        return out.hexdigest()

    def replay(
        self,
        results: Sequence[Value],
        owner: NDArray[np.intp] | None = None,
        starts: NDArray[np.uint64] | None = None,
        *,
        applies: NDArray[np.bool_] | None = None,
    ) -> _core.Replay:
        """Return what the core carries out.

        ``owner`` are the slices of a plan's slices, where those are parts of slices or a range of
        them, and ``starts`` their first elements in those; ``applies`` (S,) says about which slices
        the program says anything.
        """
        chosen = np.arange(self.slices) if owner is None else owner
        scalars = np.empty((len(chosen), len(self._scalars)), dtype=np.float32)
        for i, values in enumerate(self._scalars):
            scalars[:, i] = values[chosen]
        matrices = None
        if self._matrices:
            first = np.zeros(len(chosen), dtype=np.uint64) if starts is None else starts
            matrices = [
                [None if (m := each[i]) is None else (*m, int(start)) for each in self._matrices]
                for i, start in zip(chosen, first, strict=True)
            ]
        # A result may be an operation twice: two ways that come to the same.
        numbers = list(dict.fromkeys(result.number for result in results))
        return _core.Replay(
            [(name, operands, dtype) for name, operands, dtype in self._operations],
            numbers,
            scalars,
            matrices,
            None if applies is None else np.ascontiguousarray(applies[chosen]),
        )
