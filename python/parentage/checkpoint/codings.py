"""Codings: tensors that are computed from stored bytes while they are read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    Rounded = Literal["never", "BF16", "F16", "BF16 twice", "F16 twice"]
    Part = Literal["value", "low", "high"]
    Packing = Literal["rows", "gptq", "awq"]

GGML_SCALED_BEFORE = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
"""Kinds of blocks whose codes ggml computes before their scale is rounded to float16
(ggml-quants.c, ``quantize_row_*_ref``)."""

_PACKINGS = ("rows", "gptq", "awq")

_PARTS: tuple[Part, ...] = ("value", "low", "high")

ROUNDED: tuple[Rounded, ...] = ("never", "BF16", "F16", "BF16 twice", "F16 twice")
"""How a product of low rank may be rounded before it is added: when it is scaled, or before and
after."""


LARGEST = float.fromhex("0x1.fffffep127")
"""The largest number of float32, which the numbers of codings are."""


def is_float32(number: float) -> bool:
    """Return whether a number is finite, and float32 has one near it.

    >>> is_float32(-3e38), is_float32(1e39), is_float32(float("nan"))
    (True, False, False)
    """
    return abs(number) <= LARGEST


def _bits(number: float) -> int:
    """Return the bits of a number as float32."""
    return int.from_bytes(struct.pack("<f", number), "little")


class Window(NamedTuple):
    """Bytes that a coding is computed from."""

    shard: int
    """The file, or ``number of files + k`` for what coding ``k`` gives."""
    begin: int
    """First byte in it."""
    end: int
    """Byte past the last."""
    dtype: str
    """How the bytes are to be read: by a safetensors name."""


class Coding(NamedTuple):
    """What a tensor is computed from, and how; a matrix is all dimensions but the last by the last.

    The core carries it out (``rust/core/src/decode``), operation by operation as the reference
    implementation of each format does, in float32 rounded once to ``dtype``. ``part`` is what is
    wanted of each code: what it stands for, or an end of the cell of numbers nearest to it.
    """

    kind: str
    dtype: str
    """The dtype of what is computed."""
    part: Part
    windows: tuple[Window, ...]
    numbers: tuple[int, ...] = ()
    lists: tuple[Sequence[int], ...] = ()

    @classmethod
    def gather(
        cls, window: Window, width: int, rows: Sequence[int] = (), columns: Sequence[int] = ()
    ) -> Coding:
        """Return ``out[i][j] = in[rows[i]][columns[j]]`` of a matrix of ``width`` columns.

        An empty list stands for all of them. Bytes are moved, so that bits stay.
        """
        return cls("gather", window.dtype, "value", (window,), (width,), (rows, columns))

    @classmethod
    def strided(
        cls, window: Window, shape: Sequence[int], strides: Sequence[int], first: int = 0
    ) -> Coding:
        """Return ``out[i, j, ..] = in[first + i strides[0] + j strides[1] + ..]``, in elements."""
        return cls("strided", window.dtype, "value", (window,), (first,), (shape, strides))

    @classmethod
    def shift(cls, window: Window, offset: float, dtype: str = "F32") -> Coding:
        """Return all elements plus a number, in float32: norms that are stored as 1 + w."""
        return cls("shift", dtype, "value", (window,), (_bits(offset),))

    @classmethod
    def scaled(
        cls,
        codes: Window,
        scales: Window,
        width: int,
        block: tuple[int, int],
        *,
        zeros: Window | None = None,
        by_127: bool = False,
        dtype: str = "F32",
    ) -> Coding:
        """Return ``(codes - zeros) scales``, where a scale is for ``block`` rows and columns.

        ``by_127`` multiplies by 1/127 as well, as LLM.int8 does.
        """
        windows = (codes, scales) if zeros is None else (codes, scales, zeros)
        return cls("scaled", dtype, "value", windows, (width, *block, int(by_127)))

    @classmethod
    def mxfp4(cls, blocks: Window, scales: Window) -> Coding:
        """Return MXFP4 as gpt-oss stores it: 16 bytes and a power of two for 32 elements."""
        return cls("mxfp4", "BF16", "value", (blocks, scales))

    @classmethod
    def nvfp4(
        cls, codes: Window, scales: Window, whole: Window, *, divided: bool, dtype: str = "BF16"
    ) -> Coding:
        """Return NVFP4: an F8_E4M3 for 16 elements, times or ``divided`` by one number for all."""
        return cls("nvfp4", dtype, "value", (codes, scales, whole), (int(divided),))

    @classmethod
    def nf4(
        cls,
        windows: Sequence[Window],
        block: int,
        nested: int = 0,
        offset: float = 0.0,
        dtype: str = "BF16",
    ) -> Coding:
        """Return four-bit codes of bitsandbytes.

        Windows are codes, absmax and map; where absmax are ``nested``, they are codes for which the
        map of their own and their absmax follow, and ``offset`` is added to what these give.
        """
        return cls("nf4", dtype, "value", tuple(windows), (block, nested, _bits(offset)))

    @classmethod
    def packed(
        cls,
        words: Window,
        scales: Window,
        shape: tuple[int, int],
        *,
        bits: int,
        group: int,
        packing: Packing,
        zeros: Window | None = None,
        groups: Window | None = None,
        offset: int = 0,
        dtype: str = "F16",
    ) -> Coding:
        """Return integers of ``bits`` in words of 32: ``(q - zero) scale``.

        ``group`` columns have one scale, or those that ``groups`` says. ``offset`` is what zeros
        are stored less than they are.
        """
        windows = [words, scales, *(each for each in (zeros, groups) if each is not None)]
        present = (int(zeros is not None), int(groups is not None))
        numbers = (bits, *shape, group, offset, *present, _PACKINGS.index(packing))
        return cls("packed", dtype, "value", tuple(windows), numbers)

    @classmethod
    def gguf(cls, blocks: Window, kind: str, dtype: str = "F32") -> Coding:
        """Return the elements of blocks of a GGUF file, of a kind by ggml's name."""
        return cls(kind, dtype, "value", (blocks,))

    @classmethod
    def low_rank(
        cls,
        left: Window,
        right: Window,
        shape: tuple[int, int],
        rank: int,
        *,
        scale: float = 1.0,
        origin: Window | None = None,
        magnitudes: Window | None = None,
        rounded: Rounded = "never",
    ) -> Coding:
        """Return ``origin + scale (left right)`` as float32, rows set to the norm ``magnitudes``.

        ``left`` is (rows, rank), ``right`` (rank, columns), ``magnitudes`` (rows). Sums are fused
        multiply-adds in the order of ranks, which are ``rounded`` when they are scaled
        (``rust/core/src/decode/low_rank.rs``).
        """
        windows = [left, right, *(each for each in (origin, magnitudes) if each is not None)]
        present = (int(origin is not None), int(magnitudes is not None))
        numbers = (shape[1], rank, _bits(scale), ROUNDED.index(rounded), *present)
        return cls("low_rank", "F32", "value", tuple(windows), numbers)

    def scaled_by(self, scale: float, rounded: Rounded) -> Coding:
        """Return a product of low rank with another scale, rounded in another way."""
        width, rank, _, _, *present = self.numbers
        return self._replace(numbers=(width, rank, _bits(scale), ROUNDED.index(rounded), *present))

    @classmethod
    def of(
        cls,
        state: tuple[
            str, str, Part,
            Sequence[tuple[int, int, int, str]], Sequence[int], Sequence[Sequence[int]],
        ],
    ) -> Coding:  # fmt: skip
        """Return the coding that the core tells as a tuple."""
        kind, dtype, part, windows, numbers, lists = state
        return cls(kind, dtype, part, tuple(map(Window._make, windows)), (*numbers,), (*lists,))

    @property
    def is_moved(self) -> bool:
        """Whether it is of stored numbers, moved or shifted, and decodes nothing itself."""
        return self.kind in ("gather", "strided", "shift")

    @property
    def is_of_codes(self) -> bool:
        """Whether it decodes what is stored as codes; others give numbers of stored numbers."""
        return not self.is_moved and self.kind != "low_rank"

    @property
    def scheme(self) -> str:
        """Return how numbers are encoded, in words.

        >>> Coding.gguf(Window(0, 0, 144, "U8"), "Q4_K").scheme
        'Q4_K'
        """
        codes = self.windows[0].dtype
        if self.kind == "scaled":
            width, down, across = self.numbers[:3]
            if across >= width:
                which = "row" if down == 1 else f"{down:,} rows"
            else:
                which = f"{down:,} x {across:,}"
            return f"{codes} with a scale for each {which}"
        if self.kind == "packed":
            return f"packed {self.numbers[0]}-bit integers, {self.numbers[3]:,} to a scale"
        return {"mxfp4": "MXFP4", "nvfp4": "NVFP4", "nf4": "4 bits by a map"}.get(
            self.kind, self.kind
        )

    @property
    def rounding(self) -> float:
        """How far the rounding of a scale may move a code's cell, as a share of its numbers.

        Some tools divide by the scale that they store, others by the one that they rounded. Of
        blocks with scales of scales, ggml computes codes by those that are stored.
        """
        if self.kind in GGML_SCALED_BEFORE:
            return 2.0**-10
        scales = self.windows[1].dtype if len(self.windows) > 1 else "F32"
        return {"F16": 2.0**-10, "BF16": 2.0**-7}.get(scales, 2.0**-21)

    @property
    def shifted_codes(self) -> int:
        """Codes of a block whose numbers are a scale times a code and a shift, each rounded.

        Where these nearly cancel, the rounding of either is no share of the number.
        """
        return {"Q4_1": 16, "Q5_1": 32}.get(self.kind, 0)

    def is_like(self, other: Coding) -> bool:
        """Return whether the same bytes would be the same numbers."""

        def way(coding: Coding) -> tuple[object, ...]:
            windows = [(each.end - each.begin, each.dtype) for each in coding.windows]
            return coding.kind, coding.dtype, coding.numbers, coding.lists, windows

        return way(self) == way(other)

    def cells(self) -> tuple[Coding, Coding, Coding]:
        """Return what codes stand for, and the lower and upper ends of their cells, as float32."""
        value, low, high = (self._replace(part=part, dtype="F32") for part in _PARTS)
        return value, low, high
