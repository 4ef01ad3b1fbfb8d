"""Tensors that are stored as codes, and how they become numbers: one rule for each scheme.

A rule goes by names and shapes alone; configurations may say anything. What no rule fits stays as
it is stored, and is never read as plain numbers where another tensor scales it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint.checkpoint import Tensor
from parentage.checkpoint.codings import Coding, Window, is_float32
from parentage.checkpoint.dtypes import DTYPES, dtype_class
from parentage.support import collection_paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from parentage.checkpoint.checkpoint import Checkpoint
    from parentage.checkpoint.codings import Packing
    from parentage.support import Floats

    Shape = tuple[int, ...]
    Rule = Callable[["_Stored", str, str], "Encoded | None"]

GGUF = (
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "MXFP4",
)  # fmt: skip
"""Kinds of blocks of GGUF files that the core decodes."""

BLOCK = 128
"""Rows and columns of a block where they do not follow from the shapes: DeepSeek-V3's, and those of
transformers' ``finegrained_fp8``."""

MOST_STATE = 1 << 16
"""Bytes of a quantisation state from which on it is none."""


MOST_SIZE = 1 << 48
"""Elements, along a dimension or in a block, from which on it is no size."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tensor of numbers that is stored as codes."""

    name: str
    shape: tuple[int, ...]
    coding: Coding
    parts: tuple[str, ...]
    """The tensors that it is stored in, the codes first."""

    @property
    def bytes(self) -> int:
        """Size of the numbers, in bytes."""
        return prod(self.shape) * DTYPES[self.coding.dtype].bytes


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a checkpoint stores: looking names up one by one in the core takes seconds of many."""

    checkpoint: Checkpoint
    tensors: Mapping[str, Tensor]


def encoded(checkpoint: Checkpoint) -> Iterator[Encoded]:
    """Yield what a checkpoint stores as codes, as far as a rule says how it is decoded."""
    endings = [(ending, rule, checkpoint.core.names(ending)) for ending, rule in RULES]
    if not checkpoint.encodings and not any(names for _, _, names in endings):
        return
    taken: set[str] = set()
    stored = _Stored(checkpoint, {each.name: each for each in checkpoint.tensors.values()})
    for name, encoding in checkpoint.encodings.items():
        coding = Coding.gguf(checkpoint.tensors[name].window, encoding.kind)
        if encoding.kind in GGUF and _core.coding_elements(coding) == prod(encoding.shape):
            taken.add(name)
            yield Encoded(name, encoding.shape, coding, (name,))
    for ending, rule, names in endings:
        for name in names:
            if name in taken:
                continue
            found = rule(stored, name, name[: len(name) - len(ending)])
            if found is None or not taken.isdisjoint(found.parts):
                continue
            if _core.coding_elements(found.coding) == prod(found.shape):
                taken.update(found.parts)
                yield found


def block_of(shape: Shape, scales: Shape) -> tuple[int, int] | None:
    """Return rows and columns of a matrix that one of its scales is for; ``None`` if none fit.

    Scales are one for all, one for each row or column, or one for each block, of which those at the
    edges may be smaller. Of a stack of matrices, each has its own.

    >>> block_of((300, 256), (3, 2)), block_of((300, 256), (300, 1)), block_of((300, 256), ())
    ((128, 128), (1, 256), (300, 256))
    >>> block_of((8, 64, 256), (8, 64, 2))
    (1, 128)
    """
    if not shape or not prod(shape):
        return None
    rows, columns = prod(shape[:-1]), shape[-1]
    if prod(scales) == 1:
        return rows, columns
    if prod(scales) == rows and scales[: len(shape) - 1] == shape[:-1]:
        return 1, columns
    if len(shape) == 2 and scales in ((columns,), (1, columns)):
        return rows, 1
    if len(scales) != len(shape) or scales[:-2] != shape[:-2]:
        return None
    down = shape[-2] if len(shape) > 1 else 1
    for block in (BLOCK, *(2**power for power in range(4, 11))):
        if scales[-1] != -(-columns // block):
            continue
        if scales[-2:-1] == (down,):
            return 1, block
        # Blocks of one matrix of a stack do not reach into the next one.
        if scales[-2:-1] == (-(-down // block),) and (len(shape) == 2 or down % block == 0):
            return block, block
    return None


def _scaled(stored: _Stored, name: str, start: str) -> Encoded | None:
    """Codes of a byte, times scales: the codes are what the scales are called after."""
    scales = stored.tensors[name]
    codes = next(filter(None, map(stored.tensors.get, _codes(start))), None)
    kind = None if codes is None else DTYPES.get(codes.dtype)
    if codes is None or kind is None or kind.bytes != 1 or _is_packed(stored, codes):
        return None
    block = block_of(codes.shape, scales.shape)
    if block is None or scales.dtype not in _SCALES:
        return None
    zeros = next(filter(None, (stored.tensors.get(f"{start}{end}") for end in _ZEROS)), None)
    if zeros is not None and (zeros.dtype, zeros.elements) != (codes.dtype, scales.elements):
        return None
    parts = (codes.name, name, *([zeros.name] if zeros is not None else []))
    coding = Coding.scaled(
        codes.window,
        scales.window if scales.dtype != "U8" else scales.window._replace(dtype="F8_E8M0"),
        codes.shape[-1],
        block,
        zeros=None if zeros is None else zeros.window,
        by_127=name.endswith(".SCB"),
    )
    plain = codes.name.removesuffix("_quantized").removesuffix("_q")
    return Encoded(plain, codes.shape, coding, parts)


_SCALES = ("F32", "BF16", "F16", "F8_E8M0", "U8")
"""Dtypes of scales; powers of two are also stored as U8."""

_ZEROS = ("_zero_point", "_zero_points")


def _codes(start: str) -> Iterator[str]:
    """Yield how codes are called whose scales are called ``start`` and an ending."""
    yield start
    yield f"{start}.weight"
    yield f"{start}_quantized"
    yield f"{start}_q"


def _is_packed(stored: _Stored, codes: Tensor) -> bool:
    """Return whether bytes hold more than one code each."""
    return codes.dtype == "U8" and any(
        f"{codes.name}{end}" in stored.tensors for end in ("_scale_2", "_global_scale")
    )


def _mxfp4(stored: _Stored, name: str, start: str) -> Encoded | None:
    """``_blocks`` (.., groups, 16) and ``_scales`` (.., groups): transformers, mxfp4.py."""
    blocks, scales = stored.tensors[name], stored.tensors.get(f"{start}_scales")
    if scales is None or (blocks.dtype, scales.dtype) != ("U8", "U8"):
        return None
    if len(blocks.shape) < 2 or blocks.shape[-1] != 16 or scales.shape != blocks.shape[:-1]:
        return None
    shape = (*blocks.shape[:-2], blocks.shape[-2] * 32)
    coding = Coding.mxfp4(blocks.window, scales.window)
    return Encoded(start, shape, coding, (name, scales.name))


def _nvfp4(stored: _Stored, name: str, start: str) -> Encoded | None:
    """Two codes in a byte, an F8_E4M3 for sixteen, and a float32 for all.

    ModelOpt has ``weight``, ``weight_scale`` and ``weight_scale_2``, compressed-tensors
    ``weight_packed``, ``weight_scale`` and ``weight_global_scale``, which divides.
    """
    whole = stored.tensors[name]
    is_divided = name.endswith("_global_scale")
    codes = stored.tensors.get(f"{start}_packed" if is_divided else start)
    scales = stored.tensors.get(f"{start}_scale")
    if codes is None or scales is None or (codes.dtype, scales.dtype) != ("U8", "F8_E4M3"):
        return None
    shape = (*codes.shape[:-1], 2 * codes.shape[-1]) if codes.shape else ()
    fits = shape and scales.shape == (*shape[:-1], shape[-1] // 16) and shape[-1] % 16 == 0
    if not fits or whole.elements != 1 or whole.dtype != "F32":
        return None
    coding = Coding.nvfp4(codes.window, scales.window, whole.window, divided=is_divided)
    return Encoded(start, shape, coding, (codes.name, scales.name, name))


def _packed(stored: _Stored, name: str, start: str) -> Encoded | None:
    """Integers along rows: compressed-tensors, ``pack_to_int32``."""
    words, scales = stored.tensors[name], stored.tensors.get(f"{start}_scale")
    shape = stored.tensors.get(f"{start}_shape")
    if scales is None or words.dtype != "I32" or scales.dtype not in ("BF16", "F16", "F32"):
        return None
    if shape is None or (shape.shape, dtype_class(shape.dtype)) != ((2,), "integer"):
        return None
    if len(words.shape) != 2 or len(scales.shape) != 2:
        return None
    rows, columns = (int(size) for size in numbers_of(stored.checkpoint, [shape]))
    bits = next((b for b in (4, 8, 2) if words.shape == (rows, -(-columns // (32 // b)))), None)
    if bits is None or columns < 0 or scales.shape[0] != rows or not scales.shape[1]:
        return None
    zeros = stored.tensors.get(f"{start}_zero_point")
    groups = stored.tensors.get(f"{start}_g_idx")
    coding = Coding.packed(
        words.window, scales.window, (rows, columns), bits=bits,
        group=-(-columns // scales.shape[1]), packing="rows",
        zeros=None if zeros is None else zeros.window,
        groups=None if groups is None else groups.window,
        dtype=scales.dtype,
    )  # fmt: skip
    also = [each.name for each in (zeros, groups) if each is not None]
    return Encoded(start, (rows, columns), coding, (name, scales.name, shape.name, *also))


def _qweight(stored: _Stored, name: str, start: str) -> Encoded | None:
    """GPTQ and AWQ: ``qweight``, ``qzeros``, ``scales`` and, of GPTQ, ``g_idx``."""
    words = stored.tensors[name]
    zeros, scales = (stored.tensors.get(f"{start}.{end}") for end in ("qzeros", "scales"))
    if zeros is None or scales is None or (words.dtype, zeros.dtype) != ("I32", "I32"):
        return None
    if any(len(each.shape) != 2 for each in (words, zeros, scales)) or not scales.elements:
        return None
    groups = stored.tensors.get(f"{start}.g_idx")
    rows = scales.shape[1]
    if words.shape[1] * 8 == rows:
        packing: Packing = "awq"
        columns, bits, groups = words.shape[0], 4, None
    elif words.shape[1] == rows and rows % max(zeros.shape[1], 1) == 0 and zeros.shape[1]:
        packing = "gptq"
        bits = 32 * zeros.shape[1] // rows
        columns = words.shape[0] * 32 // bits if bits in (2, 4, 8) else 0
    else:
        return None
    if not columns or columns % scales.shape[0]:
        return None
    coding = Coding.packed(
        words.window, scales.window, (rows, columns), bits=bits,
        group=columns // scales.shape[0], packing=packing, zeros=zeros.window,
        groups=None if groups is None else groups.window,
        # The first format of GPTQ stores zeros less one (AutoGPTQ, qlinear_cuda_old.py).
        offset=int(packing == "gptq"),
        dtype=scales.dtype if scales.dtype in ("BF16", "F32") else "F16",
    )  # fmt: skip
    also = [groups.name] if groups is not None else []
    parts = (name, zeros.name, scales.name, *also)
    return Encoded(f"{start}.weight", (rows, columns), coding, parts)


def _nf4(stored: _Stored, name: str, start: str) -> Encoded | None:
    """bitsandbytes, ``QuantState.as_dict(packed=True)``: the state is JSON in a tensor of bytes."""
    state = stored.tensors[name]
    start = name[: name.rindex(".quant_state.")]
    if state.dtype != "U8" or state.elements > MOST_STATE:
        return None
    try:
        said = json.loads(bytes(numbers_of(stored.checkpoint, [state]).astype(np.uint8)))
        shape = tuple(int(size) for size in said["shape"])
        block, nested = int(said["blocksize"]), int(said.get("nested_blocksize", 0))
        dtype = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[said["dtype"]]
        offset = float(said.get("nested_offset", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    sizes = *shape, block, nested
    if not all(0 <= size <= MOST_SIZE for size in sizes) or not is_float32(offset):
        return None
    ends = ["", ".absmax", ".quant_map"]
    ends += [".nested_quant_map", ".nested_absmax"] if nested else []
    parts = [stored.tensors.get(f"{start}{end}") for end in ends]
    found = [each for each in parts if each is not None]
    if len(found) < len(ends) or 2 * found[0].elements != prod(shape):
        return None
    coding = Coding.nf4([each.window for each in found], block, nested, offset, dtype)
    return Encoded(start, shape, coding, (*(each.name for each in found), name))


def numbers_of(checkpoint: Checkpoint, tensors: Sequence[Tensor]) -> Floats:
    """Return (n,) all elements of tensors of few, one tensor after the other."""
    if not tensors:
        return np.zeros(0)
    # A plan is of two checkpoints at least.
    index = np.array([[each.index] * 2 for each in tensors], np.uint64)
    elements = np.array([each.elements for each in tensors], np.uint64)
    plan = _core.Plan([checkpoint.core] * 2, elements, index, np.zeros_like(index))
    found: Floats = _core.elements(plan, 0, len(tensors), threads=1, io="pread")[:, 0]
    return found


RULES: tuple[tuple[str, Rule], ...] = (
    ("_blocks", _mxfp4),
    ("_scale_2", _nvfp4),
    ("_global_scale", _nvfp4),
    ("_packed", _packed),
    (".qweight", _qweight),
    ("__nf4", _nf4),
    ("__fp4", _nf4),
    ("_scale_inv", _scaled),
    (".scale_weight", _scaled),
    (".weight_scale", _scaled),
    ("_scale", _scaled),
    ("_scales", _scaled),
    (".SCB", _scaled),
)
"""How a tensor that tells a scheme ends, and the rule; the first that fits counts."""


def decoded(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose codes are seen as the numbers that they stand for.

    It is the same one if nothing in it is encoded as any rule knows. What would have the name of
    another tensor stays as it is stored.
    """
    with collection_paused():
        return _decoded(checkpoint)


def _decoded(checkpoint: Checkpoint) -> Checkpoint:
    found = {each.name: each for each in encoded(checkpoint)}
    gone = {part for each in found.values() for part in each.parts}
    kept = [each for each in checkpoint.tensors.values() if each.name not in gone]
    taken = {each.name for each in kept} & found.keys()
    if taken:
        stays = {part for name in taken for part in found.pop(name).parts}
        kept += [each for each in checkpoint.tensors.values() if each.name in stays]
    if not found:
        return checkpoint
    tensors = [
        Tensor(0, each.name, each.coding.dtype, each.shape, place, 0, each.bytes)
        for place, each in enumerate(found.values(), checkpoint.places)
    ]
    return checkpoint.seen_as([*kept, *tensors], [each.coding for each in found.values()])


def is_whole_coding(checkpoint: Checkpoint, tensor: Tensor) -> bool:
    """Return whether a tensor is all of what a coding gives, in the order that it is stored in."""
    place = tensor.shard - len(checkpoint.shards)
    if place < 0 or not checkpoint.codings[place].is_of_codes:
        return False
    return (tensor.begin, tensor.end) == (0, checkpoint.computed[place])


def as_stored(
    checkpoint: Checkpoint, tensors: Iterable[Tensor]
) -> tuple[Checkpoint, dict[int, list[int]]]:
    """Return a view of the bytes that encoded tensors are stored in.

    With it, for the position of each tensor, those of its codes, scales and so on in the view.
    """
    files = len(checkpoint.shards)
    parts = {
        tensor.index: [
            Tensor(0, "", "U8", (end - begin,), shard, begin, end)
            for shard, begin, end, _ in checkpoint.codings[tensor.shard - files].windows
        ]
        for tensor in tensors
    }
    return _numbered(checkpoint, parts)


def cells_of(
    checkpoint: Checkpoint, tensors: Iterable[Tensor]
) -> tuple[Checkpoint, dict[int, list[int]]]:
    """Return a view of the cells of encoded tensors, as float32.

    With it, for the position of each tensor, those in the view of what its codes stand for, and of
    the lower and upper ends of the numbers that are nearest to these.
    """
    codings: list[Coding] = []
    parts: dict[int, list[Tensor]] = {}
    for tensor in tensors:
        wide = DTYPES[tensor.dtype].bytes
        span = tensor.begin // wide * 4, tensor.end // wide * 4
        pile = checkpoint.pile_of(tensor)
        parts[tensor.index] = []
        for end in pile[-1].cells():
            codings.append(end)
            # What is seen in another order is so of its cells.
            for coding in reversed(pile[:-1]):
                below = coding.windows[0]
                width = DTYPES[below.dtype].bytes
                at = below.begin // width * 4, below.end // width * 4
                window = Window(checkpoint.places + len(codings) - 1, *at, "F32")
                codings.append(coding._replace(dtype="F32", windows=(window,)))
            place = checkpoint.places + len(codings) - 1
            parts[tensor.index].append(Tensor(0, "", "F32", tensor.shape, place, *span))
    return _numbered(checkpoint, parts, codings)


def _numbered(
    checkpoint: Checkpoint, parts: Mapping[int, Sequence[Tensor]], codings: Sequence[Coding] = ()
) -> tuple[Checkpoint, dict[int, list[int]]]:
    """Return a view of tensors without names, and their positions in it, as they are given."""
    flat = [each for tensors in parts.values() for each in tensors]
    # Names of one length are sorted as the numbers in them are.
    named = (each._replace(name=f"{at:012}") for at, each in enumerate(flat))
    at = count()
    places = {index: [next(at) for _ in tensors] for index, tensors in parts.items()}
    return checkpoint.seen_as(named, codings), places
